"""Who drives whom, and what the right answer is.

truth: cross-driving with true answers. A dataset of rendered clips holds the same motions on many identities. Source:
a frame of identity A in one motion; driver: identity B's clip of another motion; right answer: A's clip of that motion,
the same frame numbers. Ours; the paper has no truth for cross-driving.

self: source = first frame, drivers = later frames of the same clip or video, which are also the right answer
(the paper's self-reenactment, 4.2).

cross: source = first frame of one person, drivers = frames of another one; there is no right answer (4.2).
"""

import itertools
import random
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from megaportraits.config import EvaluateConfig, Protocol
from megaportraits.data.clips import find_clips, read_clip, read_info
from megaportraits.data.video import READABLE
from megaportraits.errors import UserError
from megaportraits.evaluate.frames import Frames, chosen, clip_frames, spread, video_frames

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Sample:
    """One source, frames that drive it, and the right answers where there are any."""

    number: int
    """Position in the protocol's list."""
    name: str
    source: Frames
    """One frame."""
    driver: Frames
    target: Frames | None
    """As many frames as the driver has."""

    @property
    def wanted(self) -> Frames:
        """Frames that have the motion which the result should have: the right answer, else the driver."""
        return self.driver if self.target is None else self.target

    @property
    def before(self) -> Float[Tensor, "1 L 2"]:
        """Landmarks of the person of `wanted` before the motion: of the source, else of the driver's first frame."""
        return self.driver.landmarks[:1] if self.target is None else self.source.landmarks

    @property
    def crossed(self) -> bool:
        """Whether another person drives."""
        return self.driver is not self.target


@dataclass(frozen=True)
class TruthPair:
    """The clips of one cross-driven sample."""

    source: Path
    driver: Path
    target: Path


def load_samples(config: EvaluateConfig, protocol: Protocol, size_px: int) -> list[Sample]:
    """The protocol's samples, at the model's picture size; the same ones for the same data and seed.

    Raises:
        UserError: there is no data of the kind that the protocol needs.
    """
    folder = Path(config.data)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give --data a folder of rendered clips or of videos")
    videos = [] if protocol == "truth" else _videos(folder)
    files = videos or find_clips([folder], None if config.split == "all" else config.split)
    if protocol == "self":
        chosen_files = [files[i] for i in spread(0, len(files) - 1, config.count)]
        return [_self_sample(n, path, config, size_px) for n, path in enumerate(_reading(chosen_files))]
    if protocol == "cross":
        people = {path: path if videos else read_info(path).identity for path in files}
        pairs = _reading(cross_pairs(people, config.count, config.seed))
        return [_cross_sample(n, still, moving, config, size_px) for n, (still, moving) in enumerate(pairs)]
    truths = truth_pairs(files, config.count, config.seed)
    return [_truth_sample(n, pair, config, size_px) for n, pair in enumerate(_reading(truths))]


def _reading(things: Sequence[Thing]) -> Iterable[Thing]:
    return tqdm(things, "reading", disable=None)


def holds_truth(config: EvaluateConfig) -> bool:
    """Whether the folder's clips allow the protocol "truth"."""
    if not Path(config.data).is_dir() or _videos(Path(config.data)):
        return False
    try:
        truth_pairs(find_clips([config.data], None if config.split == "all" else config.split), 1, 0)
    except UserError:
        return False
    return True


def find_videos(folder: str | Path) -> list[Path]:
    """The videos of a folder, sorted by name.

    Raises:
        UserError: no such folder, or no video in it.
    """
    found = _videos(Path(folder)) if Path(folder).is_dir() else []
    if not found:
        raise UserError(f"there are no videos in {folder}; give a folder with {', '.join(READABLE)} files")
    return found


def _videos(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in READABLE)


def truth_pairs(clips: list[Path], count: int, seed: int) -> list[TruthPair]:
    """At most `count` cross-driven pairs, drawn by the seed; every identity is a source equally often.

    Raises:
        UserError: no identity shares a motion with another and has a second motion.
    """
    by_identity: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in clips:
        info = read_info(path)
        by_identity[info.identity][info.motion] = path
    draw = random.Random(seed)
    choices = []
    for name, own in by_identity.items():
        candidates = [
            TruthPair(own[still], driver[motion], own[motion])
            for other, driver in by_identity.items()
            for still, motion in itertools.permutations(own, 2)
            if other != name and motion in driver
        ]
        draw.shuffle(candidates)
        choices.append(candidates)
    draw.shuffle(choices)
    in_turn = [pair for turn in itertools.zip_longest(*choices) for pair in turn if pair is not None]
    if not in_turn:
        raise UserError(
            "no two identities share a motion beside which one of them has another; protocol 'truth' needs clips of "
            "the same motions on several identities (or choose --protocol self)"
        )
    return in_turn[:count]


def cross_pairs(people: Mapping[Path, Hashable], count: int, seed: int) -> list[tuple[Path, Path]]:
    """At most `count` pairs (source, driver) of two people, drawn by the seed; every file is a source equally often.

    Raises:
        UserError: all files are of one person.
    """
    draw = random.Random(seed)
    choices = []
    for source, person in people.items():
        others = [path for path, other in people.items() if other != person]
        draw.shuffle(others)
        choices.append([(source, driver) for driver in others])
    draw.shuffle(choices)
    in_turn = [pair for turn in itertools.zip_longest(*choices) for pair in turn if pair is not None]
    if not in_turn:
        raise UserError("all files are of one person; protocol 'cross' needs two (or choose --protocol self)")
    return in_turn[:count]


def _truth_sample(number: int, pair: TruthPair, config: EvaluateConfig, size_px: int) -> Sample:
    source, driver, target = (read_clip(p) for p in (pair.source, pair.driver, pair.target))
    still = random.Random(f"{config.seed} {number}").randrange(len(source.rgb))
    rows = chosen(0, min(len(driver.rgb), len(target.rgb)) - 1, config.frames, config.step)
    return Sample(
        number,
        f"{pair.source.name}:{still} by {pair.driver.name}",
        clip_frames(source, [still], size_px),
        clip_frames(driver, rows, size_px),
        clip_frames(target, rows, size_px),
    )


def _self_sample(number: int, path: Path, config: EvaluateConfig, size_px: int) -> Sample:
    frames = _frames(path, config.frames + 1, config.step, size_px)
    later = frames.pick(range(1, len(frames.numbers)))
    return Sample(number, path.name, frames.pick([0]), later, later)


def _cross_sample(number: int, source: Path, driver: Path, config: EvaluateConfig, size_px: int) -> Sample:
    still = _frames(source, 2, 0, size_px).pick([0])
    moving = _frames(driver, config.frames, config.step, size_px)
    return Sample(number, f"{source.name} by {driver.name}", still, moving, None)


def _frames(path: Path, count: int, step: int, size_px: int) -> Frames:
    """At most `count` frames of a clip or video, from the first one on; at least two.

    Raises:
        UserError: there are fewer.
    """
    if not path.is_dir():
        return video_frames(path, count, step, size_px)
    clip = read_clip(path)
    if len(clip.rgb) < 2:
        raise UserError(f"{path} has {len(clip.rgb)} frame; at least two are needed: leave the clip out")
    return clip_frames(clip, chosen(0, len(clip.rgb) - 1, max(2, count), step), size_px)
