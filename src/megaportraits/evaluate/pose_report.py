"""How good is a head pose net? Against the truth on rendered clips, against other methods on real videos."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from megaportraits import geometry
from megaportraits.animate import leave_a_core
from megaportraits.data.clips import find_clips, read_clip
from megaportraits.data.faces import FaceTracker
from megaportraits.data.track import video_square
from megaportraits.data.video import read_frames
from megaportraits.evaluate.frames import spread
from megaportraits.evaluate.poses import FsaNet
from megaportraits.evaluate.protocols import find_videos
from megaportraits.metrics import axis_errors_deg, mean_difference_without_offset, pooled_pearson
from megaportraits.models.motion_encoder import HeadPoseNet
from megaportraits.models.network import shipped_weights

YAW_BINS_DEG = ((0, 15), (15, 30), (30, 45), (45, 55), (0, 30), (0, 45), (0, 180))
NET, FIT, FSANET = "net", "landmark fit", "FSA-Net"
_CROP_PX = 256


@dataclass(frozen=True)
class PoseErrors:
    """Errors of N frames against the truth."""

    true_yaw_deg: Float[Tensor, " N"]
    total_deg: Float[Tensor, " N"]
    axes_deg: Float[Tensor, "N 3"]
    """Signed, of yaw, pitch and roll."""
    scale: Float[Tensor, " N"]
    """Absolute."""
    place: Float[Tensor, " N"]
    """Mean of |x| and |y|, crop coordinates."""


Angles = dict[str, Float[Tensor, "N 3"]]
"""(yaw, pitch, roll) of the same frames in degrees, by method."""


def pose_report(
    data: Path,
    weights: Path | None = None,
    split: str = "all",
    videos: Path | None = None,
    fsanet: tuple[str, ...] = (),
    frames: int = 40,
) -> None:
    """Print the errors of a head pose net on rendered clips, and its agreement with other methods on real videos.

    Args:
        data: folder of rendered clips.
        weights: checkpoint of a base model or of `megaportraits train pose`; by default the weights of the package.
        split: use only clips of this split (train, held_out), or all.
        videos: folder of real videos; left out where none is given.
        fsanet: the .onnx files of FSA-Net, whose mean is taken; left out where none is given.
        frames: frames of each video at most.
    """
    leave_a_core()
    net = HeadPoseNet.load(weights or shipped_weights())
    clips = find_clips([data], None if split == "all" else split)
    print(f"## Rendered heads, {len(clips)} clips\n\n{truth_table(errors_on_clips(net, clips))}", end="")
    if videos is not None:
        other = FsaNet(fsanet) if fsanet else None
        found = [angles_on_video(net, other, path, frames) for path in tqdm(find_videos(videos), disable=None)]
        count = sum(len(angles[NET]) for angles in found)
        print(f"\n## Real videos, {len(found)} clips, {count} frames\n\n{agreement_table(found)}", end="")


@torch.inference_mode()
def errors_on_clips(net: HeadPoseNet, clips: Sequence[Path]) -> PoseErrors:
    """Errors on every frame of rendered clips."""
    parts: list[tuple[Tensor, ...]] = []
    for path in tqdm(clips, "clips", disable=None):
        clip = read_clip(path)
        truth = clip.truth
        rotation, scale, place = (torch.from_numpy(a) for a in (truth.rotation, truth.scale, truth.translation))
        found = net(torch.from_numpy(clip.rgb).permute(0, 3, 1, 2).float() / 255)
        parts.append(
            (
                geometry.angles_from_rotation(rotation)[:, 0],
                geometry.rotation_error_deg(found.rotation, rotation),
                axis_errors_deg(found.rotation, rotation),
                (found.scale - scale).abs(),
                (found.translation - place)[:, :2].abs().mean(-1),
            )
        )
    return PoseErrors(*(torch.cat(column) for column in zip(*parts, strict=True)))


def truth_table(errors: PoseErrors) -> str:
    """Errors by true yaw as Markdown: degrees, scale relative to the mean head, place in crop coordinates.

    The bias of yaw is outwards, away from the front, because signs on both sides would cancel.
    """
    lines = [
        "| true yaw | frames | total: mean, median | yaw: mean, median, outward bias | pitch | roll | scale | place |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for low, high in YAW_BINS_DEG:
        yaw = errors.true_yaw_deg.abs()
        chosen = (yaw >= low) & (yaw < high)
        name = "all" if high == 180 else f"{low}-{high}"
        lines.append(f"| {name} | {int(chosen.sum())} | " + " | ".join(_truth_cells(errors, chosen)) + " |")
    return "\n".join(lines) + "\n"


def _truth_cells(errors: PoseErrors, chosen: Tensor) -> list[str]:
    if not chosen.any():
        return [""] * 6
    total, axes = errors.total_deg[chosen], errors.axes_deg[chosen]
    outwards = torch.stack([errors.true_yaw_deg[chosen].sign(), *torch.ones(2, len(axes))], -1)
    cells = [f"{total.mean():.2f}, {total.median():.2f}"]
    cells += [f"{a.abs().mean():.2f}, {a.abs().median():.2f}, {a.mean():+.2f}" for a in (axes * outwards).unbind(-1)]
    return [*cells, f"{errors.scale[chosen].mean():.4f}", f"{errors.place[chosen].mean():.4f}"]


@torch.inference_mode()
def angles_on_video(net: HeadPoseNet, other: FsaNet | None, path: Path, count: int) -> Angles:
    """The angles of at most `count` frames with a visible face, by every method.

    Raises:
        UserError: not a readable video, or no face in it.
    """
    square = video_square(path)
    wanted = set(spread(0, sum(1 for _ in read_frames(path)) - 1, count))
    crops, points, angles = [], [], []
    with FaceTracker(video=False) as tracker:
        for i, frame in enumerate(read_frames(path)):
            landmarks = tracker.landmarks(frame) if i in wanted else None
            if landmarks is not None:
                crops.append(square.cut(frame, _CROP_PX))
                points.append(landmarks)
                angles.append(np.zeros(3) if other is None else other.angles_deg(frame, landmarks[:, :2]))
    pictures = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
    rigid = geometry.rigid_landmarks()
    fit = torch.from_numpy(geometry.fit_rotation(np.stack(points)[:, rigid], rigid)).float()
    found = {
        NET: geometry.angles_from_rotation(net(pictures).rotation),
        FIT: geometry.angles_from_rotation(fit),
    }
    return found if other is None else {**found, FSANET: torch.from_numpy(np.stack(angles)).float()}


def agreement_table(videos: Sequence[Angles]) -> str:
    """Mean absolute difference in degrees and correlation of each two methods as Markdown.

    "all frames" removes one constant offset from each pair of methods, "within clips" one for every clip.
    """
    lines = [
        "| methods | offset | yaw | pitch | roll | yaw r | pitch r | roll r |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for a, b in itertools.combinations(videos[0], 2):
        together = torch.cat([v[a] for v in videos]), torch.cat([v[b] for v in videos])
        apart = [(v[a], v[b]) for v in videos]
        pooled = mean_difference_without_offset(*together)
        within = torch.stack([mean_difference_without_offset(*pair) for pair in apart]).mean(0)
        for name, difference, centred in (("all frames", pooled, False), ("within clips", within, True)):
            r = [pooled_pearson([(x[:, k], y[:, k]) for x, y in apart], centred) for k in range(3)]
            cells = [f"{d:.2f}" for d in difference.tolist()] + [f"{v:.3f}" for v in r]
            lines.append(f"| {a}, {b} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
