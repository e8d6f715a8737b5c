"""Augmentation moves pictures and their poses together."""

import pytest
import torch
from torch import Tensor

from megaportraits import geometry
from megaportraits.data import augment
from megaportraits.tensors import HeadPose

HEAD_POINT = torch.tensor([0.25, -0.2, -0.3])
"""A point on one side of the head, so that a missed mirror shows."""


def row(poses: HeadPose, index: int) -> HeadPose:
    rows = slice(index, index + 1)
    return HeadPose(poses.rotation[rows], poses.scale[rows], poses.translation[rows])


def spot(pose: HeadPose, point: Tensor, size: int = 64) -> Tensor:
    """A picture of a small blob where `pose` puts `point`: `1 1 S S`."""
    centre = geometry.apply_matrix(geometry.pose_matrix(pose), point.view(1, 1, 3))[0, 0, :2]
    grid = geometry.identity_grid((size, size))
    return (-(grid - centre).square().sum(-1) / (2 * 0.06**2)).exp()[None, None]


def centre_of(picture: Tensor) -> Tensor:
    grid = geometry.identity_grid(picture.shape[2:])
    return (grid * picture[0, 0, ..., None]).sum((0, 1)) / picture.sum()


def test_flipped_pose_places_the_mirrored_head_where_the_flipped_picture_shows_it(poses):
    pose = row(poses, 0)
    mirrored = HEAD_POINT * torch.tensor([-1.0, 1.0, 1.0])
    flipped = augment.flip_pose(pose)
    torch.testing.assert_close(augment.flip(spot(pose, HEAD_POINT)), spot(flipped, mirrored), atol=1e-5, rtol=0)
    before, after = (geometry.angles_from_rotation(p.rotation)[0] for p in (pose, flipped))
    torch.testing.assert_close(after, before * torch.tensor([-1.0, 1.0, -1.0]), atol=1e-3, rtol=0)
    assert torch.linalg.det(flipped.rotation).item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_random_similarity_moves_a_marked_point_as_its_pose_says(poses, seed):
    generator, pose = torch.Generator().manual_seed(seed), row(poses, seed)
    picture, moved = augment.random_similarity(spot(pose, HEAD_POINT), pose, generator, 0.15, 0.3, 30.0)
    wanted = centre_of(spot(moved, HEAD_POINT))
    assert (wanted - centre_of(spot(pose, HEAD_POINT))).norm() > 0.02
    torch.testing.assert_close(centre_of(picture), wanted, atol=5e-3, rtol=0)
    eye = torch.eye(3)[None]
    torch.testing.assert_close(moved.rotation @ moved.rotation.transpose(1, 2), eye, atol=1e-5, rtol=0)
    assert moved.translation[0, 2] == 0


def test_spline_without_displacement_is_the_identity_and_else_passes_through_its_control_points(generator):
    size = 32
    at = torch.tensor([[4, 4], [27, 5], [15, 16], [6, 26], [25, 28]])
    control = geometry.identity_grid((size, size))[at[:, 1], at[:, 0]]
    identity = augment.thin_plate_spline_grid(control, control, size)
    torch.testing.assert_close(identity[0], geometry.identity_grid((size, size)), atol=1e-4, rtol=0)
    displaced = control + 0.1 * torch.randn(control.shape, generator=generator)
    grid = augment.thin_plate_spline_grid(control, displaced, size)
    torch.testing.assert_close(grid[0, at[:, 1], at[:, 0]], displaced, atol=1e-3, rtol=0)


def test_degraded_shape_bends_the_picture_by_about_sigma_cells(generator):
    ramp = geometry.identity_grid((64, 64))[..., 0][None, None] * 0.4 + 0.5  # x is readable from the colour
    torch.testing.assert_close(augment.degrade_shape(ramp, generator, 0.0, 8), ramp, atol=0.02, rtol=0)
    inner = (..., slice(8, -8), slice(8, -8))
    moved = torch.stack([(augment.degrade_shape(ramp, generator, 0.4, 8) - ramp)[inner] / 0.4 for _ in range(8)])
    assert 0.3 < moved.std().item() / (0.4 * 2 / 8) < 1.1


def test_colour_jitter_stays_in_range_is_repeatable_and_can_remove_colour(generator):
    picture = torch.rand(2, 3, 8, 8, generator=generator)
    draws = [augment.colour_jitter(picture, torch.Generator().manual_seed(s), 0.8) for s in (1, 1, 2)]
    assert all(d.min() >= 0 and d.max() <= 1 for d in draws)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    torch.testing.assert_close(augment.colour_jitter(picture, generator, 0.0), picture, atol=1e-6, rtol=0)
    grey = augment.colour_jitter(picture, generator, 0.0, grey_probability=1.0)
    torch.testing.assert_close(grey[:, 0], grey[:, 2], atol=1e-6, rtol=0)


def test_random_backdrop_fills_the_picture(generator):
    fields = [augment.random_backdrop(16, generator) for _ in range(6)]
    assert all(f.shape == (1, 3, 16, 16) and f.min() >= 0 and f.max() <= 1 for f in fields)
    assert max(f.std().item() for f in fields) > 0.1
