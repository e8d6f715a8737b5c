"""Avatars: the people that a student learns, and the drivers it learns them from.

Paper: 3.3 (a set of chosen avatars, driven by anyone).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.utils.data import Dataset

from megaportraits import geometry
from megaportraits.data import augment
from megaportraits.data.clips import find_clips
from megaportraits.data.keypoints import in_space
from megaportraits.data.pairs import FrameStore, sample_generator
from megaportraits.errors import UserError
from megaportraits.tensors import HeadPose


@dataclass(frozen=True)
class Avatars:
    """N people, each by the first picture of a clip or photo."""

    names: tuple[str, ...]
    """Different; the order of the student's identity tensors."""
    rgb: Float[Tensor, "N 3 S S"]
    matte: Float[Tensor, "N 1 S S"]
    keypoints: Float[Tensor, "N K 3"]
    """Of the neutral head, in head coordinates; NaN where unknown."""

    def placed(self, avatar: Int[Tensor, " B"], pose: HeadPose) -> Float[Tensor, "B K 2"]:
        """Where avatars' keypoints are in the picture when their heads have these poses; expressions are left out."""
        points = self.keypoints.to(pose.rotation)[avatar]
        return geometry.apply_matrix(geometry.pose_matrix(pose), points)[..., :2]


def read_avatars(
    folders: Sequence[str],
    size_px: int,
    first: Sequence[str] = (),
    pose_of: Callable[[Float[Tensor, "1 3 S S"]], HeadPose] | None = None,
) -> Avatars:
    """The people of folders of prepared photos or clips.

    Args:
        folders: of clips.
        size_px: side of the pictures.
        first: names that shall come first, in this order.
        pose_of: tells the heads' poses, by which keypoints are brought into head coordinates, in place of the clips':
            those of the net whose poses `Avatars.placed` will get.

    Raises:
        UserError: there is none, two have the same name, one of `first` is missing, or a clip is damaged.
    """
    found = find_clips(folders)
    by_name = {clip.name: clip for clip in found}
    if len(by_name) < len(found):
        twice = Counter(clip.name for clip in found).most_common(1)[0][0]
        raise UserError(f"two avatars are called {twice}; rename one of their folders")
    missing = [name for name in first if name not in by_name]
    if missing:
        raise UserError(f"{', '.join(folders)} lack the avatars {', '.join(missing)}, whom the student knows; add them")
    names = (*first, *sorted(by_name.keys() - set(first)))
    clips = [by_name[name] for name in names]
    store = FrameStore(clips, size_px, cache_gb=0.5)
    frames = [store.frame(i, 0) for i in range(len(clips))]
    poses = [pose_of(f.rgb) if pose_of else f.pose for f in frames]
    points = [
        geometry.apply_matrix(geometry.theta(pose), in_space(f.keypoints, f.depth))
        for f, pose in zip(frames, poses, strict=True)
    ]
    return Avatars(names, torch.cat([f.rgb for f in frames]), torch.cat([f.matte for f in frames]), torch.cat(points))


@dataclass(frozen=True)
class Driven:
    """B drivers, each with the avatar it shall drive."""

    driver: Float[Tensor, "B 3 S S"]
    """What the teacher sees, in [0, 1]."""
    seen: Float[Tensor, "B 3 S S"]
    """The same as the student sees it in training: colour-jittered (ours)."""
    avatar: Int[Tensor, " B"]


class DrivenDataset(Dataset):
    """Item i: a frame of a clip, mirrored or not, and an avatar; a function of (seed, i).

    Args:
        store: clips that drive.
        avatars: numbers of the avatars that are trained.
        jitter: strength of the colour jitter.
        flip: probability of mirroring.
        seed: of all that is random.
        length: items.
    """

    def __init__(self, store: FrameStore, avatars: Sequence[int], jitter: float, flip: float, seed: int, length: int):
        self.store, self.avatars, self.jitter, self.flip = store, list(avatars), jitter, flip
        self.seed, self.length = seed, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Driven:
        generator = sample_generator(self.seed, index)
        clip = _draw(len(self.store), generator)
        frame = self.store.frame(clip, _draw(len(self.store[clip].rgb), generator))
        if augment.uniform(generator, 0.0, 1.0) < self.flip:
            frame = frame.flipped()
        seen = augment.colour_jitter(frame.rgb, generator, self.jitter)
        return Driven(frame.rgb, seen, torch.tensor([self.avatars[_draw(len(self.avatars), generator)]]))


def _draw(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
