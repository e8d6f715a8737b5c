"""The one square that frames a head: the same for photos (T = 1), drivers and training clips.

Pixel coordinates are continuous: 0 is the left (upper) edge of the first pixel, its centre is 0.5. Crop coordinates
are those of `geometry.py`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

from megaportraits.errors import UserError
from megaportraits.geometry import FACE_OVAL

SIDE_PER_OVAL_HEIGHT = 2.2
"""Side of the square / median height of the face oval."""
RISE = 0.08
"""How far above the oval's centre the square's centre is, in sides: hair needs more room than the neck."""


@dataclass(frozen=True)
class SquareCrop:
    """A square in a frame; it may leave the frame, which is then continued by reflection."""

    x: float
    """Left edge, in pixels of the frame."""
    y: float
    """Upper edge, in pixels of the frame."""
    side: float
    """Side, in pixels of the frame."""

    def cut(self, frame: UInt8[np.ndarray, "H W *c"], size_px: int) -> UInt8[np.ndarray, "S S *c"]:
        """The square's content, resampled to `size_px` with an antialiasing cubic filter.

        What lies outside the frame is its reflection, more and more blurred, so that no second sharp face appears.
        """
        left, top = math.floor(self.x), math.floor(self.y)
        right, bottom = math.ceil(self.x + self.side), math.ceil(self.y + self.side)
        rows = _reflected(np.arange(top, bottom), frame.shape[0])
        columns = _reflected(np.arange(left, right), frame.shape[1])
        patch = Image.fromarray(frame[rows[:, None], columns[None]])
        box = (self.x - left, self.y - top, self.x - left + self.side, self.y - top + self.side)
        picture = patch.resize((size_px, size_px), Image.Resampling.BICUBIC, box=box)
        outside = self._distance_outside(frame.shape[:2], size_px)
        if not outside.any():
            return np.asarray(picture)
        for reach in (0.02, 0.06):
            blurred = picture.filter(ImageFilter.GaussianBlur(reach * size_px / 2))
            weight = np.clip(outside / reach, 0, 1) * 255
            picture = Image.composite(blurred, picture, Image.fromarray(weight.astype(np.uint8)))
        return np.asarray(picture)

    def mirrored(self, values: Float[np.ndarray, "S S"], frame_shape: tuple[int, ...]) -> Float[np.ndarray, "S S"]:
        """A mask of the crop, continued outside a frame of (height, width) as `cut` continues the frame."""
        size_px = len(values)
        indices = []
        for start, length in ((self.y, frame_shape[0]), (self.x, frame_shape[1])):
            centres = ((np.arange(size_px) + 0.5) * self.side / size_px + start) % (2 * length)
            folded = np.minimum(centres, 2 * length - centres)
            indices.append(np.clip((folded - start) * size_px / self.side, 0, size_px - 1).astype(int))
        return np.maximum(values, values[np.ix_(*indices)])

    def to_crop_coordinates(self, points_px: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Pixels of the frame -> crop coordinates in [-1, 1]."""
        return 2 * (points_px - np.array([self.x, self.y])) / self.side - 1

    def to_pixels(self, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Crop coordinates -> pixels of the frame; the inverse of `to_crop_coordinates`."""
        return (points + 1) * self.side / 2 + np.array([self.x, self.y])

    def _distance_outside(self, frame_shape: tuple[int, ...], size_px: int) -> Float[np.ndarray, "S S"]:
        """How far each pixel of the crop lies outside a frame of (height, width), in sides; 0 inside."""
        centres = (np.arange(size_px) + 0.5) * self.side / size_px
        height, width = frame_shape[:2]
        rows, columns = centres + self.y, centres + self.x
        beyond_y = np.maximum(np.maximum(-rows, rows - height), 0)
        beyond_x = np.maximum(np.maximum(-columns, columns - width), 0)
        return np.hypot(beyond_y[:, None], beyond_x[None]) / self.side


def _reflected(indices: np.ndarray, length: int) -> np.ndarray:
    """Indices into 0..length-1, mirrored at the edges as often as needed (the edge pixel is repeated)."""
    folded = indices % (2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)


def clip_crop(landmarks_px: Float[np.ndarray, "T L 2"], landmark_ids: Sequence[int] | None = None) -> SquareCrop:
    """One square for a whole clip: 2.2 x the median height of the face oval, centred 0.08 sides above its centre.

    Args:
        landmarks_px: landmarks in pixels over the track. L is 36 (the face oval only), 468 or 478 (MediaPipe's
            numbers), or anything with `landmark_ids`.
        landmark_ids: MediaPipe's number of each landmark, where they are another subset; those on the oval are used.

    Raises:
        UserError: no frame has landmarks, or they span no height.
    """
    oval = _oval(landmarks_px, landmark_ids)
    if len(oval) == 0:
        raise UserError("no face was found in any frame; give a picture or video with a visible face")
    low, high = oval.min(1), oval.max(1)
    side = SIDE_PER_OVAL_HEIGHT * float(np.median(high[:, 1] - low[:, 1]))
    if not side > 0:
        raise UserError("the face is less than a pixel high; give a larger picture of the face")
    centre_x, centre_y = np.median((low + high) / 2, axis=0)
    return SquareCrop(float(centre_x) - side / 2, float(centre_y) - RISE * side - side / 2, side)


def _oval(landmarks_px: np.ndarray, landmark_ids: Sequence[int] | None) -> Float[np.ndarray, "T P 2"]:
    count = landmarks_px.shape[1]
    if landmark_ids is not None:
        on_oval = [i for i, number in enumerate(landmark_ids) if number in FACE_OVAL]
        return landmarks_px[:, on_oval]
    if count == len(FACE_OVAL):
        return landmarks_px
    if count >= 468:
        return landmarks_px[:, list(FACE_OVAL)]
    raise ValueError(f"{count} landmarks came; give 36, 468 or 478 of them, or their landmark_ids")
