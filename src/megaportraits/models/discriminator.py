"""Multi-scale patch discriminator D.

Paper: Eq. 5 (hinge, multi-scale patches). Choices (docs/paper.md): two scales of four convolutions, LeakyReLU 0.2,
spectral normalisation, no InstanceNorm.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from megaportraits.config import DiscriminatorConfig


class PatchDiscriminator(nn.Module):
    """One scale: picture -> feature maps of each convolution, the last being the patch scores."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        layers, channels = [], 3
        for i, width in enumerate(widths):
            stride = 2 if i < len(widths) - 1 else 1
            layers.append(spectral_norm(nn.Conv2d(channels, width, 4, stride, 2)))
            channels = width
        layers.append(spectral_norm(nn.Conv2d(channels, 1, 4, 1, 2)))
        self.layers = nn.ModuleList(layers)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        features, x = [], image * 2 - 1
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return [*features, self.layers[-1](x)]


class Discriminator(nn.Module):
    """D: the same network shape at each scale, own weights; each scale sees half the side of the one before."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(config.widths) for _ in range(config.scales))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[list[Tensor]]:
        """For each scale, the feature maps; the last of each is the patch scores."""
        outputs = []
        for scale in self.scales:
            outputs.append(scale(image))
            image = F.avg_pool2d(image, 2)
        return outputs
