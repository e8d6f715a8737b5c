"""Faces cut out of a crop: where they land, and that gradients pass."""

import math

import pytest
import torch

from megaportraits import geometry
from megaportraits.data.alignment import FIVE_POINTS, aligned_face, five_point_face, five_points
from megaportraits.data.keypoints import KEYPOINTS, LEFT_EYE, RIGHT_EYE, positions
from megaportraits.tensors import HeadPose

NOSE = 4


def mean_face(scale: float = 1.0, turn_deg: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)) -> torch.Tensor:
    """The mean head's keypoints `1 K 2`, scaled, turned clockwise and shifted."""
    points = torch.from_numpy(geometry.mean_head()[list(KEYPOINTS), :2]).double()
    c, s = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    return (scale * points @ turn.T + torch.tensor(shift, dtype=torch.float64))[None]


def spots(points: torch.Tensor, size: int) -> torch.Tensor:
    """A picture `1 3 S S` with a soft spot at each point."""
    grid = geometry.identity_grid((size, size), dtype=torch.float64)
    distance = (grid[None] - points[:, None, None]).square().sum(-1)
    return torch.exp(-distance / (2 * 0.01**2)).amax(0).expand(1, 3, size, size).clone()


def brightest(face: torch.Tensor, near: tuple[float, float], reach: int = 6) -> tuple[float, float]:
    """Centre of brightness within `reach` pixels of a place, in pixels."""
    x, y = round(near[0]), round(near[1])
    window = face[0, 0, y - reach : y + reach + 1, x - reach : x + reach + 1]
    rows = torch.arange(y - reach, y + reach + 1, dtype=window.dtype)
    columns = torch.arange(x - reach, x + reach + 1, dtype=window.dtype)
    return (window.sum(0) @ columns / window.sum()).item(), (window.sum(1) @ rows / window.sum()).item()


@pytest.mark.parametrize("size", [200, 256, 512])
@pytest.mark.parametrize("place", [(1.0, 0.0, (0.0, 0.0)), (0.8, 35.0, (0.2, -0.1)), (1.1, -60.0, (-0.1, 0.15))])
def test_five_points_land_near_their_places_whatever_the_size_turn_and_shift(size, place):
    keypoints = mean_face(*place)
    points = five_points(keypoints)[0]
    face = five_point_face(spots(points, size), keypoints)
    upright = five_point_face(spots(five_points(mean_face())[0], 512), mean_face())
    assert face.shape == (1, 3, 112, 96)
    for wanted in FIVE_POINTS:
        found = brightest(face, wanted)
        assert math.dist(found, wanted) < 4  # the mean head is not quite the template
        assert math.dist(found, brightest(upright, wanted)) < 0.25  # but a similarity changes nothing


def test_keypoints_at_the_template_itself_land_exactly():
    """A crop of 200 px holding the template 1 : 1: the face is a plain window of it."""
    corner = torch.tensor([40.0, 30.0], dtype=torch.float64)
    wanted = torch.tensor(FIVE_POINTS, dtype=torch.float64) + corner
    keypoints = torch.zeros(1, len(KEYPOINTS), 2, dtype=torch.float64)
    crop = (2 * wanted + 1) / 200 - 1  # pixel i has its centre at (2 i + 1) / N - 1
    for ids, point in zip((RIGHT_EYE, LEFT_EYE, (NOSE,), (61,), (291,)), crop, strict=True):
        keypoints[:, positions(ids)] = point
    image = torch.rand(1, 3, 200, 200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    face = five_point_face(image, keypoints)
    torch.testing.assert_close(face, image[:, :, 30:142, 40:136], atol=1e-4, rtol=0)


def test_the_persons_right_eye_lands_on_the_left_of_the_picture():
    right_eye, left_eye, nose, *corners = five_points(mean_face())[0]
    assert right_eye[0] < nose[0] < left_eye[0]
    assert corners[0][0] < corners[1][0]
    assert right_eye[1] < nose[1] < corners[0][1]


def test_unknown_points_give_nan_in_their_own_sample_only(generator):
    keypoints = mean_face().repeat(3, 1, 1)
    keypoints[1, positions((NOSE,))] = torch.nan
    keypoints[2, positions((10,))] = torch.nan  # the top of the forehead is none of the five
    face = five_point_face(torch.rand(3, 3, 64, 64, generator=generator).double(), keypoints)
    assert face[1].isnan().all()
    assert face[[0, 2]].isfinite().all()


def test_aligned_face_reads_the_face_square(poses):
    """A picture whose colours are its coordinates shows where each pixel was read."""
    grid = geometry.identity_grid((128, 128))
    ramp = torch.cat([grid, torch.ones(128, 128, 1)], -1).permute(2, 0, 1).expand(4, 3, 128, 128)
    for size in (32, 64):  # from 128 px: averaged down first, and not
        face = aligned_face(ramp, poses, size)
        wanted = geometry.face_region_grid(poses, size).permute(0, 3, 1, 2)
        inside = (wanted.abs() < 0.95).all(1, keepdim=True).expand_as(wanted)
        assert inside.float().mean() > 0.9
        torch.testing.assert_close(face[:, :2][inside], wanted[inside], atol=2e-3, rtol=0)


def test_fine_stripes_are_averaged_not_skipped():
    """One column in four is white: a face a quarter of the size is plain grey."""
    stripes = (torch.arange(512) % 4 == 0).float().expand(1, 3, 512, 512)
    pose = HeadPose(torch.eye(3)[None], torch.tensor([1.0]), torch.zeros(1, 3))
    assert (aligned_face(stripes, pose, 64) - 0.25).abs().max() < 0.02


def test_gradients_reach_the_picture(poses, generator):
    image = torch.rand(4, 3, 64, 64, generator=generator, requires_grad=True)
    aligned_face(image, poses, 32).square().sum().backward()
    assert (image.grad.abs().sum((1, 2, 3)) > 0).all()
    image.grad = None
    five_point_face(image, mean_face().float().repeat(4, 1, 1)).square().sum().backward()
    assert (image.grad.abs().sum((1, 2, 3)) > 0).all()
