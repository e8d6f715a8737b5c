"""Scene cuts, found while frames stream by, from small pictures of them."""

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

_WIDTH_PX = 64
_SHIFT = 0.12
"""How far a panning camera may move the picture between two frames, in widths and heights."""
_CUT = 0.27
"""Difference of frames on both sides of a cut. Real clips: at most 0.11 inside a shot (0.19 at every third frame), at
least 0.43 between two of them."""
_BLANK = 4.0
"""Standard deviation of the luma (0 to 255) of a picture that shows nothing: the dark middle of a fade."""
_CONTRAST = 50.0
"""Standard deviation that the luma of other pictures is brought to."""
_FLASH = 5
"""Frames that a flash, or a glitch of the stream, lasts at most."""
_ONE_CUT = 3
"""Changes with fewer frames between them are one cut: a short dissolve."""
_REACH = 12
"""Frames before and after the middle of a long dissolve that are compared."""
_RESIDUE = 0.3
"""How much of a mixture two pictures may leave unexplained, relative to their difference."""

Small = UInt8[np.ndarray, "h w 3"]
"""A small picture of constant brightness and contrast."""


class ShotFinder:
    """Numbers the shots of a stream of frames.

    Hard cuts, cuts through a fade to black or white, and dissolves begin a new shot; flashes, fades of one scene,
    pans and shakes of the camera do not. Pictures are brought to one brightness and contrast, then compared by the
    correlation of their lumas, which allows a shift, and by their histograms of colour.
    """

    def __init__(self):
        self._starts: list[int] = []
        self._count = 0
        self._changed_at = -_ONE_CUT
        self._last: Small | None = None
        self._before_start: Small | None = None
        self._recent: deque[Small | None] = deque(maxlen=2 * _REACH + 1)
        self._dissolve: tuple[float, int] | None = None

    def look(self, frame: UInt8[np.ndarray, "H W 3"]) -> bool:
        """Take the next frame; whether faces should be looked for anew in it, because the scene seems to be another."""
        small = _small(frame, None if self._last is None else self._last.shape)
        number, self._count = self._count, self._count + 1
        self._recent.append(small)
        changed = small is not None and self._cut(number, small)
        return self._dissolved(number - _REACH) or changed

    def shots(self) -> Int[np.ndarray, " T"]:
        """The number of each frame's shot, from 0, for the frames so far."""
        begins = np.zeros(self._count, np.int64)
        begins[self._starts] = 1
        if self._dissolve is not None:
            begins[self._dissolve[1]] = 1
        return np.cumsum(begins)

    def _cut(self, number: int, small: Small) -> bool:
        """Whether the picture differs from the last one that showed something."""
        last, self._last = self._last, small
        if last is None or difference(last, small) <= _CUT:
            return False
        if not self._flash_ended(number, small) and number - self._changed_at >= _ONE_CUT:
            self._starts.append(number)
            self._before_start = last
        self._changed_at = number
        return True

    def _flash_ended(self, number: int, small: Small) -> bool:
        """Whether the picture is again that before the last cut, which then was a flash."""
        if not self._starts or self._before_start is None or number - self._starts[-1] > _FLASH:
            return False
        if difference(self._before_start, small) > _CUT:
            return False
        self._starts.pop()
        self._before_start = None
        return True

    def _dissolved(self, middle: int) -> bool:
        """Whether a dissolve has just passed; its shot begins where the pictures around it differ most."""
        way = self._way_of_dissolve(middle)
        if way > 0:
            self._dissolve = max(self._dissolve or (0.0, middle), (way, middle))
            return False
        passed, self._dissolve = self._dissolve, None
        if passed is None:
            return False
        self._starts.append(passed[1])
        self._before_start = None
        return True

    def _way_of_dissolve(self, middle: int) -> float:
        """Difference of the pictures around the middle of a dissolve; 0 where there is none."""
        if len(self._recent) <= 2 * _REACH or (self._starts and self._starts[-1] > middle - 2 * _REACH):
            return 0.0
        before, between, after = self._recent[0], self._recent[_REACH], self._recent[-1]
        if before is None or between is None or after is None or not _is_mixture(before, between, after):
            return 0.0
        way = difference(before, after)
        return way if way > _CUT else 0.0


def difference(before: Small, after: Small) -> float:
    """How different two small pictures are, from 0 (the same) to about 2 (luma unrelated, no common colour)."""
    luma_before, luma_after = _luma(before), _luma(after)
    height, width = luma_before.shape
    dy, dx = round(_SHIFT * height), round(_SHIFT * width)
    inner = luma_before[dy : height - dy, dx : width - dx]
    likeness = float(np.clip(cv2.matchTemplate(luma_after, inner, cv2.TM_CCOEFF_NORMED), -1, 1).max())
    common = float(np.minimum(_colours(before), _colours(after)).sum())
    return (1 - likeness) + (1 - common)


def _is_mixture(before: Small, between: Small, after: Small) -> bool:
    """Whether a picture is, about half and half, the sum of two others."""
    ends = np.stack([p.astype(np.float32).ravel() - 128 for p in (before, after)], -1)
    mixture = between.astype(np.float32).ravel() - 128
    parts = np.linalg.lstsq(ends, mixture, rcond=None)[0]
    residue = np.linalg.norm(mixture - ends @ parts) / np.linalg.norm(ends[:, 1] - ends[:, 0])
    return bool(residue < _RESIDUE and 0.35 < parts[1] / max(parts.sum(), 1e-6) < 0.65)


def _small(frame: UInt8[np.ndarray, "H W 3"], shape: Sequence[int] | None) -> Small | None:
    """The frame, made small; None where it shows nothing."""
    height, width = shape[:2] if shape else (max(8, round(_WIDTH_PX * frame.shape[0] / frame.shape[1])), _WIDTH_PX)
    small = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA))
    luma = _luma(small)
    if luma.std() < _BLANK:
        return None
    even = (small - luma.mean()) * (_CONTRAST / luma.std()) + 128
    return np.clip(even, 0, 255).astype(np.uint8)


def _luma(picture: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)


def _colours(picture: Small) -> Float[np.ndarray, "32 32"]:
    """Blurred histogram of chroma; its sum is 1."""
    chroma = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)
    counts = cv2.GaussianBlur(cv2.calcHist([chroma], [1, 2], None, [32, 32], [0, 256, 0, 256]), (3, 3), 0)
    return counts / counts.sum()
