"""A finding, and the small measures that findings are made of."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from megaportraits.data.crop import SIDE_PER_OVAL_HEIGHT

Level = Literal["problem", "warning", "note", "fine"]
LEVELS: tuple[Level, ...] = ("problem", "warning", "note", "fine")
"""Gravest first."""
DARK, BRIGHT = 45.0, 210.0
"""Mean luma of a face that is too dark or too bright to read, 0 to 255."""
SOFT = 25.0
"""Sharpness (`DriverTrack.sharpness`) below which a face shows no detail."""
_SPANS = 4
_DIFFERENCE = 4
_NOISE_GAIN = math.sqrt(math.comb(2 * _DIFFERENCE, _DIFFERENCE))
"""How much a fourth difference enlarges the standard deviation of independent noise."""
_MEDIAN_OF_NORMAL = 0.6745


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    what: str
    """What was found, in a few words."""
    numbers: str = ""
    """The measurements behind it."""
    advice: str = ""
    """What to do; empty where nothing needs to be done."""
    frames: tuple[int, ...] = ()
    """Numbers of the frames that show it, from 0."""


def gravest_first(findings: Sequence[Finding]) -> list[Finding]:
    """Sorted by level; findings of one level keep their order."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def graded(value: float, warning: float, problem: float) -> Level:
    """Level of a number that is worse the larger it is."""
    return "problem" if value >= problem else "warning" if value >= warning else "fine"


def frames_of(mask: Bool[np.ndarray, " T"]) -> tuple[int, ...]:
    """Numbers of the marked frames."""
    return tuple(np.flatnonzero(mask).tolist())


def clock(time_s: Fraction | float) -> str:
    """Minutes and seconds: 1:02.5."""
    tenths = round(float(time_s) * 10)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def spans(mask: Bool[np.ndarray, " T"], times_s: Sequence[Fraction]) -> str:
    """When the marked frames are shown: the longest four spans in the order of time."""
    runs = list(_runs(mask))
    longest = sorted(sorted(runs, key=lambda run: run[0] - run[1])[:_SPANS])
    words = [clock(times_s[a]) if a == b else f"{clock(times_s[a])} to {clock(times_s[b])}" for a, b in longest]
    more = [f"and {len(runs) - _SPANS} more"] if len(runs) > _SPANS else []
    return ", ".join([*words, *more])


def _runs(mask: Bool[np.ndarray, " T"]) -> Iterator[tuple[int, int]]:
    """First and last number of each run of marked frames."""
    for marked, run in itertools.groupby(range(len(mask)), key=lambda i: bool(mask[i])):
        if marked:
            numbers = list(run)
            yield numbers[0], numbers[-1]


def each_shot(shot: Int[np.ndarray, " T"]) -> list[Int[np.ndarray, " n"]]:
    """Numbers of the frames of each shot."""
    return [np.flatnonzero(shot == number) for number in np.unique(shot)]


def frame_noise(values: Float[np.ndarray, " T"], shot: Int[np.ndarray, " T"]) -> float:
    """Standard deviation of what changes from each frame to the next without going on; NaN for short drivers.

    From fourth differences inside shots: noise that is independent in each frame is measured as it is, while a movement
    of 2 Hz in 25 frames a second counts for less than a hundredth of its size. The median ignores sudden events.
    """
    differences = [np.diff(values[index], _DIFFERENCE) for index in each_shot(shot) if len(index) > _DIFFERENCE]
    known = np.concatenate([d[np.isfinite(d)] for d in differences] or [np.empty(0)])
    return float(np.median(np.abs(known)) / (_MEDIAN_OF_NORMAL * _NOISE_GAIN)) if len(known) else math.nan


def largest_in_shots(shot: Int[np.ndarray, " T"], measure: Callable[[Int[np.ndarray, " n"]], float]) -> float:
    """Largest value that `measure` has over the frames of one shot; 0 where it has none."""
    values = [measure(index) for index in each_shot(shot)]
    return max((value for value in values if math.isfinite(value)), default=0.0)


def size_finding(oval_height_px: float, crop_px: int) -> Finding:
    """Whether the head's square holds the pixels that the model works at."""
    side = SIDE_PER_OVAL_HEIGHT * oval_height_px
    numbers = f"face {oval_height_px:.0f} px high, its square {side:.0f} px; the model works at {crop_px} px"
    level = graded(crop_px / side, 1.01, 2.0)
    if level == "fine":
        return Finding("fine", "The face is large enough", numbers)
    advice = f"Take one where the face is at least {math.ceil(crop_px / SIDE_PER_OVAL_HEIGHT)} px high."
    return Finding(level, "The face is small", numbers, advice)


def light_finding(luma: float) -> Finding:
    """Whether a face is neither dark nor burnt out."""
    numbers = f"mean luma of the face {luma:.0f} of 255"
    if luma < DARK:
        return Finding("warning", "The face is dark", numbers, "Add light from the front.")
    if luma > BRIGHT:
        return Finding("warning", "The face is too bright", numbers, "Lower the exposure.")
    return Finding("fine", "The face is well lit", numbers)


def sharpness_finding(sharpness: float) -> Finding:
    """Whether a face shows detail."""
    numbers = f"sharpness {sharpness:.0f}, soft below {SOFT:.0f}"
    if sharpness >= SOFT:
        return Finding("fine", "The face is sharp", numbers)
    advice = "Focus on the face, or take a less compressed file."
    return Finding("warning", "The face is out of focus or strongly compressed", numbers, advice)
