"""MobileFaceNet (Chen et al., 2018): a small face recogniser, for CSIM in reports."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.losses.frozen.features import Frozen, Preprocessing

_BLOCKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""Expansion, channels, repetitions, stride of the first."""
_TAPS = (4, 11, 14)
"""Blocks whose outputs are features: the last of each size."""
INPUT = Preprocessing((127.5, 127.5, 127.5), (128.0, 128.0, 128.0), scale=255.0)


class _Convolution(nn.Module):
    """Convolution, batch norm and, unless `linear`, PReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        linear: bool = False,
    ):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        if not linear:
            self.prelu = nn.PReLU(outputs)
        self.linear = linear

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B E h w"]:
        x = self.bn(self.conv(x))
        return x if self.linear else self.prelu(x)


class _Bottleneck(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 projection; a skip where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        inner = inputs * expansion
        self.skip = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.PReLU(inner),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.PReLU(inner),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B E h w"]:
        return x + self.conv(x) if self.skip else self.conv(x)


class MobileFaceNet(Frozen):
    """Face of 112 x 96 px, aligned by `data.alignment.five_point_face` -> 128 numbers that tell people apart."""

    relative_features = True

    def __init__(self):
        super().__init__()
        self.conv1 = _Convolution(3, 64, 3, 2, 1)
        self.dw_conv1 = _Convolution(64, 64, 3, 1, 1, groups=64)
        self.blocks = nn.Sequential()
        channels = 64
        for expansion, outputs, count, stride in _BLOCKS:
            for i in range(count):
                self.blocks.append(_Bottleneck(channels, outputs, stride if i == 0 else 1, expansion))
                channels = outputs
        self.conv2 = _Convolution(channels, 512, 1)
        self.linear7 = _Convolution(512, 512, (7, 6), groups=512, linear=True)
        self.linear1 = _Convolution(512, 128, 1, linear=True)

    def forward(self, rgb: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """RGB in [0, 1] -> feature maps at 1/4, 1/8 and 1/16 of the size."""
        x, found = self.dw_conv1(self.conv1(INPUT(rgb))), []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in _TAPS:
                found.append(x)
        return found

    def embed(self, face: Float[Tensor, "B 3 112 96"]) -> Float[Tensor, "B 128"]:
        """RGB in [0, 1] -> unit vectors: the sum of the embeddings of the face and of its mirror image."""
        return F.normalize(self._vector(face) + self._vector(face.flip(-1)), dim=1)

    def _vector(self, face: Float[Tensor, "B 3 112 96"]) -> Float[Tensor, "B 128"]:
        return self.linear1(self.linear7(self.conv2(self(face)[-1]))).flatten(1)
