"""Putting a painted head back in the whole photo: what of the photo stays, and how the head is blended in."""

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

from megaportraits.animate.background import Fill, background_plate, foreground, smooth_fill, to_bytes
from megaportraits.animate.head_zone import face_points, removed, shown, smooth_step
from megaportraits.animate.onnx_nets import OnnxMatting
from megaportraits.animate.source import Source
from megaportraits.data.crop import SquareCrop
from megaportraits.data.faces import PersonMatte
from megaportraits.tensors import HeadPose

_STRIP = 0.02
"""How far around the person's matte the photo is not trusted to be background, in sides."""
_PERSON = 0.02
_NECK = 0.6
"""Where the fill of the person's matte is above this, there is neck behind the jaw."""
_MATTE_PX = 1024
"""Longer side of the picture in which the person is looked for."""
_GAIN = 0.7, 1.4
"""Least and largest correction of a colour channel's contrast."""
_SURE = 0.9
_FEW = 16

Region = tuple[slice, slice]
"""Rows and columns."""
Painted = tuple[Float[np.ndarray, "S S 3"], Float[np.ndarray, "S S"]]
"""A person over grey, and their matte."""


@dataclass(frozen=True)
class Layer:
    """A still picture between backdrop and head."""

    rgba: UInt8[np.ndarray, "H W 4"]
    """Premultiplied by the fourth channel."""
    plate: UInt8[np.ndarray, "h w 3"]
    """What the backdrop is made of, where any is seen: the same picture without the person, of any size."""


def photo_layer(source: Source, net: Path | None, fill: Fill, cut_out: bool) -> Layer:
    """The photo without its head; shoulders, body and (without `cut_out`) background stay.

    Args:
        source: the source.
        net: ONNX matting network, or None for MediaPipe's.
        fill: fills what the head hid.
        cut_out: leave the background out.
    """
    place = placed(source.square, *source.photo.shape[:2])
    zone = place.brought(removed(face_points(source.motion.pose), len(source.matte)))
    person = person_of(source.photo, net)
    near = person[place.region]
    near += zone * np.maximum(place.brought(source.matte) - near, 0)
    reach = math.ceil(_STRIP * source.square.side)
    wide = _widened(near > _PERSON, reach)
    gone = cv2.GaussianBlur(wide, (0, 0), (2 * reach + 1) / 6) * zone
    hole = (wide * zone > 0).astype(np.float32)
    photo = source.photo[place.region].astype(np.float32) / 255
    neck = smooth_step(4 * (smooth_fill(near[..., None].repeat(3, -1), hole)[..., 0] - _NECK) + 0.5)
    body = smooth_fill(photo, 1 - (near > 0.5) * (1 - hole))
    behind = fill(photo, wide)
    without = photo + gone[..., None] * (behind + neck[..., None] * (body - behind) - photo)
    if not cut_out:
        rgba = np.dstack([source.photo, np.full(person.shape, 255, np.uint8)])
        rgba[place.region][..., :3] = to_bytes(without)
        return Layer(rgba, source.photo)
    plate = _without_person(source.photo, person, fill)
    near += gone * (neck - near)
    alpha = to_bytes(person)
    rgba = np.dstack([cv2.multiply(source.photo, alpha[..., None].repeat(3, -1), scale=1 / 255), alpha])
    rgba[place.region][..., :3] = to_bytes(without * near[..., None])
    return Layer(rgba, plate)


def _widened(there: Bool[np.ndarray, "H W"], reach: int) -> Float[np.ndarray, "H W"]:
    """1 up to `reach` pixels around a region, 0 elsewhere; as fast for a wide reach as for a short one."""
    return (cv2.distanceTransform((~there).astype(np.uint8), cv2.DIST_L2, 5) <= reach).astype(np.float32)


