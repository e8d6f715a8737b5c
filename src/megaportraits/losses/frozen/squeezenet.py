"""SqueezeNet 1.0 and 1.1 (Iandola et al., 2016), ImageNet, without their classifier. Layers as torchvision counts them.

1.0 exists with two sets of weights: torchvision's, and the authors' Caffe weights (other names, other input).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.losses.frozen.features import CAFFE, IMAGENET, FeatureNet, Preprocessing

_FIRE_WIDTHS = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
"""Squeezed and expanded channels of fire 2 ... fire 9."""
_FIRES_OF_1_0 = {2: 3, 3: 4, 4: 5, 5: 7, 6: 8, 7: 9, 8: 10, 9: 12}
"""Number of the layer of each fire module."""
_FIRES_OF_1_1 = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}


class Fire(nn.Module):
    """1x1 squeeze, then 1x1 and 3x3 expansions side by side."""

    def __init__(self, inputs: int, squeezed: int, expanded: int):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B E H W"]:
        x = self.squeeze(x).relu_()
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], 1).relu_()


def _layers(first: nn.Conv2d, fires: dict[int, int]) -> nn.Sequential:
    layers: list[nn.Module] = [first, nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, ceil_mode=True)]
    channels = first.out_channels
    for number, (squeezed, expanded) in enumerate(_FIRE_WIDTHS, 2):
        if fires[number] > len(layers):
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        layers.append(Fire(channels, squeezed, expanded))
        channels = 2 * expanded
    return nn.Sequential(*layers)


def squeezenet1_0(preprocessing: Preprocessing = IMAGENET) -> FeatureNet:
    """Features after conv1 and fire 2, 3, 5, 7."""
    taps = (1, *(_FIRES_OF_1_0[n] for n in (2, 3, 5, 7)))
    return FeatureNet(_layers(nn.Conv2d(3, 96, 7, 2), _FIRES_OF_1_0), taps, preprocessing, relative_features=True)


def squeezenet1_0_caffe() -> FeatureNet:
    """The same network for the authors' Caffe weights: BGR bytes minus the mean."""
    return squeezenet1_0(CAFFE)


def squeezenet1_1() -> FeatureNet:
    """Features after conv1 and fire 3, 5, 6, 7, 8, 9, as LPIPS uses them."""
    taps = (1, *(_FIRES_OF_1_1[n] for n in (3, 5, 6, 7, 8, 9)))
    return FeatureNet(_layers(nn.Conv2d(3, 64, 3, 2), _FIRES_OF_1_1), taps, IMAGENET, relative_features=True)


def caffe_names() -> dict[str, str]:
    """Names of the Caffe file (conv1, fire2/squeeze1x1 ...) -> names of `squeezenet1_0()`."""
    names = {"conv1": "features.0"}
    for number, layer in _FIRES_OF_1_0.items():
        for caffe, ours in (("squeeze1x1", "squeeze"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
            names[f"fire{number}/{caffe}"] = f"features.{layer}.{ours}"
    return {f"{caffe}.{kind}": f"{ours}.{kind}" for caffe, ours in names.items() for kind in ("weight", "bias")}
