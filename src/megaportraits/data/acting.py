"""What a face does, frame by frame: how its landmarks differ from the person's mean, and where the eyes look.

Ours; the paper trains the expression net from scratch, through the pictures of the base model only.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.utils.data import Dataset

from megaportraits import geometry
from megaportraits.config import ExpressionTraining
from megaportraits.data import augment, domain, keypoints
from megaportraits.data.clips import Truth, read_info, read_truth
from megaportraits.data.pairs import Frame, FrameStore, sample_generator
from megaportraits.errors import UserError
from megaportraits.tensors import HeadPose

GAZE_UNIT_DEG = 10.0


@dataclass(frozen=True)
class Acting:
    """What faces do."""

    shift: Float[Tensor, "B K 3"]
    """Keypoints (`data.keypoints`) in canonical coordinates, less their mean over all frames of the person."""
    gaze: Float[Tensor, "B 2"]
    """(yaw, pitch) of the eyes in the head, in units of 10 degrees; NaN where unknown."""

    def flipped(self) -> "Acting":
        """What the mirrored faces do."""
        return Acting(keypoints.flip(self.shift), self.gaze * self.gaze.new_tensor([-1.0, 1.0]))

    def pick(self, row: int) -> "Acting":
        """One of the faces."""
        return Acting(self.shift[row : row + 1], self.gaze[row : row + 1])


@dataclass(frozen=True)
class Acted:
    """Pictures of faces as the expression net sees them, two of each acting, and that acting."""

    first: Float[Tensor, "B 3 S S"]
    second: Float[Tensor, "B 3 S S"]
    acting: Acting


def acting_of(clips: list[Path]) -> list[Acting]:
    """What the people of the clips do, clip by clip.

    Raises:
        UserError: a clip has no three-dimensional landmarks.
    """
    truths, people = [read_truth(clip) for clip in clips], defaultdict(list)
    placed = [_canonical_keypoints(truth, clip) for truth, clip in zip(truths, clips, strict=True)]
    names = [(clip.parent, read_info(clip).identity) for clip in clips]
    for name, points in zip(names, placed, strict=True):
        people[name].append(points)
    means = {name: torch.cat(points).mean(0) for name, points in people.items()}
    return [
        Acting(points - means[name], torch.from_numpy(truth.gaze / GAZE_UNIT_DEG))
        for name, points, truth in zip(names, placed, truths, strict=True)
    ]


def _canonical_keypoints(truth: Truth, clip: Path) -> Float[Tensor, "T K 3"]:
    if truth.landmarks_3d is None:
        raise UserError(f"{clip} has no three-dimensional landmarks; make it again, or leave it out")
    ids = read_info(clip).landmark_ids
    if not set(ids) >= set(keypoints.KEYPOINTS):
        raise UserError(f"{clip} has {len(ids)} landmarks, not all those of the face; make it again, or leave it out")
    points = torch.from_numpy(keypoints.select(truth.landmarks_3d, ids))
    return geometry.apply_matrix(torch.from_numpy(truth.theta), points)


class ActingDataset(Dataset):
    """Faces and what they do (`Acted`, batches of one); item i is a function of (seed, i).

    The second picture is another person's performance of the frame where one is at hand, else the frame once more.
    """

    def __init__(self, store: FrameStore, config: ExpressionTraining, input_px: int, length: int):
        self.store, self.config, self.input_px, self.length = store, config, input_px, length
        self.domain = domain.Domain(config.augment.domain)
        self.acting = acting_of(store.clips)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Acted:
        seed = self.config.loop.seed
        generator, camera = sample_generator(seed, index), domain.stream(seed, index)
        clip = int(torch.randint(len(self.store), (), generator=generator))
        number = int(torch.randint(len(self.store[clip].rgb), (), generator=generator))
        others = self.store.others(clip) or [clip]
        other = others[int(torch.randint(len(others), (), generator=generator))]
        mirrored = augment.uniform(generator, 0.0, 1.0) < self.config.augment.flip
        frames, acting = [self.store.frame(c, number) for c in (clip, other)], self.acting[clip].pick(number)
        if mirrored:
            frames, acting = [frame.flipped() for frame in frames], acting.flipped()
        first, second = (self._face(frame, generator, camera) for frame in frames)
        return Acted(first, second, acting)

    def _face(self, frame: Frame, generator: Generator, camera: Generator) -> Float[Tensor, "1 3 S S"]:
        settings = self.config.augment
        rgb, matte = self.domain.look(camera).apply(frame.rgb, frame.matte, frame.pose, frame.keypoints)
        rgb = self.domain.cover(rgb, matte, frame.pose, camera)
        rgb = augment.degrade_shape(rgb, generator, settings.shape_sigma, settings.shape_cells)
        rgb = augment.colour_jitter(rgb, generator, settings.severe_jitter, settings.grey)
        rgb = self.domain.film(rgb, camera)
        return geometry.sample(rgb, geometry.face_region_grid(self._near(frame.pose, generator), self.input_px))

    def _near(self, pose: HeadPose, generator: Generator) -> HeadPose:
        """A pose as a pose net may find it."""
        draw = torch.randn(4, generator=generator)
        roll = geometry.rotation_from_angles(torch.zeros(1), torch.zeros(1), draw[:1] * self.config.roll_deg)
        place = torch.cat([draw[1:3] * self.config.shift, torch.zeros(1)])
        return HeadPose(
            roll @ pose.rotation, pose.scale * math.exp(draw[3] * self.config.zoom), pose.translation + place
        )
