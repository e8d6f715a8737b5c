"""Training samples from clips. Sample i is a function of (seed, i), so a run resumes from a cursor alone.

Paper: 4.1 (source and driver from one video), B.1 (augmentation).
"""

import collections
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor
from torch.utils.data import Dataset

from megaportraits import geometry
from megaportraits.config import AugmentConfig, PoseTraining
from megaportraits.data import augment, domain, keypoints
from megaportraits.data.clips import read_clip, read_info, read_truth
from megaportraits.data.film import LONG, LongFilm, resized
from megaportraits.errors import UserError
from megaportraits.tensors import HeadPose, Pair, View, stack


@dataclass(frozen=True)
class Footage:
    """A decoded clip at the training size."""

    rgb: UInt8[np.ndarray, "T S S 3"] | LongFilm
    matte: UInt8[np.ndarray, "T S S"] | LongFilm
    pose: HeadPose
    """True poses of the T frames."""
    keypoints: Float[Tensor, "T K 2"]
    depth: Float[Tensor, "T K"]

    @property
    def nbytes(self) -> int:
        return self.rgb.nbytes + self.matte.nbytes


@dataclass(frozen=True)
class Frame:
    """One frame of a clip, as a batch of one."""

    rgb: Float[Tensor, "1 3 S S"]
    matte: Float[Tensor, "1 1 S S"]
    pose: HeadPose
    keypoints: Float[Tensor, "1 K 2"]
    depth: Float[Tensor, "1 K"]

    def flipped(self) -> "Frame":
        return Frame(
            augment.flip(self.rgb),
            augment.flip(self.matte),
            augment.flip_pose(self.pose),
            keypoints.flip(self.keypoints),
            keypoints.flip_depth(self.depth),
        )


class FrameStore:
    """Decoded clips at the training size, the most recently used ones kept in memory."""

    def __init__(self, clips: Sequence[Path], size_px: int, cache_gb: float):
        self.clips = list(clips)
        self.size_px = size_px
        self.performances: dict[Hashable, list[int]] = {}
        for index, path in enumerate(self.clips):
            self.performances.setdefault(_performed(path), []).append(index)
        self.budget = int(cache_gb * 2**30)
        self.used = 0
        self.cache: collections.OrderedDict[int, Footage] = collections.OrderedDict()

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Footage:
        if index not in self.cache:
            self.cache[index] = self._decode(self.clips[index])
            self.used += self.cache[index].nbytes
            while self.used > self.budget and len(self.cache) > 1:
                self.used -= self.cache.popitem(last=False)[1].nbytes
        self.cache.move_to_end(index)
        return self.cache[index]

    def label(self, clip: int) -> int:
        """A number that clips of other people do not have."""
        return clip

    def others(self, index: int) -> list[int]:
        """Clips in which other people perform the motion of a clip."""
        same = next(clips for clips in self.performances.values() if index in clips)
        return [clip for clip in same if clip != index]

    def frame(self, clip: int, number: int) -> Frame:
        """One frame of a clip."""
        footage, rows = self[clip], slice(number, number + 1)
        pose = HeadPose(footage.pose.rotation[rows], footage.pose.scale[rows], footage.pose.translation[rows])
        rgb = torch.from_numpy(footage.rgb[rows]).permute(0, 3, 1, 2).float() / 255
        matte = torch.from_numpy(footage.matte[rows])[:, None].float() / 255
        return Frame(rgb, matte, pose, footage.keypoints[rows], footage.depth[rows])

    def _decode(self, path: Path) -> Footage:
        truth, info = read_truth(path), read_info(path)
        pose = HeadPose(*(torch.from_numpy(a) for a in (truth.rotation, truth.scale, truth.translation)))
        points = torch.from_numpy(keypoints.select(truth.landmarks, info.landmark_ids))
        depth = torch.from_numpy(keypoints.depth(truth, info.landmark_ids))
        if len(truth.scale) > LONG:
            rgb, matte = (LongFilm(path, name, len(truth.scale), self.size_px, info.fps) for name in ("rgb", "matte"))
            return Footage(rgb, matte, pose, points, depth)
        clip = read_clip(path)
        rgb, matte = (np.stack([resized(f, self.size_px) for f in frames]) for frames in (clip.rgb, clip.matte))
        return Footage(rgb, matte, pose, points, depth)


def _performed(clip: Path) -> Hashable:
    """What is performed in a clip: equal for rendered clips that show the same motion frame by frame."""
    info = read_info(clip)
    if not info.control_names:
        return clip
    return info.source, info.motion, info.frame_step_s, len(read_truth(clip).scale)


def sample_generator(seed: int, index: int) -> Generator:
    """All that is random about sample `index` of a run."""
    return Generator().manual_seed((seed * 1_000_003 + index) % 2**63)


