"""An invisible mark in the pictures of results: fixed waves, found again after compression, resizing and cropping.

Ours and minimal: it says "made by this program" and nothing else, has no key, and can be removed by whoever wants to.

    mark    luma + strength * mask * sum of 16 waves of fixed frequencies (0.055 to 0.125 cycles a pixel); the mask is
            larger where the picture has texture of its own
    score   the mean over the frames of what a blur leaves, its spectrum over the spectrum's own surroundings, at the
            waves' frequencies, for all sizes from 40 % to 130 % of the marked one; neither phase nor crop counts.
            Of the whole picture, and of squares in it, as a head may be pasted into a photo or stand beside others;
            the highest counts

The strength falls with the size of the picture: larger ones have more waves to be found by.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8

_WAVES = 16
_STRENGTH, _AT_PX, _LEAST, _MOST = 0.8, 512, 0.5, 1.2
"""Levels (of 255) at a side of 512 px; in inverse proportion to the side, between the limits."""
_TEXTURE = 6.0
"""Levels of deviation that make the mark one strength stronger."""
_CLIPPED = 6.0
"""Levels to which what a blur leaves is limited: edges of the picture shall not drown the waves."""
_SCALES = np.exp(np.arange(np.log(0.4), np.log(1.3), 0.004))
_SURROUNDINGS = 41
"""Side, in points of the spectrum, of what a wave is compared with."""
_MOST_PX = 2048
"""Of larger pictures, the upper left part is looked at."""
_LEAST_TILE_PX = 192
_TILE = 0.85
"""What the score of a square counts: the highest of many is higher by chance too."""
_ENOUGH = 1.4
"""A single wave counts no more than this, so that stripes in the picture do not count for many."""
MOST_FRAMES = 100
"""Frames that are looked at, spread evenly."""
FOUND = 0.52
"""Score from which on a mark is there (docs/provenance.md: what clean and marked videos score)."""


def _waves() -> tuple[Float[np.ndarray, "K 2"], Float[np.ndarray, " K"]]:
    """Frequencies (x, y; cycles a pixel) and phases: the same in every release."""
    generator = np.random.default_rng(20221010)
    angle = (generator.permutation(_WAVES) + generator.uniform(0, 1, _WAVES)) * np.pi / _WAVES
    radius = generator.uniform(0.055, 0.125, _WAVES)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), generator.uniform(0, 2 * np.pi, _WAVES)


_FREQUENCIES, _PHASES = _waves()


@lru_cache(maxsize=4)
def pattern(height: int, width: int) -> Float[np.ndarray, "H W"]:
    """The waves for pictures of a size, of deviation 1, times the strength."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    total = np.zeros((height, width), np.float32)
    for (fx, fy), phase in zip(_FREQUENCIES, _PHASES, strict=True):
        total += np.cos((2 * np.pi * fx) * x + (2 * np.pi * fy) * y + phase, dtype=np.float32)
    strength = np.clip(_STRENGTH * _AT_PX / max(height, width), _LEAST, _MOST)
    return total * np.float32(strength / np.sqrt(_WAVES / 2))


def mark(picture: UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "H W C"]:
    """The picture (RGB or RGBA) with the mark; about 40 to 50 dB from what it was."""
    luma = _luma(picture)
    texture = luma - cv2.GaussianBlur(luma, (0, 0), 3)
    deviation = np.sqrt(cv2.GaussianBlur(texture * texture, (0, 0), 4))
    added = pattern(*luma.shape) * np.clip(0.5 + deviation / _TEXTURE, 0.5, 2.5)
    marked = picture.copy()
    marked[..., :3] = np.clip(picture[..., :3] + added[..., None] + 0.5, 0, 255)
    return marked


def score(frames: Iterable[UInt8[np.ndarray, "H W 3"]]) -> float:
    """How much stronger the mark's waves are than what is beside them in the spectrum: mean logarithm, best size.

    Args:
        frames: of one size.
    """
    total, count = np.zeros((), np.float32), 0
    for frame in frames:
        luma = _luma(frame)
        left = luma - cv2.GaussianBlur(luma, (0, 0), 4)
        total, count = total + np.clip(left, -_CLIPPED, _CLIPPED), count + 1
    if count == 0 or min(total.shape) < 16:
        return 0.0
    mean = total[:_MOST_PX, :_MOST_PX] / count
    return max(_score_of(mean), _TILE * max((_score_of(mean[tile]) for tile in _tiles(*mean.shape)), default=0.0))


def _tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Squares as large as fit and half as large, each half over the next."""
    shorter = min(height, width)
    for side in (shorter, shorter // 2):
        if side >= _LEAST_TILE_PX:
            for top, left in itertools.product(_starts(height, side), _starts(width, side)):
                yield slice(top, top + side), slice(left, left + side)


def _starts(length: int, side: int) -> list[int]:
    count = 1 + math.ceil((length - side) / (side / 2))
    return np.linspace(0, length - side, count).round().astype(int).tolist()


def _score_of(mean: Float[np.ndarray, "H W"]) -> float:
    windowed = mean * np.outer(*(np.hanning(side) for side in mean.shape))
    points = 1024 if max(mean.shape) <= 512 else 2048
    spectrum = np.log(np.abs(np.fft.fft2(windowed, (points, points))) + 1e-3).astype(np.float32)
    above = spectrum - cv2.blur(spectrum, (_SURROUNDINGS, _SURROUNDINGS))
    return max(_at_scale(above, scale) for scale in _SCALES)


def _at_scale(above: Float[np.ndarray, "N N"], scale: float) -> float:
    """Mean over the waves that pictures of this size, relative to the marked ones, can hold."""
    frequencies = _FREQUENCIES / scale
    held = frequencies[np.abs(frequencies).max(1) < 0.45]
    if len(held) < _WAVES - 4:
        return 0.0
    column, row = (np.round(held * len(above)).astype(int) % len(above)).T
    return float(np.minimum(above[row, column], _ENOUGH).mean())


def _luma(picture: UInt8[np.ndarray, "H W C"]) -> Float[np.ndarray, "H W"]:
    return cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_RGB2GRAY).astype(np.float32)
