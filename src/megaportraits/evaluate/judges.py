"""What networks and trackers say of a method's pictures, which they see over grey, as all scores do."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.config import EvaluateConfig
from megaportraits.data.alignment import aligned_face, five_point_face
from megaportraits.data.faces import FaceTracker
from megaportraits.data.keypoints import select
from megaportraits.evaluate.face_reader import FaceReader
from megaportraits.evaluate.frames import LANDMARKS, Frames
from megaportraits.evaluate.judging import Columns, Judge, Pictures
from megaportraits.evaluate.networks import OnDevice
from megaportraits.evaluate.protocols import Sample
from megaportraits.evaluate.steadiness import WarpJudge, answer, flicker
from megaportraits.geometry import rotation_error_deg
from megaportraits.losses.perceptual import perceptual_loss
from megaportraits.losses.pretrained import load_frozen
from megaportraits.metrics import expression_measures, eye_opening, landmark_error, mouth_opening
from megaportraits.metrics.landmarks import EYES, MOUTH
from megaportraits.models.gaze import GazeNet, gaze_error_deg
from megaportraits.models.identity import IdentityNet
from megaportraits.models.motion_encoder import HeadPoseNet
from megaportraits.tensors import HeadPose, over_grey


@contextlib.contextmanager
def open_judges(
    config: EvaluateConfig, own_pose_net: HeadPoseNet, moving: Callable[[Sample], Pictures] = answer
) -> Iterator[list[Judge]]:
    """The judges that the settings ask for; MediaPipe and a head pose net always.

    Args:
        moving: gives the pictures whose optical flow all methods' are held against.

    Raises:
        UserError: a network cannot be read.
    """
    pose_net = HeadPoseNet.load(config.pose_net) if config.pose_net else own_pose_net
    device = next(own_pose_net.parameters()).device
    judges: list[Judge] = [PoseJudge(pose_net)]
    if config.step == 1:
        judges += [flicker, WarpJudge(moving)]
    if config.lpips:
        judges.append(LpipsJudge(OnDevice(load_frozen("lpips", config.lpips), device)))
    if config.squeezenet:
        judges.append(FeatureJudge(load_frozen("squeezenet1_0", config.squeezenet)))
    if config.iqa:
        judges.append(QualityJudge(OnDevice(load_frozen("hyperiqa", config.iqa), device)))
    with FaceTracker(video=False) as tracker:
        faces = FaceReader(tracker)
        if config.gaze_net:
            judges.append(GazeJudge(GazeNet.load(config.gaze_net), faces))
        if config.recogniser:
            judges.append(LikenessJudge(embedder(config.recogniser, pose_net, faces)))
        yield [*judges, LandmarkJudge(faces)]


class PoseJudge:
    """Angle between the head pose that a net sees in the result and the wanted one (true, or fit to landmarks)."""

    def __init__(self, network: HeadPoseNet):
        self.network = network

    @torch.inference_mode()
    def __call__(self, sample: Sample, result: Pictures) -> Columns:
        found = seen_pose(self.network, result).rotation
        return {"head_pose_deg": rotation_error_deg(found, sample.wanted.pose.rotation)}


class GazeJudge:
    """Angle between the gaze that a net sees in the result and in the right answer (or driver), in degrees.

    Both pictures' eyes are cut out by the right answer's landmarks, so that eyes in a wrong place count; where there is
    none, those of the result, another person's, by MediaPipe's, and NaN where it finds no face.
    """

    def __init__(self, network: GazeNet, faces: FaceReader):
        self.network, self.faces = network, faces

    @torch.inference_mode()
    def __call__(self, sample: Sample, result: Pictures) -> Columns:
        points = _keypoints(sample.wanted.landmarks, sample.wanted.landmark_ids)
        wanted = self.network.look(sample.wanted.over_grey(), points).gaze_deg
        if sample.target is None:
            points = _keypoints(self.faces.landmarks(result), range(LANDMARKS))
        error = gaze_error_deg(self.network.look(result, points).gaze_deg, wanted).float()
        return {"eyes_gaze_deg": error.where(points.isfinite().any(-1).any(-1), torch.nan)}


class LpipsJudge:
    """LPIPS of result and right answer: raw, and with everything outside the head (or face) grey in both."""

    def __init__(self, network: nn.Module):
        self.network = network

    @torch.inference_mode()
    def __call__(self, sample: Sample, result: Pictures) -> Columns:
        if sample.target is None:
            return {}
        return {
            f"{name}_lpips": self.network(over_grey(result, mask), over_grey(sample.target.over_grey(), mask))
            for name, mask in _raw_and_masked(sample.target).items()
        }


class FeatureJudge:
    """Distance between a frozen network's features of result and right answer, as the loss L_IN takes it (one scale):
    raw, and with everything outside the head (or face) grey in both. It is not LPIPS."""

    def __init__(self, network: nn.Module):
        self.network = network

    @torch.inference_mode()
    def __call__(self, sample: Sample, result: Pictures) -> Columns:
        if sample.target is None:
            return {}
        truth = sample.target.over_grey()
        columns: Columns = {}
        for name, mask in _raw_and_masked(sample.target).items():
            pairs = zip(over_grey(result, mask), over_grey(truth, mask), strict=True)
            columns[f"{name}_squeezenet"] = torch.stack(
                [perceptual_loss(self.network, a[None], b[None], 1) for a, b in pairs]
            )
        return columns


def _raw_and_masked(target: Frames) -> dict[str, Float[Tensor, "T 1 S S"]]:
    """The whole picture, and its first region."""
    name, mask = next(iter(target.regions().items()))
    return {"raw": torch.ones_like(mask), name: mask}


class QualityJudge:
    """Picture quality without a reference (IQA), of the result as it is."""

    def __init__(self, network: nn.Module):
        self.network = network

    @torch.inference_mode()
    def __call__(self, sample: Sample, result: Pictures) -> Columns:
        return {"raw_iqa": self.network(result)}


Embedder = Callable[[Pictures], Float[Tensor, "T D"]]
"""Pictures of faces anywhere -> embeddings of length 1; NaN where no face is found."""


class LikenessJudge:
    """CSIM: cosine between the embeddings of the result and of the source picture; and, where another person drives,
    leak: the same with the driver's. Every face is cut out where it is in its own picture."""

    def __init__(self, embed: Embedder):
        self.embed = embed

    @torch.inference_mode()
    def __call__(self, sample: Sample, result: Pictures) -> Columns:
        found = self.embed(result)
        columns = {"face_csim": (found * self.embed(sample.source.over_grey())).sum(-1)}
        if sample.crossed:
            columns["face_leak"] = (found * self.embed(sample.driver.over_grey())).sum(-1)
        return columns


