"""ResNet-18 and ResNet-50 trunks with GroupNorm (He et al., CVPR 2016), any base width.

Paper: A.1 (two ResNet-18 in E_mtn, one ResNet-50 for e_s), GroupNorm in the place of BatchNorm.
Deviation: standard blocks in the ResNet-50, not the paper's "custom residual blocks" (docs/paper.md).
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.models.blocks import group_norm


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


class Block(nn.Module):
    """Basic (two 3x3) or bottleneck (1x1, 3x3, 1x1, four times wider) residual block, post-activation."""

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            convs = [_conv(inputs, width, 1), _conv(width, width, 3, stride), _conv(width, outputs, 1)]
        else:
            convs = [_conv(inputs, width, 3, stride), _conv(width, outputs, 3)]
        norms = [group_norm(c.out_channels) for c in convs]
        nn.init.zeros_(norms[-1].weight)
        self.convs, self.norms = nn.ModuleList(convs), nn.ModuleList(norms)
        self.skip = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(_conv(inputs, outputs, 1, stride), group_norm(outputs))
        )

    def forward(self, x: Float[Tensor, "B Ci H W"]) -> Float[Tensor, "B Co h w"]:
        h = x
        for i, (layer, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            h = norm(layer(h))
            if i < len(self.convs) - 1:
                h = F.relu(h)
        return F.relu(h + self.skip(x))


class ResNetTrunk(nn.Module):
    """Stem and four stages; the output has 1/32 of the side and `out_channels` channels."""

    def __init__(self, depth: int, base: int):
        super().__init__()
        counts, bottleneck = {18: ((2, 2, 2, 2), False), 50: ((3, 4, 6, 3), True)}[depth]
        self.stem = _conv(3, base, 7, 2)
        self.norm = group_norm(base)
        stages, channels = [], base
        for stage, count in enumerate(counts):
            width = base * 2**stage
            for i in range(count):
                stages.append(Block(channels, width, 2 if stage and i == 0 else 1, bottleneck))
                channels = 4 * width if bottleneck else width
        self.stages = nn.Sequential(*stages)
        self.out_channels = channels

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        x = F.max_pool2d(F.relu(self.norm(self.stem(image))), 3, 2, 1)
        return self.stages(x)
