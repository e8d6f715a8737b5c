"""Against trembling: the One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) on pose and expression.

A low pass whose cutoff rises with speed: a still head is smoothed much, a moving one hardly. Three groups are filtered,
each with one speed: rotation (degrees), place (crop coordinates and the logarithm of the size), and z (in units of its
own noise, for its scale is any). Live, `OneEuro` follows late; `smoothed` runs over both directions of time and does
not.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from megaportraits.animate.motion_track import MotionTrack
from megaportraits.animate.rotations import between, vector_from_rotation

Value = np.ndarray
"""A rotation (3 x 3), or any vector."""


@dataclass(frozen=True)
class Tuning:
    """How one group is filtered."""

    cutoff_hz: float
    """Cutoff at rest."""
    beta: float
    """Cutoff in Hz that each unit of speed adds."""
    speed_hz: float
    """Cutoff for the velocity itself."""

    def at(self, strength: float) -> "Tuning":
        """Weaker (below 1) or stronger (above 1) smoothing."""
        return replace(self, cutoff_hz=self.cutoff_hz / strength, beta=self.beta / strength)

    def cutoff(self, velocity: Value) -> float:
        """Cutoff in Hz for a smoothed velocity in units per second."""
        return self.cutoff_hz + self.beta * float(np.linalg.norm(velocity))


ROTATION = Tuning(1.5, 0.4, 4.0)
"""Unit: degrees."""
PLACE = Tuning(2.0, 50.0, 4.0)
"""Unit: crop coordinates, and logarithm of the size."""
EXPRESSION = Tuning(1.0, 0.2, 12.0)
"""Unit: noise of z, root mean square over its numbers (`noise`)."""


class OneEuro:
    """The filter for live use: one group, one value after another. It follows late by about 1 / (2 pi cutoff) s."""

    def __init__(self, tuning: Tuning):
        self.tuning = tuning
        self._time_s: float | None = None
        self._raw = self._shown = self._velocity = np.zeros(0)

    def update(self, time_s: float, value: Value) -> Value:
        """The filtered value at `time_s`, which is later than that of the call before.

        A value of shape 3 x 3 is a rotation.
        """
        if self._time_s is None:
            self._raw = self._shown = value
            self._velocity = np.zeros(_difference(value, value).shape)
        else:
            step_s = time_s - self._time_s
            velocity = _difference(self._raw, value) / step_s
            self._velocity = _towards(self._velocity, velocity, _weight(self.tuning.speed_hz, step_s))
            self._shown = _towards(self._shown, value, _weight(self.tuning.cutoff(self._velocity), step_s))
            self._raw = value
        self._time_s = time_s
        return self._shown


def smoothed(track: MotionTrack, strength: float = 1.0) -> MotionTrack:
    """The track without tremble, not delayed; every frame must have a motion (`gaps.filled`).

    Nothing is smoothed across the cuts between shots.

    Args:
        strength: 0 returns the track itself; cutoffs go with 1 / strength.
    """
    if strength == 0 or len(track) < 3:
        return track
    rotation, place, expression = (tuning.at(strength) for tuning in (ROTATION, PLACE, EXPRESSION))
    places = np.concatenate([track.translation, np.log(track.scale)[:, None]], 1).astype(np.float64)
    unit = noise(track.expression, track.shot)
    turned, placed, expressed = [], [], []
    for shot in np.unique(track.shot):
        rows = np.flatnonzero(track.shot == shot)
        steps_s = [float(track.times_s[b] - track.times_s[a]) for a, b in itertools.pairwise(rows)]
        turned += both_ways(list(track.rotation[rows].astype(np.float64)), steps_s, rotation)
        placed += both_ways(list(places[rows]), steps_s, place)
        expressed += both_ways(list(track.expression[rows] / unit), steps_s, expression)
    smooth_place, kind = np.stack(placed), np.float32
    return replace(
        track,
        rotation=np.stack(turned).astype(kind),
        scale=np.exp(smooth_place[:, 3]).astype(kind),
        translation=smooth_place[:, :3].astype(kind),
        expression=(np.stack(expressed) * unit).astype(kind),
    )


def both_ways(values: Sequence[Value], steps_s: Sequence[float], tuning: Tuning) -> list[Value]:
    """One-Euro without delay: velocity and values are each filtered forwards, then backwards.

    Args:
        values: T of them; of shape 3 x 3 they are rotations.
        steps_s: T - 1 times from each value to the next.
        tuning: of the group.
    """
    velocities = [_difference(a, b) / s for a, b, s in zip(values[:-1], values[1:], steps_s, strict=True)]
    calm = [tuning.speed_hz] * (len(steps_s) - 1)
    cutoffs = [tuning.cutoff(v) for v in _there_and_back(velocities, calm, steps_s[1:])]
    return _there_and_back(values, cutoffs, steps_s)


def noise(expression: Float[np.ndarray, "T Z"], shot: np.ndarray) -> float:
    """Standard deviation of z's tremble times the root of Z, from its second differences where they are small.

    For white noise they are root 6 times as large. Never 0.
    """
    inside = shot[2:] == shot[:-2]
    second = np.linalg.norm(np.diff(expression, 2, axis=0)[inside], axis=1)
    return max(float(np.quantile(second, 0.2)) / math.sqrt(6), 1e-6) if len(second) else 1.0


def _there_and_back(values: Sequence[Value], cutoffs: Sequence[float], steps_s: Sequence[float]) -> list[Value]:
    weights = [_weight(c, s) for c, s in zip(cutoffs, steps_s, strict=True)]
    return _low_pass(_low_pass(values, weights)[::-1], weights[::-1])[::-1]


def _low_pass(values: Sequence[Value], weights: Sequence[float]) -> list[Value]:
    shown = list(values[:1])
    for value, weight in zip(values[1:], weights, strict=True):
        shown.append(_towards(shown[-1], value, weight))
    return shown


def _weight(cutoff_hz: float, step_s: float) -> float:
    """Share of the new value in a first-order low pass."""
    turn = 2 * math.pi * cutoff_hz * step_s
    return turn / (1 + turn)


def _difference(a: Value, b: Value) -> Value:
    """From a to b: degrees about each axis for rotations."""
    return np.degrees(vector_from_rotation(a.T @ b)) if a.shape == (3, 3) else b - a


def _towards(a: Value, b: Value, fraction: float) -> Value:
    return between(a, b, fraction) if a.shape == (3, 3) else a + fraction * (b - a)
