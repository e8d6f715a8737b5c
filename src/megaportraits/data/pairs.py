"""Training samples from clips. Sample i is a function of (seed, i), so a run resumes from a cursor alone.

Paper: 4.1 (source and driver from one video), B.1 (augmentation).
"""

import collections
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor
from torch.utils.data import Dataset

from megaportraits.config import AugmentConfig, PoseTraining
from megaportraits.data import augment
from megaportraits.data.clips import read_clip, read_info
from megaportraits.errors import UserError
from megaportraits.tensors import HeadPose, Pair, View, stack


class FrameStore:
    """Decoded clips at the training size, the most recently used ones kept in memory."""

    def __init__(self, clips: Sequence[Path], size_px: int, cache_gb: float):
        self.clips = list(clips)
        self.size_px = size_px
        self.performances: dict[str, list[int]] = {}
        for index, path in enumerate(self.clips):
            self.performances.setdefault(read_info(path).motion, []).append(index)
        self.budget = int(cache_gb * 2**30)
        self.used = 0
        self.cache: collections.OrderedDict[int, tuple[np.ndarray, np.ndarray, HeadPose]] = collections.OrderedDict()

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, HeadPose]:
        """(frames T H W 3 uint8, mattes T H W uint8, true poses of the T frames)."""
        if index not in self.cache:
            self.cache[index] = self._decode(self.clips[index])
            self.used += self._bytes(index)
            while self.used > self.budget and len(self.cache) > 1:
                oldest = next(iter(self.cache))
                self.used -= self._bytes(oldest)
                del self.cache[oldest]
        self.cache.move_to_end(index)
        return self.cache[index]

    def others(self, index: int) -> list[int]:
        """Clips in which other people perform the motion of a clip."""
        same = next(clips for clips in self.performances.values() if index in clips)
        return [clip for clip in same if clip != index]

    def _bytes(self, index: int) -> int:
        return self.cache[index][0].nbytes + self.cache[index][1].nbytes

    def _decode(self, path: Path) -> tuple[np.ndarray, np.ndarray, HeadPose]:
        clip = read_clip(path)
        truth = clip.truth
        pose = HeadPose(*(torch.from_numpy(a) for a in (truth.rotation, truth.scale, truth.translation)))
        rgb = np.stack([_resize(f, self.size_px) for f in clip.rgb])
        return rgb, np.stack([_resize(m, self.size_px) for m in clip.matte]), pose


def _resize(picture: np.ndarray, size_px: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((size_px, size_px), Image.Resampling.BICUBIC))


def frame_tensors(store: FrameStore, clip: int, frame: int) -> tuple[Tensor, Tensor, HeadPose]:
    """One frame as (`1 3 S S` in [0, 1], matte `1 1 S S`, pose)."""
    rgb, matte, pose = store[clip]
    picture = torch.from_numpy(rgb[frame]).permute(2, 0, 1)[None].float() / 255
    alpha = torch.from_numpy(matte[frame])[None, None].float() / 255
    rows = slice(frame, frame + 1)
    return picture, alpha, HeadPose(pose.rotation[rows], pose.scale[rows], pose.translation[rows])


def _generator(seed: int, index: int) -> Generator:
    return Generator().manual_seed((seed * 1_000_003 + index) % 2**63)


