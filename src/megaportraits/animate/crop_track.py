"""Where the square crop of one person is in each frame of a driver."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from megaportraits.animate.tracking import DriverTrack
from megaportraits.data.crop import SquareCrop, clip_crop
from megaportraits.errors import UserError
from megaportraits.geometry import FACE_OVAL

OFF_CENTRE = 0.12
"""How far from its place the face's centre may come, in sides, in x or y. Measured with the shipped motion encoder on
real clips: up to here a shift of the crop turns the pose by less than 4 degrees; at 0.16 by 8, at 0.24 by 10."""
_SLOWNESS_S = (2.0, 1.0, 0.5, 0.25, 0.12)
"""Widths (standard deviations in seconds) of the smoothing of a square that moves: the slowest one that keeps the face
inside is taken."""


@dataclass(frozen=True)
class CropTrack:
    """The square of one person: one side in each shot, standing still where it can."""

    x: Float[np.ndarray, " T"]
    """Left edge, in pixels of the frame."""
    y: Float[np.ndarray, " T"]
    """Upper edge, in pixels of the frame."""
    side: Float[np.ndarray, " T"]
    """Side, in pixels of the frame; constant in a shot."""
    follows: tuple[bool, ...]
    """For each shot, whether the square moves with the face."""

    def at(self, i: int) -> SquareCrop:
        """The square in frame i."""
        return SquareCrop(float(self.x[i]), float(self.y[i]), float(self.side[i]))


def crop_track(track: DriverTrack, face: int) -> CropTrack:
    """Frame one face of a driver as `data/crop.py` does, shot by shot.

    The square stands still in a shot if the face then stays well inside it. Otherwise it follows the face, smoothly,
    without delay, and as slowly as the face allows. A shot that does not show the face takes the nearest square.

    Raises:
        UserError: there is no face of that number.
    """
    if not 0 <= face < len(track.faces):
        raise UserError(f"there is no face {face} in the driver, {len(track.faces)} were found; give a smaller number")
    box = track.faces[face].box
    seen = np.isfinite(box[:, 0])
    squares = np.full((len(box), 3), np.nan)
    follows = []
    for number in range(int(track.shot.max()) + 1):
        frames = np.flatnonzero(track.shot == number)
        moves = False
        if seen[frames].any():
            squares[frames], moves = _shot_squares(box[frames], _frame_time(track))
        follows.append(moves)
    known = np.flatnonzero(np.isfinite(squares[:, 0]))
    nearest = known[np.searchsorted((known[1:] + known[:-1]) / 2, np.arange(len(box)))]
    return CropTrack(*squares[nearest].T, follows=tuple(follows))


def _frame_time(track: DriverTrack) -> float:
    """Median seconds from one frame to the next."""
    return float(np.median(np.diff(np.array(track.times_s, np.float64)))) if len(track.times_s) > 1 else 1.0


def _shot_squares(box: Float[np.ndarray, "T 4"], frame_s: float) -> tuple[Float[np.ndarray, "T 3"], bool]:
    """Left edge, upper edge and side in each frame of a shot, and whether they move."""
    seen = np.isfinite(box[:, 0])
    still = _square(box[seen])
    squares = np.tile([still.x, still.y, still.side], (len(box), 1))
    centre = box[:, :2] + box[:, 2:] / 2
    away = centre - np.median(centre[seen], 0)
    reach = OFF_CENTRE * still.side
    if np.abs(away[seen]).max() <= reach:
        return squares, False
    paths = [gaussian(_bridged(away), seconds / frame_s) for seconds in _SLOWNESS_S]
    squares[:, :2] += next((path for path in paths if np.abs((away - path)[seen]).max() <= reach), paths[-1])
    return squares, True


def _bridged(path: Float[np.ndarray, "T n"]) -> Float[np.ndarray, "T n"]:
    """A path whose unknown points (NaN) lie on straight lines between known ones."""
    known = np.flatnonzero(np.isfinite(path[:, 0]))
    return np.stack([np.interp(np.arange(len(path)), known, column[known]) for column in path.T], -1)


def _square(box: Float[np.ndarray, "T 4"]) -> SquareCrop:
    """`clip_crop` of two points of each oval that span its box."""
    corners = np.stack([box[:, :2], box[:, :2] + box[:, 2:]], 1)
    return clip_crop(corners, FACE_OVAL[:2])


def gaussian(path: Float[np.ndarray, "T n"], width: float) -> Float[np.ndarray, "T n"]:
    """Gaussian filter of a path with a standard deviation in frames, without delay; ends go on by point reflection."""
    if len(path) == 1:
        return path
    reach = max(1, round(3 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    longer = np.pad(path, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    return np.stack([np.convolve(column, kernel / kernel.sum(), mode="valid") for column in longer.T], -1)
