"""Clips on disk: one folder for a clip, one folder of clips for a dataset.

    CLIP/rgb.mp4            H.264, CRF <= 17, every 16th frame a key frame
    CLIP/matte.mp4          foreground, grey
    CLIP/truth.safetensors  one row for each frame, see `Truth`
    CLIP/clip.json          see `ClipInfo`; written last, so its presence means that the clip is complete

Coordinates and signs: `geometry.py`.
"""

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.numpy import load, save_file

from megaportraits.checkpoint import read_json, write_json
from megaportraits.data.video import NamedBytes, read_frames, read_timed_frames
from megaportraits.data.video_writer import VideoWriter
from megaportraits.errors import UserError
from megaportraits.files import replacing, writing

SCHEMA_VERSION = 1
SPLITS = ("train", "val", "test", "held_out")
FILES = ("rgb.mp4", "matte.mp4", "truth.safetensors", "clip.json")
KEY_EVERY = 16
"""Frames from one that can be decoded alone to the next, so that a pair of frames costs little to read."""
FPS = 25.0
"""Usual frame rate of the files; the true time between frames is `ClipInfo.frame_step_s`."""
_CRF = 14


@dataclass(frozen=True)
class Truth:
    """What is known of each frame."""

    rotation: Float[np.ndarray, "T 3 3"]
    """Head axes -> camera axes, relative to the viewing ray of the head."""
    scale: Float[np.ndarray, " T"]
    translation: Float[np.ndarray, "T 3"]
    theta: Float[np.ndarray, "T 4 4"]
    """Crop -> canonical coordinates (the inverse of scale * rotation, translation)."""
    controls: Float[np.ndarray, "T C"]
    """Expression controls in [0, 1], named in `ClipInfo.control_names`; none (C = 0) in recorded clips."""
    gaze: Float[np.ndarray, "T 2"]
    """(yaw_deg, pitch_deg) of the eyes in the head, signs as the head's; NaN where unknown."""
    blink: Float[np.ndarray, "T 2"]
    """The person's left and right eye, 0 open to 1 closed; NaN where unknown."""
    landmarks: Float[np.ndarray, "T L 2"]
    """Crop coordinates, numbered by `ClipInfo.landmark_ids`."""
    landmarks_3d: Float[np.ndarray, "T L 3"] | None = None
    """Crop coordinates, z relative to the head's origin; None where unknown."""
    crop: Float[np.ndarray, "T 3"] | None = None
    """The square (x, y, side) of each frame in pixels of the original picture; None where it is `ClipInfo.crop`."""
    quality: Float[np.ndarray, " T"] | None = None
    """Of each picture, 0 to 1 (`prepare/quality.py`); None where it was not measured."""


@dataclass(frozen=True)
class ClipInfo:
    """What is known of the clip as a whole."""

    identity: str
    motion: str
    frame_step_s: float
    """Time between neighbouring frames in the recorded motion, in seconds."""
    fps: float
    """Frame rate of the files."""
    size_px: int
    crop: dict[str, float]
    """The (first) square (x, y, side) in pixels of the original picture; empty where rendered straight into it."""
    source: str
    licence: str
    split: str
    """One of `SPLITS`."""
    landmark_ids: list[int]
    """MediaPipe's numbers of the landmarks."""
    control_names: list[str]
    identity_spec: dict[str, Any]
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Clip:
    """A clip in memory."""

    rgb: UInt8[np.ndarray, "T H W 3"]
    matte: UInt8[np.ndarray, "T H W"]
    truth: Truth
    info: ClipInfo


Writer = TypeVar("Writer", bound="ClipWriter")


class ClipWriter(contextlib.ExitStack):
    """Write a clip folder, frame by frame; it appears when the block ends well, complete, or not at all.

    Args:
        path: the folder.
        fps: frame rate of the files.
        size_px: side of the pictures.
    """

    def __init__(self, path: str | Path, fps: float, size_px: int):
        super().__init__()
        self.path, self.size_px = Path(path), size_px
        self.fps = Fraction(fps).limit_denominator(1001)

    def __enter__(self: Writer) -> Writer:
        super().__enter__()
        self._folder = self.enter_context(replacing(self.path))
        self._folder.mkdir()
        self._rgb, self._matte = (
            self.enter_context(
                VideoWriter(
                    self._folder / f"{name}.mp4", self.fps, self.size_px, self.size_px, _CRF,
                    key_every=KEY_EVERY, threads=1,
                )
            )
            for name in ("rgb", "matte")
        )  # fmt: skip
        return self

    def add(self, rgb: UInt8[np.ndarray, "S S 3"], matte: UInt8[np.ndarray, "S S"]) -> None:
        """The next frame."""
        self._rgb.write(rgb)
        self._matte.write(np.repeat(matte[..., None], 3, -1))

    def finish(self, truth: Truth, info: ClipInfo) -> None:
        """What is known of the frames that came."""
        arrays = {f.name: getattr(truth, f.name) for f in fields(truth) if getattr(truth, f.name) is not None}
        numbers = {name: np.ascontiguousarray(values, np.float32) for name, values in arrays.items()}
        with writing(self.path):
            save_file(numbers, self._folder / "truth.safetensors")
        write_json(self._folder / "clip.json", dataclasses.asdict(info))


