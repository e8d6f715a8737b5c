"""Who drives whom, and what the right answer is.

truth: cross-driving with true answers. A dataset of rendered clips holds the same motions on many identities. Source:
a frame of identity A in one motion; driver: identity B's clip of another motion; right answer: A's clip of that motion,
the same frame numbers. Ours; the paper has no truth for cross-driving.

self: source = first frame, drivers = later frames of the same clip or video, which are also the right answer
(the paper's self-reenactment, 4.2).

cross: source = first frame of one person, drivers = frames of another one; there is no right answer (4.2).

enhance: self at twice the model's size, which the enhancer reaches (3.2). The paper scores 1024 px by cross-driving,
where nothing is known of the right edges.
"""

import contextlib
import functools
import random
import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from megaportraits.config import EvaluateConfig, Protocol
from megaportraits.data.clips import find_clips, read_clip, read_info
from megaportraits.data.video import READABLE
from megaportraits.errors import UserError
from megaportraits.evaluate.frames import Frames, chosen, clip_frames, spread, video_frames
from megaportraits.evaluate.pairing import TruthPair, cross_pairs, truth_pairs

_TRIED = 8
"""Frames of a video among which the first one with a face becomes the source of protocol "cross"."""


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
class Samples:
    """What a protocol is scored on."""

    samples: list[Sample]
    left_out: list[str]
    """What is wrong with files that could not be used."""


def load_samples(config: EvaluateConfig, protocol: Protocol, size_px: int) -> Samples:
    """The protocol's samples, at the size of the compared pictures; the same ones for the same data and seed.

    Raises:
        UserError: there is no data of the kind that the protocol needs, or none of it can be used.
    """
    if protocol == "truth":
        truths = truth_pairs(_clips(config), config.count, config.seed)
        return _loaded([functools.partial(_truth_sample, pair, config, size_px, i) for i, pair in enumerate(truths)])
    files = _files(config)
    if protocol != "cross":
        picked = [files[i] for i in spread(0, len(files) - 1, config.count)]
        make = _self_sample if protocol == "self" else _enhance_sample
        return _loaded([functools.partial(make, path, config, size_px) for path in picked])
    pairs = cross_pairs(_people(files), config.count, config.seed)
    return _loaded([functools.partial(_cross_sample, *pair, config, size_px) for pair in pairs])


def compared_px(protocol: Protocol, model_px: int) -> int:
    """Side of the compared pictures, of a model that paints `model_px`."""
    return 2 * model_px if protocol == "enhance" else model_px


def _loaded(makers: Sequence[Callable[[int], Sample]]) -> Samples:
    """Make all that can be made, each with its number."""
    done = Samples([], [])
    for make in tqdm(makers, "reading", disable=None):
        try:
            done.samples.append(make(len(done.samples)))
        except UserError as error:
            print(f"left out: {error}", file=sys.stderr)
            done.left_out.append(str(error))
    if not done.samples:
        raise UserError(f"none of the files could be used; the first one: {done.left_out[0]}")
    return done


def possible_protocols(config: EvaluateConfig) -> list[Protocol]:
    """The protocols that the folder's data allows.

    Raises:
        UserError: there is neither a clip nor a video.
    """
    found: list[Protocol] = ["self"]
    files = _files(config)
    if len(set(_people(files).values())) > 1:
        found.append("cross")
    if files[0].is_dir():
        with contextlib.suppress(UserError):
            truth_pairs(files, 1, config.seed)
            found.insert(0, "truth")
    return found


def _files(config: EvaluateConfig) -> list[Path]:
    """The folder's videos, else its clips."""
    folder = Path(config.data)
    return (_videos(folder) if folder.is_dir() else []) or _clips(config)


def _clips(config: EvaluateConfig) -> list[Path]:
    if not Path(config.data).is_dir():
        raise UserError(f"there is no folder {config.data}; give --data a folder of rendered clips or of videos")
    return find_clips([config.data], None if config.split == "all" else config.split)


def _people(files: Sequence[Path]) -> dict[Path, Hashable]:
    """Who is seen in each file; every video counts as a person."""
    return {path: read_info(path).identity if path.is_dir() else path for path in files}


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


def _truth_sample(pair: TruthPair, config: EvaluateConfig, size_px: int, position: int, number: int) -> Sample:
    source, driver, target = (read_clip(p) for p in (pair.source, pair.driver, pair.target))
    still = random.Random(f"{config.seed} {position}").randrange(len(source.rgb))
    rows = chosen(0, min(len(driver.rgb), len(target.rgb)) - 1, config.frames, config.step)
    return Sample(
        number,
        f"{pair.source.name}:{still} by {pair.driver.name}",
        clip_frames(source, [still], size_px),
        clip_frames(driver, rows, size_px),
        clip_frames(target, rows, size_px),
    )


def _self_sample(path: Path, config: EvaluateConfig, size_px: int, number: int) -> Sample:
    frames = _frames(path, config.frames + 1, config.step, size_px, least=2)
    later = frames.pick(range(1, len(frames.numbers)))
    return Sample(number, path.name, frames.pick([0]), later, later)


def _enhance_sample(path: Path, config: EvaluateConfig, size_px: int, number: int) -> Sample:
    if path.is_dir() and (own_px := read_info(path).size_px) < size_px:
        raise UserError(
            f"{path} has pictures of {own_px} px and so no right answer of {size_px} px; give clips of at least that"
        )
    return _self_sample(path, config, size_px, number)


def _cross_sample(source: Path, driver: Path, config: EvaluateConfig, size_px: int, number: int) -> Sample:
    still = _frames(source, _TRIED if source.is_file() else 1, 0, size_px, least=1).pick([0])
    moving = _frames(driver, config.frames, config.step, size_px, least=1)
    return Sample(number, f"{source.name} by {driver.name}", still, moving, None)


def _frames(path: Path, count: int, step: int, size_px: int, least: int) -> Frames:
    """At most `count` frames of a clip or video, from the first one on.

    Raises:
        UserError: there are fewer than `least`.
    """
    if path.is_file():
        return video_frames(path, count, step, size_px, least)
    clip = read_clip(path)
    rows = chosen(0, len(clip.rgb) - 1, count, step)
    if len(rows) < least:
        left = f", of which --step {step} leaves {len(rows)}" if step else ""
        raise UserError(f"{path} has {len(clip.rgb)} frames{left}; {least} are needed")
    return clip_frames(clip, rows, size_px)
