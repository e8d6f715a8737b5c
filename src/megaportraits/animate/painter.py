"""The models on a device: pictures in, pictures out, in batches, by arithmetic that can be trusted there."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from megaportraits.animate.background import without_specks
from megaportraits.animate.devices import Arithmetic, Batches, device_of, note
from megaportraits.animate.enlarge import Enlarger
from megaportraits.animate.regions import region_gain_field
from megaportraits.config import Device, Precision
from megaportraits.data.crop import SquareCrop
from megaportraits.data.faces import PersonMatte
from megaportraits.data.pictures import read_picture
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.models.enhancer import Enhancer
from megaportraits.tensors import Canonical, Motion, Prediction, mapped, stack

_BATCH = {"cpu": 4, "mps": 4, "cuda": 8}
_FAR = 0.1
"""What the probe allows: root mean square difference from fp32, in standard deviations of the fp32 picture."""
_NEAR = 2 / 255
"""Differences below this do not count."""


@dataclass(frozen=True)
class RegionGains:
    """Exaggerate (above 1) or damp (below 1) the expression of parts of the face, against a neutral expression."""

    eyes: float
    """Gain of the region of the eyes."""
    mouth: float
    """Gain of the region of the mouth."""
    neutral: Float[Tensor, "1 Z"]
    """z of the neutral expression."""


class Painter:
    """A model on its device, and the enhancer behind it where there is one. Safe to use from several threads."""

    def __init__(
        self, model: BaseModel, device: torch.device, precision: Precision = "auto",
        enhancer: Enhancer | None = None, times: int = 0,
    ):  # fmt: skip
        """The model and, where `times` is not 0, the enhancer that doubles its pictures so often."""
        self.model = model.to(device)
        self.device = device
        self.base_px = model.config.size_px
        """Side of what the model sees."""
        self.size_px = self.base_px * 2**times
        """Side of the results."""
        self.arithmetic = Arithmetic(device, precision)
        self._enlarger = Enlarger(enhancer.to(device), times, self.arithmetic) if enhancer and times else None
        self.batches = Batches(_BATCH[device.type])
        self._person: PersonMatte | None = None
        self._lock = threading.Lock()

    @torch.inference_mode()
    def motion(self, crops: Sequence[UInt8[np.ndarray, "H W 3"]]) -> Motion:
        """E_mtn of square crops of any size, on the CPU."""

        def part(rows: slice) -> Motion:
            images = self.images(crops[rows])
            return self.arithmetic.finite(lambda: mapped(self.model.motion(images), _plain))

        return mapped(stack(self.batches.over(len(crops), part)), Tensor.cpu)

    @torch.inference_mode()
    def canonical(self, crop: UInt8[np.ndarray, "S S 3"], matte: Float[np.ndarray, "S S"]) -> tuple[Canonical, Motion]:
        """What the model keeps of a source of its size (on the device), and the source's own motion (on the CPU)."""
        image, mask = self.images([crop]), torch.from_numpy(matte)[None, None].to(self.device)

        def compute() -> tuple[Canonical, Motion]:
            motion = mapped(self.model.motion(image), _plain)
            return mapped(self.model.canonical(image, mask, motion), _plain), motion

        canonical, motion = self.batches.over(1, lambda _: self.arithmetic.finite(compute))[0]
        return canonical, mapped(motion, Tensor.cpu)

    @torch.inference_mode()
    def paint(
        self, canonical: Canonical, motion: Motion, gains: RegionGains | None = None
    ) -> tuple[Float[np.ndarray, "B S S 3"], Float[np.ndarray, "B S S"]]:
        """A source in B motions, at the results' size: RGB in [0, 1] over grey, and the person in [0, 1]."""
        parts = self.batches.over(
            len(motion.expression), lambda rows: self._part(canonical, mapped(motion, lambda t: t[rows]), gains)
        )
        rgb, matte = zip(*parts, strict=True)
        return np.concatenate(rgb), np.concatenate(matte)

    def images(self, crops: Sequence[UInt8[np.ndarray, "H W 3"]]) -> Float[Tensor, "B 3 S S"]:
        """Square crops of any size as the model sees them."""
        size = self.base_px
        right = [c if len(c) == size else SquareCrop(0.0, 0.0, float(len(c))).cut(c, size) for c in crops]
        return torch.from_numpy(np.stack(right)).to(self.device).permute(0, 3, 1, 2).float() / 255

    def _part(self, canonical: Canonical, motion: Motion, gains: RegionGains | None) -> tuple[np.ndarray, np.ndarray]:
        there = mapped(motion, lambda t: t.to(self.device))
        prediction = self._without_specks(self.arithmetic.finite(lambda: self._rendered(canonical, there, gains)))
        if self._enlarger is not None:
            prediction = self._enlarger(prediction)
        assert prediction.matte is not None
        return prediction.rgb.permute(0, 2, 3, 1).cpu().numpy(), prediction.matte[:, 0].cpu().numpy()

    def _without_specks(self, prediction: Prediction) -> Prediction:
        """The prediction with a matte, of MediaPipe's net where the model paints none, and without stray pieces."""
        rgb = prediction.rgb.permute(0, 2, 3, 1).cpu().numpy()
        mattes = self._person_mattes(rgb) if prediction.matte is None else prediction.matte[:, 0].cpu().numpy()
        pictures, clean = zip(*(without_specks(*pair) for pair in zip(rgb, mattes, strict=True)), strict=True)
        both = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), torch.from_numpy(np.stack(clean))[:, None]
        return mapped(Prediction(*both), lambda picture: picture.to(self.device))

    def _rendered(self, canonical: Canonical, motion: Motion, gains: RegionGains | None) -> Prediction:
        several = _spread(canonical, len(motion.expression))
        offsets = None if gains is None else self._mixed(canonical, motion, gains)
        return mapped(self.model.render(several, motion, offsets), _plain)

    def _mixed(self, canonical: Canonical, motion: Motion, gains: RegionGains) -> Float[Tensor, "B 3 d h w"]:
        """The driver's offsets with gains by region: neutral + gain (offsets - neutral)."""
        neutral = Motion(mapped(motion.pose, lambda t: t[:1]), gains.neutral.to(self.device))
        both = stack([neutral, motion])
        offsets = self.model.driver_offsets(_spread(canonical, len(both.expression)), both).float()
        gain = region_gain_field(gains.eyes, gains.mouth, offsets.shape[2:]).to(self.device)
        return offsets[:1] + gain * (offsets[1:] - offsets[:1])

    def _person_mattes(self, painted: Float[np.ndarray, "B S S 3"]) -> Float[np.ndarray, "B S S"]:
        pictures = (np.clip(painted, 0, 1) * 255 + 0.5).astype(np.uint8)
        with self._lock:  # MediaPipe's nets are not made for several threads
            self._person = self._person or PersonMatte()
            return np.stack([self._person.matte(picture) for picture in pictures])


