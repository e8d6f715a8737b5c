"""What needs no model: the source as it is, moved by a similarity, and warped by landmarks.

All act on the source in front of grey; what a warp uncovers is grey. Conventions: `geometry.py`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits import geometry
from megaportraits.data.augment import thin_plate_spline_grid
from megaportraits.tensors import GREY, HeadPose

_LEAST_DISTANCE = 0.04
_BORDER_POINTS = 4


def moved_by_poses(
    source: Float[Tensor, "1 3 S S"], source_pose: HeadPose, driver_pose: HeadPose
) -> Float[Tensor, "T 3 S S"]:
    """The source moved by the 2D similarity between two head poses: the fit of the mean head's points in both."""
    head = torch.from_numpy(geometry.mean_head()).float()[None]
    drivers = geometry.apply_matrix(geometry.pose_matrix(driver_pose), head.expand(len(driver_pose.scale), -1, -1))
    here = geometry.apply_matrix(geometry.pose_matrix(source_pose), head)
    return moved_by_points(source, here[..., :2], drivers[..., :2])


def moved_by_points(
    source: Float[Tensor, "1 3 S S"], source_points: Float[Tensor, "1 L 2"], target_points: Float[Tensor, "T L 2"]
) -> Float[Tensor, "T 3 S S"]:
    """The source moved by the similarity that best takes its points to each frame's points (least squares)."""
    here, there = _complex(source_points), _complex(target_points)
    centre_here, centre_there = here.mean(1, keepdim=True), there.mean(1, keepdim=True)
    centred = here - centre_here
    turn = (centred.conj() * (there - centre_there)).sum(1) / centred.abs().square().sum(1)
    pixels = _complex(geometry.identity_grid(source.shape[-2:]))[None]
    read_at = (pixels - centre_there[..., None]) / turn[:, None, None] + centre_here[..., None]
    return _read(source, torch.view_as_real(read_at))


def similar(
    here: Float[Tensor, "1 L 2"], there: Float[Tensor, "1 L 2"], points: Float[Tensor, "T M 2"]
) -> Float[Tensor, "T M 2"]:
    """Points moved by the similarity that best takes `here` to `there` (least squares)."""
    a, b, p = _complex(here), _complex(there), _complex(points)
    centre, centred = a.mean(1, keepdim=True), a - a.mean(1, keepdim=True)
    turn = (centred.conj() * (b - b.mean(1, keepdim=True))).sum(1) / centred.abs().square().sum(1)
    return torch.view_as_real(turn[:, None] * (p - centre) + b.mean(1, keepdim=True))


def warped_by_landmarks(
    source: Float[Tensor, "1 3 S S"], source_points: Float[Tensor, "1 L 2"], target_points: Float[Tensor, "T L 2"]
) -> Float[Tensor, "T 3 S S"]:
    """The source warped so that its landmarks land on each frame's, by thin-plate splines; the border stays.

    Points that nearly touch in the target would tear the plane (closed lips): a point closer than 0.04 to one taken
    before it is left out.
    """
    border = _border()
    grids = []
    for points in target_points:
        kept = _apart(points)
        control = torch.cat([points[kept], border])
        displaced = torch.cat([source_points[0, kept], border])
        grids.append(thin_plate_spline_grid(control, displaced, source.shape[-1]))
    return _read(source, torch.cat(grids))


def _read(source: Float[Tensor, "1 3 S S"], grid: Float[Tensor, "T S S 2"]) -> Float[Tensor, "T 3 S S"]:
    return geometry.sample((source - GREY).expand(len(grid), -1, -1, -1), grid) + GREY


def _complex(points: Float[Tensor, "*shape 2"]) -> Tensor:
    return torch.view_as_complex(points.contiguous())


def _apart(points: Float[Tensor, "L 2"]) -> list[int]:
    kept: list[int] = []
    distances = torch.cdist(points, points).tolist()
    for i, row in enumerate(distances):
        if all(row[j] >= _LEAST_DISTANCE for j in kept):
            kept.append(i)
    return kept


def _border() -> Float[Tensor, "K 2"]:
    """Points around the picture's edge."""
    steps = torch.arange(_BORDER_POINTS) * (2 / _BORDER_POINTS) - 1
    ones = torch.ones_like(steps)
    edges = [(steps, -ones), (ones, steps), (-steps, ones), (-ones, -steps)]
    return torch.cat([torch.stack(edge, -1) for edge in edges])
