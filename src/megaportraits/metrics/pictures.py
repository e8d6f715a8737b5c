"""PSNR, L1, SSIM and sharpness of pictures inside a mask, MS-SSIM of whole ones: pure functions, one number for each
sample.

Pictures are RGB in [0, 1], masks weights in [0, 1]. An empty mask has no mean: its result is NaN.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_WINDOW = 11
_SIGMA = 1.5
_STABILITY = (0.01**2, 0.03**2)
_LUMINANCE = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601)."""
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


def gradient_size(picture: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 H W"]:
    """Length of the gradient of the luminance 0.299 R + 0.587 G + 0.114 B, in units of the picture for each pixel.

    Central differences (next - previous) / 2 in x and y, with the picture's edge repeated.
    """
    luminance = (picture * picture.new_tensor(_LUMINANCE)[:, None, None]).sum(1, keepdim=True)
    padded = F.pad(luminance, (1, 1, 1, 1), mode="replicate")
    x = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    y = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return torch.hypot(x, y) / 2


def gradient_error(
    a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"], mask: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, " B"]:
    """Mean absolute difference of `gradient_size`; 0 for equal pictures. Where edges point does not count."""
    return masked_mean((gradient_size(a) - gradient_size(b)).abs(), mask)


def sharpness(
    a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"], mask: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, " B"]:
    """Mean `gradient_size` of a over that of b: 1 for equal pictures, less where a is smoother, more where it is
    sharper or noisier; NaN where b is flat."""
    found, wanted = (masked_mean(gradient_size(picture), mask) for picture in (a, b))
    return torch.where(wanted > 0, found / wanted, torch.nan)


def _blur(values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    channels, reach = values.shape[1], _WINDOW // 2
    taps = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    weights = torch.softmax(-taps.square() / (2 * _SIGMA**2), 0).repeat(channels, 1)
    padded = F.pad(values, (reach,) * 4, mode="reflect")
    rows = F.conv2d(padded, weights[:, None, None, :], groups=channels)
    return F.conv2d(rows, weights[:, None, :, None], groups=channels)
