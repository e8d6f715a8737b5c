"""Animating a picture: set the source once, drive it by many frames.

`Animator` knows the world (files, faces, colour depth), `Painter` the device, and the models know tensors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from PIL import Image

from megaportraits.animate.background import background_plate, composite
from megaportraits.animate.enlarge import doublings
from megaportraits.animate.painter import Painter, RegionGains, open_painter
from megaportraits.animate.source import Source, read_source, write_source
from megaportraits.animate.weights import find_weights, tensors_hash
from megaportraits.config import AnimateOptions, Device, Precision
from megaportraits.data.crop import SquareCrop, clip_crop
from megaportraits.data.faces import FaceTracker, PersonMatte
from megaportraits.data.pictures import read_picture, rgb_array
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.models.enhancer import Enhancer
from megaportraits.models.network import shipped_weights
from megaportraits.tensors import Motion, mapped, stack

if TYPE_CHECKING:
    from megaportraits.animate.pipeline import AnimationReport

_MATTE_NET_PX = 256
Matting = Callable[[UInt8[np.ndarray, "H W 3"]], Float[np.ndarray, "H W"]]
"""Finds the person in a crop: values in [0, 1]."""


@dataclass(frozen=True)
class Frame:
    """One animated frame."""

    rgb: UInt8[np.ndarray, "S S 3"]
    """The person in front of the source's background."""
    matte: UInt8[np.ndarray, "S S"]
    """The person, 0 to 255."""


