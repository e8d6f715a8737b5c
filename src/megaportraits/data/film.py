"""Pictures of long clips, decoded where they are asked for, so that a clip never lies in memory as a whole."""

import collections
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from megaportraits.data.clips import KEY_EVERY, read_pictures

LONG = 64
"""Clips with more frames are read piece by piece."""
_PIECES = 2
"""Pieces of a clip that are kept: source and driver are often neighbours."""


def resized(picture: UInt8[np.ndarray, "H W *c"], size_px: int) -> UInt8[np.ndarray, "S S *c"]:
    """A picture at the training size."""
    return np.asarray(Image.fromarray(picture).resize((size_px, size_px), Image.Resampling.BICUBIC))


class LongFilm:
    """The pictures (`rgb`: T S S 3) or mattes (`matte`: T S S) of a clip; to be indexed by slices and lists.

    It reads the pieces between key frames that are asked for, and keeps the last two.
    """

    def __init__(self, clip: Path, name: str, count: int, size_px: int, fps: float):
        self.clip, self.name, self.count, self.size_px, self.fps = clip, name, count, size_px, fps
        self._pieces: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()

    def __len__(self) -> int:
        return self.count

    @property
    def nbytes(self) -> int:
        """Bytes, once both pieces are there."""
        return _PIECES * KEY_EVERY * self.size_px**2 * (3 if self.name == "rgb" else 1)

    def __getitem__(self, numbers: slice | Sequence[int]) -> UInt8[np.ndarray, "..."]:
        rows = range(self.count)[numbers] if isinstance(numbers, slice) else numbers
        return np.stack([self._piece(number // KEY_EVERY)[number % KEY_EVERY] for number in rows])

    def _piece(self, index: int) -> np.ndarray:
        if index not in self._pieces:
            first = index * KEY_EVERY
            pictures = read_pictures(self.clip, f"{self.name}.mp4", first, min(KEY_EVERY, self.count - first), self.fps)
            if self.name == "matte":
                pictures = pictures[..., 0]
            self._pieces[index] = np.stack([resized(picture, self.size_px) for picture in pictures])
            if len(self._pieces) > _PIECES:
                self._pieces.popitem(last=False)
        self._pieces.move_to_end(index)
        return self._pieces[index]
