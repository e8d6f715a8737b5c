"""Where the eyes and the mouth are: soft regions in the head frame and in a picture of a posed head."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits.data.keypoints import LEFT_BROW, LEFT_EYE, OUTER_LIPS, RIGHT_BROW, RIGHT_EYE
from megaportraits.geometry import apply_matrix, identity_grid, mean_head, pose_matrix
from megaportraits.tensors import HeadPose

EYES = ((*RIGHT_EYE, *RIGHT_BROW), (*LEFT_EYE, *LEFT_BROW))
"""Each eye with lids and brow, by MediaPipe's numbers."""
MOUTH = ((*OUTER_LIPS, 150, 149, 176, 148, 152, 377, 400, 378, 379),)
"""The mouth with the chin."""
_RAMP = 0.12
"""Width of the ramp around a region, in the head frame."""
Region = Sequence[Sequence[int]]


def weight_in_head(region: Region, points: Float[Tensor, "*shape 3"]) -> Float[Tensor, "*shape"]:
    """1 in the region as seen from the front, falling smoothly to 0 around it and behind the face (z > 0)."""
    front = smooth_step(-points[..., 2] / 0.2)
    return front * torch.stack([_near_box(points[..., :2], ids) for ids in region]).amax(0)


def weight_in_picture(region: Region, pose: HeadPose, size_px: int) -> Float[Tensor, "B 1 S S"]:
    """The region in pictures of the mean head: 1 in it, falling smoothly to 0 around it."""
    matrix = pose_matrix(pose)
    grid, to_front = identity_grid((size_px, size_px), matrix.device), torch.linalg.pinv(matrix[:, :2, :2])
    weights = []
    for ids in region:
        points = torch.from_numpy(mean_head()[np.asarray(ids)]).to(matrix.device)
        centre = points.median(0).values
        seen = apply_matrix(matrix, centre.expand(len(matrix), 1, 3))[:, :, :2]
        front = torch.einsum("bij,bhwj->bhwi", to_front, grid - seen[:, None]) + centre[:2]
        weights.append(_near_box(front, ids))
    return torch.stack(weights).amax(0)[:, None]


def smooth_step(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """0 below 0, 1 above 1, without a kink between."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def _near_box(points: Float[Tensor, "*shape 2"], landmark_ids: Sequence[int]) -> Float[Tensor, "*shape"]:
    box = torch.from_numpy(mean_head()[np.asarray(landmark_ids), :2]).to(points.device)
    low, high = box.amin(0), box.amax(0)
    outside = ((points - (low + high) / 2).abs() - (high - low) / 2).clamp_min(0).norm(dim=-1)
    return smooth_step(1 - outside / _RAMP)
