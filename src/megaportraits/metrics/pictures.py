"""PSNR, L1 and SSIM of pictures inside a mask, MS-SSIM of whole ones: pure functions, one number for each sample.

Pictures are RGB in [0, 1], masks weights in [0, 1]. An empty mask has no mean: its result is NaN.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_WINDOW = 11
_SIGMA = 1.5
_STABILITY = (0.01**2, 0.03**2)
LEAST_MS_SSIM_PX = 176
"""The coarsest of the five scales, a sixteenth, must hold the window: 16 * 11."""


def masked_mean(values: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H W"]) -> Float[Tensor, " B"]:
    """Mean over channels and the mask's pixels, each pixel weighted by the mask."""
    return (values * mask).sum((1, 2, 3)) / (mask.sum((1, 2, 3)) * values.shape[1])


def l1(a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"], mask: Float[Tensor, "B 1 H W"]) -> Float[Tensor, " B"]:
    """Mean absolute difference; 0 for equal pictures."""
    return masked_mean((a - b).abs(), mask)


def psnr_db(
    a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"], mask: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, " B"]:
    """Peak signal-to-noise ratio 10 log10(1 / mean squared difference) in dB; infinite for equal pictures."""
    return -10 * masked_mean((a - b).square(), mask).log10()


def ssim(
    a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"], mask: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, " B"]:
    """Mean of `ssim_map` inside the mask; 1 for equal pictures."""
    return masked_mean(ssim_map(a, b), mask)


def ssim_map(a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """Structural similarity of each pixel's neighbourhood, in [-1, 1].

    Gaussian window 11 x 11, sigma 1.5, K = (0.01, 0.03), borders reflected (Wang et al., IEEE TIP 2004). The window is
    separable, so two one-dimensional passes are made.
    """
    moments = _blur(torch.cat([a, b, a * a, b * b, a * b], 1))
    mean_a, mean_b, square_a, square_b, product = moments.chunk(5, 1)
    variance_a, variance_b = square_a - mean_a.square(), square_b - mean_b.square()
    covariance = product - mean_a * mean_b
    c1, c2 = _STABILITY
    luminance = (2 * mean_a * mean_b + c1) / (mean_a.square() + mean_b.square() + c1)
    return luminance * (2 * covariance + c2) / (variance_a + variance_b + c2)


def ms_ssim(a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"]) -> Float[Tensor, " B"]:
    """Structural similarity over five scales in [0, 1]; 1 for equal pictures. Whole pictures, without a mask.

    Wang et al., Asilomar 2003, with their weights of the scales; negative means of a scale count as 0. Pictures with a
    side under 176 px have none: NaN.
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure  # imports for a second

    if min(a.shape[-2:]) < LEAST_MS_SSIM_PX:
        return a.new_full((len(a),), torch.nan)
    return multiscale_structural_similarity_index_measure(a, b, data_range=1.0, reduction="none")


def _blur(values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    channels, reach = values.shape[1], _WINDOW // 2
    taps = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    weights = torch.softmax(-taps.square() / (2 * _SIGMA**2), 0).repeat(channels, 1)
    padded = F.pad(values, (reach,) * 4, mode="reflect")
    rows = F.conv2d(padded, weights[:, None, None, :], groups=channels)
    return F.conv2d(rows, weights[:, None, :, None], groups=channels)
