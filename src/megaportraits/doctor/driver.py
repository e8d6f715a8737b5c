"""Findings about a driver from its numbers: pure functions of a `DriverTrack`."""

import math
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float

from megaportraits.animate.tracking import DriverTrack, FaceTrack
from megaportraits.doctor.findings import (
    Finding,
    each_shot,
    frame_noise,
    frames_of,
    graded,
    largest_in_shots,
    light_finding,
    sharpness_finding,
    size_finding,
    spans,
)

_FEW, _MANY = 0.02, 0.2
"""Parts of the frames."""
_YAW_DEG, _PITCH_DEG = 40.0, 30.0
"""Turns from which on the eyes' far half is hidden and pictures get worse."""
_OUTSIDE = 0.05
"""Part of the face oval's height or width that may leave the picture."""
_LIGHT_RANGE, _FLICKER = 40.0, 1.2
"""Levels of luma: change over a shot, and noise from frame to frame. Measured clips have at most 20 and 0.5."""
_TREMBLE, _TREMBLE_DEG = 0.004, 0.8
"""Noise of the face's place in face heights, and of its turn. Measured clips have at most 0.0025 and 0.6."""
_MOTION_BLUR = 0.35
"""Part of the median sharpness below which a frame is blurred by movement."""
_SLOW_FPS, _FAST_FPS = 20, 61
_UNEVEN, _GAP = 0.25, 3.0
"""Part of a frame's time by which steps may differ, and times of it from which one step alone is told."""


def driver_findings(track: DriverTrack, fps: Fraction, crop_px: int) -> list[Finding]:
    """Everything that can be told of the main face of a driver without its pictures.

    Args:
        track: the driver, looked through.
        fps: mean frame rate of the file.
        crop_px: side of the model's picture.
    """
    if not track.faces:
        advice = "Give a driver in which one face is clearly visible."
        return [Finding("problem", "No face was found", _count(len(track.times_s)), advice), *_file(track, fps)]
    face = track.faces[0]
    seen = seen_frames(face)
    picture = [
        _presence(track, seen), _several(track), size_finding(_median(face.box[:, 3]), crop_px),
        _edges(track, face), _turn(track, face), light_finding(_median(track.brightness[seen])),
        sharpness_finding(_median(track.sharpness[seen])),
    ]  # fmt: skip
    if len(track.times_s) == 1:
        return picture
    moving = [_light_change(track, seen), _flicker(track, seen), _motion_blur(track), _tremble(track, face)]
    return [*picture, *moving, *_file(track, fps)]


def _file(track: DriverTrack, fps: Fraction) -> list[Finding]:
    """What has nothing to do with faces."""
    return [_cuts(track), _rate(fps), _evenness(track)] if len(track.times_s) > 1 else []


def seen_frames(face: FaceTrack) -> Bool[np.ndarray, " T"]:
    """Where the face was seen."""
    return np.isfinite(face.box).all(1)


def blurred(track: DriverTrack) -> Bool[np.ndarray, " T"]:
    """Where the main face is far less sharp than usual."""
    seen = seen_frames(track.faces[0])
    return seen & (track.sharpness < _MOTION_BLUR * _median(track.sharpness[seen]))


def tremble(face: FaceTrack, track: DriverTrack) -> tuple[float, float]:
    """Noise from frame to frame of the face's place (in face heights) and of its turn (degrees); NaN if unknown."""
    centre = (face.box[:, :2] + face.box[:, 2:] / 2) / _median(face.box[:, 3])
    place = max(frame_noise(values, track.shot) for values in centre.T)
    return place, max(frame_noise(values, track.shot) for values in face.angles_deg.T)


def _median(values: Float[np.ndarray, " T"]) -> float:
    return float(np.nanmedian(values))


def _presence(track: DriverTrack, seen: Bool[np.ndarray, " T"]) -> Finding:
    missing = int((~seen).sum())
    numbers = f"{missing} of {len(seen)} frames"
    if not missing:
        return Finding("fine", "The face is seen all the time", _count(len(seen)))
    advice = "Cut these parts off, or choose by --no-face what is shown there (interpolate, hold, skip)."
    when = f"{numbers}: {spans(~seen, track.times_s)}"
    level = "note" if missing / len(seen) < _FEW else graded(missing / len(seen), _FEW, _MANY)
    return Finding(level, "The face is not seen in some frames", when, advice, frames_of(~seen))


def _cuts(track: DriverTrack) -> Finding:
    first = [int(index[0]) for index in each_shot(track.shot)][1:]
    if not first:
        return Finding("fine", "No scene cuts")
    mask = np.isin(np.arange(len(track.shot)), first)
    numbers = f"{len(first)}: {spans(mask, track.times_s)}"
    advice = "Each shot is framed anew, so the head may jump there; give one shot if that is not wanted."
    return Finding("note", "Scene cuts", numbers, advice, tuple(first))


def _several(track: DriverTrack) -> Finding:
    shares = [float(seen_frames(face).mean()) for face in track.faces]
    told = [(i, share) for i, share in enumerate(shares) if i == 0 or share > _FEW]
    if len(told) == 1:
        return Finding("fine", "Only one face")
    numbers = ", ".join(f"face {i} in {share:.0%} of the frames" for i, share in told)
    advice = "The largest face drives; choose another by --face NUMBER, or --face all."
    return Finding("note", f"{len(told)} faces", numbers, advice)


