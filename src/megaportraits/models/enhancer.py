"""The enhancer G_enh: the base model's picture at twice its size.

Paper: 3.2, A.2, Fig. 10. Deviations (docs/paper.md): the result is the bilinearly doubled picture plus a tanh residual,
inside the matte where there is one; the figure's numbers of blocks and up-samplings, not the text's; 1x1 skips. Small
presets fold pixels into channels at the entry, end in a PixelShuffle, have no volume and no GroupNorm, and join each
level of the encoder to the decoder's. As drawn:

    encoder   up 2, 7x7 conv 64; ResBlock2D 128, 256, 512, each pooled; norm, ReLU, 1x1 conv 1536
    volume    96 x 16: 3 ResBlock3D 96
    decoder   1x1 conv 512; 8 ResBlock2D 512; up, 256; up, 128; up, 128; ResBlock2D 128, 64, 32; norm, ReLU, 3x3 conv 3
"""

import itertools
import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits import geometry
from megaportraits.config import EnhancerConfig
from megaportraits.models.blocks import ResBlock, conv, group_norm
from megaportraits.models.network import Network
from megaportraits.tensors import Prediction


def doubled(picture: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C 2*H 2*W"]:
    """Twice the size, bilinear, pixel centres kept."""
    return F.interpolate(picture, scale_factor=2.0, mode="bilinear", align_corners=False)


def _norm(config: EnhancerConfig, channels: int) -> nn.Module:
    return group_norm(channels) if config.norm else nn.Identity()


def _block(config: EnhancerConfig, dimensions: int, inputs: int, outputs: int) -> ResBlock:
    block = ResBlock(dimensions, inputs, outputs, _other(config))
    for name, channels in (("norm1", inputs), ("norm2", outputs)):
        block.add_module(name, _norm(config, channels))
    return block


def _other(config: EnhancerConfig) -> str:
    """Normalisation of convolutions that are not weight-standardised."""
    return "spectral" if config.spectral_norm else "plain"


class Encoder(nn.Module):
    """Picture -> the features before each pooling, and after the last one. Paper: Fig. 10a."""

    def __init__(self, config: EnhancerConfig):
        super().__init__()
        factor = config.unshuffle
        self.entry = nn.PixelUnshuffle(factor) if factor else nn.Upsample(scale_factor=2.0, mode="bilinear")
        self.stem = conv(2, 3 * max(factor, 1) ** 2, config.widths[0], config.stem_kernel)
        self.blocks = nn.ModuleList(_block(config, 2, a, b) for a, b in pairwise(config.widths))

    def forward(self, rgb: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        features, x = [], self.stem(self.entry(rgb))
        for block in self.blocks:
            features.append(block(x))
            x = F.avg_pool2d(features[-1], 2)
        return [*features, x]


class Volume(nn.Module):
    """The encoder's last features as a volume, and back to channels. Paper: Fig. 10a, 10b."""

    def __init__(self, config: EnhancerConfig):
        super().__init__()
        self.shape = config.volume
        channels, depth = config.volume
        self.norm = _norm(config, config.widths[-1])
        self.to_volume = conv(2, config.widths[-1], channels * depth, 1, norm=_other(config))
        self.blocks_3d = nn.Sequential(*(_block(config, 3, channels, channels) for _ in range(config.blocks_3d)))
        self.project = conv(2, channels * depth, config.width, 1)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B K h w"]:
        volume = self.to_volume(F.relu(self.norm(x))).unflatten(1, self.shape)
        return self.project(self.blocks_3d(volume).flatten(1, 2))


class Decoder(nn.Module):
    """Features -> residual in [-1, 1]. Paper: Fig. 10b."""

    def __init__(self, config: EnhancerConfig):
        super().__init__()
        ups = (config.width, *config.up_widths)
        ends = (ups[-1], *config.end_widths)
        self.blocks = nn.Sequential(*(_block(config, 2, config.width, config.width) for _ in range(config.blocks)))
        self.up_blocks = nn.ModuleList(_block(config, 2, a, b) for a, b in pairwise(ups))
        self.end_blocks = nn.Sequential(*(_block(config, 2, a, b) for a, b in pairwise(ends)))
        self.norm, self.leak = _norm(config, ends[-1]), config.leak
        self.conv = conv(2, ends[-1], 3 * config.shuffle**2, 3, bias=True)
        self.shuffle = nn.PixelShuffle(config.shuffle)
        for parameter in self.conv.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Float[Tensor, "B K h w"], joined: list[Tensor]) -> Float[Tensor, "B 3 H W"]:
        """`joined`: what is added after the first up-samplings, coarsest first."""
        x = self.blocks(x)
        for level, block in enumerate(self.up_blocks):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(x + joined[level] if level < len(joined) else x)
        logits = self.shuffle(self.conv(F.leaky_relu(self.norm(self.end_blocks(x)), self.leak)))
        return torch.tanh(logits.to(geometry.working_type(logits)))


class Enhancer(Network):
    """G_enh (3.2). Any picture whose sides are multiples of `config.multiple_px`; starts as bilinear doubling."""

    kind, sizes = "enhancer", EnhancerConfig

    def __init__(self, config: EnhancerConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.volume = Volume(config) if config.blocks_3d else nn.Identity()
        self.decoder = Decoder(config)

    def residual(self, rgb: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 2*H 2*W"]:
        """What is added to the doubled picture, in [-1, 1]."""
        *features, deepest = self.encoder(rgb)
        return self.decoder(self.volume(deepest), features[::-1] if self.config.skips else [])

    def forward(
        self, rgb: Float[Tensor, "B 3 H W"], matte: Float[Tensor, "B 1 H W"] | None = None
    ) -> Float[Tensor, "B 3 2*H 2*W"]:
        """x_hat in [0, 1] -> x_hat^HR, not yet limited to [0, 1]; nothing is added where the matte is 0."""
        residual = self.residual(rgb)
        return doubled(rgb) + (residual if matte is None else doubled(matte) * residual)

    def enhance(self, prediction: Prediction) -> Prediction:
        """The base model's prediction at twice its size, in [0, 1]; its matte is doubled."""
        matte = prediction.matte
        painted = self(prediction.rgb, matte).clamp(0, 1)
        return Prediction(painted, None if matte is None else doubled(matte))

    def enhance_in_tiles(self, prediction: Prediction, tile_px: int) -> Prediction:
        """`enhance` by squares of the base model's picture, one after the other: less memory, more time.

        Each tile is computed with its surroundings (`config.reach_px`), so that nets without norm make the same
        picture; behind GroupNorms, which see a tile as if it were the whole picture, it is a slightly different one.

        Args:
            prediction: of the base model.
            tile_px: side of the tiles; it is rounded up to a multiple of `config.multiple_px`.
        """
        rgb, matte, multiple = prediction.rgb, prediction.matte, self.config.multiple_px
        step, reach = (multiple * math.ceil(px / multiple) for px in (tile_px, self.config.reach_px))
        painted = rgb.new_empty((*rgb.shape[:2], *(2 * side for side in rgb.shape[2:])))
        for top, left in itertools.product(*(range(0, side, step) for side in rgb.shape[2:])):
            rows, columns = (slice(max(0, start - reach), start + step + reach) for start in (top, left))
            tile = self(rgb[..., rows, columns], None if matte is None else matte[..., rows, columns])
            y, x = 2 * (top - rows.start), 2 * (left - columns.start)
            kept = tile[..., y : y + 2 * step, x : x + 2 * step]
            painted[..., 2 * top : 2 * (top + step), 2 * left : 2 * (left + step)] = kept
        return Prediction(painted.clamp(0, 1), None if matte is None else doubled(matte))
