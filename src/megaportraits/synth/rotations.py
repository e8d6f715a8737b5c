"""Rotations in MakeHuman's world (x right, y up, z to the viewer), from angles in the project's signs."""

import numpy as np
import torch
from jaxtyping import Float

from megaportraits.geometry import rotation_from_angles

WORLD_TO_CROP = np.diag([1.0, -1.0, -1.0])
"""Axes of MakeHuman's world or of an OpenGL camera -> crop axes (x right, y down, z away); its own inverse."""


def world_rotation(yaw_deg: float, pitch_deg: float, roll_deg: float = 0.0) -> Float[np.ndarray, "3 3"]:
    """Rotation in world axes for angles in the signs of `geometry.py` (yaw right, pitch up, roll clockwise)."""
    angles = [torch.tensor([float(a)], dtype=torch.float64) for a in (yaw_deg, pitch_deg, roll_deg)]
    return WORLD_TO_CROP @ rotation_from_angles(*angles)[0].numpy() @ WORLD_TO_CROP


def rotation_vector(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3"]:
    """Axis times angle in radians, for angles below 180 degrees."""
    angle = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    if angle < 1e-7:
        return np.zeros(3)
    skew = rotation - rotation.T
    return angle / (2 * np.sin(angle)) * np.array([skew[2, 1], skew[0, 2], skew[1, 0]])


def rotation_from_vector(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Rodrigues' formula, the inverse of `rotation_vector`."""
    angle = np.linalg.norm(vector)
    if angle < 1e-9:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def fraction_of(rotation: Float[np.ndarray, "3 3"], fraction: float) -> Float[np.ndarray, "3 3"]:
    """The same axis, a fraction of the angle."""
    return rotation_from_vector(fraction * rotation_vector(rotation))


def about_point(rotation: Float[np.ndarray, "3 3"], point: Float[np.ndarray, "3"]) -> Float[np.ndarray, "4 4"]:
    """The 4 x 4 transform that rotates about a point."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = point - rotation @ point
    return matrix
