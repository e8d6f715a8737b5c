"""The second look at a driver: pictures of a few frames, and whether something hides the face there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from megaportraits.animate.crop_track import CropTrack
from megaportraits.animate.extract import calm
from megaportraits.animate.tracking import DriverTrack
from megaportraits.data.crop import SquareCrop
from megaportraits.data.faces import FaceTracker
from megaportraits.doctor.driver import blurred
from megaportraits.doctor.findings import Finding
from megaportraits.doctor.occlusion import hidden_scores, mesh_colours

CROP_PX = 160
_THUMB_PX = 200
_MOST_COMPARED, _FEWEST_COMPARED = 48, 5
_MOST_TURN_DEG = 25.0
"""Frames turned further from the usual are not compared: their colours move over the mesh."""
_EACH = 3
"""Pictures for one finding."""
_SQUARE = (255, 64, 160)


@dataclass(frozen=True)
class Look:
    """One frame."""

    thumb: UInt8[np.ndarray, "h w 3"]
    """The whole frame, small; outlined is what the head's square holds of it."""
    crop: UInt8[np.ndarray, "S S 3"] | None
    """The head's square; None where no face is known."""
    colours: Float[np.ndarray, "468 3"] | None
    """Colours of the face mesh; None where the face was not found in the crop."""


def compared_frames(track: DriverTrack) -> list[int]:
    """Frames of the main face whose colours are compared: 48, neither turned far nor blurred, and the calmest one."""
    if not track.faces:
        return []
    face = track.faces[0]
    yaw = face.angles_deg[:, 0]
    with np.errstate(invalid="ignore"):
        ahead = np.abs(yaw - np.nanmedian(yaw)) < _MOST_TURN_DEG
    able = np.flatnonzero(ahead & ~blurred(track))
    return sorted({*spread(able.tolist(), _MOST_COMPARED), int(np.nanargmin(calm(face)))})


def shown_frames(findings: Sequence[Finding]) -> list[int]:
    """Frames to show: up to three of each finding, spread evenly."""
    return sorted({number for finding in findings for number in spread(finding.frames, _EACH)})


def spread(numbers: Sequence[int], count: int) -> list[int]:
    """At most `count` of the numbers, evenly from the first to the last."""
    if len(numbers) <= count:
        return list(numbers)
    return [numbers[round(place)] for place in np.linspace(0, len(numbers) - 1, count)]


def look_closer(
    frames: Iterable[tuple[Fraction, UInt8[np.ndarray, "H W 3"]]], numbers: Iterable[int], squares: CropTrack | None
) -> dict[int, Look]:
    """Read a driver again and keep small pictures of the numbered frames."""
    wanted = set(numbers)
    looks: dict[int, Look] = {}
    with FaceTracker(video=False) as tracker:
        for i, (_, frame) in enumerate(frames):
            if i in wanted:
                looks[i] = look(frame, None if squares is None else squares.at(i), tracker)
            if len(looks) == len(wanted):
                break
    return looks


def look(frame: UInt8[np.ndarray, "H W 3"], square: SquareCrop | None, tracker: FaceTracker) -> Look:
    """One frame, small."""
    if square is None:
        return Look(_thumb(frame, None), None, None)
    crop = square.cut(frame, CROP_PX)
    landmarks = tracker.landmarks(crop)
    return Look(_thumb(frame, square), crop, None if landmarks is None else mesh_colours(crop, landmarks))


def strangeness(looks: dict[int, Look], compared: Sequence[int]) -> dict[int, float]:
    """`hidden_scores` of the compared frames by their numbers; empty where there are too few."""
    known = {i: colours for i in compared if (colours := looks[i].colours) is not None}
    if len(known) < _FEWEST_COMPARED:
        return {}
    return dict(zip(known, hidden_scores(np.stack(list(known.values()))).tolist(), strict=True))


def _thumb(frame: UInt8[np.ndarray, "H W 3"], square: SquareCrop | None) -> UInt8[np.ndarray, "h w 3"]:
    height, width = frame.shape[:2]
    scale = _THUMB_PX / height
    picture = Image.fromarray(frame).resize((max(1, round(width * scale)), _THUMB_PX), Image.Resampling.BOX)
    if square is not None:
        corners = np.array([[square.x, square.y], [square.x + square.side, square.y + square.side]]) * scale
        inside = np.clip(corners, 0, np.array(picture.size) - 1)
        ImageDraw.Draw(picture).rectangle(inside.flatten().tolist(), outline=_SQUARE, width=2)
    return np.asarray(picture)
