"""Technical quality of a head's picture without a reference: sharpness, exposure, block edges.

Ours, for want of the paper's HyperIQA (B.3), whose file can be given instead (`--quality-net`). It judges the file, not
beauty: blur, light and compression.
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from megaportraits.data.crop import SquareCrop

_REBLUR = 9
"""Pixels of the second blur, as in the authors' paper."""
_DARK, _BRIGHT = 6, 249
"""Luma below and above which nothing can be seen."""
_CONTRAST = 32.0
"""Standard deviation of the luma from which on contrast is full."""
_BLOCK = 8
_JUDGED_PX = 256
"""Sharpness is judged at this size, so that numbers of different sets can be compared."""


def quality(frame: UInt8[np.ndarray, "H W 3"], square: SquareCrop) -> float:
    """Quality of the square's content in [0, 1]: sharpness times exposure over the strength of block edges."""
    crop = cv2.cvtColor(square.cut(frame, _JUDGED_PX), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return (1 - blur(crop)) * exposure(crop) / (1 + blockiness(_inside(frame, square)))


def blur(luma: Float[np.ndarray, "H W"]) -> float:
    """0 is sharp, 1 flat: the part of neighbouring differences that a further blur leaves.

    Crete and others, "The blur effect" (SPIE 2007); the blurrier of both directions.
    """
    found = []
    for picture in (luma, luma.T):
        picture = np.ascontiguousarray(picture)
        own = np.abs(np.diff(picture, axis=0))
        again = np.abs(np.diff(cv2.blur(picture, (1, _REBLUR)), axis=0))
        total = float(own.sum())
        lost = float(np.maximum(own - again, 0).sum())
        found.append(1.0 if total == 0 else 1 - lost / total)
    return max(found)


def exposure(luma: Float[np.ndarray, "H W"]) -> float:
    """Part of the pixels that are neither black nor burnt out, times contrast; 1 is a well exposed picture."""
    seen = float(((luma > _DARK) & (luma < _BRIGHT)).mean())
    return seen * min(1.0, float(luma.std()) / _CONTRAST)


def blockiness(luma: Float[np.ndarray, "H W"]) -> float:
    """How much stronger differences at the edges of 8 x 8 blocks are than elsewhere: 0 not at all, 1 twice as strong.

    The blocks' grid begins at the upper left pixel.
    """
    ratios = []
    for picture in (luma, luma.T):
        steps = np.abs(np.diff(picture, axis=0)).mean(1)
        edge = np.arange(len(steps)) % _BLOCK == _BLOCK - 1
        if edge.any() and not edge.all():
            ratios.append((steps[edge].mean() + 0.1) / (steps[~edge].mean() + 0.1))
    return max(0.0, float(max(ratios, default=1.0)) - 1)


def _inside(frame: UInt8[np.ndarray, "H W 3"], square: SquareCrop) -> Float[np.ndarray, "h w"]:
    """The part of the square that the frame holds, in the frame's own pixels, from an edge of its blocks on."""
    height, width = frame.shape[:2]
    top, left = (max(0, int(start)) // _BLOCK * _BLOCK for start in (square.y, square.x))
    bottom, right = min(height, int(square.y + square.side)), min(width, int(square.x + square.side))
    region = np.ascontiguousarray(frame[top : max(bottom, top + 1), left : max(right, left + 1)])
    return cv2.cvtColor(region, cv2.COLOR_RGB2GRAY).astype(np.float32)
