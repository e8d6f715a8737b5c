"""Rotations as vectors (axis times angle in radians), and rotations between two others."""

import cv2
import numpy as np
from jaxtyping import Float


def vector_from_rotation(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3"]:
    """Axis times angle in radians."""
    return cv2.Rodrigues(np.asarray(rotation, np.float64))[0][:, 0]


def rotation_from_vector(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Inverse of `vector_from_rotation`."""
    return cv2.Rodrigues(np.asarray(vector, np.float64))[0]


def between(a: Float[np.ndarray, "3 3"], b: Float[np.ndarray, "3 3"], fraction: float) -> Float[np.ndarray, "3 3"]:
    """The rotation on the shortest way from a (fraction 0) to b (fraction 1)."""
    return a @ rotation_from_vector(fraction * vector_from_rotation(a.T @ b))
