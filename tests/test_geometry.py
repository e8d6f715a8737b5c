"""The convention of geometry.py, point by point. Volumes here are anisotropic, so that swapped axes show."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from megaportraits import geometry
from megaportraits.tensors import HeadPose

SHAPE, FINE = (20, 36, 28), (32, 52, 44)
NOSE = torch.tensor([0.0, 0.0, -1.0])


def pose_of(yaw=0.0, pitch=0.0, roll=0.0, scale=1.0, shift=(0.0, 0.0, 0.0), dtype=torch.float32) -> HeadPose:
    angles = (torch.tensor([a], dtype=dtype) for a in (yaw, pitch, roll))
    return HeadPose(
        geometry.rotation_from_angles(*angles), torch.tensor([scale], dtype=dtype), torch.tensor([shift], dtype=dtype)
    )


def blob(centre: Tensor, shape=SHAPE, width=0.14) -> Tensor:
    """A Gaussian blob at `centre` (x, y, z): `1 1 D H W`."""
    return (-(geometry.identity_grid(shape) - centre).square().sum(-1) / (2 * width**2)).exp()[None, None]


def centre_of_mass(volume: Tensor) -> Tensor:
    grid = geometry.identity_grid(volume.shape[2:])
    return (grid * volume[0, 0, ..., None]).sum((0, 1, 2)) / volume.sum()


def smooth_volume() -> Tensor:
    """Two blobs of different size: `1 1 D H W`, amplitude 1."""
    one, two = torch.tensor([0.1, 0.0, 0.2]), torch.tensor([-0.3, 0.2, -0.1])
    return blob(one, FINE, 0.25) + 0.5 * blob(two, FINE, 0.25)


def no_offsets(shape=SHAPE) -> Tensor:
    return torch.zeros(1, 3, *shape)


def smooth_offsets(shape=(5, 9, 7)) -> Tensor:
    """A bending field of up to 0.12, at a lower resolution than the volume."""
    x, y, z = geometry.identity_grid(shape).unbind(-1)
    return 0.12 * torch.stack([(2 * y).sin(), (2 * z + x).cos(), (1.5 * x).sin()])[None]


BENT = pose_of(20.0, -12.0, 25.0, 0.85, (0.08, -0.1, 0.0))


@pytest.mark.parametrize("compose", [geometry.compose_driver_grid, geometry.compose_source_grid])
@pytest.mark.parametrize("shape", [(4, 6, 10), (16, 8, 8)])
def test_identity_pose_and_zero_offset_change_nothing(compose, shape, generator):
    volume = torch.rand(2, 3, *shape, generator=generator)
    pose = HeadPose(torch.eye(3).expand(2, 3, 3), torch.ones(2), torch.zeros(2, 3))
    offsets = torch.zeros(2, 3, *(n // 2 for n in shape))
    torch.testing.assert_close(geometry.sample(volume, compose(pose, offsets, shape)), volume, atol=1e-5, rtol=0)


def test_signs_of_the_angles():
    assert (pose_of(yaw=30).rotation[0] @ NOSE)[0] > 0.4  # nose to the picture's right
    assert (pose_of(pitch=30).rotation[0] @ NOSE)[1] < -0.4  # nose up
    assert (pose_of(roll=30).rotation[0] @ torch.tensor([1.0, 0.0, 0.0]))[1] > 0.4  # clockwise
    # order R_roll R_yaw R_pitch: pitch first, in head axes
    both = pose_of(yaw=90, pitch=90).rotation[0] @ NOSE
    torch.testing.assert_close(both, torch.tensor([0.0, -1.0, 0.0]), atol=1e-6, rtol=0)


@settings(max_examples=60, deadline=None)
@given(yaw=st.floats(-88, 88), pitch=st.floats(-179, 179), roll=st.floats(-179, 179))
def test_angles_and_rotation_round_trip(yaw, pitch, roll):
    angles = torch.tensor([[yaw, pitch, roll]], dtype=torch.float64)
    rotation = geometry.rotation_from_angles(*angles.unbind(-1))
    torch.testing.assert_close(geometry.angles_from_rotation(rotation), angles, atol=1e-5, rtol=0)
    eye = torch.eye(3, dtype=torch.float64)[None]
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), eye)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(1, dtype=torch.float64))


def test_six_numbers_make_a_rotation(generator):
    rotation = geometry.rotation_from_6d(torch.randn(8, 6, generator=generator))
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(8, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(8))
    columns = torch.cat([2 * BENT.rotation[:, :, 0], 3 * BENT.rotation[:, :, 1]], 1)
    torch.testing.assert_close(geometry.rotation_from_6d(columns), BENT.rotation)


def test_rotation_error_is_the_angle_between():
    a, b = pose_of(10, 20, 30).rotation, pose_of(10, 20, 30).rotation @ pose_of(pitch=40).rotation
    assert geometry.rotation_error_deg(a, b).item() == pytest.approx(40, abs=1e-3)
    near = pose_of(11, 20, 30).rotation
    with torch.autocast("cpu", torch.bfloat16):
        assert geometry.rotation_error_deg(a, near).item() == pytest.approx(1, abs=0.01)


def test_theta_is_the_inverse_of_the_pose_matrix():
    product = geometry.theta(BENT) @ geometry.pose_matrix(BENT)
    torch.testing.assert_close(product, torch.eye(4)[None], atol=1e-6, rtol=0)


@pytest.mark.parametrize("pose", [pose_of(yaw=35), pose_of(pitch=35), pose_of(roll=35), BENT])
def test_warps_move_a_marked_voxel_as_the_pose_says(pose):
    head = torch.tensor([0.2, -0.25, -0.3])
    crop = geometry.apply_matrix(geometry.pose_matrix(pose), head.view(1, 1, 3))[0, 0]
    assert (crop - head).norm() > 0.1
    driven = geometry.sample(blob(head), geometry.compose_driver_grid(pose, no_offsets(), SHAPE))
    torch.testing.assert_close(centre_of_mass(driven), crop, atol=0.01, rtol=0)
    freed = geometry.sample(blob(crop), geometry.compose_source_grid(pose, no_offsets(), SHAPE))
    torch.testing.assert_close(centre_of_mass(freed), head, atol=0.01, rtol=0)


def test_source_warp_then_driver_warp_with_one_pose_gives_the_volume_back():
    volume = smooth_volume()
    canonical = geometry.sample(volume, geometry.compose_source_grid(BENT, no_offsets(), FINE))
    back = geometry.sample(canonical, geometry.compose_driver_grid(BENT, no_offsets(), FINE))
    inner = (..., slice(10, -10), slice(16, -16), slice(13, -13))
    assert (back - volume)[inner].abs().max() < 0.03
    assert (canonical - volume)[inner].abs().max() > 0.3


def two_resamplings(volume: Tensor, *grids: Tensor) -> Tensor:
    for grid in grids:
        volume = geometry.sample(volume, grid)
    return volume


@pytest.mark.parametrize("side", ["driver", "source"])
def test_composed_warp_equals_two_resamplings(side):
    """Tolerance 0.03 of a volume with amplitude 1: what two linear interpolations on this grid cost."""
    volume, offsets, grid = smooth_volume(), smooth_offsets(), geometry.identity_grid(FINE)[None]
    expression = geometry.compose_driver_grid(pose_of(), offsets, FINE)
    if side == "driver":
        order = (expression, geometry.apply_matrix(geometry.theta(BENT), grid))
        composed = geometry.compose_driver_grid(BENT, offsets, FINE)
    else:
        order = (geometry.apply_matrix(geometry.pose_matrix(BENT), grid), expression)
        composed = geometry.compose_source_grid(BENT, offsets, FINE)
    wanted, got = two_resamplings(volume, *order), geometry.sample(volume, composed)
    inner = (..., slice(5, -5), slice(8, -8), slice(7, -7))
    assert (got - wanted)[inner].abs().max() < 0.03
    assert (two_resamplings(volume, *order[::-1]) - wanted)[inner].abs().max() > 0.1  # the other order is another warp


def test_offsets_of_any_size_are_read_at_the_rigid_grid_and_repeat_at_the_border():
    constant = torch.tensor([0.1, -0.2, 0.3]).view(1, 3, 1, 1, 1).expand(1, 3, 2, 4, 3)
    grid = geometry.compose_driver_grid(BENT, constant, SHAPE)
    rigid = geometry.apply_matrix(geometry.theta(BENT), geometry.identity_grid(SHAPE)[None])
    torch.testing.assert_close(grid - rigid, torch.tensor([0.1, -0.2, 0.3]).expand_as(rigid), atol=1e-5, rtol=0)
    linear = 0.3 * geometry.identity_grid((4, 8, 6)).permute(3, 0, 1, 2)[None]
    small = pose_of(scale=4.0)  # the whole crop reads the inner quarter of the head frame
    grid = geometry.compose_driver_grid(small, linear, SHAPE)
    torch.testing.assert_close(grid, 1.3 * geometry.identity_grid(SHAPE)[None] / 4, atol=1e-5, rtol=0)


def test_a_point_goes_through_both_warps_as_the_grids_say():
    """A blob of the source shows up where the driver's point that comes to it is."""
    offsets = 0.5 * smooth_offsets()
    point = torch.tensor([0.1, -0.2, 0.15]).view(1, 1, 3)
    source = geometry.driver_to_source(BENT, offsets, pose_of(yaw=-10), offsets, point)
    volume = blob(source.view(3))
    canonical = geometry.sample(volume, geometry.compose_source_grid(pose_of(yaw=-10), offsets, FINE))
    driven = geometry.sample(canonical, geometry.compose_driver_grid(BENT, offsets, FINE))
    torch.testing.assert_close(centre_of_mass(driven), point.view(3), atol=0.02, rtol=0)
    assert (source - point).norm() > 0.1


