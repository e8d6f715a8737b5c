"""Domain randomisation: one place that says what is done to which picture (ours; docs/data.md).

Every function draws from the generator it is given and nothing else, in an amount that does not depend on what is
switched on: with one effect off, all others stay as they were.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Generator, Tensor

from megaportraits.config import DomainConfig
from megaportraits.data import degrade, glasses, occluders
from megaportraits.data.augment import random_backdrop, uniform
from megaportraits.data.ink import Ink, mix
from megaportraits.data.pictures import read_picture
from megaportraits.errors import UserError
from megaportraits.tensors import HeadPose

_PHOTO_PX = 384
"""Backgrounds are kept with their shorter side reduced to this."""
_KEPT_PHOTOS = 256
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_STREAM = 0x5EED
"""Tells the domain's random numbers from those of the sample itself."""


def stream(seed: int, index: int) -> Generator:
    """The domain's generator for sample `index` of a run."""
    return Generator().manual_seed(((seed * 1_000_003 + index) * 0x10001 + _STREAM) % 2**63)


def _split(generator: Generator, count: int) -> list[Generator]:
    return [Generator().manual_seed(s) for s in torch.randint(2**62, (count,), generator=generator).tolist()]


@dataclass(frozen=True)
class Look:
    """What source and drivers of a pair share."""

    glasses: glasses.Glasses | None
    cast: degrade.Cast

    def apply(
        self,
        rgb: Float[Tensor, "1 3 S S"],
        matte: Float[Tensor, "1 1 S S"],
        pose: HeadPose,
        keypoints: Float[Tensor, "1 K 2"],
    ) -> tuple[Float[Tensor, "1 3 S S"], Float[Tensor, "1 1 S S"]]:
        """Picture and matte with it."""
        if self.glasses is not None:
            rgb, matte = glasses.wear(rgb, matte, pose, keypoints, self.glasses)
        return degrade.cast(rgb, self.cast), matte


class Domain:
    """The effects of a configuration.

    Raises:
        UserError: the folder of backgrounds has no picture.
    """

    def __init__(self, settings: DomainConfig):
        self.settings = settings
        self._photos = _find_photos(settings.backgrounds) if settings.backgrounds and settings.backdrop else []

    def look(self, generator: Generator) -> Look:
        """What source and drivers of one pair have in common: their glasses, and a part of the camera's cast."""
        styled, coloured = _split(generator, 2)
        wears = uniform(styled, 0.0, 1.0) < self.settings.glasses
        worn = glasses.draw_glasses(styled) if wears else None
        return Look(worn, degrade.draw_cast(coloured, self.settings, self.settings.shared))

    def cover(
        self, rgb: Float[Tensor, "1 3 S S"], matte: Float[Tensor, "1 1 S S"], pose: HeadPose, generator: Generator
    ) -> Float[Tensor, "1 3 S S"]:
        """Another background, then something before the face."""
        behind, before = _split(generator, 2)
        if uniform(behind, 0.0, 1.0) < self.settings.backdrop:
            rgb = torch.lerp(self.backdrop(rgb.shape[-1], behind), rgb, matte)
        if uniform(before, 0.0, 1.0) < self.settings.occluders:
            rgb = occluders.occlude(rgb, pose, before)
        return rgb

    def film(self, rgb: Float[Tensor, "1 3 S S"], generator: Generator) -> Float[Tensor, "1 3 S S"]:
        """The picture as a camera takes it and a file keeps it."""
        coloured, taken = _split(generator, 2)
        rgb = degrade.cast(rgb, degrade.draw_cast(coloured, self.settings))
        return degrade.degrade(rgb, taken, self.settings)

    def source(self, rgb: Float[Tensor, "1 3 S S"], generator: Generator) -> Float[Tensor, "1 3 S S"]:
        """The source picture: less often degraded, and in the target's colours, which must follow from it."""
        return degrade.degrade(rgb, generator, self.settings, self.settings.source)

    def backdrop(self, size_px: int, generator: Generator) -> Float[Tensor, "1 3 S S"]:
        """A cut of a photo of the folder, mirrored half of the time; or a random field with some shapes on it."""
        if not self._photos:
            return _shapes(random_backdrop(size_px, generator), generator)
        photo = _read_photo(self._photos[int(torch.randint(len(self._photos), (), generator=generator))])
        shorter = min(photo.shape[:2])
        side = max(1, round(shorter * uniform(generator, 0.4, 1.0)))
        top, left = (int(uniform(generator, 0.0, 1.0) * (length - side)) for length in photo.shape[:2])
        cut = Image.fromarray(photo[top : top + side, left : left + side]).resize((size_px, size_px))
        picture = torch.from_numpy(np.array(cut)).permute(2, 0, 1)[None].float() / 255
        return picture.flip(-1) if uniform(generator, 0.0, 1.0) < 0.5 else picture


def _find_photos(folder: str) -> list[Path]:
    photos = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in _SUFFIXES)
    if not photos:
        raise UserError(f"no picture ({', '.join(_SUFFIXES)}) is in {folder}; give a folder of background photos")
    return photos


@functools.lru_cache(maxsize=_KEPT_PHOTOS)
def _read_photo(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    photo = Image.fromarray(read_picture(path))
    factor = _PHOTO_PX / min(photo.size)
    if factor >= 1:
        return np.asarray(photo)
    width, height = (max(1, round(side * factor)) for side in photo.size)
    return np.asarray(photo.resize((width, height), Image.Resampling.BICUBIC))


def _shapes(field: Float[Tensor, "1 3 S S"], generator: Generator) -> Float[Tensor, "1 3 S S"]:
    """Up to six polygons and lines, then out of focus or not: edges like those of furniture and windows, in faint or
    strong colours."""
    for _ in range(int(uniform(generator, 0.0, 7.0))):
        ink = Ink(field.shape[-1])
        points = torch.rand(4, 2, generator=generator) * 2.4 - 1.2
        if uniform(generator, 0.0, 1.0) < 0.6:
            ink.polygon(points)
        else:
            ink.line(points[:2], uniform(generator, 0.02, 0.4))
        field = mix(field, ink.coverage(), torch.rand(1, 3, 1, 1, generator=generator))
    field = torch.lerp(field.mean(1, keepdim=True), field, uniform(generator, 0.0, 1.0))
    coarse = max(4, round(field.shape[-1] / uniform(generator, 1.0, 8.0)))
    small = F.interpolate(field, size=(coarse, coarse), mode="bilinear", align_corners=False, antialias=True)
    return F.interpolate(small, size=field.shape[-2:], mode="bilinear", align_corners=False)
