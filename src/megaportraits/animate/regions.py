"""Where the eyes and the mouth are: soft regions in the head frame, and gains of the expression there."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits.data.keypoints import LEFT_BROW, LEFT_EYE, OUTER_LIPS, RIGHT_BROW, RIGHT_EYE
from megaportraits.geometry import identity_grid, mean_head

EYES = ((*RIGHT_EYE, *RIGHT_BROW), (*LEFT_EYE, *LEFT_BROW))
"""Each eye with lids and brow, by MediaPipe's numbers."""
MOUTH = ((*OUTER_LIPS, 150, 149, 176, 148, 152, 377, 400, 378, 379),)
"""The mouth with the chin."""
_RAMP = 0.12
"""Width of the ramp around a region, in the head frame."""
Region = Sequence[Sequence[int]]


def weight_in_head(region: Region, points: Float[Tensor, "*shape 3"]) -> Float[Tensor, "*shape"]:
    """1 in the region as seen from the front, falling smoothly to 0 around it and behind the face (z > 0)."""
    front = _smooth_step(-points[..., 2] / 0.2)
    return front * torch.stack([_near_box(points[..., :2], ids) for ids in region]).amax(0)


def region_gain_field(eyes: float, mouth: float, shape: Sequence[int]) -> Float[Tensor, "1 1 d h w"]:
    """Gain of the expression offsets in canonical coordinates: 1 elsewhere, smooth bumps at the eyes and the mouth.

    The eyes have the lids and brows, the mouth has the chin; the ramps end between them. The back half of the head
    (z > 0) has no bumps.

    Args:
        eyes: gain at both eyes.
        mouth: gain at the mouth.
        shape: depth, height and width of the offsets.
    """
    grid = identity_grid(tuple(shape))
    at_eyes, at_mouth = weight_in_head(EYES, grid), weight_in_head(MOUTH, grid)
    return (1 + (eyes - 1) * at_eyes + (mouth - 1) * at_mouth)[None, None]


def _smooth_step(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """0 below 0, 1 above 1, without a kink between."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def _near_box(points: Float[Tensor, "*shape 2"], landmark_ids: Sequence[int]) -> Float[Tensor, "*shape"]:
    box = torch.from_numpy(mean_head()[np.asarray(landmark_ids), :2]).to(points.device)
    low, high = box.amin(0), box.amax(0)
    outside = ((points - (low + high) / 2).abs() - (high - low) / 2).clamp_min(0).norm(dim=-1)
    return _smooth_step(1 - outside / _RAMP)