def _without_person(
    photo: UInt8[np.ndarray, "H W 3"], person: Float[np.ndarray, "H W"], fill: Fill
) -> UInt8[np.ndarray, "h w 3"]:
    """Not larger than `_MATTE_PX`: it is only seen blurred."""
    size = _small(photo)
    small, matte = (cv2.resize(values, size, interpolation=cv2.INTER_AREA) for values in (photo, person))
    return to_bytes(background_plate(small, matte, fill))


def _small(photo: UInt8[np.ndarray, "H W 3"]) -> tuple[int, int]:
    """Width and height of a photo with sides of at most `_MATTE_PX`."""
    height, width = photo.shape[:2]
    scale = min(1.0, _MATTE_PX / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def person_of(photo: UInt8[np.ndarray, "H W 3"], net: Path | None) -> Float[np.ndarray, "H W"]:
    """Soft matte of the person in a whole photo, by an ONNX network or, for None, MediaPipe's."""
    small = cv2.resize(photo, _small(photo), interpolation=cv2.INTER_AREA)
    if net is not None:
        matte = OnnxMatting(net).matte(small)
    else:
        with PersonMatte() as person:
            matte = person.matte(small)
    return np.clip(cv2.resize(matte, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR), 0, 1)


@dataclass(frozen=True)
class Place:
    """A square of a photo in whole pixels, and the part of it that is inside the photo."""

    region: Region
    """The part, in the photo."""
    part: Region
    """The part, in the square."""
    side_px: int
    """Side of the square."""

    def brought(self, values: Shaped[np.ndarray, "S S *c"]) -> Shaped[np.ndarray, "h w *c"]:
        """A picture of the square, in the photo's pixels `region`."""
        how = cv2.INTER_AREA if self.side_px < len(values) else cv2.INTER_CUBIC
        return cv2.resize(values, (self.side_px, self.side_px), interpolation=how)[self.part]


def placed(square: SquareCrop, height: int, width: int) -> Place:
    """Where a square is in a photo."""
    side_px, top, left = max(1, round(square.side)), round(square.y), round(square.x)
    rows = slice(max(0, top), min(height, top + side_px))
    columns = slice(max(0, left), min(width, left + side_px))
    part = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    return Place((rows, columns), part, side_px)


class HeadPaste:
    """Brings painted heads to their place in the photo, in the photo's colours."""

    def __init__(self, source: Source, self_painted: Painted):
        """Learn the colours from the source driven by its own motion: `self_painted`, over grey, and its matte."""
        self._size_px = len(source.matte)
        self._own = face_points(source.motion.pose)
        self._gain, self._bias = colour_match(*self_painted, source)
        self._place = placed(source.square, *source.photo.shape[:2])
        self.region = self._place.region
        """Rows and columns of the photo that heads are brought to."""

    def __call__(
        self, painted: Float[np.ndarray, "S S 3"], matte: Float[np.ndarray, "S S"], pose: HeadPose | None
    ) -> UInt8[np.ndarray, "h w 4"]:
        """The head in the photo's pixels `region`, premultiplied; `pose` is the painted one, None the source's."""
        now = self._own if pose is None else face_points(pose)
        alpha = matte[..., None]
        colours = foreground(painted, matte) * self._gain + alpha * self._bias
        head = np.dstack([colours, alpha]) * shown(self._own, now, self._size_px)[..., None]
        return self._place.brought(to_bytes(head))


def colour_match(
    painted: Float[np.ndarray, "S S 3"], matte: Float[np.ndarray, "S S"], source: Source
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Gain and bias by which the painted colours become the source's, by least squares over the person."""
    both = np.minimum(matte, source.matte) > _SURE
    if both.sum() < _FEW:
        return np.ones(3, np.float32), np.zeros(3, np.float32)
    ours, wanted = painted[both], source.crop[both].astype(np.float32) / 255
    spread = ours - ours.mean(0)
    gain = (spread * (wanted - wanted.mean(0))).mean(0) / np.maximum((spread**2).mean(0), 1e-4)
    gain = np.clip(gain, *_GAIN)
    return gain.astype(np.float32), (wanted.mean(0) - gain * ours.mean(0)).astype(np.float32)
