"""The gaze and blink net, whose features are compared by L_gaze.

Paper: B.5, Eq. 4. Choices (docs/gaze.md): one VGG16 for both eyes; neither eye is mirrored, so that the sum of the two
vectors keeps left and right apart; no norms; keypoints relative to the eyes.
"""

import itertools
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.config import GazeNetConfig
from megaportraits.data.eyes import EyeState, eye_crops, relative_keypoints
from megaportraits.data.keypoints import KEYPOINTS
from megaportraits.models.network import Network

_CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Of VGG16's blocks (Simonyan and Zisserman, 2015, configuration D)."""


class GazeNet(Network):
    """Pictures of both eyes and keypoints -> gaze and blink."""

    kind, sizes = "gaze", GazeNetConfig

    def __init__(self, config: GazeNetConfig):
        super().__init__()
        self.config = config
        self.blocks, inputs = nn.ModuleList(), 3
        for width, count in zip(config.widths, _CONVOLUTIONS, strict=True):
            layers = [nn.Conv2d(inputs if i == 0 else width, width, 3, padding=1) for i in range(count)]
            self.blocks.append(nn.ModuleList(layers))
            inputs = width
        self.to_vector = nn.Linear(inputs * (config.eye_px // 32) ** 2, config.eye_features)
        hidden, points, vector = config.head_width, config.keypoint_features, config.eye_features
        self.keypoints = nn.Sequential(*_linears(2 * len(KEYPOINTS), points, points, points), nn.ReLU())
        self.gaze = nn.Sequential(*_linears(vector + points, hidden, 2))
        self.blink = nn.Sequential(*_linears(vector, hidden, 2))
        self.apply(_initialise)
        for head in (self.gaze, self.blink):
            nn.init.normal_(cast(Tensor, head[-1].weight), std=1e-2)

    def features(self, eyes: Float[Tensor, "N 3 S S"]) -> list[Float[Tensor, "N C s s"]]:
        """Feature maps at five depths, before each pooling. Eyes are in [0, 1]."""
        maps, x = [], eyes * 2 - 1
        for number, block in enumerate(self.blocks):
            x = F.max_pool2d(x, 2) if number else x
            for layer in cast(nn.ModuleList, block):
                x = F.relu(layer(x))
            maps.append(x)
        return maps

    def forward(self, eyes: Float[Tensor, "B 2 3 S S"], keypoints: Float[Tensor, "B K 2"]) -> EyeState:
        """Eyes as `eye_crops` cuts them; keypoints in crop coordinates."""
        deepest = F.max_pool2d(self.features(eyes.flatten(0, 1))[-1], 2).flatten(1)
        both = F.relu(self.to_vector(deepest)).unflatten(0, (-1, 2)).sum(1)
        points = self.keypoints(relative_keypoints(keypoints).flatten(1))
        gaze, blink = self.gaze(torch.cat([both, points], 1)).float(), self.blink(both).float()
        return EyeState(torch.rad2deg(gaze), blink.sigmoid())

    def look(self, image: Float[Tensor, "B 3 H W"], keypoints: Float[Tensor, "B K 2"]) -> EyeState:
        """Gaze and blink of a crop in [0, 1]; without meaning where the corners of the eyes are unknown."""
        return self(eye_crops(image, keypoints, self.config.eye_px), keypoints)


def _linears(*widths: int) -> list[nn.Module]:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return layers[:-1]


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)


def gaze_directions(gaze_deg: Float[Tensor, "B 2"]) -> Float[Tensor, "B 3"]:
    """Unit vectors in head axes (x right in the picture, y down, z away from the viewer) of (yaw, pitch)."""
    yaw, pitch = torch.deg2rad(gaze_deg).unbind(-1)
    return torch.stack([yaw.sin() * pitch.cos(), -pitch.sin(), -yaw.cos() * pitch.cos()], -1)


def gaze_error_deg(a: Float[Tensor, "B 2"], b: Float[Tensor, "B 2"]) -> Float[Tensor, " B"]:
    """Angle between two gazes (yaw, pitch), in degrees."""
    u, v = gaze_directions(a.double()), gaze_directions(b.double())
    return torch.rad2deg(torch.atan2(torch.linalg.cross(u, v).norm(dim=-1), (u * v).sum(-1)))