class PairDataset(Dataset):
    """x_s and one or more x_d of the same clip; item i holds `drivers_per_source` pairs that share their source."""

    moving = True
    """See `Pair.moving`."""

    def __init__(self, store: FrameStore, config: AugmentConfig, drivers_per_source: int, seed: int, length: int):
        self.store, self.config, self.drivers = store, config, drivers_per_source
        self.seed, self.length = seed, length
        self.domain = domain.Domain(config.domain)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Pair:
        """One source and `drivers_per_source` drivers.

        Raises:
            UserError: the drawn clip has too few frames.
        """
        generator = sample_generator(self.seed, index)
        clip = int(torch.randint(len(self.store), (), generator=generator))
        numbers = self._numbers(clip, generator)
        mirrored = augment.uniform(generator, 0.0, 1.0) < self.config.flip
        jitter_seed = int(torch.randint(2**31, (), generator=generator))
        actor = self._actor(clip, generator)
        camera = domain.stream(self.seed, index)
        shared = _Shared(mirrored, jitter_seed, self.domain.look(camera), self.domain.look(camera))
        source = self._view(self._frame(clip, numbers[0], generator), None, shared, generator, camera)
        source = replace(source, rgb=self.domain.source(source.rgb, camera))
        drivers = []
        for number in numbers[1:]:
            acted = None if actor == clip else self.store.frame(actor, number)
            drivers.append(self._view(self._frame(clip, number, generator), acted, shared, generator, camera))
        label = torch.tensor([self.store.label(clip)])
        return Pair(source, stack(drivers), label, torch.tensor([index]), torch.tensor([self.moving]))

    def _numbers(self, clip: int, generator: Generator) -> list[int]:
        """The frames of the source and its drivers, all different."""
        count = len(self.store[clip].rgb)
        if count <= self.drivers:
            raise UserError(
                f"{self.store.clips[clip]} has {count} frames, too few for a source and {self.drivers} drivers; "
                "use fewer drivers per source, or leave the clip out"
            )
        return torch.randperm(count, generator=generator)[: self.drivers + 1].tolist()

    def _frame(self, clip: int, number: int, generator: Generator) -> Frame:
        return self.store.frame(clip, number)

    def _actor(self, clip: int, generator: Generator) -> int:
        """The clip that the expression net sees: this one, or another person's performance of the same motion."""
        if augment.uniform(generator, 0.0, 1.0) >= self.config.acted_by_another:
            return clip
        others = self.store.others(clip)
        if not others:
            return clip
        return others[int(torch.randint(len(others), (), generator=generator))]

    def _view(
        self, shown: Frame, acted: Frame | None, shared: "_Shared", generator: Generator, camera: Generator
    ) -> View:
        """A frame, and what the expression net sees of it: the same, or what another person makes of it (`acted`)."""
        shown = self._dressed(shown, shared, shared.look)
        seen = shown if acted is None else self._dressed(acted, shared, shared.others_look)
        settings = self.config
        motion_input = self.domain.cover(seen.rgb, seen.matte, seen.pose, camera)
        motion_input = augment.degrade_shape(motion_input, generator, settings.shape_sigma, settings.shape_cells)
        motion_input = augment.colour_jitter(motion_input, generator, settings.severe_jitter, settings.grey)
        motion_input = self.domain.film(motion_input, camera)
        return View(shown.rgb, shown.matte, motion_input, shown.pose, shown.keypoints, shown.depth)

    def _dressed(self, frame: Frame, shared: "_Shared", look: domain.Look) -> Frame:
        """What all frames of a pair have in common: flip, glasses, mild colours."""
        frame = frame.flipped() if shared.mirrored else frame
        rgb, matte = look.apply(frame.rgb, frame.matte, frame.pose, frame.keypoints)
        rgb = augment.colour_jitter(rgb, Generator().manual_seed(shared.jitter_seed), self.config.mild_jitter)
        return replace(frame, rgb=rgb, matte=matte)


@dataclass(frozen=True)
class _Shared:
    """What is drawn once for a pair."""

    mirrored: bool
    jitter_seed: int
    look: domain.Look
    others_look: domain.Look
    """Of the person who acts instead, where there is one."""


PosedPicture = tuple[Tensor, HeadPose, Tensor]
"""Pictures, head poses and keypoints in crop coordinates (NaN where unknown); what training a head pose net takes."""


class PoseDataset(Dataset):
    """Frames with true head poses: mirrored, moved, jittered, half of them over a random backdrop; with domain
    randomisation, all of its effects."""

    def __init__(self, store: FrameStore, config: PoseTraining, length: int):
        self.store, self.config, self.length = store, config, length
        self.domain = domain.Domain(config.augment.domain)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> PosedPicture:
        """Picture (`1 3 S S` in [0, 1]), head pose and keypoints (`1 K 2`) in it."""
        settings, generator = self.config, sample_generator(self.config.loop.seed, index)
        clip = int(torch.randint(len(self.store), (), generator=generator))
        frame = self.store.frame(clip, int(torch.randint(len(self.store[clip].rgb), (), generator=generator)))
        if augment.uniform(generator, 0.0, 1.0) < settings.augment.flip:
            frame = frame.flipped()
        camera = domain.stream(settings.loop.seed, index)
        rgb, matte = self.domain.look(camera).apply(frame.rgb, frame.matte, frame.pose, frame.keypoints)
        moved, pose = augment.random_similarity(
            torch.cat([rgb, matte], 1), frame.pose, generator, settings.shift, settings.zoom,
            settings.roll_deg,
        )  # fmt: skip
        rgb, matte = moved[:, :3], moved[:, 3:]
        if augment.uniform(generator, 0.0, 1.0) < 0.5:
            rgb = rgb * matte + augment.random_backdrop(self.store.size_px, generator) * (1 - matte)
        rgb = self.domain.cover(rgb, matte, pose, camera)
        rgb = augment.colour_jitter(rgb, generator, settings.augment.severe_jitter, settings.augment.grey)
        points = keypoints.in_space(frame.keypoints, frame.depth.nan_to_num())  # in-plane moves need no depth
        placed = geometry.apply_matrix(geometry.pose_matrix(pose) @ geometry.theta(frame.pose), points)
        return self.domain.film(rgb, camera), pose, placed[..., :2]


def collate_poses(items: list[PosedPicture]) -> PosedPicture:
    """One batch of several."""
    pictures, poses, points = zip(*items, strict=True)
    return stack(pictures), stack(poses), stack(points)
