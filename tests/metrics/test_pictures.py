"""Known answers of the picture metrics, and that masks are respected."""

import math

import pytest
import torch

from megaportraits.metrics import (
    gradient_error,
    gradient_size,
    l1,
    masked_mean,
    ms_ssim,
    psnr_db,
    sharpness,
    ssim,
    ssim_map,
)

FULL = torch.ones(2, 1, 32, 32)


@pytest.fixture
def picture(generator) -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=generator) * 0.8


def test_equal_pictures(picture):
    assert psnr_db(picture, picture, FULL).tolist() == [math.inf] * 2
    assert l1(picture, picture, FULL).tolist() == [0.0] * 2
    assert gradient_error(picture, picture, FULL).tolist() == [0.0] * 2
    assert sharpness(picture, picture, FULL).tolist() == [1.0] * 2
    torch.testing.assert_close(ssim(picture, picture, FULL), torch.ones(2))


def test_masked_psnr_of_a_known_error(picture):
    """Half of the mask is off by 0.2: mean squared error 0.02."""
    mask = torch.zeros(2, 1, 32, 32)
    mask[:, :, :16] = 1
    changed = picture.clone()
    changed[:, :, 8:] += 0.2
    torch.testing.assert_close(psnr_db(changed, picture, mask), torch.full((2,), 16.9897))


def test_known_shift(picture):
    torch.testing.assert_close(psnr_db(picture + 0.1, picture, FULL), torch.full((2,), 20.0))
    torch.testing.assert_close(l1(picture + 0.1, picture, FULL), torch.full((2,), 0.1))


def test_differences_outside_the_mask_do_not_count(picture):
    mask = torch.zeros(2, 1, 32, 32)
    mask[:, :, :16] = 1
    changed = picture.clone()
    changed[:, :, 16:] += 0.2
    assert l1(changed, picture, mask).tolist() == [0.0] * 2
    assert psnr_db(changed, picture, mask).tolist() == [math.inf] * 2
    mask[:, :, 10:16] = 0  # the window reaches 5 pixels
    torch.testing.assert_close(ssim(changed, picture, mask), torch.ones(2))


def test_samples_have_their_own_masks(picture):
    mask = torch.zeros(2, 1, 32, 32)
    mask[0, :, :8], mask[1, :, 8:] = 1, 1
    changed = picture.clone()
    changed[:, :, :8] += 0.1
    assert l1(changed, picture, mask).tolist() == pytest.approx([0.1, 0.0], abs=1e-6)


def test_weights_of_a_soft_mask():
    values, mask = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.25, 0.75]]]])
    assert masked_mean(values, mask).item() == pytest.approx(0.25)


def test_empty_mask_has_no_mean(picture):
    for metric in (l1, gradient_error, sharpness):
        assert metric(picture, picture, FULL * 0).isnan().all()


def test_ssim_agrees_with_torchmetrics():
    """Numbers of torchmetrics 1.9 in double precision (data_range=1, sigma 1.5, full image)."""
    y, x = torch.meshgrid(
        torch.linspace(0, 1, 24, dtype=torch.float64), torch.linspace(0, 1, 32, dtype=torch.float64), indexing="ij"
    )
    a = torch.stack([x, y, x * y])[None]
    b = 0.8 * a + 0.1 + 0.05 * torch.sin(40 * x) * torch.cos(30 * y)
    result, everywhere = ssim_map(a, b), torch.ones(1, 1, 24, 32, dtype=torch.float64)
    assert ssim(a, b, everywhere).item() == pytest.approx(0.787720192434922, abs=1e-9)
    assert result[0, :, 12, 16].tolist() == pytest.approx(
        [0.8685370389124865, 0.9057796547963322, 0.8344251787854248], abs=1e-9
    )
    assert result[0, :, 0, 0].tolist() == pytest.approx(
        [0.4073656863221425, 0.4612103822663845, 0.02576353008008106], abs=1e-9
    )
    assert psnr_db(a, b, everywhere).item() == pytest.approx(23.41190018008984, abs=1e-5)


