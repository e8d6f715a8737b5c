"""Frames to evaluate on, from rendered clips and from videos, at the size of the compared pictures."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from megaportraits.data.clips import Clip
from megaportraits.data.crop import SquareCrop
from megaportraits.data.faces import FaceTracker, PersonMatte
from megaportraits.data.recorded import truth_of
from megaportraits.data.regions import check_landmarks, regions
from megaportraits.data.track import video_square
from megaportraits.data.video import read_frames
from megaportraits.errors import UserError
from megaportraits.tensors import HeadPose, over_grey

LANDMARKS = 468
"""Of MediaPipe's, without the irises."""
_MATTE_NET_PX = 256


@dataclass(frozen=True)
class Frames:
    """Some frames of one person and what is known of them. Pictures are kept as bytes."""

    rgb: UInt8[Tensor, "T 3 S S"]
    matte: UInt8[Tensor, "T 1 S S"]
    landmarks: Float[Tensor, "T L 2"]
    """Crop coordinates."""
    landmark_ids: tuple[int, ...]
    """MediaPipe's numbers of the landmarks."""
    numbers: tuple[int, ...]
    """Frame numbers in the clip or video."""
    pose: HeadPose
    """True head pose; of videos, the fit to MediaPipe's landmarks."""
    rendered: bool
    """Poses, landmarks and mattes are the renderer's truth; else they are MediaPipe's (videos, recorded clips)."""

    def pick(self, rows: Sequence[int]) -> "Frames":
        """Some of the frames."""
        index = torch.as_tensor(rows)
        pose = HeadPose(self.pose.rotation[index], self.pose.scale[index], self.pose.translation[index])
        return Frames(
            self.rgb[index], self.matte[index], self.landmarks[index], self.landmark_ids,
            tuple(self.numbers[i] for i in rows), pose, self.rendered,
        )  # fmt: skip

    def picture(self) -> Float[Tensor, "T 3 S S"]:
        """The frames in [0, 1], background included."""
        return self.rgb.float() / 255

    def foreground(self) -> Float[Tensor, "T 1 S S"]:
        """The matte in [0, 1]."""
        return self.matte.float() / 255

    def over_grey(self) -> Float[Tensor, "T 3 S S"]:
        """The person in front of grey, in [0, 1]."""
        matte = self.foreground()
        return over_grey(self.picture(), matte)

    def regions(self) -> dict[str, Float[Tensor, "T 1 S S"]]:
        """The scored regions by name, head (rendered) or face first."""
        matte = self.foreground() if self.rendered else None
        return regions(self.landmarks, self.landmark_ids, matte, self.rgb.shape[-1])

    def halved(self) -> "Frames":
        """The same at half the size: the mean of each square of 2 x 2 pixels."""
        rgb, matte = ((F.avg_pool2d(t.float(), 2) + 0.5).byte() for t in (self.rgb, self.matte))
        return replace(self, rgb=rgb, matte=matte)


def spread(first: int, last: int, count: int) -> list[int]:
    """At most `count` whole numbers spread evenly over first..last."""
    return sorted({round(x) for x in np.linspace(first, last, min(count, last - first + 1))})


def chosen(first: int, last: int, count: int, step: int) -> list[int]:
    """At most `count` of the frames first..last: `step` apart from the first on, or spread evenly where it is 0."""
    return list(range(first, last + 1, step))[:count] if step else spread(first, last, count)


def clip_frames(clip: Clip, rows: Sequence[int], size_px: int) -> Frames:
    """Frames of a rendered clip.

    Raises:
        UserError: the clip's landmarks do not suffice for the scored regions.
    """
    truth, index = clip.truth, list(rows)
    check_landmarks(clip.info.landmark_ids, f"the clip of identity {clip.info.identity}, motion {clip.info.motion}")
    pose = HeadPose(*(torch.from_numpy(a[index]) for a in (truth.rotation, truth.scale, truth.translation)))
    rgb = np.stack([_resized(clip.rgb[i], size_px) for i in index])
    matte = np.stack([_resized(clip.matte[i], size_px) for i in index])
    landmarks = torch.from_numpy(truth.landmarks[index])
    ids = tuple(clip.info.landmark_ids)
    return Frames(
        _channels(rgb), _channels(matte[..., None]), landmarks, ids, tuple(index), pose, clip.info.source != "recorded"
    )


def video_frames(path: Path, count: int, step: int, size_px: int, least: int) -> Frames:
    """At most `count` frames with a visible face, `chosen` from a video, cropped as all videos are.

    Raises:
        UserError: not a readable video, or fewer than `least` of the frames show a face.
    """
    square = _square(path)
    wanted = set(chosen(0, sum(1 for _ in read_frames(path)) - 1, count, step))
    found: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = []
    with FaceTracker(video=False) as tracker, PersonMatte() as person:
        for i, frame in enumerate(read_frames(path)):
            points = tracker.landmarks(frame) if i in wanted else None
            if points is not None:
                fine = person.matte(square.cut(frame, max(_MATTE_NET_PX, size_px)))
                matte = Image.fromarray(fine).resize((size_px, size_px), Image.Resampling.BOX)
                rows = np.concatenate(
                    [square.to_crop_coordinates(points[:LANDMARKS, :2]), 2 * points[:LANDMARKS, 2:] / square.side], 1
                )
                found.append((i, square.cut(frame, size_px), np.array(matte) * 255 + 0.5, rows))
    if len(found) < least:
        raise UserError(
            f"{path} shows a face in {len(found)} of {len(wanted)} frames, {least} are needed; give a video with a face"
        )
    numbers, rgb, mattes, landmarks = zip(*found, strict=True)
    matte = np.stack(mattes).astype(np.uint8)[..., None]
    truth = truth_of(np.stack(landmarks))
    pose = HeadPose(*(torch.from_numpy(a) for a in (truth.rotation, truth.scale, truth.translation)))
    points, ids = torch.from_numpy(truth.landmarks), tuple(range(LANDMARKS))
    return Frames(_channels(np.stack(rgb)), _channels(matte), points, ids, numbers, pose, False)


@functools.lru_cache(maxsize=256)
def _square(path: Path) -> SquareCrop:
    """The video's square; found once, though a video may be source and driver of many samples."""
    return video_square(path)


def _resized(picture: UInt8[np.ndarray, "H W *c"], size_px: int) -> UInt8[np.ndarray, "S S *c"]:
    return picture if len(picture) == size_px else SquareCrop(0.0, 0.0, float(len(picture))).cut(picture, size_px)


def _channels(pictures: UInt8[np.ndarray, "T S S C"]) -> UInt8[Tensor, "T C S S"]:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
