"""P and G_2D: the warped volume to a picture.

Paper: Eq. 2, Fig. 9d. P is the orthographic projection: depth folded into channels, then a 1x1 convolution.
Deviation of small presets: a fourth channel, the matte of the result, and a PixelShuffle for the last doubling.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits import geometry
from megaportraits.config import ModelConfig
from megaportraits.models.blocks import ResBlock, conv, group_norm
from megaportraits.tensors import Prediction


class Projection(nn.Module):
    """P: C x D x H x W -> channels x H x W."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.conv = conv(2, config.volume_channels * config.volume_depth, config.g2d.width, 1)

    def forward(self, volume: Float[Tensor, "B C D H W"]) -> Float[Tensor, "B K H W"]:
        return self.conv(volume.flatten(1, 2))


def _equal_subpixels(layer: nn.Module) -> None:
    """Start a convolution before PixelShuffle with equal sub-pixels, so that training starts without a checkerboard."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(parameter[::4].repeat_interleave(4, 0))


class G2D(nn.Module):
    """Projected volume -> RGB in [0, 1] (and the matte in [0, 1] where the preset paints one)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        other = "spectral" if config.spectral_norm else "plain"
        sizes = config.g2d
        widths = (sizes.width, *sizes.up_widths)
        outputs = 4 if config.paints_matte else 3
        self.blocks = nn.Sequential(*(ResBlock(2, sizes.width, sizes.width, other) for _ in range(sizes.blocks)))
        self.up_blocks = nn.ModuleList(ResBlock(2, a, b, other) for a, b in pairwise(widths))
        self.norm = group_norm(widths[-1])
        self.conv = conv(2, widths[-1], outputs * (4 if sizes.pixel_shuffle else 1), 3, bias=True, norm=other)
        self.shuffle = nn.PixelShuffle(2) if sizes.pixel_shuffle else nn.Identity()
        if sizes.pixel_shuffle:
            _equal_subpixels(self.conv)

    def forward(self, projected: Float[Tensor, "B K h w"]) -> Prediction:
        x = self.blocks(projected)
        for block in self.up_blocks:
            x = block(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        logits = self.shuffle(self.conv(F.relu(self.norm(x))))
        painted = torch.sigmoid(logits.to(geometry.working_type(logits)))
        return Prediction(painted[:, :3], painted[:, 3:] if painted.shape[1] == 4 else None)
