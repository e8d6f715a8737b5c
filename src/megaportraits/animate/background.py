"""What is behind the person: the source with the person filled in, a colour, a picture, a video, or nothing."""

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageColor, ImageOps

from megaportraits.data.pictures import PICTURES, read_picture
from megaportraits.data.video import READABLE, read_timed_frames
from megaportraits.errors import UserError
from megaportraits.tensors import GREY

_WORDS = "source", "blur", "transparent"
_PIECE = 0.05
"""Where the matte is above this, there is a piece of the person."""
_SPECK = 0.05
"""Pieces smaller than this share of the largest one are faults of the model."""
_PERSON = 0.02
_MARGIN = 1 / 32
"""Width of the strip around the person that is filled too, in sides: hair and soft edges reach beyond the matte."""
_SOLID = 0.98
"""Matte inside the person."""
_RIM = 1 / 64
"""Deviation of the window in which an edge looks for the colours inside, in sides."""
_ENOUGH = 0.05
"""Share of the window that must be inside the person."""
_BLUR = 1 / 30
"""Deviation of the blurred background, in shorter sides."""
_BLURRED_PX = 512

Fill = Callable[[Float[np.ndarray, "H W 3"], Float[np.ndarray, "H W"]], Float[np.ndarray, "H W 3"]]
"""(Picture in [0, 1], 1 where it is unknown) -> picture with something plausible there."""


