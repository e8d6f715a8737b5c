"""Turns of the head that a user writes: `--rotate 20,0,0`, `--sweep yaw:-30..30`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from megaportraits.errors import UserError

_AXES = ("yaw", "pitch", "roll")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_MOST_DEG = 90


@dataclass(frozen=True)
class Sweep:
    """A head turn over the length of the driver."""

    axis: int
    """0 yaw, 1 pitch, 2 roll."""
    angles_deg: tuple[float, ...]
    """At evenly spaced times from the first to the last frame; at least two."""


def rotation_angles(text: str) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees from `YAW,PITCH,ROLL`; zeros from an empty text.

    Raises:
        UserError: not three numbers from -90 to 90.
    """
    if not text.strip():
        return 0.0, 0.0, 0.0
    angles = _numbers(text.split(","))
    if angles is None or len(angles) != 3:
        raise UserError(
            f"--rotate '{text}' came; give YAW,PITCH,ROLL in degrees from -{_MOST_DEG} to {_MOST_DEG}, such as 20,0,0 "
            "(to the picture's right, up, and clockwise are positive)"
        )
    return angles[0], angles[1], angles[2]


def sweep_from(text: str) -> Sweep:
    """A sweep from `AXIS:FROM..TO` or `AXIS:A..B..C`, in degrees.

    Raises:
        UserError: an unknown axis, or not two or more numbers from -90 to 90.
    """
    axis, _, rest = text.partition(":")
    angles = _numbers(rest.split(".."))
    if axis.strip() not in _AXES or angles is None or len(angles) < 2:
        raise UserError(
            f"--sweep '{text}' came; give yaw, pitch or roll, a colon, and two or more angles from -{_MOST_DEG} to "
            f"{_MOST_DEG} degrees with .. between them, such as yaw:-30..30 or pitch:0..10..0"
        )
    return Sweep(_AXES.index(axis.strip()), tuple(angles))


def swept(times_s: Sequence[Fraction], sweep: Sweep) -> Float[np.ndarray, "T 3"]:
    """Yaw, pitch and roll that a sweep adds to each frame, in degrees.

    Between the angles it moves smoothly (piecewise cubic, monotone: Fritsch and Carlson, 1980), at rest at both ends.
    """
    first, last = times_s[0], times_s[-1]
    share = np.array([float((t - first) / (last - first)) if last > first else 0.0 for t in times_s])
    values = np.array(sweep.angles_deg)
    rise = np.diff(values)
    before, after = rise[:-1], rise[1:]
    same = before * after > 0
    slope = np.zeros(len(values))
    slope[1:-1][same] = 2 * before[same] * after[same] / (before + after)[same]
    piece = np.minimum((share * len(rise)).astype(int), len(rise) - 1)
    u = share * len(rise) - piece
    angle = (
        (1 + 2 * u) * (1 - u) ** 2 * values[piece]
        + u**2 * (3 - 2 * u) * values[piece + 1]
        + u * (1 - u) ** 2 * slope[piece]
        - u**2 * (1 - u) * slope[piece + 1]
    )
    return angle[:, None] * np.eye(3)[sweep.axis]


def _numbers(texts: list[str]) -> list[float] | None:
    """The texts as angles; None if one is no number from -90 to 90."""
    if not all(re.fullmatch(_NUMBER, text.strip()) for text in texts):
        return None
    angles = [float(text) for text in texts]
    return angles if max(map(abs, angles)) <= _MOST_DEG else None
