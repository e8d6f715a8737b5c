"""InceptionV3 (Szegedy et al., 2016) as FID uses it: TensorFlow's weights of 2015, ported by pytorch-fid.

Differences from the usual InceptionV3: averages leave the border's padding out, and the pool of the last block takes
maxima. Names are those of the file `pt_inception-2015-12-05-6726825d.pth`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.losses.frozen.features import Frozen, Preprocessing

SIZE = 299
"""Height and width of the network's input in pixels."""
INPUT = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""RGB in [0, 1] -> [-1, 1]."""


class Step(NamedTuple):
    """A convolution with its batch norm."""

    outputs: int
    high: int
    wide: int


Branch = Sequence[Step | tuple[Step, Step]]
"""Convolutions in a row; a pair stands side by side. In the branch of the pool they follow it; blocks that halve the
picture have none there."""

_SPLIT = (Step(384, 1, 3), Step(384, 3, 1))
_STEM = (
    # channels in, channels out, kernel, stride, padding
    ("Conv2d_1a_3x3", 3, 32, 3, 2, 0),
    ("Conv2d_2a_3x3", 32, 32, 3, 1, 0),
    ("Conv2d_2b_3x3", 32, 64, 3, 1, 1),
    ("pool1",),
    ("Conv2d_3b_1x1", 64, 80, 1, 1, 0),
    ("Conv2d_4a_3x3", 80, 192, 3, 1, 0),
    ("pool2",),
)


def _at_35_px(pooled: int) -> dict[str, Branch]:
    return {
        "branch1x1": [Step(64, 1, 1)],
        "branch5x5": [Step(48, 1, 1), Step(64, 5, 5)],
        "branch3x3dbl": [Step(64, 1, 1), Step(96, 3, 3), Step(96, 3, 3)],
        "branch_pool": [Step(pooled, 1, 1)],
    }


def _at_17_px(width: int) -> dict[str, Branch]:
    return {
        "branch1x1": [Step(192, 1, 1)],
        "branch7x7": [Step(width, 1, 1), Step(width, 1, 7), Step(192, 7, 1)],
        "branch7x7dbl": [Step(width, 1, 1), Step(width, 7, 1), Step(width, 1, 7), Step(width, 7, 1), Step(192, 1, 7)],
        "branch_pool": [Step(192, 1, 1)],
    }


_AT_8_PX: dict[str, Branch] = {
    "branch1x1": [Step(320, 1, 1)],
    "branch3x3": [Step(384, 1, 1), _SPLIT],
    "branch3x3dbl": [Step(448, 1, 1), Step(384, 3, 3), _SPLIT],
    "branch_pool": [Step(192, 1, 1)],
}
_TO_17_PX: dict[str, Branch] = {
    "branch3x3": [Step(384, 3, 3)],
    "branch3x3dbl": [Step(64, 1, 1), Step(96, 3, 3), Step(96, 3, 3)],
    "branch_pool": [],
}
_TO_8_PX: dict[str, Branch] = {
    "branch3x3": [Step(192, 1, 1), Step(320, 3, 3)],
    "branch7x7x3": [Step(192, 1, 1), Step(192, 1, 7), Step(192, 7, 1), Step(192, 3, 3)],
    "branch_pool": [],
}
_BLOCKS: tuple[tuple[str, int, dict[str, Branch]], ...] = (
    # channels in, branches
    ("Mixed_5b", 192, _at_35_px(32)),
    ("Mixed_5c", 256, _at_35_px(64)),
    ("Mixed_5d", 288, _at_35_px(64)),
    ("Mixed_6a", 288, _TO_17_PX),
    ("Mixed_6b", 768, _at_17_px(128)),
    ("Mixed_6c", 768, _at_17_px(160)),
    ("Mixed_6d", 768, _at_17_px(160)),
    ("Mixed_6e", 768, _at_17_px(192)),
    ("Mixed_7a", 768, _TO_8_PX),
    ("Mixed_7b", 1280, _AT_8_PX),
    ("Mixed_7c", 2048, _AT_8_PX),
)
_MAXIMUM_POOL = "Mixed_7c"


class _Convolution(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int, padding: int | tuple[int, int]
    ):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B E h w"]:
        return self.bn(self.conv(x)).relu_()


class _Mixed(nn.Module):
    """Branches side by side, one of them behind a pool.

    Args:
        inputs: channels in.
        branches: of convolutions, in the order of their outputs.
        pool: what `branch_pool` begins with.
        halves: the last convolution of each branch has stride 2 and no padding.
    """

    def __init__(self, inputs: int, branches: Mapping[str, Branch], pool: nn.Module, halves: bool):
        super().__init__()
        self.pool = pool
        self.branches = {name: self._branch(inputs, name, steps, halves) for name, steps in branches.items()}

    def _branch(self, inputs: int, name: str, steps: Branch, halves: bool) -> list[list[str]]:
        """Names of the convolutions, made here, that stand side by side at each step."""
        made = []
        for number, step in enumerate(steps, 1):
            numbered = f"{name}_{number}" if len(steps) > 1 else name
            beside = (
                {numbered: step}
                if isinstance(step, Step)
                else {f"{numbered}{c}": s for c, s in zip("ab", step, strict=True)}
            )
            for key, (outputs, high, wide) in beside.items():
                last = halves and number == len(steps)
                shape = (2, 0) if last else (1, (high // 2, wide // 2))
                self.add_module(key, _Convolution(inputs, outputs, (high, wide), *shape))
            inputs = sum(s.outputs for s in beside.values())
            made.append(list(beside))
        return made

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B E h w"]:
        outputs = []
        for name, steps in self.branches.items():
            y = self.pool(x) if name == "branch_pool" else x
            for names in steps:
                y = torch.cat([self.get_submodule(key)(y) for key in names], 1)
            outputs.append(y)
        return torch.cat(outputs, 1)


class InceptionV3(Frozen):
    """Pictures of any size -> 2048 numbers each, whose distribution FID and KID compare."""

    def __init__(self):
        super().__init__()
        for name, *shape in _STEM:
            self.add_module(name, _Convolution(*shape) if shape else nn.MaxPool2d(3, 2))
        for name, inputs, branches in _BLOCKS:
            halves = not branches["branch_pool"]
            if halves or name == _MAXIMUM_POOL:
                pool = nn.MaxPool2d(3, *((2, 0) if halves else (1, 1)))
            else:
                pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
            self.add_module(name, _Mixed(inputs, branches, pool, halves))

    def forward(self, rgb: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 2048"]:
        """RGB in [0, 1] -> means of the last feature map. Pictures are resized as pytorch-fid does: bilinear, without
        antialiasing."""
        x = INPUT(F.interpolate(rgb, (SIZE, SIZE), mode="bilinear", align_corners=False))
        for layer in self.children():
            x = layer(x)
        return x.mean((2, 3))
