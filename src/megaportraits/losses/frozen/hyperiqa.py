"""HyperIQA (Su et al., CVPR 2020): quality of a photo without a reference, for IQA in reports.

A ResNet-50 sees the picture; from its last features a hyper network makes the weights of a small target network, which
judges the features of all stages. Names are those of `koniq_pretrained.pkl`.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.losses.frozen.features import IMAGENET, Frozen

CROP = 224
"""Height and width in pixels of what is judged at once."""
GRID = 3
"""Crops in each direction."""
_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Inner channels, blocks, stride of the first, of the four stages of ResNet-50."""
_LOCAL = ((256, 16, 8), (512, 32, 4), (1024, 64, 2))
"""Channels of a stage, channels kept, cells of 7 x 7 places in each direction."""
_LOCAL_FEATURES = 16
"""Numbers from each of the first three stages."""
_HYPER = 112
"""Channels of the hyper network's input."""
_TARGET = (224, 112, 56, 28, 14)
"""Widths of the target network, whose last layer gives one number."""
_PLACES = (CROP // 32) ** 2
"""Of the last feature map: each gives as many of the target's weights."""


class _Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution, and a skip."""

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample = nn.Identity()
        if inputs != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B E h w"]:
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y)).relu_()
        return (self.bn3(self.conv3(y)) + self.downsample(x)).relu_()


class _Backbone(nn.Module):
    """ResNet-50 without its classifier, and numbers from each stage ("local distortion aware")."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for number, (width, count, stride) in enumerate(_STAGES, 1):
            blocks = [
                _Bottleneck(channels if i == 0 else 4 * width, width, stride if i == 0 else 1) for i in range(count)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            channels = 4 * width
        for number, (inputs, kept, cells) in enumerate(_LOCAL, 1):
            self.add_module(f"lda{number}_pool", nn.Sequential(nn.Conv2d(inputs, kept, 1, bias=False), nn.AvgPool2d(7)))
            self.add_module(f"lda{number}_fc", nn.Linear(kept * cells**2, _LOCAL_FEATURES))
        self.lda4_pool = nn.AvgPool2d(7)
        self.lda4_fc = nn.Linear(channels, _TARGET[0] - _LOCAL_FEATURES * len(_LOCAL))

    def forward(self, x: Float[Tensor, "B 3 224 224"]) -> tuple[Float[Tensor, "B 2048 7 7"], Float[Tensor, "B 224"]]:
        x, found = self.maxpool(self.bn1(self.conv1(x)).relu_()), []
        for number in range(1, len(_STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
            pooled = self.get_submodule(f"lda{number}_pool")(x).flatten(1)
            found.append(self.get_submodule(f"lda{number}_fc")(pooled))
        return x, torch.cat(found, 1)


class HyperIqa(Frozen):
    """Quality of a picture on the scale of KonIQ-10k's mean opinion scores: 0 the worst, 100 the best."""

    def __init__(self):
        super().__init__()
        self.res = _Backbone()
        self.conv1 = nn.Sequential(
            nn.Conv2d(2048, 1024, 1), nn.ReLU(inplace=True),
            nn.Conv2d(1024, 512, 1), nn.ReLU(inplace=True),
            nn.Conv2d(512, _HYPER, 1), nn.ReLU(inplace=True),
        )  # fmt: skip
        for number, (inputs, outputs) in enumerate(pairwise(_TARGET), 1):
            self.add_module(f"fc{number}w_conv", nn.Conv2d(_HYPER, inputs * outputs // _PLACES, 3, padding=1))
            self.add_module(f"fc{number}b_fc", nn.Linear(_HYPER, outputs))
        self.fc5w_fc, self.fc5b_fc = nn.Linear(_HYPER, _TARGET[-1]), nn.Linear(_HYPER, 1)

    def forward(self, rgb: Float[Tensor, "B 3 H W"]) -> Float[Tensor, " B"]:
        """RGB in [0, 1] -> mean quality of a fixed grid of at most 3 x 3 crops.

        Pictures are not resized, but for the shorter side of small ones, which becomes 224 px. Deviation: the authors
        squeeze each picture to 384 px wide and 512 px high and judge random crops (25 in the paper).
        """
        picture = _enlarged(rgb)
        rows, columns = (_starts(side) for side in picture.shape[-2:])
        scores = [self.judge(picture[..., y : y + CROP, x : x + CROP]) for y in rows for x in columns]
        return torch.stack(scores).mean(0)

    def judge(self, crop: Float[Tensor, "B 3 224 224"]) -> Float[Tensor, " B"]:
        """RGB in [0, 1] -> quality."""
        features, vector = self.res(IMAGENET(crop))
        hidden, layers = vector[..., None], self._target(features)
        for weight, bias in layers[:-1]:
            hidden = torch.baddbmm(bias[..., None], weight, hidden).sigmoid()
        weight, bias = layers[-1]
        return torch.baddbmm(bias[..., None], weight, hidden).flatten()

    def _target(
        self, features: Float[Tensor, "B 2048 7 7"]
    ) -> list[tuple[Float[Tensor, "B _outputs _inputs"], Float[Tensor, "B _outputs"]]]:
        """Weights and biases of the target network's layers, of each picture its own."""
        x = self.conv1(features)
        pooled, layers = x.mean((2, 3)), []
        for number, (inputs, outputs) in enumerate(pairwise(_TARGET), 1):
            weight = self.get_submodule(f"fc{number}w_conv")(x).reshape(-1, outputs, inputs)
            layers.append((weight, self.get_submodule(f"fc{number}b_fc")(pooled)))
        return [*layers, (self.fc5w_fc(pooled)[:, None], self.fc5b_fc(pooled))]


def _enlarged(picture: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 h w"]:
    """Pictures with a side under 224 px, enlarged until their shorter side has it."""
    height, width = picture.shape[-2:]
    scale = CROP / min(height, width)
    if scale <= 1:
        return picture
    return F.interpolate(picture, (round(height * scale), round(width * scale)), mode="bilinear", align_corners=False)


def _starts(side: int) -> list[int]:
    """First rows (or columns) of the crops, evenly spread; one where the crop is all there is."""
    return sorted({(side - CROP) * i // (GRID - 1) for i in range(GRID)})
