"""Motion files (.mpmotion): safetensors with the numbers of a driver. The format is in docs/motion.md.

Reading is strict: what comes from elsewhere is checked completely before it is used.
"""

import itertools
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from megaportraits.errors import UserError
from megaportraits.files import replacing, writing

FORMAT = "mpmotion"
VERSION = "1"
SUFFIX = ".mpmotion"
_SHAPES = {
    "rotation": ("F32", (3, 3)),
    "scale": ("F32", ()),
    "translation": ("F32", (3,)),
    "expression": ("F32", (None,)),
    "timestamps": ("I64", (2,)),
    "present": ("U8", ()),
    "shot": ("I64", ()),
    "calm": ("F32", ()),
}
"""Type and shape (after T) of each tensor; None is any size from 1."""
_OPTIONAL = ("present", "shot", "calm")
_NOT_ORTHOGONAL = 1e-3
_MOST_FPS = 1000


def write_motion_file(
    path: str | Path, tensors: Mapping[str, Shaped[np.ndarray, "T *n"]], fps: Fraction, model: str
) -> None:
    """Write a motion file, atomically.

    Raises:
        UserError: the path cannot be written.
    """
    facts = {"format": FORMAT, "version": VERSION, "fps": f"{fps.numerator}/{fps.denominator}", "model": model}
    whole = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    with replacing(path) as temporary, writing(path):
        save_file(whole, temporary, facts)


def read_motion_file(path: str | Path) -> tuple[dict[str, Shaped[np.ndarray, "T *n"]], Fraction, str]:
    """Tensors (optional ones filled in), frame rate and hash of the motion encoder of a motion file.

    Numbers of frames without a face are not checked; they mean nothing.

    Raises:
        UserError: not a motion file of this version, or one whose numbers make no sense.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            facts = file.metadata() or {}
            _check_version(path, facts)
            _check_shapes(path, {name: file.get_slice(name) for name in file.keys()})  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, MemoryError) as error:
        raise UserError(
            f"{path} is not a readable motion file ({error}); make it again with megaportraits motion extract"
        ) from error
    tensors = _completed(tensors)
    _check_numbers(path, tensors)
    _check_times(path, tensors["timestamps"])
    return tensors, _fps(path, facts.get("fps", "")), facts.get("model", "")


def _check_version(path: str | Path, facts: dict[str, str]) -> None:
    if facts.get("format") != FORMAT:
        raise UserError(
            f"{path} is a safetensors file of another kind; give one that megaportraits motion extract wrote"
        )
    if facts.get("version") != VERSION:
        raise UserError(
            f"{path} is a motion file of version {facts.get('version', 'unknown')!s:.20}, this program reads version "
            f"{VERSION}; make it again with megaportraits motion extract"
        )
    if not facts.get("model"):
        raise UserError(f"{path} does not name the motion encoder of its expressions; add 'model' to its metadata")


def _check_shapes(path: str | Path, slices: dict[str, Any]) -> None:
    wanted = [name for name in _SHAPES if name not in _OPTIONAL]
    missing = [name for name in wanted if name not in slices]
    if missing:
        raise UserError(f"{path} lacks the tensor '{missing[0]}'; a motion file holds {', '.join(wanted)}")
    for name in slices:
        if name not in _SHAPES:
            raise UserError(f"{path} holds an unknown tensor '{name:.40}'; a motion file holds {', '.join(_SHAPES)}")
    count = (slices["rotation"].get_shape() or [0])[0]
    for name, (kind, rest) in _SHAPES.items():
        if name in slices:
            _check_shape(path, name, slices[name], kind, (count, *rest))


def _check_shape(path: str | Path, name: str, piece: Any, kind: str, wanted: tuple[int | None, ...]) -> None:
    shape = tuple(piece.get_shape())
    fits = len(shape) == len(wanted) and all(n > 0 and w in (n, None) for n, w in zip(shape, wanted, strict=True))
    if piece.get_dtype() != kind or not fits:
        shown = ", ".join("Z" if size is None else str(size) for size in ("T", *wanted[1:]))
        raise UserError(
            f"tensor '{name}' of {path} is {piece.get_dtype()} {list(shape)}, {kind} [{shown}] was wanted with T as in "
            "'rotation' and at least 1; write it so"
        )


def _completed(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    count = len(tensors["rotation"])
    return {
        "present": np.ones(count, np.uint8),
        "shot": np.zeros(count, np.int64),
        "calm": np.full(count, np.nan, np.float32),
        **tensors,
    }


def _check_numbers(path: str | Path, tensors: dict[str, np.ndarray]) -> None:
    seen = tensors["present"].astype(bool)
    for name in ("rotation", "scale", "translation", "expression"):
        if not np.isfinite(tensors[name][seen]).all():
            raise UserError(f"tensor '{name}' of {path} holds NaN or infinity; make the file again")
    rotation = tensors["rotation"][seen].astype(np.float64)
    straight = np.abs(rotation.transpose(0, 2, 1) @ rotation - np.eye(3)).max((1, 2), initial=0) < _NOT_ORTHOGONAL
    if not (straight & (np.linalg.det(rotation) > 0)).all():
        raise UserError(f"tensor 'rotation' of {path} holds a matrix that is no rotation; write orthogonal matrices")
    if not (tensors["scale"][seen] > 0).all():
        raise UserError(f"tensor 'scale' of {path} holds a size that is not above 0; write sizes near 1")
    if np.isinf(tensors["calm"]).any():
        raise UserError(f"tensor 'calm' of {path} holds infinity; write NaN where it is unknown")
    if (np.diff(tensors["shot"]) < 0).any() or tensors["shot"][0] < 0:
        raise UserError(f"tensor 'shot' of {path} does not ascend; number the shots from 0 in their order")


def _check_times(path: str | Path, timestamps: Int[np.ndarray, "T 2"]) -> None:
    if (timestamps[:, 1] <= 0).any() or (timestamps[:, 0] < 0).any():
        raise UserError(
            f"tensor 'timestamps' of {path} holds a time below 0 or a denominator that is not above 0; "
            "write seconds from the start as numerator and denominator"
        )
    times = times_of(timestamps)
    if any(later <= earlier for earlier, later in itertools.pairwise(times)):
        raise UserError(f"tensor 'timestamps' of {path} does not ascend; write the frames in the order of their times")


def times_of(timestamps: Int[np.ndarray, "T 2"]) -> tuple[Fraction, ...]:
    """Rows of numerator and denominator as fractions."""
    return tuple(Fraction(int(n), int(d)) for n, d in timestamps)


def _fps(path: str | Path, text: str) -> Fraction:
    if re.fullmatch(r"[0-9]{1,9}(/[0-9]{1,9})?", text) and not re.search(r"/0*$", text):
        fps = Fraction(text)
        if 0 < fps <= _MOST_FPS:
            return fps
    raise UserError(
        f"the frame rate of {path} is '{text:.40}', a fraction such as 30000/1001 up to {_MOST_FPS} was wanted; "
        "correct 'fps' in its metadata"
    )
