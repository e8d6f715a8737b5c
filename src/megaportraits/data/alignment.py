"""Faces cut out of a crop for networks that want them in a fixed place. Differentiable in the picture."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from megaportraits import geometry
from megaportraits.data.keypoints import LEFT_EYE, RIGHT_EYE, positions
from megaportraits.tensors import HeadPose

NOSE_TIP = 4
MOUTH_CORNERS = (61, 291)
"""MediaPipe's numbers: the person's right corner, then the left."""
FIVE_POINTS = ((30.29, 51.70), (65.53, 51.50), (48.03, 71.74), (33.55, 92.37), (62.73, 92.20))
"""Where recognisers trained on 112 x 96 px faces want the eye centres, the nose tip and the mouth corners: (x, y) in
pixels, those on the picture's left first; pixel centres are whole numbers."""
FIVE_POINT_HEIGHT, FIVE_POINT_WIDTH = 112, 96
_CROP_OF_FIVE_POINT_PX = 200
"""Side of a crop whose face is as large as the five points want it."""


def aligned_face(image: Float[Tensor, "B 3 S S"], pose: HeadPose, size: int) -> Float[Tensor, "B 3 s s"]:
    """The upright face square (brows to chin) of a crop, `size` px wide: where the head pose says the face is."""
    return geometry.sample(_reduced(image, 2 * size), geometry.face_region_grid(pose, size))


def five_point_face(image: Float[Tensor, "B 3 S S"], keypoints: Float[Tensor, "B K 2"]) -> Float[Tensor, "B 3 112 96"]:
    """The face moved, turned and scaled so that five points come as near as can be to `FIVE_POINTS`.

    Args:
        image: crops, RGB in [0, 1].
        keypoints: `data.keypoints.KEYPOINTS` in crop coordinates; a sample in which one of the five is NaN gives NaN.
    """
    grid = _five_point_grid(five_points(keypoints))
    known = grid.isfinite().all(-1)[:, None]
    face = geometry.sample(_reduced(image, _CROP_OF_FIVE_POINT_PX), grid.nan_to_num())
    return face.where(known, torch.nan)


def five_points(keypoints: Float[Tensor, "B K 2"]) -> Float[Tensor, "B 5 2"]:
    """Eye centres, nose tip, mouth corners; those on the picture's left first."""
    eyes = [keypoints[:, positions(eye)].mean(1) for eye in (RIGHT_EYE, LEFT_EYE)]
    return torch.stack([*eyes, *keypoints[:, positions((NOSE_TIP, *MOUTH_CORNERS))].unbind(1)], 1)


def _five_point_grid(points: Float[Tensor, "B 5 2"]) -> Float[Tensor, "B 112 96 2"]:
    """Where in the crop each pixel of the face lies: the least-squares similarity from the template to the points.

    A similarity of the plane is p = a q + b in complex numbers.
    """
    template = points.new_tensor(FIVE_POINTS)
    q_mean, p_mean = template.mean(0), points.mean(1, keepdim=True)
    (qx, qy), (px, py) = (template - q_mean).unbind(-1), (points - p_mean).unbind(-1)
    norm = (qx**2 + qy**2).sum()
    cosine, sine = (qx * px + qy * py).sum(1) / norm, (qx * py - qy * px).sum(1) / norm
    turn = torch.stack([cosine, -sine, sine, cosine], -1).view(-1, 2, 2)
    rows, columns = (torch.arange(n, device=points.device) for n in (FIVE_POINT_HEIGHT, FIVE_POINT_WIDTH))
    pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).to(points.dtype) - q_mean
    return torch.einsum("bij,hwj->bhwi", turn, pixels) + p_mean[:, None]


def _reduced(image: Float[Tensor, "B 3 S S"], wanted_px: int) -> Float[Tensor, "B 3 s s"]:
    """A crop much larger than `wanted_px`, averaged down by a whole factor, so that reading it skips no pixels."""
    factor = image.shape[-1] // wanted_px
    return F.avg_pool2d(image, factor) if factor > 1 else image
