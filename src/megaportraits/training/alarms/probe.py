"""What the alarms look at: frames chosen once, by number and not by chance, and kept as tensors.

The clips may vanish afterwards (rendered while training), so nothing is read again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from megaportraits.config import AlarmConfig
from megaportraits.data.clips import read_info, read_truth
from megaportraits.data.pairs import FrameStore
from megaportraits.tensors import HeadPose, mapped, over_grey, stack


@dataclass(frozen=True)
class Shots:
    """N frames."""

    rgb8: UInt8[Tensor, "N 3 S S"]
    matte8: UInt8[Tensor, "N 1 S S"]
    pose: HeadPose
    keypoints: Float[Tensor, "N K 2"]
    depth: Float[Tensor, "N K"]

    def __len__(self) -> int:
        return len(self.rgb8)

    @property
    def rgb(self) -> Float[Tensor, "N 3 S S"]:
        return self.rgb8.float() / 255

    @property
    def matte(self) -> Float[Tensor, "N 1 S S"]:
        return self.matte8.float() / 255

    @property
    def wanted(self) -> Float[Tensor, "N 3 S S"]:
        """The picture that a model shall paint."""
        return over_grey(self.rgb, self.matte)

    def at(self, rows: slice | list[int]) -> "Shots":
        pose = HeadPose(self.pose.rotation[rows], self.pose.scale[rows], self.pose.translation[rows])
        return Shots(self.rgb8[rows], self.matte8[rows], pose, self.keypoints[rows], self.depth[rows])

    def to(self, device: torch.device) -> "Shots":
        return mapped(self, lambda tensor: tensor.to(device))


@dataclass(frozen=True)
class Scenes:
    """G persons, each driven through T frames, the right answers known; K other people perform the same frames."""

    source: Shots
    """G frames."""
    answers: Shots
    """G * T frames of the sources' own performances."""
    actors: Shots | None
    """K * G * T frames, actor by actor; None where no two people perform the same motion."""

    @property
    def frames(self) -> int:
        """T."""
        return len(self.answers) // len(self.source)

    def to(self, device: torch.device) -> "Scenes":
        actors = None if self.actors is None else self.actors.to(device)
        return Scenes(self.source.to(device), self.answers.to(device), actors)


@dataclass(frozen=True)
class Pool:
    """Single frames of many clips, for what z says about the face."""

    shots: Shots
    person: Int[Tensor, " N"]
    clip: Int[Tensor, " N"]
    controls: Float[Tensor, "N C"]
    """The renderer's controls in [0, 1]; C = 0 where unknown."""
    names: tuple[str, ...]

    def portraits(self, count: int) -> Scenes:
        """The first frame of at most `count` clips as sources, the last one of the same clips as answers."""
        rows = [(self.clip == clip).nonzero()[:, 0].tolist() for clip in self.clip.unique()]
        chosen = [rows[i] for i in spread(len(rows), count)]
        return Scenes(self.shots.at([r[0] for r in chosen]), self.shots.at([r[-1] for r in chosen]), None)


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` of the numbers below `count`, evenly spread."""
    return [int(i * count / min(count, wanted)) for i in range(min(count, wanted))]


def take(store: FrameStore, clip: int, numbers: Sequence[int]) -> Shots:
    """Frames of a clip by number."""
    footage, rows = store[clip], list(numbers)
    pose = HeadPose(footage.pose.rotation[rows], footage.pose.scale[rows], footage.pose.translation[rows])
    rgb, matte = torch.from_numpy(footage.rgb[rows]), torch.from_numpy(footage.matte[rows])
    return Shots(
        rgb.permute(0, 3, 1, 2).contiguous(), matte[:, None], pose, footage.keypoints[rows], footage.depth[rows]
    )


def choose_scenes(store: FrameStore, config: AlarmConfig) -> Scenes:
    """Groups of people who perform the same motion, from the motions that most people perform."""
    casts = [_one_clip_of_each_person(store, clips) for clips in store.performances.values()]
    people = min(config.people, max(len(cast) for cast in casts))
    casts = [cast for cast in casts if len(cast) >= people]
    scenes = []
    for group, motion in enumerate(spread(len(casts), config.groups)):
        cast = casts[motion]
        turned = [cast[(group + i) % len(cast)] for i in spread(len(cast), people)]
        scenes.append([_performance(store, clip, turned, config.frames) for clip in turned])
    fewest = min(len(shots) for scene in scenes for shots in scene)
    by_place = [[shots.at(slice(1, fewest)) for shots in place] for place in zip(*scenes, strict=True)]
    source = stack([scene[0].at(slice(0, 1)) for scene in scenes])
    actors = [shots for place in by_place[1:] for shots in place]
    return Scenes(source, stack(by_place[0]), stack(actors) if actors else None)


def _performance(store: FrameStore, clip: int, cast: Sequence[int], frames: int) -> Shots:
    """The first frame, and `frames` of the later ones: the same numbers for everybody of a cast."""
    shortest = min(len(store[c].rgb) for c in cast)
    return take(store, clip, [0, *(1 + i for i in spread(shortest - 1, frames))])


def _one_clip_of_each_person(store: FrameStore, clips: Sequence[int]) -> list[int]:
    first: dict[str, int] = {}
    for clip in clips:
        first.setdefault(read_info(store.clips[clip]).identity, clip)
    return list(first.values())


def choose_pool(store: FrameStore, config: AlarmConfig) -> Pool:
    """Frames of clips spread over the store; of few clips more frames each.

    Clips with other control names than the first one are left out.
    """
    chosen = spread(len(store), config.clips)
    per_clip = config.frames * config.clips // len(chosen)
    shots, people, clips, controls = [], [], [], []
    names: tuple[str, ...] = ()
    known: dict[str, int] = {}
    for clip in chosen:
        info, truth = read_info(store.clips[clip]), read_truth(store.clips[clip])
        names = names if shots else tuple(info.control_names)
        if tuple(info.control_names) != names:
            continue
        numbers = spread(len(truth.scale), per_clip)
        shots.append(take(store, clip, numbers))
        people += [known.setdefault(info.identity, len(known))] * len(numbers)
        clips += [clip] * len(numbers)
        controls.append(truth.controls[numbers])
    table = torch.from_numpy(np.concatenate(controls).reshape(len(people), len(names)))
    return Pool(stack(shots), torch.tensor(people), torch.tensor(clips), table, names)
