"""Differences of head rotations axis by axis, in degrees. Signs: `geometry.py`."""

from jaxtyping import Float
from torch import Tensor

from megaportraits.geometry import angles_from_rotation


def axis_errors_deg(found: Float[Tensor, "B 3 3"], truth: Float[Tensor, "B 3 3"]) -> Float[Tensor, "B 3"]:
    """Signed found - truth of (yaw, pitch, roll), in [-180, 180)."""
    difference = angles_from_rotation(found) - angles_from_rotation(truth)
    return (difference + 180) % 360 - 180
