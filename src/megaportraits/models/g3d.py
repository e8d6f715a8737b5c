"""G_3D: a 3D U-Net that completes the canonical volume.

Paper: Fig. 9c. Choices (docs/paper.md): "196" is read as 192; each U-Net skip is tapped before the down-sampling and
added after the up-sampling of its level; the bare skip is an addition.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.config import ModelConfig
from megaportraits.models.blocks import ResBlock, conv, group_norm, resample


class G3D(nn.Module):
    """Canonical volume -> completed canonical volume, same shape."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        other = "spectral" if config.spectral_norm else "plain"
        channels, (first, second, bottom) = config.volume_channels, config.g3d.widths
        self.down1 = ResBlock(3, channels, first, other)
        self.down2 = ResBlock(3, first, second, other)
        self.bottom1 = ResBlock(3, second, bottom, other)
        self.bottom2 = ResBlock(3, bottom, bottom, other)
        self.up2 = ResBlock(3, bottom, second, other)
        self.skip2 = ResBlock(3, second, second, other)
        self.up1 = ResBlock(3, second, first, other)
        self.skip1 = ResBlock(3, first, first, other)
        self.out = ResBlock(3, first, channels, other)
        self.norm = group_norm(channels)
        self.conv = conv(3, channels, channels, 3, bias=True, norm=other)

    def forward(self, volume: Float[Tensor, "B C D H W"]) -> Float[Tensor, "B C D H W"]:
        level1 = self.down1(volume)
        level2 = self.down2(resample(level1, (2, 0.5, 0.5)))
        x = self.bottom1(resample(level2, (0.5, 0.5, 0.5)))
        x = x + self.bottom2(x)
        x = resample(self.up2(x), (2, 2, 2)) + self.skip2(level2)
        x = resample(self.up1(x), (0.5, 2, 2)) + self.skip1(level1)
        return self.conv(F.relu(self.norm(self.out(x))))