def smooth_fill(picture: Float[np.ndarray, "H W 3"], hole: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W 3"]:
    """Push and pull over a pyramid; the constant grey where nothing is known."""
    known = (1 - hole).astype(np.float32)
    return _filled(picture * known[..., None], known)


def background_plate(
    crop: UInt8[np.ndarray, "H W 3"], matte: Float[np.ndarray, "H W"], fill: Fill = smooth_fill
) -> Float[np.ndarray, "H W 3"]:
    """The picture in [0, 1] with the person filled from what is around."""
    reach = 2 * max(1, round(_MARGIN * min(matte.shape))) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    known = 1 - cv2.dilate((matte > _PERSON).astype(np.float32), kernel)
    picture = crop.astype(np.float32) / 255
    soft = cv2.GaussianBlur(known, (0, 0), reach / 8)[..., None] * known[..., None]
    return picture * soft + fill(picture, 1 - known) * (1 - soft)


def _filled(weighted: Float[np.ndarray, "h w 3"], weight: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Colours where `weight` is 0 from ever coarser levels; `weighted` is colour times weight."""
    height, width = weight.shape
    sure = np.clip(4 * weight, 0, 1)[..., None]
    colour = weighted / np.maximum(weight, 1e-6)[..., None]
    if min(height, width) <= 2:
        mean = weighted.sum((0, 1)) / weight.sum() if weight.sum() > 1e-6 else np.full(3, GREY, np.float32)
        return np.where(sure > 0, colour, mean).astype(np.float32)
    coarse = _filled(cv2.pyrDown(weighted), cv2.pyrDown(weight))
    behind = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(colour * sure + behind * (1 - sure), 0, 1)


def foreground(painted: Float[np.ndarray, "S S 3"], matte: Float[np.ndarray, "S S"]) -> Float[np.ndarray, "S S 3"]:
    """A person painted over grey, without the grey: colours premultiplied by the matte.

    Models leave a rim of grey where painted edge and matte differ by a part of a pixel. So edges take their colours
    from inside the person next to them, where there is any.
    """
    own = painted - GREY * (1 - matte[..., None])
    inside = cv2.erode((matte > _SOLID).astype(np.float32), np.ones((3, 3)))
    reach = _RIM * len(matte)
    weight = cv2.GaussianBlur(inside, (0, 0), reach)[..., None]
    near = cv2.GaussianBlur(own * inside[..., None], (0, 0), reach) / np.maximum(weight, 1e-4)
    taken = np.clip(weight / _ENOUGH, 0, 1) * (1 - inside[..., None])
    return own + taken * (near * matte[..., None] - own)


def without_specks(
    painted: Float[np.ndarray, "S S 3"], matte: Float[np.ndarray, "S S"]
) -> tuple[Float[np.ndarray, "S S 3"], Float[np.ndarray, "S S"]]:
    """A painted person and matte without small pieces that do not touch the person; grey is where they were."""
    count, labels, facts, _ = cv2.connectedComponentsWithStats((matte > _PIECE).astype(np.uint8))
    area = facts[1:, cv2.CC_STAT_AREA]
    small = 1 + np.flatnonzero(area < _SPECK * area.max(initial=0))
    if count < 3 or len(small) == 0:
        return painted, matte
    kept = 1 - cv2.dilate(np.isin(labels, small).astype(np.float32), np.ones((5, 5)))
    return GREY + kept[..., None] * (painted - GREY), kept * matte


def composite(
    painted: Float[np.ndarray, "S S 3"], matte: Float[np.ndarray, "S S"], plate: Float[np.ndarray, "S S 3"]
) -> UInt8[np.ndarray, "S S 3"]:
    """A picture that a model painted over grey, over `plate` instead, without a rim of grey."""
    return to_bytes(foreground(painted, matte) + (1 - matte[..., None]) * plate)


def to_bytes(picture: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """[0, 1], clipped, to 0..255, rounded."""
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


class Backdrop(Protocol):
    """What is seen where no person is."""

    still: bool
    """Whether it is the same at all times."""

    def at(self, time_s: Fraction) -> UInt8[np.ndarray, "H W 3"] | None:
        """The picture at a time, or None where the result is transparent. Times must not descend."""
        ...


class _Still:
    still = True

    def __init__(self, picture: UInt8[np.ndarray, "H W 3"] | None):
        self._picture = picture

    def at(self, time_s: Fraction) -> UInt8[np.ndarray, "H W 3"] | None:
        return self._picture


class _Loop:
    """A video, read forward only and begun again at its end."""

    still = False

    def __init__(self, path: Path, size: tuple[int, int]):
        self._size = size
        self._frames = _endless(path)
        self._now, self._next = next(self._frames), next(self._frames)
        self._picture = _covering(self._now[1], size)

    def at(self, time_s: Fraction) -> UInt8[np.ndarray, "H W 3"]:
        shown = self._now
        while self._next[0] <= time_s:
            self._now, self._next = self._next, next(self._frames)
        if self._now is not shown:
            self._picture = _covering(self._now[1], self._size)
        return self._picture

    def close(self) -> None:
        self._frames.close()


def _endless(path: Path) -> Generator[tuple[Fraction, UInt8[np.ndarray, "H W 3"]], None, None]:
    """(Seconds, frame) for ever; the last frame of each round lasts as long as the one before it."""
    begin = Fraction(0)
    while True:
        last, step = begin, Fraction(1, 25)
        for time, frame in read_timed_frames(path):
            now = begin + time
            step = now - last if now > last else step
            last = now
            yield now, frame
        begin = last + step


def _covering(picture: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """As large as needed to leave nothing free, cut evenly at the edges."""
    return np.asarray(ImageOps.fit(Image.fromarray(picture), (size[1], size[0]), Image.Resampling.BICUBIC))


@contextlib.contextmanager
def open_backdrop(spec: str | Path, size: tuple[int, int], plate: UInt8[np.ndarray, "h w 3"]) -> Iterator[Backdrop]:
    """What `--background` asks for.

    Args:
        spec: source, blur, transparent, a colour as CSS writes it, or the path of a picture or video (an animated GIF
            is one).
        size: height and width of the result.
        plate: the source without the person, of any size.

    Raises:
        UserError: none of these, or a file that cannot be read.
    """
    spec = str(spec)
    check_backdrop(spec)
    if spec == "source":
        yield _Still(_covering(plate, size))
    elif spec == "blur":
        yield _Still(_covering(_blurred(plate), size))
    elif spec == "transparent":
        yield _Still(None)
    elif (colour := _colour(spec)) is not None:
        yield _Still(np.full((*size, 3), colour, np.uint8))
    elif _is_still(Path(spec)):
        yield _Still(_covering(read_picture(spec), size))
    else:
        with contextlib.closing(_Loop(Path(spec), size)) as loop:
            yield loop


def _is_still(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix == ".gif":
        return len(list(itertools.islice(read_timed_frames(path), 2))) == 1
    return suffix in PICTURES


def check_backdrop(spec: str | Path) -> None:
    """Refuse what `open_backdrop` cannot show, before anything is computed.

    Raises:
        UserError: neither a known word, nor a colour, nor the name of a picture or video that is there.
    """
    spec = str(spec)
    if spec in _WORDS or _colour(spec) is not None:
        return
    if Path(spec).suffix.lower() not in (*PICTURES, *READABLE):
        raise UserError(
            f"the background '{spec}' is neither source, blur or transparent, nor a colour (red, #00ff00), nor the "
            "name of a picture or video; choose one of these"
        )
    if not Path(spec).is_file():
        raise UserError(f"there is no file {spec} for the background; give the path of a picture or video")


def _blurred(plate: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Small pictures are blurred, large ones made small for it: nothing fine is left to keep."""
    height, width = plate.shape[:2]
    scale = min(1.0, _BLURRED_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(plate, size, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), _BLUR * min(size), borderType=cv2.BORDER_REPLICATE)


def _colour(spec: str) -> tuple[int, ...] | None:
    try:
        return ImageColor.getrgb(spec)[:3]
    except ValueError:
        return None
