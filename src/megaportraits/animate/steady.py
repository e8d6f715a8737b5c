"""Against flicker of the enhancer's detail: blend it with the detail of the frame before, moved along.

The paper names temporal flicker at 1024 px as a limit of its method. What the base model paints stays as it is: only
what the enhancer added is averaged over time, along the optical flow of the base model's picture, and less where the
flow does not explain the picture (what turns into view, cuts).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from megaportraits.data.flow import enlarged, flow, moved

_EXPLAINED = 0.03
"""Difference of colours, in [0, 1], at which the flow is half trusted."""
_SPREAD = 1 / 64
"""Deviation of the window in which colours are compared, and strengths, in sides."""
_MOST_GAIN = 1.5
_FAINT = 1e-7
"""Squared detail below this has no strength to keep."""


@dataclass(frozen=True)
class _Frame:
    low: Float[np.ndarray, "s s 3"]
    """The picture at the base model's size."""
    detail: Float[np.ndarray, "S S 3"]
    """What the picture has beyond `low`, filtered."""


class SteadyDetail:
    """A recursive filter over the frames of one video, in their order."""

    def __init__(self, strength: float, base_px: int):
        """
        Args:
            strength: share of the frame before where the flow explains the picture, in [0, 1).
            base_px: side of the base model's pictures.
        """
        self._strength, self._base_px = strength, base_px
        self._before: _Frame | None = None

    def __call__(self, picture: Float[np.ndarray, "S S 3"]) -> Float[np.ndarray, "S S 3"]:
        """The next frame, RGB in [0, 1], with steadier detail."""
        side = len(picture)
        low = cv2.resize(picture, (self._base_px, self._base_px), interpolation=cv2.INTER_AREA)
        smooth = cv2.resize(low, (side, side), interpolation=cv2.INTER_LINEAR)
        detail = picture - smooth
        if self._before is not None:
            detail = self._blended(self._before, low, detail)
        self._before = _Frame(low, detail)
        return np.clip(smooth + detail, 0, 1)

    def _blended(
        self, before: _Frame, low: Float[np.ndarray, "s s 3"], detail: Float[np.ndarray, "S S 3"]
    ) -> Float[np.ndarray, "S S 3"]:
        """The detail with the moved detail of before in it, as strong as it was."""
        way = flow(low, before.low)
        off = cv2.GaussianBlur(np.abs(low - moved(before.low, way)).mean(-1), (0, 0), _SPREAD * len(low))
        share = cv2.resize(self._strength / (1 + (off / _EXPLAINED) ** 2), detail.shape[1::-1])[..., None]
        mixed = detail + share * (moved(before.detail, enlarged(way, len(detail))) - detail)
        gain = np.sqrt((_power(detail) + _FAINT) / (_power(mixed) + _FAINT))
        return mixed * gain.clip(1 / _MOST_GAIN, _MOST_GAIN)[..., None]


def _power(detail: Float[np.ndarray, "S S 3"]) -> Float[np.ndarray, "S S"]:
    """Squared detail around each pixel."""
    return cv2.GaussianBlur(np.square(detail).sum(-1), (0, 0), _SPREAD * len(detail))
