"""What networks and trackers say of a method's pictures; each judge gives columns of one number for each frame.

Columns are named "REGION_METRIC"; NaN is "no value". Judges see the pictures over grey, as all scores do.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from megaportraits.config import EvaluateConfig
from megaportraits.data.alignment import aligned_face, five_point_face
from megaportraits.data.faces import FaceTracker
from megaportraits.data.keypoints import select
from megaportraits.data.regions import regions
from megaportraits.evaluate.frames import LANDMARKS, Frames
from megaportraits.evaluate.poses import load_pose_net
from megaportraits.evaluate.protocols import Sample
from megaportraits.geometry import rotation_error_deg
from megaportraits.losses.pretrained import load_frozen
from megaportraits.metrics import eye_opening, landmark_error, mouth_opening
from megaportraits.metrics.landmarks import EYES, MOUTH
from megaportraits.models.gaze import GazeNet, gaze_error_deg
from megaportraits.models.identity import IdentityNet
from megaportraits.models.motion_encoder import HeadPoseNet
from megaportraits.tensors import HeadPose, over_grey

Pictures = Float[Tensor, "T 3 S S"]
Columns = dict[str, Float[Tensor, " T"]]
Judge = Callable[[Sample, Pictures], Columns]
"""(sample, a method's pictures) -> columns."""
_TRACKER_PX = 256
"""Smaller results are enlarged to this for MediaPipe."""


@contextlib.contextmanager
def open_judges(config: EvaluateConfig, own_pose_net: HeadPoseNet, samples: Sequence[Sample]) -> Iterator[list[Judge]]:
    """The judges that the settings ask for and the data allows: true poses for rendered clips, MediaPipe for videos.

    Raises:
        UserError: a network cannot be read.
    """
    pose_net = load_pose_net(config.pose_net) if config.pose_net else own_pose_net
    judges: list[Judge] = []
    if config.gaze_net:
        judges.append(GazeJudge(GazeNet.load(config.gaze_net)))
    if config.lpips:
        judges.append(LpipsJudge(load_frozen("lpips", config.lpips)))
    if config.recogniser:
        judges.append(LikenessJudge(embedder(config.recogniser, pose_net)))
    with contextlib.ExitStack() as stack:
        if samples[0].target.pose is None:
            judges.append(LandmarkJudge(stack.enter_context(FaceTracker(video=False))))
        else:
            judges.insert(0, PoseJudge(pose_net))
        yield judges


class PoseJudge:
    """Angle between the head pose that a net sees in the result and the true one, in degrees."""

    def __init__(self, network: HeadPoseNet):
        self.network = network

    @torch.inference_mode()
    def __call__(self, sample: Sample, result: Pictures) -> Columns:
        found = seen_pose(self.network, result).rotation
        return {"head_pose_deg": rotation_error_deg(found, cast(HeadPose, sample.target.pose).rotation)}


class GazeJudge:
    """Angle between the gaze that a net sees in the result and in the right answer, in degrees."""

    def __init__(self, network: GazeNet):
        self.network = network

    @torch.inference_mode()
    def __call__(self, sample: Sample, result: Pictures) -> Columns:
        points = _keypoints(sample.target)
        found, wanted = (self.network.look(p, points).gaze_deg for p in (result, sample.target.over_grey()))
        return {"eyes_gaze_deg": gaze_error_deg(found, wanted).float()}


class LpipsJudge:
    """LPIPS of result and right answer; everything outside the first region (head or face) is grey in both."""

    def __init__(self, network: nn.Module):
        self.network = network

    @torch.inference_mode()
    def __call__(self, sample: Sample, result: Pictures) -> Columns:
        target = sample.target
        matte = None if target.pose is None else target.foreground()
        name, mask = next(iter(regions(target.landmarks, target.landmark_ids, matte, result.shape[-1]).items()))
        return {f"{name}_lpips": self.network(over_grey(result, mask), over_grey(target.over_grey(), mask))}


Embedder = Callable[[Pictures, Frames], Float[Tensor, "T D"]]
"""Pictures and frames whose geometry they have -> embeddings of length 1."""


class LikenessJudge:
    """CSIM: cosine between the embeddings of the result and of the source picture."""

    def __init__(self, embed: Embedder):
        self.embed = embed

    @torch.inference_mode()
    def __call__(self, sample: Sample, result: Pictures) -> Columns:
        known = self.embed(sample.source.over_grey(), sample.source)
        return {"face_csim": (self.embed(result, sample.target) * known).sum(-1)}


def embedder(path: str, pose_net: HeadPoseNet) -> Embedder:
    """A recogniser: our own from a checkpoint folder, MobileFaceNet from a file.

    Raises:
        UserError: it cannot be read.
    """
    if Path(path).is_dir():
        own = IdentityNet.load(path)

        def by_pose(pictures: Pictures, frames: Frames) -> Float[Tensor, "T D"]:
            pose = seen_pose(pose_net, frames.picture()) if frames.pose is None else frames.pose
            return own.embed(aligned_face(pictures, pose, own.config.input_px))

        return by_pose
    network = cast(IdentityNet, load_frozen("mobilefacenet", path))
    return lambda pictures, frames: network.embed(five_point_face(pictures, _keypoints(frames)))


class LandmarkJudge:
    """MediaPipe on the result against MediaPipe on the driver: errors in eye distances, and openings of the result.

    NaN in all columns where no face is found in the result.
    """

    def __init__(self, tracker: FaceTracker):
        self.tracker = tracker

    def __call__(self, sample: Sample, result: Pictures) -> Columns:
        found, truth = self.landmarks(result), sample.target.landmarks
        return {
            "mouth_landmarks": landmark_error(found, truth, MOUTH),
            "eyes_landmarks": landmark_error(found, truth, EYES),
            "mouth_opening": mouth_opening(found),
            "eyes_opening": eye_opening(found),
        }

    def landmarks(self, pictures: Pictures) -> Float[Tensor, "T L 2"]:
        """MediaPipe's 468 landmarks of pictures in crop coordinates, NaN where it finds no face."""
        side = max(_TRACKER_PX, pictures.shape[-1])
        out = torch.full((len(pictures), LANDMARKS, 2), torch.nan)
        for i, picture in enumerate((pictures.clamp(0, 1) * 255 + 0.5).byte().permute(0, 2, 3, 1).numpy()):
            large = Image.fromarray(np.ascontiguousarray(picture)).resize((side, side), Image.Resampling.BICUBIC)
            found = self.tracker.landmarks(np.array(large))
            if found is not None:
                out[i] = torch.from_numpy(found[:LANDMARKS, :2] * 2 / side - 1)
        return out


def seen_pose(network: HeadPoseNet, pictures: Pictures) -> HeadPose:
    """The head pose that a net on any device sees, on the CPU."""
    device = next(network.parameters()).device
    pose = network(pictures.to(device))
    return HeadPose(pose.rotation.cpu(), pose.scale.cpu(), pose.translation.cpu())


def _keypoints(frames: Frames) -> Float[Tensor, "T K 2"]:
    return torch.from_numpy(select(frames.landmarks.numpy(), frames.landmark_ids))
