"""Findings about a source photo: pure functions of its numbers."""

import numpy as np
from jaxtyping import Float

from megaportraits.animate.tracking import DriverTrack
from megaportraits.data.crop import SIDE_PER_OVAL_HEIGHT, SquareCrop
from megaportraits.doctor.driver import outside_part
from megaportraits.doctor.findings import Finding, light_finding, sharpness_finding, size_finding

_TURN_DEG = 20.0
_MOUTH, _EYES = 0.03, 0.14
"""Openings (`metrics/landmarks.py`) above which a mouth shows its inside, and below which eyes are closed."""
_OUTSIDE = 0.02
_CUT_HAIR = 0.05
"""Part of the square's width that the person may have at the photo's upper edge."""
_ONE_SIDED = 0.5
"""Luma of the darker half of the face / luma of the lighter one."""
_OTHER_FACE = 0.25
"""Other faces lower than this part of the main one do not matter."""


def photo_findings(
    track: DriverTrack,
    square: SquareCrop | None,
    matte: Float[np.ndarray, "S S"],
    halves: tuple[float, float] | None,
    crop_px: int,
) -> list[Finding]:
    """What can be told of the largest face of a photo.

    Args:
        track: the photo, looked through as a driver of one frame.
        square: where its head is; None where no face was found, which then is the only finding.
        matte: the person in that square, in [0, 1].
        halves: luma of the left and the right half of the face, 0 to 255; None where they were not found.
        crop_px: side of the model's picture.
    """
    if square is None:
        return [Finding("problem", "No face was found", "", "Give a photo of one clearly visible face.")]
    face = track.faces[0]
    yaw, pitch, roll = face.angles_deg[0].tolist()
    return [
        size_finding(square.side / SIDE_PER_OVAL_HEIGHT, crop_px), _several(track), _turn(yaw, pitch, roll),
        _mouth(float(face.mouth[0])), _eyes(float(face.eyes[0])), _edges(track), _hair(square, matte),
        light_finding(float(track.brightness[0])), sharpness_finding(float(track.sharpness[0])),
        *([_one_sided(*halves)] if halves else []),
    ]  # fmt: skip


def _several(track: DriverTrack) -> Finding:
    heights = np.array([face.box[0, 3] for face in track.faces])
    count = int((heights > _OTHER_FACE * heights[0]).sum())
    if count == 1:
        return Finding("fine", "Only one face")
    advice = "The largest one is animated; cut the photo to choose another, and keep others out of the head's square."
    return Finding("warning", f"{count} faces", "heights " + ", ".join(f"{h:.0f} px" for h in heights), advice)


def _turn(yaw: float, pitch: float, roll: float) -> Finding:
    numbers = f"yaw {yaw:+.0f}, pitch {pitch:+.0f}, roll {roll:+.0f} degrees"
    if max(abs(yaw), abs(pitch)) <= _TURN_DEG:
        return Finding("fine", "The face looks ahead", numbers)
    advice = "Take a photo from the front: what the turn hides has to be guessed."
    return Finding("warning", "The face is turned away", numbers, advice)


def _mouth(opening: float) -> Finding:
    numbers = f"opening {opening:.2f} face heights, open from {_MOUTH:.2f}"
    if opening < _MOUTH:
        return Finding("fine", "The mouth is closed", numbers)
    advice = "A closed mouth is safer with --motion relative; an open one shows the person's own teeth."
    return Finding("note", "The mouth is open", numbers, advice)


def _eyes(opening: float) -> Finding:
    numbers = f"opening {opening:.2f} eye widths, closed below {_EYES:.2f}"
    if opening >= _EYES:
        return Finding("fine", "The eyes are open", numbers)
    return Finding("warning", "The eyes are closed", numbers, "Take a photo with open eyes: theirs have to be guessed.")


def _edges(track: DriverTrack) -> Finding:
    outside = float(outside_part(track.faces[0].box, track.size)[0])
    if outside <= _OUTSIDE:
        return Finding("fine", "The whole face is in the photo")
    advice = "Take a photo that shows the whole head with some room around it."
    return Finding("problem", "A part of the face is cut off", f"{outside:.0%} of the face", advice)


def _hair(square: SquareCrop, matte: Float[np.ndarray, "S S"]) -> Finding:
    upper_row = int(np.ceil(-square.y * len(matte) / square.side)) if square.y < 0 else None
    part = 0.0 if upper_row is None or upper_row >= len(matte) else float((matte[upper_row] > 0.5).mean())
    if part <= _CUT_HAIR:
        return Finding("fine", "The hair is in the photo")
    advice = "Take a photo with room above the head: the rest of the hair has to be guessed."
    return Finding("warning", "The hair is cut off", f"{part:.0%} of the square's width at the upper edge", advice)


def _one_sided(left: float, right: float) -> Finding:
    ratio = min(left, right) / max(left, right, 1.0)
    numbers = f"luma {left:.0f} on the left of the picture, {right:.0f} on the right"
    if ratio >= _ONE_SIDED:
        return Finding("fine", "The light is even", numbers)
    advice = "Use soft light from the front: the shadow turns with the head."
    return Finding("warning", "Light from one side", numbers, advice)
