"""Frames in which the driver's face was not seen: filled, or taken out."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
from jaxtyping import Int

from megaportraits.animate.motion_track import MotionTrack
from megaportraits.animate.rotations import between
from megaportraits.config import NoFace
from megaportraits.errors import UserError

Interval = tuple[Fraction, Fraction]
"""Start and end in seconds."""


def filled(track: MotionTrack, policy: NoFace) -> MotionTrack:
    """A track in which every frame has a motion (`present` is true everywhere, `calm` NaN where it was filled).

    hold: the last seen motion of the shot (the first one at its start). interpolate: between both ends, within a shot
    only; else as hold. skip: frames without a face are taken out, later ones move up, and a cut is where they were.
    A shot without any face shows the last motion before it, or the first one after it.

    Raises:
        UserError: no frame has a face.
    """
    if not track.present.any():
        raise UserError("no face was found in any frame of the driver; give one with a clearly visible face")
    if track.present.all():
        return track
    if policy == "skip":
        return _skipped(track)
    before, after = _seen_neighbours(track)
    both = (before >= 0) & (after >= 0)
    held = track.taken(np.where(before >= 0, before, np.where(after >= 0, after, _elsewhere(track))))
    rotation, expression = held.rotation.copy(), held.expression.copy()
    scale, translation = held.scale.copy(), held.translation.copy()
    for i in np.flatnonzero(both & ~track.present) if policy == "interpolate" else ():
        a, b = before[i], after[i]
        u = float((track.times_s[i] - track.times_s[a]) / (track.times_s[b] - track.times_s[a]))
        rotation[i] = between(track.rotation[a], track.rotation[b], u)
        scale[i], translation[i], expression[i] = (
            (1 - u) * values[a] + u * values[b] for values in (track.scale, track.translation, track.expression)
        )
    return replace(
        track,
        rotation=rotation,
        scale=scale,
        translation=translation,
        expression=expression,
        present=np.ones_like(track.present),
        calm=np.where(track.present, track.calm, np.nan).astype(track.calm.dtype),
    )


def removed_intervals(track: MotionTrack) -> list[Interval]:
    """What `filled(track, "skip")` takes out: from the first frame without a face to the next one with a face.

    A run at the end goes on for one frame of the mean rate.
    """
    ends = [*track.times_s[1:], track.times_s[-1] + 1 / track.fps]
    intervals: list[Interval] = []
    for time, end, seen in zip(track.times_s, ends, track.present, strict=True):
        if seen:
            continue
        if intervals and intervals[-1][1] == time:
            intervals[-1] = (intervals[-1][0], end)
        else:
            intervals.append((time, end))
    return intervals


def reference_after(track: MotionTrack, policy: NoFace, reference: int | None) -> int | None:
    """The number that frame `reference` of `track` has in `filled(track, policy)`.

    Raises:
        UserError: there is no such frame, or it has no face.
    """
    if reference is None:
        return None
    if reference >= len(track):
        raise UserError(
            f"reference frame {reference} was asked for, but the driver has {len(track)} frames; "
            f"choose one from 0 to {len(track) - 1}"
        )
    if not track.present[reference]:
        raise UserError(f"no face was found in reference frame {reference}; choose another one, or none")
    return int(track.present[:reference].sum()) if policy == "skip" else reference


def _skipped(track: MotionTrack) -> MotionTrack:
    kept = np.flatnonzero(track.present)
    jump = np.diff(kept, prepend=kept[0]) > 1
    cut = jump | (np.diff(track.shot[kept], prepend=track.shot[kept[0]]) > 0)
    times, removed, gone = [], removed_intervals(track), Fraction(0)
    for number in kept:
        while removed and removed[0][1] <= track.times_s[number]:
            start, end = removed.pop(0)
            gone += end - start
        times.append(track.times_s[number] - gone)
    return replace(track.taken(kept), times_s=tuple(times), shot=np.cumsum(cut))


def _seen_neighbours(track: MotionTrack) -> tuple[Int[np.ndarray, " T"], Int[np.ndarray, " T"]]:
    """Numbers of the last seen frame until, and of the first one from each frame in its shot; -1 where none is."""
    numbers = np.arange(len(track))
    last = np.maximum.accumulate(np.where(track.present, numbers, -1))
    first = np.minimum.accumulate(np.where(track.present, numbers, len(track))[::-1])[::-1]
    before = np.where((last >= 0) & (track.shot[last] == track.shot), last, -1)
    inside = np.minimum(first, len(track) - 1)
    after = np.where((first < len(track)) & (track.shot[inside] == track.shot), first, -1)
    return before, after


def _elsewhere(track: MotionTrack) -> Int[np.ndarray, " T"]:
    """The last seen frame of all before each one; the first seen one where none was."""
    last = np.maximum.accumulate(np.where(track.present, np.arange(len(track)), -1))
    return np.where(last >= 0, last, int(np.argmax(track.present)))