def test_ms_ssim_of_equal_pictures_of_flat_ones_and_of_opposites(generator):
    """Flat pictures differ only in luminance, which the coarsest scale weighs with 0.1333; opposites agree nowhere."""
    noise = torch.rand(3, 176, 200, generator=generator, dtype=torch.float64)
    a = torch.stack([noise, torch.full_like(noise, 0.2), noise])
    b = torch.stack([noise, torch.full_like(noise, 0.6), 1 - noise])
    luminance = (2 * 0.2 * 0.6 + 0.01**2) / (0.2**2 + 0.6**2 + 0.01**2)
    assert ms_ssim(a, b).tolist() == pytest.approx([1.0, luminance**0.1333, 0.0], abs=1e-6)


def test_ms_ssim_of_less_contrast_at_the_finest_scale():
    """A chessboard of single pixels is flat at all scales but the finest, which is weighed with 0.0448."""
    y, x = torch.meshgrid(torch.arange(192), torch.arange(192), indexing="ij")
    board = ((y + x) % 2 - 0.5).double().expand(1, 3, -1, -1)
    c, (strong, weak) = 0.03**2, (0.4, 0.1)
    wanted = ((2 * strong * weak * 0.25 + c) / ((strong**2 + weak**2) * 0.25 + c)) ** 0.0448
    assert ms_ssim(0.5 + strong * board, 0.5 + weak * board).item() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("size", [(175, 400), (400, 175), (64, 64)])
def test_pictures_too_small_for_five_scales_have_no_ms_ssim(size):
    flat = torch.full((2, 3, *size), 0.5)
    assert ms_ssim(flat, flat).isnan().tolist() == [True, True]


def ramp(x: float, y: float) -> torch.Tensor:
    """Grey that grows by x and y from pixel to pixel."""
    steps = torch.arange(32) - 16.0
    return (0.5 + x * steps + y * steps[:, None]).expand(1, 3, -1, -1)


INNER = torch.nn.functional.pad(torch.ones(1, 1, 30, 30), (1, 1, 1, 1))
"""Without the edge, where the difference has one side only."""


def test_gradients_of_ramps_are_their_slopes():
    size = gradient_size(ramp(0.003, 0.004))
    torch.testing.assert_close(size * INNER, 0.005 * INNER, atol=1e-6, rtol=0)
    assert size[0, 0, 16, 0].item() == pytest.approx(math.hypot(0.0015, 0.004), abs=1e-6)
    green = torch.zeros(1, 3, 32, 32)
    green[:, 1] = ramp(0.01, 0.0)[:, 1]
    torch.testing.assert_close(gradient_size(green) * INNER, 0.00587 * INNER, atol=1e-6, rtol=0)


def test_gradient_errors_of_ramps_are_the_differences_of_their_slopes():
    steep, gentle, across = ramp(0.01, 0.0), ramp(0.004, 0.0), ramp(0.0, 0.01)
    assert gradient_error(steep, gentle, INNER).item() == pytest.approx(0.006, abs=1e-6)
    assert gradient_error(gentle, steep, INNER).item() == pytest.approx(0.006, abs=1e-6)
    assert gradient_error(steep, across, INNER).item() == pytest.approx(0.0, abs=1e-6)
    assert sharpness(steep, gentle, INNER).item() == pytest.approx(2.5, abs=1e-4)
    assert sharpness(gentle, steep, INNER).item() == pytest.approx(0.4, abs=1e-4)


def test_sharpness_grows_with_sharpening_and_falls_with_blur(picture):
    blurred = torch.nn.functional.avg_pool2d(picture, 3, 1, 1, count_include_pad=False)
    sharpened = picture + 0.5 * (picture - blurred)
    assert sharpness(blurred, picture, FULL).max() < 0.7
    assert sharpness(sharpened, picture, FULL).min() > 1.2
    assert gradient_error(blurred, picture, FULL).min() > 0.01


def test_edges_outside_the_mask_do_not_count(picture):
    mask = FULL.clone()
    mask[..., 15:] = 0
    changed = picture.clone()
    changed[..., 16:] = 0
    assert gradient_error(changed, picture, mask).tolist() == [0.0] * 2
    assert sharpness(changed, picture, mask).tolist() == [1.0] * 2


def test_flat_answers_have_no_sharpness(picture):
    assert sharpness(picture, torch.full_like(picture, 0.5), FULL).isnan().all()
