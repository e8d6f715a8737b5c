"""Gaze and blink of a clip's frames: from the rendered truth, or from a file of another gaze system's predictions.

A predictions file is CSV with a header line, or a JSON list of objects; one row for one frame:

    clip,frame,yaw_deg,pitch_deg,blink_left,blink_right
    id00001_motion00003,0,-4.5,2.25,0.0,0.0

`clip` is the name of the clip's folder (or `dataset/clip`, where two datasets have a clip of that name), `frame` counts
from 0. Angles are those of the eyes in the head with the signs of `geometry.py`; blinks go from 0, open, to 1, closed,
of the person's left and right eye. Frames without a row are not learnt from. Paper: B.5 (RT-GENE and RT-BENE).
"""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from megaportraits.data.clips import read_truth
from megaportraits.data.eyes import EyeState
from megaportraits.errors import UserError

_COLUMNS = ("clip", "frame", "yaw_deg", "pitch_deg", "blink_left", "blink_right")
_MOST_DEG = 90.0


def true_states(clips: Sequence[Path]) -> list[EyeState]:
    """The rendered truth of each clip's frames.

    Raises:
        UserError: a clip's truth is missing or damaged.
    """
    truths = [read_truth(clip) for clip in clips]
    return [EyeState(torch.from_numpy(t.gaze).float(), torch.from_numpy(t.blink).float()) for t in truths]


def taught_states(path: str | Path, clips: Sequence[Path]) -> list[EyeState]:
    """A file's predictions for each clip's frames; NaN where it has no row.

    Raises:
        UserError: the file cannot be read, a row is wrong (the first one is named), or no row is about these clips.
    """
    truths = [read_truth(clip) for clip in clips]
    numbers = [np.full((len(t.scale), 4), np.nan, np.float32) for t in truths]
    index = _index(clips)
    found = 0
    for place, row in _rows(Path(path)):
        clip, frame, values = _checked(row, f"{path}, {place}")
        which = index.get(clip, [])
        if len(which) > 1:
            raise UserError(f"{path}, {place}: {len(which)} clips are called '{clip}'; write dataset/clip")
        if which:
            if frame >= len(numbers[which[0]]):
                raise UserError(f"{path}, {place}: '{clip}' has no frame {frame}; it has {len(numbers[which[0]])}")
            numbers[which[0]][frame] = values
            found += 1
    if not found:
        raise UserError(f"{path} has no row about the clips in use, such as '{clips[0].name}'; check its clip column")
    return [EyeState(torch.from_numpy(n[:, :2]), torch.from_numpy(n[:, 2:])) for n in numbers]


def _index(clips: Sequence[Path]) -> dict[str, list[int]]:
    """Numbers of the clips under each name that a row may give."""
    index: dict[str, list[int]] = {}
    for number, clip in enumerate(clips):
        for name in (clip.name, f"{clip.parent.name}/{clip.name}"):
            index.setdefault(name, []).append(number)
    return index


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """(where, row) of a predictions file."""
    try:
        text = path.read_text()
        rows = json.loads(text) if path.suffix == ".json" else list(csv.DictReader(text.splitlines()))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not readable ({error}); give a CSV or JSON file as docs/gaze.md says") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} is not a list of objects; give one object for each frame, as docs/gaze.md says")
    word, first = ("entry", 0) if path.suffix == ".json" else ("line", 2)
    return [(f"{word} {number}", row) for number, row in enumerate(rows, first)]


def _checked(row: dict[str, Any], place: str) -> tuple[str, int, list[float]]:
    """(clip, frame, [yaw_deg, pitch_deg, blink_left, blink_right]) of a row."""
    lost = [name for name in _COLUMNS if row.get(name) in (None, "")]
    if lost:
        raise UserError(f"{place}: no {', '.join(lost)}; each row gives {', '.join(_COLUMNS)}")
    try:
        frame, values = int(row["frame"]), [float(row[name]) for name in _COLUMNS[2:]]
    except (TypeError, ValueError) as error:
        raise UserError(f"{place}: {error}; frame is a whole number, angles and blinks are numbers") from error
    limits = (_MOST_DEG, _MOST_DEG, 1.0, 1.0)
    for name, value, most in zip(_COLUMNS[2:], values, limits, strict=True):
        least = 0.0 if name.startswith("blink") else -most
        if not (math.isfinite(value) and least <= value <= most):
            raise UserError(f"{place}: {name} is {value:g}; give {least:g} to {most:g}")
    if frame < 0:
        raise UserError(f"{place}: frame is {frame}; frames count from 0")
    return str(row["clip"]), frame, values