def embedder(path: str, pose_net: HeadPoseNet, faces: FaceReader) -> Embedder:
    """A recogniser: our own from a checkpoint folder, MobileFaceNet from a file.

    Raises:
        UserError: it cannot be read.
    """
    if Path(path).is_dir():
        own = IdentityNet.load(path)
        return lambda pictures: own.embed(aligned_face(pictures, seen_pose(pose_net, pictures), own.config.input_px))
    network = cast(IdentityNet, load_frozen("mobilefacenet", path))
    ids = range(LANDMARKS)
    return lambda pictures: network.embed(five_point_face(pictures, _keypoints(faces.landmarks(pictures), ids)))


class LandmarkJudge:
    """MediaPipe on the result against MediaPipe on the right answer (or driver), both over grey.

    Where there is a right answer, errors of the landmarks in eye distances; always the openings of mouth and eyes, and
    the expression error: how far six measures of the face are from the wanted ones, each as a difference from its mean
    over the sample's frames, so that it does not matter whose face it is. NaN where no face is found.
    """

    def __init__(self, faces: FaceReader):
        self.faces = faces

    def __call__(self, sample: Sample, result: Pictures) -> Columns:
        found, wanted = self.faces.landmarks(result), self.faces.landmarks(sample.wanted.over_grey())
        columns = {
            "face_expression": _expression_error(found, wanted),
            "mouth_opening": mouth_opening(found),
            "eyes_opening": eye_opening(found),
        }
        if sample.target is None:
            return columns
        return columns | {
            "mouth_landmarks": landmark_error(found, wanted, MOUTH),
            "eyes_landmarks": landmark_error(found, wanted, EYES),
        }


def _expression_error(found: Float[Tensor, "T L 2"], wanted: Float[Tensor, "T L 2"]) -> Float[Tensor, " T"]:
    known = (found + wanted).isfinite().all((1, 2))
    error = torch.full((len(found),), torch.nan)
    if known.sum() > 1:
        a, b = (expression_measures(points[known]) for points in (found, wanted))
        error[known] = ((a - a.mean(0)) - (b - b.mean(0))).abs().mean(1)
    return error


def seen_pose(network: HeadPoseNet, pictures: Pictures) -> HeadPose:
    """The head pose that a net on any device sees, on the CPU."""
    device = next(network.parameters()).device
    pose = network(pictures.to(device))
    return HeadPose(pose.rotation.cpu(), pose.scale.cpu(), pose.translation.cpu())


def _keypoints(landmarks: Float[Tensor, "T L 2"], landmark_ids: Sequence[int]) -> Float[Tensor, "T K 2"]:
    return torch.from_numpy(select(landmarks.numpy(), landmark_ids))
