"""Semantic expression controls in [0, 1], and the pose units of the face rig that each of them moves."""

from collections.abc import Sequence

from jaxtyping import Float
from numpy import ndarray

CONTROL_UNITS: dict[str, dict[str, float]] = {
    "blink_left": {"LeftUpperLidClosed": 1.0, "LeftLowerLidUp": 0.35},
    "blink_right": {"RightUpperLidClosed": 1.0, "RightLowerLidUp": 0.35},
    "wide_left": {"LeftUpperLidOpen": 1.0},
    "wide_right": {"RightUpperLidOpen": 1.0},
    "squint": {"LeftLowerLidUp": 1.0, "RightLowerLidUp": 1.0},
    "jaw_open": {"JawDrop": 1.0},
    "jaw_wide": {"JawDropStretched": 1.0},
    "jaw_left": {"ChinLeft": 1.0},
    "jaw_right": {"ChinRight": 1.0},
    "jaw_forward": {"ChinForward": 1.0},
    "smile_left": {"MouthLeftPullUp": 0.5, "MouthLeftPullSide": 0.6, "LeftCheekUp": 0.5},
    "smile_right": {"MouthRightPullUp": 0.5, "MouthRightPullSide": 0.6, "RightCheekUp": 0.5},
    "stretch_left": {"MouthLeftPullSide": 1.0},
    "stretch_right": {"MouthRightPullSide": 1.0},
    "frown_left": {"MouthLeftPullDown": 1.0},
    "frown_right": {"MouthRightPullDown": 1.0},
    "pucker": {"LipsKiss": 1.0},
    "funnel_lower": {"lowerLipForward": 1.0},
    "funnel_upper": {"UpperLipForward": 1.0},
    "lower_lip_down": {"lowerLipDown": 1.0},
    "upper_lip_up": {"UpperLipUp": 1.0},
    "press_lower": {"lowerLipBackward": 0.45},
    "press_upper": {"UpperLipBackward": 0.45},
    "lower_lip_up": {"lowerLipUp": 1.0},
    "mouth_left": {"MouthMoveLeft": 1.0},
    "mouth_right": {"MouthMoveRight": 1.0},
    "cheek_puff": {"CheeksPump": 1.0},
    "cheek_suck": {"CheeksSuck": 1.0},
    "sneer": {"NoseWrinkler": 1.0},
    "nasolabial": {"NasolabialDeepener": 1.0},
    "brow_down_left": {"LeftBrowDown": 1.0},
    "brow_down_right": {"RightBrowDown": 1.0},
    "brow_inner_left": {"LeftInnerBrowUp": 1.0},
    "brow_inner_right": {"RightInnerBrowUp": 1.0},
    "brow_outer_left": {"LeftOuterBrowUp": 1.0},
    "brow_outer_right": {"RightOuterBrowUp": 1.0},
    "tongue_out": {"TongueOut": 1.0},
    "tongue_up": {"TongueUp": 1.0},
}
"""Left and right are the person's. The lip-backward units are scaled down: at full strength teeth come through."""
CONTROLS = tuple(CONTROL_UNITS)
LID_FOLLOW = 0.9
"""Share of the eye-turn units that lids follow the gaze with."""
GAZE_UNIT_DEG = (19.0, 20.0)
"""Yaw and pitch of the eyeball that the eye-turn units stand for."""


def pose_units(
    values: Float[ndarray, " C"],
    gaze_deg: Sequence[float],
    resting: dict[str, float],
    lid_closure: dict[str, float],
) -> dict[str, float]:
    """Strength of each pose unit for one frame's controls (order of `CONTROLS`) and gaze (yaw, pitch)."""
    units = dict(resting)
    for name, value in zip(CONTROLS, values, strict=True):
        if value > 1e-4:
            for unit, share in CONTROL_UNITS[name].items():
                units[unit] = units.get(unit, 0.0) + share * float(value)
    yaw, pitch = gaze_deg[0] / GAZE_UNIT_DEG[0], gaze_deg[1] / GAZE_UNIT_DEG[1]
    for side in ("Left", "Right"):
        turns = {"EyeturnLeft": yaw, "EyeturnRight": -yaw, "EyeUp": pitch, "EyeDown": -pitch}
        for unit, strength in turns.items():
            if strength > 0:
                units[side + unit] = units.get(side + unit, 0.0) + LID_FOLLOW * min(strength, 1.3)
        _close_lid(units, side, lid_closure.get(side, 1.0), (*turns, "UpperLidOpen"))
    return units


def _close_lid(units: dict[str, float], side: str, closure: float, opposed: tuple[str, ...]) -> None:
    """Scale a closing lid to this person's closing point; a closed lid no longer follows the gaze."""
    closed = min(units.get(f"{side}UpperLidClosed", 0.0), 1.0)
    if closed <= 0:
        return
    units[f"{side}UpperLidClosed"] = closed * closure
    if closed > 0.5:
        units[f"{side}LowerLidUp"] = units.get(f"{side}LowerLidUp", 0.0) * closure
    for unit in opposed:
        if side + unit in units:
            units[side + unit] *= 1 - closed
