"""Which parts of a video become clips: pure functions of what was seen in it.

Paper: B.3. Scene cuts and people are found as for drivers (`animate/tracking.py`); a clip is an unbroken run of frames
of one person in one shot that show the whole face, alone, and not turned too far.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool

from megaportraits.animate.crop_track import CropTrack, crop_track
from megaportraits.animate.sightings import Sighting
from megaportraits.animate.tracking import DriverTrack, FaceTrack
from megaportraits.config import FilterConfig, PrepareVideos
from megaportraits.data.crop import SIDE_PER_OVAL_HEIGHT, SquareCrop
from megaportraits.prepare.lists import Box

OTHER_FACE = 0.25
"""Other faces lower than this part of the main one do not matter."""
_FACE_IN_CROP = 0.95
"""The face oval's box must lie inside this part of the square."""
_HALF_TURN_RAD = 0.5


@dataclass(frozen=True)
class Candidate:
    """Frames of one person that become a clip, or would if `reason` were empty."""

    face: int
    """Number of the face among those that were asked for, the most prominent one first."""
    frames: tuple[int, ...]
    """Consecutive numbers of frames that were looked at."""
    rows: tuple[int, ...]
    """Their landmarks in the landmark file; empty where `reason` is not."""
    crop: CropTrack
    """Of the whole video."""
    scores: dict[str, float]
    """Measures that need no pictures."""
    reason: str
    """Why it is left out."""


def candidates(track: DriverTrack, config: PrepareVideos, box: Box | None) -> list[Candidate]:
    """All clips of a video, and for each person and shot without one the chief reason.

    Args:
        track: the video, looked through.
        config: size, longest clip, limits.
        box: where the wanted person is, in parts of the picture; None for anyone.
    """
    wanted = [i for i, face in enumerate(track.faces) if box is None or _mostly_inside(face, box, track.size)]
    by_face = (_of_face(track, number, config) for number in wanted)
    return [replace(candidate, face=i) for i, found in enumerate(by_face) for candidate in found]


def _mostly_inside(face: FaceTrack, box: Box, size: tuple[int, int]) -> bool:
    centre = (face.box[:, :2] + face.box[:, 2:] / 2) / np.array(size)
    seen = centre[np.isfinite(centre[:, 0])]
    return bool(((seen > box[:2]) & (seen < box[2:])).all(1).mean() > 0.5)


def _of_face(track: DriverTrack, number: int, config: PrepareVideos) -> Iterator[Candidate]:
    face = track.faces[number]
    crop, by_frame = crop_track(track, number), {s.frame: s for s in face.sightings}
    reasons = _frame_reasons(track, number, crop, config.filters)
    for shot in range(int(track.shot.max()) + 1):
        frames = [int(f) for f in np.flatnonzero(track.shot == shot) if f in by_frame]
        if not frames:
            continue
        long_enough = [run for run in _runs(frames, reasons) if not _too_short(run, track, config.filters)]
        for run in long_enough:
            for piece in _pieces(run, config.most_frames, config.filters.least_frames):
                yield _candidate(number, piece, [by_frame[f] for f in piece], crop, track, config)
        if not long_enough:
            told = Counter(reasons[f] for f in frames if reasons[f]).most_common(1)
            reason = told[0][0] if told else _too_short(frames, track, config.filters)
            yield Candidate(number, tuple(frames), (), crop, _scores(frames, face, crop), reason)


def _candidate(
    number: int, frames: Sequence[int], seen: Sequence[Sighting], crop: CropTrack, track: DriverTrack,
    config: PrepareVideos,
) -> Candidate:  # fmt: skip
    scores = _scores(frames, track.faces[number], crop)
    likeness = _likeness(seen)
    if likeness is not None:
        scores["likeness"] = likeness
    reason = _reason(scores, config)
    return Candidate(number, tuple(frames), () if reason else tuple(s.row for s in seen), crop, scores, reason)


def _reason(scores: dict[str, float], config: PrepareVideos) -> str:
    """Why a run of good frames is left out."""
    limits = config.filters
    if scores["motion"] < limits.least_motion:
        return "nothing moves"
    if scores.get("likeness", 1.0) < limits.least_likeness:
        return "the person seems to change"
    return too_small(scores["crop_px"], config.size, limits)


def too_small(crop_px: float, size_px: int, limits: FilterConfig) -> str:
    """The reason to leave out a head whose square has so few of the file's own pixels, or nothing."""
    if crop_px >= limits.least_scale * size_px:
        return ""
    return f"the head is smaller than {limits.least_scale * size_px:.0f} px"


