"""W_s-> and W_->d: the expression part of the two 3D warps, from z and e_s.

Paper: Fig. 9b, A.1. Deviation (docs/paper.md, D21): the last ReLU is leaky. The rigid part and its composition with
these offsets are in `geometry.py`.
"""

from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.config import ModelConfig
from megaportraits.models.blocks import AdaptiveGroupNorm, AdaptiveResBlock3d, conv, resample

START_DEPTH = 4


class MotionEmbedding(nn.Module):
    """(z, e_s) -> E: linear(z) as a 4 x 4 map, plus e_s, times 0.5, one 1x1 conv. Shared by both warps (A.1)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.channels = config.appearance.descriptor_channels
        self.lift = nn.Linear(config.motion.expression, self.channels * 16)
        self.mix = nn.Conv2d(self.channels, self.channels, 1)

    def forward(
        self, expression: Float[Tensor, "B Z"], descriptor: Float[Tensor, "B E 4 4"]
    ) -> Float[Tensor, "B E 4 4"]:
        lifted = self.lift(expression).unflatten(1, (self.channels, 4, 4))
        return self.mix(0.5 * (lifted + descriptor))


class WarpGenerator(nn.Module):
    """E -> offsets delta (x, y, z) in [-1, 1], in canonical coordinates."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        other = "spectral" if config.spectral_norm else "plain"
        channels, widths = config.appearance.descriptor_channels, config.warp.widths
        self.upsample = config.warp.upsample
        self.leak = config.warp.leak
        self.entry = conv(2, channels, widths[0] * START_DEPTH, 1, norm=other)
        self.blocks = nn.ModuleList(AdaptiveResBlock3d(a, b, channels, other) for a, b in pairwise(widths))
        self.norm = AdaptiveGroupNorm(widths[-1], channels)
        self.to_offsets = conv(3, widths[-1], 3, 3, bias=True)
        for parameter in self.to_offsets.parameters():
            nn.init.zeros_(parameter)

    def forward(self, embedding: Float[Tensor, "B E 4 4"]) -> Float[Tensor, "B 3 d h w"]:
        flat = embedding.flatten(2)
        x = self.entry(embedding).unflatten(1, (-1, START_DEPTH))
        for block, factors in zip(self.blocks, self.upsample, strict=True):
            x = resample(block(x, flat), factors)
        return self.to_offsets(F.leaky_relu(self.norm(x, flat), self.leak)).tanh()