def write_clip(
    path: str | Path, rgb: Iterable[np.ndarray], matte: Iterable[np.ndarray], truth: Truth, info: ClipInfo
) -> None:
    """Write a clip folder; it appears complete or not at all."""
    with ClipWriter(path, info.fps, info.size_px) as clip:
        for picture, alpha in zip(rgb, matte, strict=True):
            clip.add(picture, alpha)
        clip.finish(truth, info)


def is_complete(path: str | Path) -> bool:
    """Whether a clip folder was written to its end."""
    return (Path(path) / "clip.json").is_file()


def in_shard(clip: str | Path) -> bool:
    """Whether a clip's path is that of one in a tar file."""
    return Path(clip).parent.suffix == ".tar"


def member(clip: str | Path, name: str) -> NamedBytes:
    """One of the `FILES` of a clip, be it in a folder or in a tar file (`.../train-000000.tar/NAME`).

    Raises:
        UserError: it is missing or cannot be read.
    """
    path = Path(clip)
    try:
        if not in_shard(path):
            return NamedBytes((path / name).read_bytes(), str(path / name))
        start, length, _ = shard_members(path.parent)[path.name][name]
        with path.parent.open("rb") as tar:
            tar.seek(int(start))
            return NamedBytes(tar.read(int(length)), str(path / name))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} has no readable {name} ({error}); make the clip again") from error


@lru_cache(maxsize=1024)
def shard_members(shard: Path) -> dict[str, dict[str, list[int | str]]]:
    """By clip and file, where a tar file of `prepare shards` holds it: first byte, bytes, SHA-256.

    Raises:
        UserError: the list beside the tar file is missing or damaged.
    """
    clips = read_json(shard.with_suffix(".json")).get("clips")
    if not isinstance(clips, dict):
        raise UserError(f"{shard.with_suffix('.json')} lists no clips; run 'megaportraits prepare shards' again")
    return clips


def read_info(path: str | Path) -> ClipInfo:
    """The clip's JSON.

    Raises:
        UserError: it is not a clip of a known schema.
    """
    try:
        data = json.loads(member(path, "clip.json").read())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}/clip.json is not readable JSON ({error}); make the clip again") from error
    if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
        found = data.get("schema_version") if isinstance(data, dict) else None
        raise UserError(f"{path} has clip schema {found}, this program reads {SCHEMA_VERSION}")
    if data.get("split") not in SPLITS:
        raise UserError(f"{path} has the split '{data.get('split')}'; give one of {', '.join(SPLITS)}")
    try:
        return ClipInfo(**data)
    except TypeError as error:
        raise UserError(
            f"{path}/clip.json lacks a field or has an unknown one ({error}); make the clip again"
        ) from error


def read_truth(path: str | Path) -> Truth:
    """The clip's per-frame truth.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return Truth(**load(member(path, "truth.safetensors").read()))
    except (SafetensorError, TypeError) as error:
        raise UserError(f"{path} has no readable truth.safetensors ({error}); make the clip again") from error


def read_clip(path: str | Path) -> Clip:
    """A whole clip.

    Raises:
        UserError: a file is missing or damaged, or the videos and the truth differ in length.
    """
    info, truth = read_info(path), read_truth(path)
    rgb = np.stack(list(read_frames(member(path, "rgb.mp4"))))
    matte = np.stack([frame[..., 0] for frame in read_frames(member(path, "matte.mp4"))])
    if not len(rgb) == len(matte) == len(truth.scale):
        raise UserError(
            f"{path} has {len(rgb)} pictures, {len(matte)} mattes and {len(truth.scale)} rows of truth; make it again"
        )
    return Clip(rgb, matte, truth, info)


def read_pictures(
    path: str | Path, name: str, first: int, count: int, fps: float = FPS
) -> UInt8[np.ndarray, "T H W 3"]:
    """Neighbouring pictures of a clip; of the others, only those since the last key frame are decoded.

    Args:
        path: the clip.
        name: "rgb.mp4" or "matte.mp4".
        first: number of the first picture.
        count: how many.
        fps: frame rate of the file.

    Raises:
        UserError: the file is missing, damaged or shorter.
    """
    file = member(path, name) if in_shard(path) else Path(path) / name
    timed = read_timed_frames(file, max(0.0, (first - 0.5) / fps), 0)
    pictures = [frame for _, frame in itertools.islice(timed, count)]
    if len(pictures) < count:
        raise UserError(f"{path}/{name} has fewer than {first + count} pictures; make the clip again")
    return np.stack(pictures)


def find_clips(folders: Iterable[str | Path], split: str | None = None) -> list[Path]:
    """Complete clips in dataset folders and in their tar files, sorted by name; `split` keeps only those of one.

    A clip in a tar file has the path `.../train-000000.tar/NAME`, which the functions here can read.

    Raises:
        UserError: nothing is found, or a folder is missing.
    """
    roots = [Path(f) for f in folders]
    if gone := [root for root in roots if not root.is_dir()]:
        raise UserError(f"there is no folder {gone[0]}; give folders of clips")
    clips = [p.parent for root in roots for p in root.glob("*/clip.json")]
    clips += [tar / name for root in roots for tar in root.glob("*.tar") for name in shard_members(tar)]
    clips.sort()
    if split is not None:
        clips = [c for c in clips if read_info(c).split == split]
    if not clips:
        kind, names = f"{split} clips" if split else "clips", ", ".join(map(str, roots))
        raise UserError(
            f"no {kind} in {names or 'an empty list of folders'}; `megaportraits synth` renders some, `megaportraits "
            "prepare videos` makes them of videos"
        )
    return clips
