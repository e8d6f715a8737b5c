"""E_mtn: head pose (R, t, scale) and latent expression z of a picture, by two separate ResNet-18.

Paper: 3.1, A.1. Choices (docs/paper.md): the pose net sees the whole crop; the expression net sees the face region,
found by the pose's 2D similarity; the scale is part of the pose; t_z = 0.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits import geometry
from megaportraits.checkpoint import read_model
from megaportraits.config import MotionConfig, from_dict
from megaportraits.models.appearance_encoder import imagenet_normalise
from megaportraits.models.network import checked_load
from megaportraits.models.resnet import ResNetTrunk
from megaportraits.tensors import HeadPose, Motion


def _shrink(image: Float[Tensor, "B 3 H W"], size: int) -> Float[Tensor, "B 3 S S"]:
    return F.interpolate(image, size=(size, size), mode="bilinear", antialias=True)


_IN_BASE = "motion_encoder.pose."


class HeadPoseNet(nn.Module):
    """Whole crop in [0, 1] -> head pose. Trained on rendered heads, then frozen."""

    @staticmethod
    def load(path: str | Path) -> "HeadPoseNet":
        """Read a checkpoint of `megaportraits train pose`, or the head pose net of a base model, for use.

        Raises:
            UserError: no checkpoint there, another kind of model, or keys that do not match.
        """
        facts, tensors = read_model(path, "pose", "base")
        sizes = facts["model"]
        if facts["kind"] == "base":
            sizes = sizes["motion"]
            tensors = {key.removeprefix(_IN_BASE): value for key, value in tensors.items() if key.startswith(_IN_BASE)}
        network = HeadPoseNet(from_dict(MotionConfig, sizes))
        checked_load(network, tensors, path)
        return network.eval().requires_grad_(False)

    def __init__(self, config: MotionConfig):
        super().__init__()
        self.input_px = config.input_px
        self.trunk = ResNetTrunk(18, config.pose_base)
        self.head = nn.Linear(self.trunk.out_channels * 16, 9)
        nn.init.normal_(self.head.weight, std=1e-3)
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1.0, 0, 0, 0, 0]))

    def features(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B F"]:
        """What the pose is read from."""
        return F.adaptive_avg_pool2d(self.trunk(_shrink(image, self.input_px) * 2 - 1), 4).flatten(1)

    def read(self, features: Float[Tensor, "B F"]) -> HeadPose:
        """The head pose that features hold."""
        numbers = self.head(features)
        numbers = numbers.to(geometry.working_type(numbers))
        translation = F.pad(numbers[:, 7:9], (0, 1))
        return HeadPose(geometry.rotation_from_6d(numbers[:, :6]), numbers[:, 6].exp(), translation)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> HeadPose:
        return self.read(self.features(image))


class ExpressionNet(nn.Module):
    """Upright face region in [0, 1] -> z."""

    def __init__(self, config: MotionConfig):
        super().__init__()
        self.trunk = ResNetTrunk(18, config.expression_base)
        self.head = nn.Linear(self.trunk.out_channels * 16, config.expression)

    def forward(self, face: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B Z"]:
        return self.head(F.adaptive_avg_pool2d(self.trunk(imagenet_normalise(face)), 4).flatten(1))


class MotionEncoder(nn.Module):
    """E_mtn."""

    def __init__(self, config: MotionConfig):
        super().__init__()
        self.input_px = config.input_px
        self.pose = HeadPoseNet(config)
        self.expression = ExpressionNet(config)

    def encode_expression(self, image: Float[Tensor, "B 3 H W"], pose: HeadPose) -> Float[Tensor, "B Z"]:
        """z of a crop whose head pose is known."""
        face = geometry.sample(image, geometry.face_region_grid(pose.detach(), self.input_px))
        return self.expression(face)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Motion:
        pose = self.pose(image)
        return Motion(pose, self.encode_expression(image, pose))
