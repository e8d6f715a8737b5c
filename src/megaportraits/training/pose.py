"""`megaportraits train pose`: the head pose net of E_mtn on rendered heads, where the truth is known (A.1).

Paper: the head pose net is pretrained. Deviation: trained on rendered truth, not on a landmark fit (docs/paper.md).
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits import geometry
from megaportraits.checkpoint import write_model
from megaportraits.config import MotionConfig, PoseTraining, preset, to_dict
from megaportraits.data.clips import find_clips
from megaportraits.data.keypoints import KEYPOINTS
from megaportraits.data.pairs import FrameStore, PoseDataset, PosedPicture, collate_poses
from megaportraits.models.motion_encoder import HeadPoseNet
from megaportraits.models.network import checked_load
from megaportraits.tensors import HeadPose
from megaportraits.training.loop import Terms, train
from megaportraits.training.stage import LoneStage


class PoseAndKeypoints(nn.Module):
    """The head pose net, and the keypoints read from the same features: what says where things are helps the pose."""

    def __init__(self, sizes: MotionConfig):
        super().__init__()
        self.pose = HeadPoseNet(sizes)
        self.keypoints = nn.Linear(self.pose.head.in_features, 2 * len(KEYPOINTS))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> tuple[HeadPose, Float[Tensor, "B K 2"]]:
        features = self.pose.features(image)
        return self.pose.read(features), self.keypoints(features).unflatten(1, (-1, 2))


class PoseStage(LoneStage):
    """Losses: L1 of the rotation matrix, of log scale, of translation, of keypoints where they are known."""

    def __init__(self, config: PoseTraining):
        torch.manual_seed(config.loop.seed)
        self.config = config
        self.sizes = preset(config.preset).motion
        self.batch = config.batch
        self.collate = collate_poses
        self.generator = PoseAndKeypoints(self.sizes)
        if config.start_from:
            checked_load(self.generator.pose, HeadPoseNet.load(config.start_from).state_dict(), config.start_from)
        self.store = FrameStore(find_clips(config.data, "train"), self.sizes.input_px, config.cache_gb)

    def dataset(self, length: int) -> PoseDataset:
        return PoseDataset(self.store, self.config, length)

    def to_device(self, batch: PosedPicture, device: torch.device) -> PosedPicture:
        picture, pose, points = batch
        pose = HeadPose(*(t.to(device) for t in (pose.rotation, pose.scale, pose.translation)))
        return picture.to(device), pose, points.to(device)

    def generator_terms(self, batch: PosedPicture, step: int) -> Terms:
        picture, truth, points = batch
        found, seen = self.generator(picture)
        known = points.isfinite()
        missed = torch.where(known, seen - points.nan_to_num(), 0.0).abs().mean()
        return {
            "rotation": ((found.rotation - truth.rotation).abs().mean(), 10.0),
            "scale": ((found.scale.log() - truth.scale.log()).abs().mean(), 5.0),
            "translation": ((found.translation - truth.translation).abs().mean(), 10.0),
            "keypoints": (missed, 10.0),
            "error_deg": (geometry.rotation_error_deg(found.rotation.detach(), truth.rotation).mean(), 0.0),
        }

    def export(self, average: nn.Module, folder: Path, facts: dict[str, Any]) -> None:
        assert isinstance(average, PoseAndKeypoints)
        write_model(folder, "pose", to_dict(self.sizes), average.pose.state_dict(), facts)


def train_pose(config: PoseTraining) -> None:
    """Train the head pose net of E_mtn on clips with true head poses."""
    train(PoseStage(config), config)
