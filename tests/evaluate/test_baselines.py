"""Baselines: nothing moves when nothing moved, and an exact similarity is undone exactly."""

import math

import pytest
import torch

from megaportraits import geometry
from megaportraits.evaluate.baselines import moved_by_points, moved_by_poses, warped_by_landmarks
from megaportraits.tensors import HeadPose

SIZE = 64


@pytest.fixture
def landmarks() -> torch.Tensor:
    return torch.from_numpy(geometry.mean_head()[:, :2]).float()[None]


def smooth_picture(points: torch.Tensor) -> torch.Tensor:
    """Colours as a smooth function of crop coordinates (`H W 2`), grey far from the middle."""
    x, y = points.unbind(-1)
    bump = torch.exp(-4 * (x.square() + y.square()))
    return (0.5 + 0.4 * bump * torch.stack([torch.sin(5 * x), torch.cos(4 * y), torch.sin(3 * x + 4 * y)]))[None]


def similarity_pose(scale: float, roll_deg: float, x: float, y: float) -> HeadPose:
    zero = torch.zeros(1)
    rotation = geometry.rotation_from_angles(zero, zero, torch.tensor([roll_deg]))
    return HeadPose(rotation, torch.tensor([scale]), torch.tensor([[x, y, 0.0]]))


def moved_points(pose: HeadPose, points: torch.Tensor) -> torch.Tensor:
    flat = torch.nn.functional.pad(points, (0, 1))
    return geometry.apply_matrix(geometry.pose_matrix(pose), flat)[..., :2]


def test_nothing_moves_for_equal_poses(poses, generator):
    source = torch.rand(1, 3, SIZE, SIZE, generator=generator)
    same = HeadPose(poses.rotation[:1], poses.scale[:1], poses.translation[:1])
    torch.testing.assert_close(moved_by_poses(source, same, same), source, atol=1e-3, rtol=0)


def test_nothing_moves_for_equal_landmarks(landmarks, generator):
    source = torch.rand(1, 3, SIZE, SIZE, generator=generator)
    torch.testing.assert_close(moved_by_points(source, landmarks, landmarks), source, atol=1e-3, rtol=0)
    torch.testing.assert_close(warped_by_landmarks(source, landmarks, landmarks), source, atol=1e-2, rtol=0)


def test_similarity_is_recovered(landmarks):
    still, moved = similarity_pose(1.0, 0.0, 0.0, 0.0), similarity_pose(0.8, 20.0, 0.1, -0.05)
    grid = geometry.identity_grid((SIZE, SIZE))
    source = smooth_picture(grid)
    angle = math.radians(20.0)
    back = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) / 0.8
    truth = smooth_picture((grid - torch.tensor([0.1, -0.05])) @ back.T)
    assert (truth - source).abs().max() > 0.2
    torch.testing.assert_close(moved_by_poses(source, still, moved), truth, atol=0.01, rtol=0)
    target = moved_points(moved, landmarks)
    torch.testing.assert_close(moved_by_points(source, landmarks, target), truth, atol=0.01, rtol=0)


def test_similarity_acts_on_each_frame(landmarks):
    source = smooth_picture(geometry.identity_grid((SIZE, SIZE)))
    target = torch.cat([landmarks, landmarks + 0.25])
    result = moved_by_points(source, landmarks, target)
    torch.testing.assert_close(result[:1], source, atol=1e-3, rtol=0)
    torch.testing.assert_close(result[1:, :, 8:, 8:], source[:, :, :-8, :-8], atol=1e-3, rtol=0)


def test_warp_takes_landmarks_to_landmarks(landmarks):
    """A white spot at a source landmark appears at that landmark's place in the target; the border stays."""
    shift = torch.zeros_like(landmarks)
    shift[0, :, 0] = 0.1
    spot = landmarks[0, 1]
    grid = geometry.identity_grid((SIZE, SIZE))
    source = (0.5 + 0.5 * torch.exp(-((grid - spot) / 0.08).square().sum(-1))).expand(1, 3, SIZE, SIZE).clone()
    result = warped_by_landmarks(source, landmarks, landmarks + shift)
    brightest = result[0, 0].flatten().argmax()
    found = grid.view(-1, 2)[brightest]
    torch.testing.assert_close(found, spot + torch.tensor([0.1, 0.0]), atol=2 / SIZE, rtol=0)