def _frame_reasons(track: DriverTrack, number: int, crop: CropTrack, limits: FilterConfig) -> list[str]:
    """Why each frame cannot be used; empty where it can, or where the face is not seen."""
    face = track.faces[number]
    low = (face.box[:, :2] - np.stack([crop.x, crop.y], 1)) / crop.side[:, None]
    high = low + face.box[:, 2:] / crop.side[:, None]
    edge = (1 - _FACE_IN_CROP) / 2
    outside = np.array([part_outside(crop.at(i), track.size[::-1]) for i in range(len(track.times_s))])
    with np.errstate(invalid="ignore"):
        checks = (
            ("another face is in the square", _others_inside(track, number, crop)),
            (f"the head is turned more than {limits.most_yaw_deg:g} degrees",
             np.abs(face.angles_deg[:, 0]) > limits.most_yaw_deg),
            ("the face leaves its square", ((low < edge) | (high > 1 - edge)).any(1)),
            (f"more than {limits.most_outside:.0%} of the square is outside the picture",
             outside > limits.most_outside),
        )  # fmt: skip
    return [next((reason for reason, mask in checks if mask[i]), "") for i in range(len(track.times_s))]


def part_outside(square: SquareCrop, frame_shape: tuple[int, ...]) -> float:
    """Part of a square's area that lies outside a picture of (height, width)."""
    inside = 1.0
    for start, length in ((square.y, frame_shape[0]), (square.x, frame_shape[1])):
        inside *= max(0.0, min(start + square.side, length) - max(start, 0.0)) / square.side
    return 1 - inside


def _others_inside(track: DriverTrack, number: int, crop: CropTrack) -> Bool[np.ndarray, " T"]:
    """Where another face, be it seen for a moment only, has its centre in the square; tiny ones do not count."""
    own = {sighting.row for sighting in track.faces[number].sightings}
    inside = np.zeros(len(crop.side), bool)
    for frame, seen in enumerate(track.sightings):
        least = OTHER_FACE * crop.side[frame] / SIDE_PER_OVAL_HEIGHT
        others = [s.box for s in seen if s.row not in own and s.box[3] > least]
        if others:
            boxes = np.stack(others)
            at = (boxes[:, :2] + boxes[:, 2:] / 2 - (crop.x[frame], crop.y[frame])) / crop.side[frame]
            inside[frame] = ((at > 0) & (at < 1)).all(1).any()
    return inside


def _runs(frames: Sequence[int], reasons: Sequence[str]) -> Iterator[list[int]]:
    """Maximal stretches of consecutive frames without a reason."""
    run: list[int] = []
    for frame in frames:
        if reasons[frame] or (run and frame != run[-1] + 1):
            if run:
                yield run
            run = []
        if not reasons[frame]:
            run.append(frame)
    if run:
        yield run


def _too_short(run: Sequence[int], track: DriverTrack, limits: FilterConfig) -> str:
    seconds = float(track.times_s[run[-1]] - track.times_s[run[0]])
    if len(run) < limits.least_frames:
        return f"fewer than {limits.least_frames} frames show the face"
    return f"shorter than {limits.least_s:g} s" if seconds < limits.least_s else ""


def _pieces(run: Sequence[int], most: int, least: int) -> Iterator[Sequence[int]]:
    """The run in parts of nearly equal length, none longer than `most` or shorter than `least`; a rest may go."""
    count = max(1, min(math.ceil(len(run) / most), len(run) // least))
    used = min(len(run), count * most)
    bounds = [round(i * used / count) for i in range(count + 1)]
    for start, end in itertools.pairwise(bounds):
        yield run[start:end]


def _scores(frames: Sequence[int], face: FaceTrack, crop: CropTrack) -> dict[str, float]:
    rows = list(frames)
    yaw, pitch, roll = face.angles_deg[rows].T
    return {
        "crop_px": float(np.median(crop.side[rows])),
        "yaw_deg": float(np.median(yaw)), "yaw_least_deg": float(yaw.min()), "yaw_most_deg": float(yaw.max()),
        "pitch_deg": float(np.median(pitch)), "roll_deg": float(np.median(roll)),
        "motion": _motion(face, rows),
    }  # fmt: skip


def _motion(face: FaceTrack, rows: list[int]) -> float:
    """The largest of the ranges (5th to 95th percentile) of place, turn and openings."""
    height = float(np.median(face.box[rows, 3]))
    centre = (face.box[rows, :2] + face.box[rows, 2:] / 2) / height
    turn = np.deg2rad(face.angles_deg[rows]) * _HALF_TURN_RAD
    paths = np.concatenate([centre, turn, face.mouth[rows, None], face.eyes[rows, None]], 1)
    return float(np.ptp(np.percentile(paths, (5, 95), axis=0), axis=0).max())


def _likeness(seen: Sequence[Sighting]) -> float | None:
    """Least cosine of the looks with their mean; None where there are fewer than two."""
    looks = [s.look for s in seen if s.look is not None]
    if len(looks) < 2:
        return None
    stacked = torch.stack(looks)
    return float((stacked @ torch.nn.functional.normalize(stacked.mean(0), dim=0)).min())