def open_painter(
    model: BaseModel, device: Device, precision: Precision, enhancer: Enhancer | None = None, times: int = 0
) -> Painter:
    """The model on the device, with the fastest numbers up to `precision` that paint a fixed picture rightly there.

    Raises:
        UserError: there is no such device, or the model cannot compute on it.
    """
    place = device_of(device)
    painter = Painter(model, place, precision, enhancer, times)
    if place.type == "cpu" and painter.arithmetic.precision == "fp32":
        return painter
    try:
        _probe(painter)
    except RuntimeError as error:
        if device != "auto" or place.type == "cpu":
            reason = str(error).strip().split("\n")[0].rstrip(".")
            raise UserError(f"the model cannot compute on {place.type} ({reason}); choose --device cpu") from error
        note(f"{place.type} cannot compute this model; going on with the CPU")
        return Painter(model, torch.device("cpu"), "fp32", enhancer, times)
    return painter


def _probe(painter: Painter) -> None:
    """Paint a picture in fp32 and in the wanted numbers; fall back until they agree."""
    with resources.as_file(resources.files("megaportraits")) as package:
        image = Image.fromarray(read_picture(Path(package) / "demo" / "source.png"))
    crop = np.asarray(image.resize((painter.base_px, painter.base_px), Image.Resampling.BICUBIC))
    wanted = painter.arithmetic.precision
    painter.arithmetic.precision = "fp32"
    right = _painted_itself(painter, crop)
    painter.arithmetic.precision = wanted
    while (precision := painter.arithmetic.precision) != "fp32":
        try:
            agrees = _agrees(_painted_itself(painter, crop), right)
        except RuntimeError:
            agrees = False
        if painter.arithmetic.precision == precision:
            if agrees:
                return
            painter.arithmetic.fall_back(precision, "paints another picture than fp32")


def _painted_itself(painter: Painter, crop: UInt8[np.ndarray, "S S 3"]) -> Float[np.ndarray, "S S 4"]:
    """A crop driven by its own motion, with its matte."""
    canonical, motion = painter.canonical(crop, np.ones(crop.shape[:2], np.float32))
    rgb, matte = painter.paint(canonical, motion)
    return np.concatenate([rgb[0], matte[0, ..., None]], -1)


def _agrees(seen: Float[np.ndarray, "S S 4"], right: Float[np.ndarray, "S S 4"]) -> bool:
    """Whether a picture is the right one but for rounding; a black or constant one is not."""
    return bool(np.sqrt(np.mean((seen - right) ** 2)) <= max(_FAR * float(right.std()), _NEAR))


def _plain(tensor: Tensor) -> Tensor:
    """In fp32, whatever the arithmetic was: it may be another one next time."""
    return tensor.float()


def _spread(canonical: Canonical, count: int) -> Canonical:
    """One source for `count` drivers, without copies."""
    return mapped(canonical, lambda t: t.expand(count, *t.shape[1:]))
