"""Building blocks against their formulas."""

import pytest
import torch
import torch.nn.functional as F

from megaportraits import geometry
from megaportraits.config import DISCRIMINATOR_PRESETS, preset
from megaportraits.models import blocks
from megaportraits.models.discriminator import Discriminator
from megaportraits.models.g2d import G2D
from megaportraits.models.motion_encoder import HeadPoseNet


def test_standardised_weights_have_zero_mean_and_unit_norm_filters():
    weight = blocks.conv(2, 8, 6, 3, norm="standardised").weight.flatten(1)
    torch.testing.assert_close(weight.mean(1), torch.zeros(6), atol=1e-6, rtol=0)
    torch.testing.assert_close(weight.square().sum(1), torch.ones(6), atol=1e-3, rtol=0)


def test_spectral_weights_have_largest_singular_value_one():
    layer = blocks.conv(3, 8, 6, 3, norm="spectral")
    for _ in range(50):
        layer(torch.zeros(1, 8, 2, 2, 2))
    assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1.0, abs=1e-3)


def test_block_standardises_its_first_convolution_only():
    block = blocks.ResBlock(2, 8, 16, "spectral")
    kinds = {n: type(getattr(block, n).parametrizations.weight[0]).__name__ for n in ("conv1", "conv2", "skip")}
    assert kinds == {"conv1": "WeightStandardisation", "conv2": "_SpectralNorm", "skip": "_SpectralNorm"}
    assert block.skip.kernel_size == (1, 1)
    assert isinstance(blocks.ResBlock(2, 8, 8, "plain").skip, torch.nn.Identity)
    assert block.conv1.bias is None


def test_groups_divide_the_channels():
    assert [blocks.group_norm(c).num_groups for c in (8, 32, 48, 96, 80, 512)] == [8, 32, 24, 32, 20, 32]


def test_adaptive_norm_is_a_group_norm_with_gain_and_bias_from_the_embedding(generator):
    norm, x = blocks.AdaptiveGroupNorm(8, 4), torch.randn(2, 8, 3, 4, 5, generator=generator)
    plain = F.group_norm(x, 8)
    torch.testing.assert_close(norm(x, torch.zeros(2, 4, 16)), plain)
    embedding = torch.randn(2, 4, 16, generator=generator)
    shift = torch.einsum("ce,bek,kp->bcp", norm.u, embedding, norm.v)[..., None, None, None]
    torch.testing.assert_close(norm(x, embedding), plain * (1 + shift[:, :, 0]) + shift[:, :, 1])


@pytest.mark.parametrize(
    ("factors", "size"), [((2, 0.5, 0.5), (8, 4, 2)), ((0.5, 2, 2), (2, 16, 8)), ((1, 2, 2), (4, 16, 8))]
)
def test_resample_scales_depth_height_width(factors, size):
    x = torch.full((1, 2, 4, 8, 4), 3.0)
    scaled = blocks.resample(x, factors)
    assert scaled.shape[2:] == size
    torch.testing.assert_close(scaled, torch.full_like(scaled, 3.0))


def test_descriptors_of_every_scale_see_half_the_side_of_the_one_before():
    network = Discriminator(DISCRIMINATOR_PRESETS["tiny"]).eval()
    picture = torch.rand(1, 3, 32, 32)
    maps = network(picture)
    halved = network.scales[1](F.avg_pool2d(picture, 2))
    assert all(torch.equal(a, b) for a, b in zip(maps[1], halved, strict=True))


def test_pose_net_starts_at_the_nominal_pose_and_gives_true_rotations(generator):
    torch.manual_seed(0)
    net = HeadPoseNet(preset("tiny").motion)
    pose = net(torch.rand(3, 3, 64, 64, generator=generator))
    assert geometry.rotation_error_deg(pose.rotation, torch.eye(3).expand(3, 3, 3)).max() < 5
    torch.testing.assert_close(pose.scale, torch.ones(3), atol=0.1, rtol=0)
    torch.testing.assert_close(pose.translation, torch.zeros(3, 3), atol=0.1, rtol=0)
    net.head.weight.data.normal_()
    pose = net(torch.rand(3, 3, 64, 64, generator=generator))
    torch.testing.assert_close(
        pose.rotation @ pose.rotation.transpose(1, 2), torch.eye(3).expand(3, 3, 3), atol=1e-4, rtol=0
    )
    assert (pose.scale > 0).all()
    assert not pose.translation[:, 2].any()


def test_expression_sees_the_upright_face_whatever_the_roll_and_place(model):
    """A picture that moves with the head leaves z unchanged; one that does not, changes it."""
    grid = geometry.identity_grid((128, 128))

    def picture(points):
        x, y = points.unbind(-1)
        return torch.stack([(5 * x).sin(), (7 * y + x).cos(), (4 * x * y).sin()], -1).movedim(-1, 1) / 2 + 0.5

    angle, shift = torch.tensor([30.0]), torch.tensor([0.1, -0.05, 0.0])
    turn = geometry.rotation_from_angles(torch.zeros(1), torch.zeros(1), angle)
    still = geometry.HeadPose(torch.eye(3)[None], torch.ones(1), torch.zeros(1, 3))
    moved = geometry.HeadPose(turn, 0.8 * torch.ones(1), shift[None])
    back = torch.einsum("ji,hwj->hwi", turn[0, :2, :2], grid - shift[:2]) / 0.8
    with torch.no_grad():
        encode = model.motion_encoder.encode_expression
        wanted, got = encode(picture(grid[None]), still), encode(picture(back[None]), moved)
        wrong = encode(picture(back[None]), still)
    assert (got - wanted).norm() < 0.1 * (wrong - wanted).norm()


def test_sub_pixels_of_a_pixel_shuffle_start_equal(generator):
    """No checkerboard at the start: each 2 x 2 block of the small presets' picture has one colour."""
    torch.manual_seed(0)
    painted = G2D(preset("live"))(torch.randn(1, 96, 4, 4, generator=generator)).rgb
    blocks_of_4 = painted.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    assert (blocks_of_4.amax(-1) - blocks_of_4.amin(-1)).max() < 1e-6
    assert blocks_of_4[..., 0].std() > 1e-3
