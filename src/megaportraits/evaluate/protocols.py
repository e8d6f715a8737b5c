"""Who drives whom, and what the right answer is.

truth: cross-driving with true answers. A dataset of rendered clips holds the same motions on many identities. Source:
a frame of identity A in one motion; driver: identity B's clip of another motion; right answer: A's clip of that motion,
the same frame numbers. Ours; the paper has no truth for cross-driving.

self: source = first frame, drivers = later frames of the same clip or video, which are also the right answer
(the paper's self-reenactment, 4.2).
"""

import itertools
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from megaportraits.config import EvaluateConfig
from megaportraits.data.clips import find_clips, read_clip, read_info
from megaportraits.data.video import READABLE
from megaportraits.errors import UserError
from megaportraits.evaluate.frames import Frames, clip_frames, spread, video_frames


@dataclass(frozen=True)
class Sample:
    """One source, frames that drive it, and the right answers."""

    name: str
    source: Frames
    """One frame."""
    driver: Frames
    target: Frames
    """As many frames as the driver has."""


@dataclass(frozen=True)
class TruthPair:
    """The clips of one cross-driven sample."""

    source: Path
    driver: Path
    target: Path


def load_samples(config: EvaluateConfig, size_px: int) -> list[Sample]:
    """The protocol's samples, at the model's picture size; the same ones for the same data and seed.

    Raises:
        UserError: there is no data of the kind that the protocol needs.
    """
    folder = Path(config.data)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give --data a folder of rendered clips or of videos")
    videos = _videos(folder) if config.protocol == "self" else []
    if videos:
        chosen = [videos[i] for i in spread(0, len(videos) - 1, config.count)]
        return [_video_sample(path, config.frames, size_px) for path in tqdm(chosen, "reading", disable=None)]
    clips = find_clips([folder], None if config.split == "all" else config.split)
    if config.protocol == "self":
        chosen = [clips[i] for i in spread(0, len(clips) - 1, config.count)]
        return [_self_sample(path, config.frames, size_px) for path in tqdm(chosen, "reading", disable=None)]
    pairs = truth_pairs(clips, config.count, config.seed)
    return [_truth_sample(pair, config, i, size_px) for i, pair in enumerate(tqdm(pairs, "reading", disable=None))]


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


def _truth_sample(pair: TruthPair, config: EvaluateConfig, index: int, size_px: int) -> Sample:
    source, driver, target = (read_clip(p) for p in (pair.source, pair.driver, pair.target))
    still = random.Random(f"{config.seed} {index}").randrange(len(source.rgb))
    rows = spread(0, min(len(driver.rgb), len(target.rgb)) - 1, config.frames)
    return Sample(
        f"{pair.source.name}:{still} by {pair.driver.name}",
        clip_frames(source, [still], size_px),
        clip_frames(driver, rows, size_px),
        clip_frames(target, rows, size_px),
    )


def _self_sample(path: Path, count: int, size_px: int) -> Sample:
    clip = read_clip(path)
    if len(clip.rgb) < 2:
        raise UserError(f"{path} has {len(clip.rgb)} frame; protocol 'self' needs at least two")
    later = clip_frames(clip, spread(1, len(clip.rgb) - 1, count), size_px)
    return Sample(path.name, clip_frames(clip, [0], size_px), later, later)


def _video_sample(path: Path, count: int, size_px: int) -> Sample:
    frames = video_frames(path, count + 1, size_px)
    later = frames.pick(range(1, len(frames.numbers)))
    return Sample(path.name, frames.pick([0]), later, later)