def test_face_region_is_upright_and_follows_the_similarity():
    still = geometry.face_region_grid(pose_of(), 8)
    moved = geometry.face_region_grid(pose_of(roll=40, scale=1.3, shift=(0.2, -0.1, 0.0)), 8)
    turn = pose_of(roll=40).rotation[:, :2, :2]
    back = torch.einsum("bji,bhwj->bhwi", turn, moved - torch.tensor([0.2, -0.1])) / 1.3
    torch.testing.assert_close(back, still, atol=1e-6, rtol=0)
    turned = geometry.face_region_grid(pose_of(yaw=40), 8)  # yaw only shifts the region, towards the nose
    shift = (turned - still).flatten(0, 2)
    torch.testing.assert_close(shift, shift[:1].expand_as(shift), atol=1e-6, rtol=0)
    assert shift[0, 0] > 0.1


def test_mean_head_has_the_nominal_size_and_faces_the_viewer():
    head = geometry.mean_head()
    assert head.shape == (468, 3)
    oval = head[list(geometry.FACE_OVAL)]
    assert np.ptp(oval[:, 1]) == pytest.approx(2 / 2.2, abs=1e-3)
    assert head[10, 1] < 0 < head[152, 1]  # chin below forehead
    assert head[1, 2] < head[:, 2].min() + 0.05  # nose tip nearest to the viewer
    assert head[33, 0] < 0 < head[263, 0]  # the person's right eye on the picture's left


