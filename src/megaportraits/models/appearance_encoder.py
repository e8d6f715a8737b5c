"""E_app: the source's appearance as a volume v_s and a global descriptor e_s.

Paper: 3.1, Fig. 9a (volume), A.1 (descriptor). Deviations: see docs/paper.md ("E_app").
"""

from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.config import ModelConfig
from megaportraits.models.blocks import ResBlock, conv, group_norm
from megaportraits.models.resnet import ResNetTrunk
from megaportraits.tensors import Appearance

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenet_normalise(image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """[0, 1] RGB to ImageNet's zero mean and unit deviation."""
    mean, std = (image.new_tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (image - mean) / std


class VolumeEncoder(nn.Module):
    """Picture -> v_s (C x D x H/8 x W/8). Paper: Fig. 9a."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        other = "spectral" if config.spectral_norm else "plain"
        widths = config.appearance.widths
        self.channels = config.volume_channels
        self.depth = config.volume_depth
        self.stem = conv(2, 3, widths[0], 7)
        self.blocks = nn.ModuleList(ResBlock(2, a, b, other) for a, b in pairwise(widths))
        self.norm = group_norm(widths[-1])
        self.to_volume = conv(2, widths[-1], self.channels * self.depth, 1, norm=other)
        self.blocks_3d = nn.Sequential(
            *(ResBlock(3, self.channels, self.channels, other) for _ in range(config.appearance.blocks_3d))
        )

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C D h w"]:
        x = self.stem(image)
        for block in self.blocks:
            x = F.avg_pool2d(block(x), 2)
        x = self.to_volume(F.relu(self.norm(x)))
        return self.blocks_3d(x.unflatten(1, (self.channels, self.depth)))


class DescriptorEncoder(nn.Module):
    """Picture -> e_s (E x 4 x 4). Paper: A.1 (ResNet-50)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.input_px = config.appearance.descriptor_input_px
        self.trunk = ResNetTrunk(50, config.appearance.descriptor_base)
        self.project = nn.Conv2d(self.trunk.out_channels, config.appearance.descriptor_channels, 1)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E 4 4"]:
        image = F.interpolate(image, size=self.input_px, mode="bilinear", antialias=True)
        return F.adaptive_avg_pool2d(self.project(self.trunk(imagenet_normalise(image))), 4)


class NoDescriptor(nn.Module):
    """e_s = 0, the paper's ablation "without e_s". Paper: B.4."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.channels = config.appearance.descriptor_channels

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E 4 4"]:
        return image.new_zeros(len(image), self.channels, 4, 4)


class AppearanceEncoder(nn.Module):
    """E_app. Input: the source in [0, 1], black outside its matte."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.volume = VolumeEncoder(config)
        self.descriptor = DescriptorEncoder(config) if config.descriptor else NoDescriptor(config)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Appearance:
        return Appearance(self.volume(image), self.descriptor(image))
