"""Frozen networks that give feature maps of a picture: what they have in common."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Preprocessing:
    """What a network was trained on, made from RGB in [0, 1]: (scale * channel - mean) / deviation."""

    mean: tuple[float, float, float]
    """In the network's channel order and range."""
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """In the network's channel order and range."""
    scale: float = 1.0
    """1 for a range of [0, 1], 255 for bytes."""
    bgr: bool = False
    """The network's first channel is blue."""

    def __call__(self, rgb: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        mean, deviation = (rgb.new_tensor(v).view(1, 3, 1, 1) for v in (self.mean, self.deviation))
        return ((rgb.flip(1) if self.bgr else rgb) * self.scale - mean) / deviation


IMAGENET = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Networks of torchvision."""
CAFFE = Preprocessing((104.0, 117.0, 123.0), scale=255.0, bgr=True)
"""ImageNet networks of Caffe."""


class Frozen(nn.Module):
    """A network that is never trained: its batch norms use their stored statistics, whatever mode is asked for."""

    def train(self, mode: bool = True) -> "Frozen":
        return super().train(False)


class FeatureNet(Frozen):
    """Layers in a row, and the outputs of some of them.

    Args:
        features: the layers, numbered as in the file of the weights.
        taps: numbers of the layers whose outputs are features; what comes after the last is never run.
        preprocessing: from RGB in [0, 1] to the network's input.
        relative_features: magnitudes of the layers differ much; losses divide each layer by its truth's magnitude.
    """

    def __init__(
        self,
        features: nn.Sequential,
        taps: tuple[int, ...],
        preprocessing: Preprocessing,
        relative_features: bool = False,
    ):
        super().__init__()
        self.features, self.taps = features, taps
        self.preprocessing, self.relative_features = preprocessing, relative_features

    def forward(self, rgb: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """RGB in [0, 1] -> feature maps `B C h w`, from fine to coarse."""
        x, found = self.preprocessing(rgb), []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.taps:
                found.append(x)
            if number == self.taps[-1]:
                break
        return found