def test_fit_rotation_finds_the_rotation_of_a_moved_head(poses):
    rigid = geometry.rigid_landmarks()
    head = torch.from_numpy(geometry.mean_head()[rigid])[None].expand(4, -1, -1)
    points = geometry.apply_matrix(geometry.pose_matrix(poses), head).numpy() * 40 + 7
    found = torch.from_numpy(geometry.fit_rotation(points, rigid)).float()
    assert geometry.rotation_error_deg(found, poses.rotation).max() < 0.1
    torch.testing.assert_close(torch.linalg.det(found), torch.ones(4))


def test_the_rigid_landmarks_are_above_the_mouth():
    rigid = set(geometry.rigid_landmarks())
    forehead, nose_tip, left_eye, upper_lip, lower_lip, chin = 10, 1, 263, 13, 14, 152
    assert rigid >= {forehead, nose_tip, left_eye}
    assert not rigid & {upper_lip, lower_lip, chin}


def test_fit_similarity_recovers_a_known_pose():
    ids = [1, 10, 33, 152, 263, 234, 454]
    poses = [pose_of(25, -15, 30, 1.2, (0.1, -0.2, 0.0)), pose_of(-40, 10, -5, 0.7, (-0.3, 0.0, 0.0))]
    head = torch.from_numpy(geometry.mean_head()[ids])[None]
    landmarks = torch.cat([geometry.apply_matrix(geometry.pose_matrix(p), head)[..., :2] for p in poses]).numpy()
    rotation = torch.cat([p.rotation for p in poses]).numpy()
    scale, translation = geometry.fit_similarity_2d(rotation, landmarks, ids)
    torch.testing.assert_close(torch.from_numpy(scale), torch.cat([p.scale for p in poses]))
    torch.testing.assert_close(
        torch.from_numpy(translation), torch.cat([p.translation for p in poses]), atol=1e-5, rtol=0
    )


def test_rotation_to_ray_takes_the_axis_to_the_position():
    position = torch.tensor([[0.0, 0.0, 2.0], [0.5, -0.3, 2.0], [-1.0, 1.0, 1.0]]).numpy()
    ray = torch.from_numpy(geometry.rotation_to_ray(position))
    direction = torch.nn.functional.normalize(torch.from_numpy(position), dim=-1)
    torch.testing.assert_close(ray @ torch.tensor([0.0, 0.0, 1.0]), direction)
    torch.testing.assert_close(ray @ ray.transpose(1, 2), torch.eye(3).expand(3, 3, 3), atol=1e-6, rtol=0)
    assert (ray[:, 1, 0].abs() < 1e-6).all()  # no roll is added


def test_double_precision_stays_double_and_half_is_read_in_single(poses, generator):
    pose = HeadPose(poses.rotation.double(), poses.scale.double(), poses.translation.double())
    offsets = torch.randn(4, 3, 4, 4, 4, generator=generator, dtype=torch.float64) * 0.1
    for compose in (geometry.compose_driver_grid, geometry.compose_source_grid):
        grid = compose(pose, offsets, (4, 4, 4))
        assert grid.dtype == torch.float64
        assert (compose(pose, offsets + 1e-12, (4, 4, 4)) - grid).abs().max() > 1e-13
        assert compose(poses, offsets.half(), (4, 4, 4)).dtype == torch.float32
    values = torch.randn(4, 1, 4, 4, 4, generator=generator, dtype=torch.float64)
    assert (geometry.sample(values, grid) - geometry.sample(values + 1e-12, grid)).abs().max() > 1e-13
    half = geometry.sample(values.half(), grid.half())
    assert torch.equal(half, geometry.sample(values.half().float(), grid.half().float()).half())
