"""Clips on disk: one folder for a clip, one folder of clips for a dataset.

    CLIP/rgb.mp4            H.264, CRF <= 17
    CLIP/matte.mp4          foreground, grey
    CLIP/truth.safetensors  one row for each frame, see `Truth`
    CLIP/clip.json          see `ClipInfo`; written last, so its presence means that the clip is complete

Coordinates and signs: `geometry.py`.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from megaportraits.checkpoint import read_json, write_json
from megaportraits.data.video import read_frames
from megaportraits.data.video_writer import write_video
from megaportraits.errors import UserError
from megaportraits.files import replacing

SCHEMA_VERSION = 1


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
    """The square (x, y, side) in pixels of the original picture; empty where rendered straight into it."""
    source: str
    licence: str
    split: str
    """"train" or "held_out"."""
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


def write_clip(
    path: str | Path, rgb: Iterable[np.ndarray], matte: Iterable[np.ndarray], truth: Truth, info: ClipInfo
) -> None:
    """Write a clip folder; it appears complete or not at all."""
    fps = Fraction(info.fps).limit_denominator(1001)
    arrays = {f.name: getattr(truth, f.name) for f in fields(truth) if getattr(truth, f.name) is not None}
    with replacing(path) as folder:
        folder.mkdir()
        write_video(folder / "rgb.mp4", rgb, fps, crf=14)
        write_video(folder / "matte.mp4", (np.repeat(m[..., None], 3, -1) for m in matte), fps, crf=14)
        save_file({k: np.ascontiguousarray(v, np.float32) for k, v in arrays.items()}, folder / "truth.safetensors")
        write_json(folder / "clip.json", dataclasses.asdict(info))


def is_complete(path: str | Path) -> bool:
    """Whether a clip folder was written to its end."""
    return (Path(path) / "clip.json").is_file()


def read_info(path: str | Path) -> ClipInfo:
    """The clip's JSON.

    Raises:
        UserError: it is not a clip of a known schema.
    """
    data = read_json(Path(path) / "clip.json")
    if data.get("schema_version") != SCHEMA_VERSION:
        raise UserError(f"{path} has clip schema {data.get('schema_version')}, this program reads {SCHEMA_VERSION}")
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
        return Truth(**load_file(Path(path) / "truth.safetensors"))
    except (OSError, SafetensorError, TypeError) as error:
        raise UserError(f"{path} has no readable truth.safetensors ({error}); make the clip again") from error


def read_clip(path: str | Path) -> Clip:
    """A whole clip.

    Raises:
        UserError: a file is missing or damaged, or the videos and the truth differ in length.
    """
    folder = Path(path)
    info, truth = read_info(folder), read_truth(folder)
    rgb = np.stack(list(read_frames(folder / "rgb.mp4")))
    matte = np.stack([frame[..., 0] for frame in read_frames(folder / "matte.mp4")])
    if not len(rgb) == len(matte) == len(truth.scale):
        raise UserError(
            f"{folder} has {len(rgb)} pictures, {len(matte)} mattes and {len(truth.scale)} rows of truth; make it again"
        )
    return Clip(rgb, matte, truth, info)


def find_clips(folders: Iterable[str | Path], split: str | None = None) -> list[Path]:
    """Complete clips in dataset folders, sorted by name; `split` keeps only "train" or "held_out" ones.

    Raises:
        UserError: nothing is found.
    """
    roots = [Path(f) for f in folders]
    clips = sorted(p.parent for root in roots for p in root.glob("*/clip.json"))
    if split is not None:
        clips = [c for c in clips if read_info(c).split == split]
    if not clips:
        names = ", ".join(map(str, roots))
        raise UserError(
            f"no {split or ''} clips in {names or 'an empty list of folders'}; make some with `megaportraits synth`"
        )
    return clips
