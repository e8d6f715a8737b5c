"""How well the recognition net tells people apart: same person or not, from two upright faces.

    python recipes/identity_verification.py CLIPS [--videos FOLDER] [--net FOLDER] [--mobilefacenet FILE]

CLIPS is a folder of rendered clips in which each person performs several motions, for the model card the truth set of
`recipes/scoreboard.sh`. Pairs are frames of different motions. "disturbed" gives every frame its own colours,
background and, half of the time, no hair. FOLDER holds real videos, one person in each; there the pairs are frames of
one video against frames of two. FILE is a MobileFaceNet (docs/frozen-nets.md), for comparison.
"""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from megaportraits import geometry
from megaportraits.config import IdentityTraining
from megaportraits.data import augment
from megaportraits.data.alignment import aligned_face, five_point_face
from megaportraits.data.clips import find_clips, read_info
from megaportraits.data.crop import clip_crop
from megaportraits.data.faces import FaceTracker
from megaportraits.data.keypoints import select
from megaportraits.data.pairs import FrameStore
from megaportraits.data.video import READABLE, read_frames
from megaportraits.losses.pretrained import load_frozen
from megaportraits.models.base import BaseModel
from megaportraits.models.identity import IdentityNet
from megaportraits.models.network import shipped_weights
from megaportraits.tensors import HeadPose, stack

CROP_PX = 256
FRAMES, STRIDE = 8, 12
"""Of each video: how many frames, and every which one."""
LANDMARKS = range(468)


@dataclass(frozen=True)
class Shot:
    """One frame of a person, as a batch of one."""

    rgb: Tensor
    matte: Tensor
    pose: HeadPose
    keypoints: Tensor
    person: str
    take: str


def rendered_shots(folder: str) -> list[Shot]:
    """All frames of a folder of clips."""
    store = FrameStore(find_clips([folder]), CROP_PX, cache_gb=0.1)
    shots = []
    for number, path in enumerate(store.clips):
        info = read_info(path)
        for index in range(len(store[number].rgb)):
            frame = store.frame(number, index)
            shots.append(Shot(frame.rgb, frame.matte, frame.pose, frame.keypoints, info.identity, info.motion))
    return shots


def disturbed(shots: list[Shot]) -> list[Shot]:
    """Each with its own colours and background; half of them show the face's ellipse only."""
    out, strength = [], IdentityTraining("").jitter
    for number, shot in enumerate(shots):
        generator = Generator().manual_seed(number)
        matte = shot.matte
        if number % 2:
            place = torch.linalg.inv(geometry.theta(shot.pose))[0, :2, 3]
            centre = place + 0.2 * shot.pose.scale * shot.pose.rotation[0, :2, 1]
            offset = geometry.identity_grid((CROP_PX, CROP_PX)) - centre
            radius = (offset / (torch.tensor([0.36, 0.46]) * shot.pose.scale)).norm(dim=-1)
            matte = matte * ((1.1 - radius) / 0.2).clamp(0, 1)
        rgb = shot.rgb * matte + augment.random_backdrop(CROP_PX, generator) * (1 - matte)
        rgb = augment.colour_jitter(rgb, generator, strength, 0.2)
        out.append(Shot(rgb, matte, shot.pose, shot.keypoints, shot.person, shot.take))
    return out


def real_shots(folder: str) -> Iterator[Shot]:
    """Some frames of each video; the rotation is the pose net's, place and size come from MediaPipe's landmarks."""
    pose_net = BaseModel.load(shipped_weights()).motion_encoder.pose
    videos = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in READABLE)
    with FaceTracker(video=False) as tracker:
        for video in videos:
            for frame in itertools.islice(read_frames(video), 0, FRAMES * STRIDE, STRIDE):
                landmarks = tracker.landmarks(frame)
                if landmarks is None:
                    continue
                square = clip_crop(landmarks[None, :, :2])
                rgb = torch.from_numpy(square.cut(frame, CROP_PX).copy()).permute(2, 0, 1)[None].float() / 255
                points = square.to_crop_coordinates(landmarks[None, :468, :2])
                rotation = pose_net(rgb).rotation
                fit = geometry.fit_similarity_2d(rotation.numpy(), points.astype(np.float32), LANDMARKS)
                pose = HeadPose(rotation, *(torch.from_numpy(a) for a in fit))
                known = torch.from_numpy(select(points, LANDMARKS))
                yield Shot(rgb, torch.ones_like(rgb[:, :1]), pose, known, video.stem, video.stem)


