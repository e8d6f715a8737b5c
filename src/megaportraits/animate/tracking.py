"""What a driver shows, found in one pass: faces with stable identities, scene cuts, light, sharpness."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class FaceTrack:
    """One person over T frames; NaN where the face was not seen."""

    box: Float[np.ndarray, "T 4"]
    """Face oval in pixels of the frame: x, y, width, height."""
    mouth: Float[np.ndarray, " T"]
    """Opening of the mouth (`metrics/landmarks.py`)."""
    eyes: Float[np.ndarray, " T"]
    """Mean opening of the eyes."""
    angles_deg: Float[np.ndarray, "T 3"]
    """Yaw, pitch, roll by landmarks (`geometry.py` says their signs)."""


@dataclass(frozen=True)
class DriverTrack:
    """A driver, looked through. A few numbers for each frame, no pictures."""

    size: tuple[int, int]
    """Width and height of the frames in pixels."""
    times_s: tuple[Fraction, ...]
    """Seconds from the start of the file."""
    shot: Int[np.ndarray, " T"]
    """Number of the shot between scene cuts, from 0."""
    faces: tuple[FaceTrack, ...]
    """Most prominent first: sum of the heights over all frames."""
    brightness: Float[np.ndarray, " T"]
    """Mean luma of the largest face (of the frame where there is none), 0 to 255."""
    sharpness: Float[np.ndarray, " T"]
    """Variance of the Laplacian of the largest face at 128 px (of the frame where there is none)."""
