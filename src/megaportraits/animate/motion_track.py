"""The motion of a whole driver: numbers, no pictures."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class MotionTrack:
    """Head pose and z of T frames, with their times. Conventions: `geometry.py`, `tensors.HeadPose`."""

    times_s: tuple[Fraction, ...]
    """Seconds from the start of the driver, ascending."""
    fps: Fraction
    """Mean frame rate."""
    rotation: Float[np.ndarray, "T 3 3"]
    """Head axes -> camera axes."""
    scale: Float[np.ndarray, " T"]
    """Size relative to the mean head in a nominal crop."""
    translation: Float[np.ndarray, "T 3"]
    """Head origin in crop coordinates; z is 0."""
    expression: Float[np.ndarray, "T Z"]
    """z."""
    present: Bool[np.ndarray, " T"]
    """Whether the face was seen; the numbers of other frames mean nothing."""
    shot: Int[np.ndarray, " T"]
    """Number of the shot between scene cuts, from 0; nothing is filtered across them."""
    calm: Float[np.ndarray, " T"]
    """How far the face is from calm and frontal: 0 is a closed mouth, open eyes, no turn; NaN where unknown."""
    model: str
    """Hash of the motion encoder whose z this is."""
