"""Differences of angles, in degrees: of head rotations axis by axis, and of gaze directions. Signs: `geometry.py`."""

import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits.geometry import angles_from_rotation


def axis_errors_deg(found: Float[Tensor, "B 3 3"], truth: Float[Tensor, "B 3 3"]) -> Float[Tensor, "B 3"]:
    """Signed found - truth of (yaw, pitch, roll), in [-180, 180)."""
    difference = angles_from_rotation(found) - angles_from_rotation(truth)
    return (difference + 180) % 360 - 180


def direction_error_deg(a: Float[Tensor, "B 2"], b: Float[Tensor, "B 2"]) -> Float[Tensor, " B"]:
    """Angle between two directions, each given as (yaw_deg, pitch_deg)."""
    first, second = _direction(a), _direction(b)
    across = torch.linalg.cross(first, second).norm(dim=-1)
    return torch.rad2deg(torch.atan2(across, (first * second).sum(-1)))


def _direction(angles_deg: Float[Tensor, "B 2"]) -> Float[Tensor, "B 3"]:
    """Unit vectors: (0, 0) looks at the viewer, yaw > 0 to the picture's right, pitch > 0 up."""
    yaw, pitch = torch.deg2rad(angles_deg).unbind(-1)
    return torch.stack([yaw.sin() * pitch.cos(), -pitch.sin(), -yaw.cos() * pitch.cos()], -1)