def recogniser(net: IdentityNet, faces: Tensor) -> Tensor:
    return torch.cat([net.embed(part) for part in faces.split(64)])


def similarities(shots: list[Shot], net: IdentityNet, other: nn.Module | None) -> dict[str, Tensor]:
    """Method -> N x N similarities."""
    rgb, pose = torch.cat([s.rgb for s in shots]), stack([s.pose for s in shots])
    faces = aligned_face(rgb, pose, net.config.input_px)
    pixels = F.adaptive_avg_pool2d(faces, 28).flatten(1)
    colour = faces.mean((2, 3))
    embeddings = {"recognition net": recogniser(net, faces), "raw pixels": F.normalize(pixels, dim=1)}
    if other is not None:
        aligned = five_point_face(rgb, torch.cat([s.keypoints for s in shots]))
        embeddings["MobileFaceNet"] = torch.cat([other.embed(part) for part in aligned.split(64)])
    return {"mean colour": -torch.cdist(colour, colour)} | {name: e @ e.T for name, e in embeddings.items()}


def kinds_of_pairs(shots: list[Shot], same_take: bool) -> tuple[Tensor, Tensor]:
    """(same person, other person), each N x N; pairs of equal takes count only if `same_take`."""
    person, take = (np.array([getattr(s, name) for s in shots]) for name in ("person", "take"))
    allowed = np.triu(np.ones((len(shots), len(shots)), bool), 1)
    if not same_take:
        allowed &= take[:, None] != take[None]
    same = person[:, None] == person[None]
    return torch.from_numpy(allowed & same), torch.from_numpy(allowed & ~same)


def rates(same: Tensor, other: Tensor) -> tuple[float, float, float]:
    """Area under the ROC curve, equal error rate, best accuracy where both kinds of pairs weigh the same."""
    values, order = torch.cat([same, other]).double().sort()
    is_same = (order < len(same)).double()
    missed = is_same.cumsum(0) / len(same)
    accepted = 1 - (1 - is_same).cumsum(0) / len(other)
    _, group = values.unique_consecutive(return_counts=True)
    ends = group.cumsum(0) - 1
    missed, accepted = (torch.cat([a.new_tensor([start]), a[ends]]) for a, start in ((missed, 0.0), (accepted, 1.0)))
    auc = torch.trapezoid(1 - missed.flip(0), accepted.flip(0))
    equal = (missed - accepted).abs().argmin()
    return auc.item(), (missed + accepted)[equal].item() / 2, (1 - (missed + accepted) / 2).max().item()


def report(title: str, shots: list[Shot], same_take: bool, net: IdentityNet, other: nn.Module | None) -> None:
    same, others = kinds_of_pairs(shots, same_take)
    print(f"\n{title}: {len(shots)} frames of {len({s.person for s in shots})} people, "
          f"{int(same.sum())} pairs of one person, {int(others.sum())} of two")  # fmt: skip
    print("| method | AUC | equal error | accuracy | similarity of one | of two |\n|---|---:|---:|---:|---:|---:|")
    for name, matrix in similarities(shots, net, other).items():
        a, b = matrix[same], matrix[others]
        auc, equal, accuracy = rates(a, b)
        print(f"| {name} | {auc:.3f} | {equal:.1%} | {accuracy:.1%} | {a.mean():.3f} | {b.mean():.3f} |")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips")
    parser.add_argument("--videos")
    parser.add_argument("--net", default=shipped_weights("identity"))
    parser.add_argument("--mobilefacenet")
    arguments = parser.parse_args()
    net = IdentityNet.load(arguments.net)
    other = load_frozen("mobilefacenet", arguments.mobilefacenet) if arguments.mobilefacenet else None
    shots = rendered_shots(arguments.clips)
    report("Rendered", shots, False, net, other)
    report("Rendered, disturbed", disturbed(shots), False, net, other)
    if arguments.videos:
        report("Real videos", list(real_shots(arguments.videos)), True, net, other)


if __name__ == "__main__":
    main()
