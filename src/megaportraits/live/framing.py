"""The head's square in a camera's pictures, as they come."""

import math

import numpy as np
from jaxtyping import Float

from megaportraits.animate.crop_track import OFF_CENTRE
from megaportraits.data.crop import SquareCrop, clip_crop

_SIDE_S, _PLACE_S = 3.0, 0.3
"""Seconds in which the side goes 63 % of its way to the wanted one, and the place of a head that left its room."""
_LOST_S = 1.0
"""After so long without a face, the next one is framed anew."""


class LiveSquare:
    """`data/crop.py`'s square without knowledge of what comes: it stands still while the face stays well inside it, and
    follows slowly otherwise. Its side follows the face's size over seconds, as a nod is no step towards the camera."""

    def __init__(self) -> None:
        self._square: SquareCrop | None = None
        self._time_s = 0.0

    def follow(self, landmarks_px: Float[np.ndarray, "478 3"], time_s: float) -> SquareCrop:
        """The square of a new frame.

        Args:
            landmarks_px: of the face, in pixels of the frame.
            time_s: when the frame was taken; must not descend.
        """
        wanted = clip_crop(landmarks_px[None, :, :2])
        passed, self._time_s = max(0.0, time_s - self._time_s), time_s
        if self._square is None or passed > _LOST_S:
            self._square = wanted
            return wanted
        now = self._square
        side = now.side * (wanted.side / now.side) ** _part(passed, _SIDE_S)
        room, step = OFF_CENTRE * side, _part(passed, _PLACE_S)
        here, away = _middle(now), _middle(wanted) - _middle(now)
        x, y = here + step * (away - away.clip(-room, room)) - side / 2
        self._square = SquareCrop(float(x), float(y), side)
        return self._square


def _part(passed_s: float, slowness_s: float) -> float:
    return 1 - math.exp(-passed_s / slowness_s)


def _middle(square: SquareCrop) -> Float[np.ndarray, " 2"]:
    return np.array([square.x, square.y]) + square.side / 2
