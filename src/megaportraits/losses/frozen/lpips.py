"""LPIPS 0.1 (Zhang et al., CVPR 2018): a perceptual distance with weights learnt from people's judgements."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.losses.frozen.features import Frozen


def heads(channels: tuple[int, ...]) -> nn.ParameterList:
    """One weight for each channel of each feature map, `1 C 1 1`."""
    return nn.ParameterList(torch.empty(1, c, 1, 1) for c in channels)


def head_names(count: int) -> dict[str, str]:
    """Names of the LPIPS file -> names of `heads`."""
    return {f"lin{i}.model.1.weight": str(i) for i in range(count)}


class Lpips(Frozen):
    """Distance of two pictures: 0 for equal ones, about 0.1 for similar and 0.6 for unrelated photos."""

    def __init__(self, backbone: nn.Module, weights: nn.ParameterList):
        super().__init__()
        self.backbone, self.weights = backbone, weights

    def forward(self, a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"]) -> Float[Tensor, " B"]:
        """RGB in [0, 1]. Squared difference of features of unit length, weighted, mean over places, sum over layers."""
        layers = zip(self.backbone(a), self.backbone(b), self.weights, strict=True)
        distances = [
            (weight * (F.normalize(x, dim=1, eps=1e-10) - F.normalize(y, dim=1, eps=1e-10)).square())
            .sum(1)
            .mean((1, 2))
            for x, y, weight in layers
        ]
        return torch.stack(distances).sum(0)