def _edges(track: DriverTrack, face: FaceTrack) -> Finding:
    outside = outside_part(face.box, track.size)
    mask = outside > _OUTSIDE
    if not mask.any():
        return Finding("fine", "The face stays inside the picture")
    numbers = f"{mask.sum()} frames, at most {np.nanmax(outside):.0%} of the face: {spans(mask, track.times_s)}"
    advice = "Move the camera back, or cut these parts off: what is outside cannot be read."
    level = graded(float(mask.mean()), 0.0, _MANY)
    return Finding(level, "The face leaves the picture", numbers, advice, frames_of(mask))


def outside_part(box: Float[np.ndarray, "T 4"], size: tuple[int, int]) -> Float[np.ndarray, " T"]:
    """Part of the boxes' width or height, the larger one, that lies outside a picture of (width, height)."""
    low, span = box[:, :2], box[:, 2:]
    beyond = np.maximum(np.maximum(-low, low + span - np.array(size)), 0)
    return (beyond / span).max(1)


def _turn(track: DriverTrack, face: FaceTrack) -> Finding:
    yaw, pitch = face.angles_deg[:, 0], face.angles_deg[:, 1] - _median(face.angles_deg[:, 1])
    mask = (np.abs(yaw) > _YAW_DEG) | (np.abs(pitch) > _PITCH_DEG)
    (low, high), (down, up) = (np.nanpercentile(values, (1, 99)) for values in (yaw, pitch))
    numbers = f"yaw {low:+.0f} to {high:+.0f} degrees, pitch {down:+.0f} to {up:+.0f} about its middle"
    if mask.mean() < 0.01:
        return Finding("fine", "The head turns moderately", numbers)
    advice = "Keep the head within 40 degrees of the camera; --frontalize or --rotate moves the result back."
    when = f"{numbers}; {mask.sum()} frames beyond: {spans(mask, track.times_s)}"
    return Finding("warning", "The head turns far", when, advice, frames_of(mask))


def _light_change(track: DriverTrack, seen: Bool[np.ndarray, " T"]) -> Finding:
    luma = np.where(seen, track.brightness, np.nan)

    def spread(index: np.ndarray) -> float:
        known = luma[index][seen[index]]
        return float(np.ptp(np.percentile(known, (5, 95)))) if len(known) else math.nan

    change = largest_in_shots(track.shot, spread)
    numbers = f"luma changes by {change:.0f} of 255 within a shot"
    if change < _LIGHT_RANGE:
        return Finding("fine", "The light is steady", numbers)
    ends = (int(np.nanargmin(luma)), int(np.nanargmax(luma)))
    return Finding("warning", "The light changes", numbers, "Lock the exposure, and avoid moving lights.", ends)


def _flicker(track: DriverTrack, seen: Bool[np.ndarray, " T"]) -> Finding:
    noise = frame_noise(np.where(seen, track.brightness, np.nan), track.shot)
    if math.isnan(noise):
        return Finding("fine", "Too short to tell flicker")
    numbers = f"luma differs by {noise:.1f} of 255 from frame to frame, flicker from {_FLICKER}"
    if noise < _FLICKER:
        return Finding("fine", "The light does not flicker", numbers)
    advice = "Record at 25 or 50 (60 Hz mains: 30 or 60) frames a second, or by daylight."
    return Finding("warning", "The light flickers", numbers, advice)


def _motion_blur(track: DriverTrack) -> Finding:
    mask = blurred(track)
    if not mask.any():
        return Finding("fine", "No frame is blurred by movement")
    numbers = f"{mask.sum()} of {len(mask)} frames: {spans(mask, track.times_s)}"
    advice = "Use more light or a shorter exposure; mouth and eyes are guessed there."
    return Finding("note" if mask.mean() < 0.1 else "warning", "Blurred frames", numbers, advice, frames_of(mask))


def _rate(fps: Fraction) -> Finding:
    numbers = f"{float(fps):.2f} frames a second"
    if fps < _SLOW_FPS:
        advice = "Record with at least 25 frames a second: speech and blinks fall between the frames."
        return Finding("warning", "The frame rate is low", numbers, advice)
    if fps > _FAST_FPS:
        return Finding("note", "The frame rate is high", numbers, "Halve it to halve the time of computing.")
    return Finding("fine", "The frame rate is usual", numbers)


def _evenness(track: DriverTrack) -> Finding:
    steps = np.diff([float(time) for time in track.times_s])
    usual = float(np.median(steps))
    uneven = np.append(False, np.abs(steps - usual) > _UNEVEN * usual)
    numbers = f"steps of {1000 * steps.min():.0f} to {1000 * steps.max():.0f} ms"
    if uneven.mean() <= _FEW and steps.max() < _GAP * usual:
        return Finding("fine", "The frames come evenly", numbers)
    advice = "The result keeps these times; convert to a constant rate if an editor needs it."
    when = f"{numbers}, uneven before {_count(int(uneven.sum()))}"
    return Finding("note", "The frame rate varies", when, advice)


def _tremble(track: DriverTrack, face: FaceTrack) -> Finding:
    place, turn = tremble(face, track)
    if math.isnan(place):
        return Finding("fine", "Too short to tell trembling")
    numbers = f"place {100 * place:.2f} % of the face's height, turn {turn:.2f} degrees from frame to frame"
    if place < _TREMBLE and turn < _TREMBLE_DEG:
        return Finding("fine", "The face is followed without trembling", numbers)
    advice = "Use a tripod, more light, or less compression; --smooth 2 filters more strongly."
    return Finding("warning", "The followed face trembles", numbers, advice)


def _count(frames: int) -> str:
    return "1 frame" if frames == 1 else f"{frames} frames"