class PairDataset(Dataset):
    """x_s and one or more x_d of the same clip; item i holds `drivers_per_source` pairs that share their source."""

    def __init__(self, store: FrameStore, config: AugmentConfig, drivers_per_source: int, seed: int, length: int):
        self.store, self.config, self.drivers = store, config, drivers_per_source
        self.seed, self.length = seed, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[View, View, int]:
        """(source, drivers, clip number): views of batch size 1 and `drivers_per_source`.

        Raises:
            UserError: the drawn clip has too few frames.
        """
        generator = _generator(self.seed, index)
        clip = int(torch.randint(len(self.store), (), generator=generator))
        count = len(self.store[clip][0])
        if count <= self.drivers:
            raise UserError(
                f"{self.store.clips[clip]} has {count} frames, too few for a source and {self.drivers} drivers; "
                "use fewer drivers per source, or leave the clip out"
            )
        frames = torch.randperm(count, generator=generator)[: self.drivers + 1].tolist()
        mirrored = augment.uniform(generator, 0.0, 1.0) < self.config.flip
        jitter_seed = int(torch.randint(2**31, (), generator=generator))
        actor = self._actor(clip, generator)
        source = self._view(clip, clip, frames[0], mirrored, jitter_seed, generator)
        drivers = [self._view(clip, actor, frame, mirrored, jitter_seed, generator) for frame in frames[1:]]
        return source, stack(drivers), clip

    def _actor(self, clip: int, generator: Generator) -> int:
        """The clip that the expression net sees: this one, or another person's performance of the same motion."""
        others = self.store.others(clip)
        if not others or augment.uniform(generator, 0.0, 1.0) >= self.config.acted_by_another:
            return clip
        return others[int(torch.randint(len(others), (), generator=generator))]

    def _view(self, clip: int, actor: int, frame: int, mirrored: bool, jitter_seed: int, generator: Generator) -> View:
        rgb, matte, pose = frame_tensors(self.store, clip, frame)
        acted = rgb if actor == clip else frame_tensors(self.store, actor, frame)[0]
        if mirrored:
            rgb, matte, pose = augment.flip(rgb), augment.flip(matte), augment.flip_pose(pose)
            acted = augment.flip(acted)
        settings = self.config
        rgb, acted = (
            augment.colour_jitter(picture, Generator().manual_seed(jitter_seed), settings.mild_jitter)
            for picture in (rgb, acted)
        )
        seen = augment.degrade_shape(acted, generator, settings.shape_sigma, settings.shape_cells)
        seen = augment.colour_jitter(seen, generator, settings.severe_jitter, settings.grey)
        return View(rgb, matte, seen, pose)


def collate_pairs(items: list[tuple[View, View, int]]) -> tuple[Pair, Tensor]:
    """(Pair of B sources and B * K drivers, clip numbers `B`)."""
    pair = Pair(stack([source for source, _, _ in items]), stack([drivers for _, drivers, _ in items]))
    return pair, torch.tensor([clip for _, _, clip in items])


class PoseDataset(Dataset):
    """Frames with true head poses: mirrored, moved, jittered, half of them over a random backdrop."""

    def __init__(self, store: FrameStore, config: PoseTraining, length: int):
        self.store, self.config, self.length = store, config, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, HeadPose]:
        """(`1 3 S S` in [0, 1], pose)."""
        settings, generator = self.config, _generator(self.config.loop.seed, index)
        clip = int(torch.randint(len(self.store), (), generator=generator))
        frame = int(torch.randint(len(self.store[clip][0]), (), generator=generator))
        rgb, matte, pose = frame_tensors(self.store, clip, frame)
        if augment.uniform(generator, 0.0, 1.0) < settings.augment.flip:
            rgb, matte, pose = augment.flip(rgb), augment.flip(matte), augment.flip_pose(pose)
        moved, pose = augment.random_similarity(
            torch.cat([rgb, matte], 1), pose, generator, settings.shift, settings.zoom, settings.roll_deg
        )
        rgb, matte = moved[:, :3], moved[:, 3:]
        if augment.uniform(generator, 0.0, 1.0) < 0.5:
            rgb = rgb * matte + augment.random_backdrop(self.store.size_px, generator) * (1 - matte)
        return augment.colour_jitter(rgb, generator, settings.augment.severe_jitter, settings.augment.grey), pose


def collate_poses(items: list[tuple[Tensor, HeadPose]]) -> tuple[Tensor, HeadPose]:
    """Batch of (pictures, poses)."""
    return stack([picture for picture, _ in items]), stack([pose for _, pose in items])