class Animator:
    """A loaded model and the current source. The source may be changed while another thread drives it."""

    def __init__(self, model: BaseModel, device: torch.device, precision: Precision = "auto"):
        self._use(Painter(model, device, precision))

    @classmethod
    def load(
        cls, weights: str | Path | None = None, device: Device = "auto", precision: Precision = "auto",
        resolution: int = 0, enhancer: str | Path | None = None,
    ) -> "Animator":  # fmt: skip
        """Load a model for use.

        Args:
            weights: checkpoint folder, preset, or OWNER/NAME of a hub; None for the weights of the package.
            device: where to compute; auto takes a GPU where there is one that works.
            precision: numbers of the networks; auto takes fp16 on a GPU, and safer ones where that fails.
            resolution: side of the results in pixels: the model's own (0 stands for it), or 2, 4 or 8 times that,
                which the enhancer makes.
            enhancer: checkpoint folder of `train enhance`; None for the enhancer of the package.

        Raises:
            UserError: no such weights, damaged ones, no such device, or no such resolution.
        """
        animator, model = cls.__new__(cls), BaseModel.load(find_weights(weights))
        times = doublings(model.config.size_px, resolution)
        behind = Enhancer.load(enhancer or shipped_weights("enhancer")) if times else None
        animator._use(open_painter(model, device, precision, behind, times))
        return animator

    def _use(self, painter: Painter) -> None:
        self._painter = painter
        self._source: Source | None = None
        self.model = painter.model
        self.device = painter.device
        self.base_px = painter.base_px
        """Side of the pictures that the model sees."""
        self.size_px = painter.size_px
        """Side of the results."""

    @property
    def precision(self) -> Precision:
        """The numbers the networks compute with at present."""
        return self._painter.arithmetic.precision

    @property
    def batch_size(self) -> int:
        """How many pictures are computed at once; it gets smaller when memory is short."""
        return self._painter.batches.size

    @cached_property
    def model_hash(self) -> str:
        """Hash of the motion encoder: z means something to this one only."""
        return tensors_hash(self.model.motion_encoder)

    @cached_property
    def _whole_hash(self) -> str:
        return tensors_hash(self.model)

    @property
    def source(self) -> Source:
        """The current source.

        Raises:
            UserError: none is set.
        """
        if self._source is None:
            raise UserError("no source is set; call set_source with a picture before driving it")
        return self._source

    def prepare(self, image: Shaped[np.ndarray, "..."] | str | Path, matting: Matting | None = None) -> Source:
        """Find the face, cut the crop, and compute everything that depends on the source only.

        The current source stays what it is; give the result to `drive`, `paint` or `save_source`.

        Args:
            image: picture of one person, an RGB array (uint8, `H W 3`) or a file.
            matting: finds the person in the crop; by default MediaPipe's net does.

        Raises:
            UserError: an array of another kind, not a readable picture, no face in it, or a model that paints what is
                behind the person.
        """
        if self.model.config.foreground == "all":
            raise UserError(
                "these weights paint their own background (trained with --foreground all), so they can only be scored "
                "(megaportraits evaluate); give weights trained with grey or masked"
            )
        picture = rgb_array(image) if isinstance(image, np.ndarray) else read_picture(image)
        square = _head_square(picture, "the source picture" if isinstance(image, np.ndarray) else str(image))
        crop, seen = (square.cut(picture, side) for side in (self.size_px, self.base_px))
        fine = (matting or _person_matte)(square.cut(picture, max(_MATTE_NET_PX, self.size_px)))
        matte = _reduced(fine, self.size_px)
        plate = background_plate(crop, square.mirrored(matte, picture.shape[:2]))
        return Source(picture, square, crop, matte, plate, *self._painter.canonical(seen, _reduced(fine, self.base_px)))

    def set_source(self, image: Shaped[np.ndarray, "..."] | str | Path, matting: Matting | None = None) -> Source:
        """`prepare` a picture and make it the current source.

        Raises:
            UserError: not a readable picture, or no face in it.
        """
        self._source = source = self.prepare(image, matting)
        return source

    def save_source(self, path: str | Path, source: Source | None = None) -> None:
        """Write the current or another source, photo included, so that it need not be computed again.

        Raises:
            UserError: there is no source, or the file cannot be written.
        """
        write_source(Path(path), source or self.source, self._whole_hash)

    def load_source(self, path: str | Path) -> Source:
        """Read what `save_source` wrote, and make it the current source.

        Raises:
            UserError: no such file, a damaged one, or one made with other weights or at another resolution.
        """
        source = read_source(Path(path), self.model.config, self._whole_hash, self.size_px)
        source = replace(source, canonical=mapped(source.canonical, lambda t: t.to(self.device)))
        self._source = source
        return source

    def motion_of(self, crops: Sequence[UInt8[np.ndarray, "H W 3"]]) -> Motion:
        """Head pose and expression in square crops of any size; tensors on the CPU.

        Raises:
            UserError: there is no crop, or one is not square.
        """
        if not crops:
            raise UserError("no driver crop came; give at least one")
        for crop in crops:
            if crop.shape[0] != crop.shape[1]:
                raise UserError(f"a driver crop of shape {crop.shape} came; give square ones, as SquareCrop.cut makes")
        return self._painter.motion(crops)

    def paint(
        self, motion: Motion, source: Source | None = None, gains: RegionGains | None = None
    ) -> tuple[Float[np.ndarray, "B S S 3"], Float[np.ndarray, "B S S"]]:
        """The current or another source in B motions: RGB in [0, 1] over constant grey, and the person in [0, 1].

        Raises:
            UserError: there is no source, z has another length than the model's, memory is too short for one picture,
                or results are not finite.
        """
        length = self.model.config.motion.expression
        if motion.expression.shape[1] != length:
            raise UserError(
                f"a motion with {motion.expression.shape[1]} expression numbers came, but the model has {length}; take "
                "motions from the same weights"
            )
        return self._painter.paint((source or self.source).canonical, motion, gains)

    def drive(self, item: UInt8[np.ndarray, "H W 3"] | Motion, source: Source | None = None) -> Frame:
        """The current or another source with the motion of a driver's crop (square, any size), or a motion itself."""
        return self.drive_batch([item], source)[0]

    def drive_batch(
        self, items: Sequence[UInt8[np.ndarray, "H W 3"] | Motion], source: Source | None = None
    ) -> list[Frame]:
        """`drive` for several crops or motions (of one frame each) at once.

        Raises:
            UserError: no source is set, or a crop is not square.
        """
        chosen = source or self.source
        if not items:
            return []
        painted, mattes = self.paint(self._motion_of_items(items), chosen)
        return [
            Frame(composite(rgb, matte, chosen.plate), (matte * 255 + 0.5).astype(np.uint8))
            for rgb, matte in zip(painted, mattes, strict=True)
        ]

    def animate(
        self, source: UInt8[np.ndarray, "H W 3"] | str | Path, driver: str | Path, output: str | Path,
        progress: bool = True, **options: Any,
    ) -> "AnimationReport":  # fmt: skip
        """Animate a picture, from files to a file.

        Args:
            source: picture of one person, an RGB array or a file.
            driver: video, picture, folder of pictures, number of a camera, or motion file (.mpmotion).
            output: video, picture or folder to write.
            progress: show a progress bar where standard error is a terminal.
            options: fields of `config.AnimateOptions`.

        Raises:
            UserError: an input is not readable or shows no face, or the output cannot be written.
        """
        from megaportraits.animate.pipeline import animate_files

        return animate_files(self, source, driver, output, AnimateOptions(**options), progress)

    def _motion_of_items(self, items: Sequence[UInt8[np.ndarray, "H W 3"] | Motion]) -> Motion:
        crops = [item for item in items if not isinstance(item, Motion)]
        if not crops:
            return stack([item for item in items if isinstance(item, Motion)])
        read, count = self.motion_of(crops), iter(range(len(crops)))
        return stack([item if isinstance(item, Motion) else _row(read, next(count)) for item in items])


def _row(motion: Motion, row: int) -> Motion:
    return mapped(motion, lambda tensor: tensor[row : row + 1])


def _reduced(matte: Float[np.ndarray, "H W"], side_px: int) -> Float[np.ndarray, "S S"]:
    return np.array(Image.fromarray(matte).resize((side_px, side_px), Image.Resampling.BOX))


def _person_matte(crop: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
    with PersonMatte() as person:
        return person.matte(crop)


def _head_square(picture: UInt8[np.ndarray, "H W 3"], name: str) -> SquareCrop:
    with FaceTracker(video=False) as tracker:
        landmarks = tracker.landmarks(picture)
    if landmarks is None:
        raise UserError(f"no face was found in {name}; give a picture with one clearly visible face")
    return clip_crop(landmarks[None, :, :2])
