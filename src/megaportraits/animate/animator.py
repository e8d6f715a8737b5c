"""Animating a picture: set the source once, drive it by many frames.

`Animator` knows the world (files, faces, colour depth) and the models know tensors. A driver is read twice as a
stream: once to find the one square that frames the head, once to animate; memory does not grow with its length.
Motion is absolute: the result takes the driver's head pose and expression as they are.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from megaportraits.animate.background import background_plate, composite
from megaportraits.animate.source import Source
from megaportraits.config import Device
from megaportraits.data.crop import SquareCrop, clip_crop
from megaportraits.data.faces import FaceTracker, PersonMatte
from megaportraits.data.pictures import read_picture
from megaportraits.data.track import video_square
from megaportraits.data.video import VideoWriter, probe, read_timed_frames
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.tensors import Canonical, Motion

_MATTE_NET_PX = 256
_BATCH = {"cpu": 4, "cuda": 8}


@dataclass(frozen=True)
class Frame:
    """One animated frame."""

    rgb: UInt8[np.ndarray, "S S 3"]
    """The person in front of the source's background."""
    matte: UInt8[np.ndarray, "S S"]
    """The person, 0 to 255."""


class Animator:
    """A loaded model and the current source."""

    def __init__(self, model: BaseModel, device: torch.device):
        self.model = model.to(device)
        self.device = device
        self.size_px = model.config.size_px
        self._source: Source | None = None
        self._person: PersonMatte | None = None

    @classmethod
    def load(cls, checkpoint: str | Path | None = None, device: Device = "auto") -> "Animator":
        """Load a checkpoint folder, or the weights that came with the package for None.

        Raises:
            UserError: no checkpoint there, a damaged one, or no such device.
        """
        return cls(BaseModel.load(checkpoint or shipped_weights()), _device(device))

    def set_source(self, image: UInt8[np.ndarray, "H W 3"] | str | Path) -> Source:
        """Find the face, cut the crop, and compute everything that depends on the source only.

        Raises:
            UserError: not a readable picture, or no face in it.
        """
        name = "the source picture" if isinstance(image, np.ndarray) else str(image)
        picture = image if isinstance(image, np.ndarray) else read_picture(image)
        with FaceTracker(video=False) as tracker:
            landmarks = tracker.landmarks(picture)
        if landmarks is None:
            raise UserError(f"no face was found in {name}; give a picture with one clearly visible face")
        square = clip_crop(landmarks[None, :, :2])
        crop = square.cut(picture, self.size_px)
        with PersonMatte() as person:
            fine = person.matte(square.cut(picture, max(_MATTE_NET_PX, self.size_px)))
        size = (self.size_px, self.size_px)
        matte = np.array(Image.fromarray(fine).resize(size, Image.Resampling.BOX))
        plate = background_plate(crop, square.mirrored(matte, picture.shape[:2]))
        canonical, motion = self._canonical(crop, matte)
        self._source = Source(picture, square, crop, matte, plate, canonical, motion)
        return self._source

    def drive(self, crop: UInt8[np.ndarray, "H W 3"]) -> Frame:
        """The source with the head pose and expression of one driver crop (square, any size)."""
        return self.drive_batch([crop])[0]

    @torch.inference_mode()
    def drive_batch(self, crops: list[UInt8[np.ndarray, "H W 3"]]) -> list[Frame]:
        """`drive` for several crops at once.

        Raises:
            UserError: no source is set, or a crop is not square.
        """
        source = self._source
        if source is None:
            raise UserError("no source is set; call set_source with a picture before driving it")
        for crop in crops:
            if crop.shape[0] != crop.shape[1]:
                raise UserError(f"a driver crop of shape {crop.shape} came; give square ones, as SquareCrop.cut makes")
        motion = self.model.motion(self._tensor(crops))
        prediction = self.model.render(source.canonical.repeat(len(crops)), motion)
        painted = prediction.rgb.float().permute(0, 2, 3, 1).cpu().numpy()
        if prediction.matte is None:
            mattes = self._person_mattes(painted)
        else:
            mattes = list(prediction.matte.float()[:, 0].cpu().numpy())
        return [
            Frame(composite(rgb, matte, source.plate), (matte * 255 + 0.5).astype(np.uint8))
            for rgb, matte in zip(painted, mattes, strict=True)
        ]

    def animate(
        self,
        source: UInt8[np.ndarray, "H W 3"] | str | Path,
        driver: str | Path,
        output: str | Path,
        side_by_side: bool = False,
        progress: bool = True,
    ) -> None:
        """Animate a picture by a video; the result has the driver's frame rate, length and sound.

        Args:
            source: picture of one person, an RGB array or a file.
            driver: video of one person.
            output: video to write (.mp4, .mov, .mkv), as large as the model's picture.
            side_by_side: show source crop, driver crop and result beside each other.
            progress: show a progress bar where standard error is a terminal.

        Raises:
            UserError: an input is not readable or shows no face, or the output cannot be written.
        """
        info = probe(driver)
        _refuse_overwriting(output, [driver] if isinstance(source, np.ndarray) else [driver, source])
        current = self.set_source(source)
        width = self.size_px * (3 if side_by_side else 1)
        with VideoWriter(output, info.fps, width, self.size_px, audio_from=Path(driver)) as writer:
            square = video_square(driver)
            timed_crops = ((time_s, square.cut(f, self.size_px)) for time_s, f in read_timed_frames(driver))
            with tqdm(total=info.frame_count, unit="frame", disable=None if progress else True) as bar:
                for batch in _batches(timed_crops, _BATCH[self.device.type]):
                    crops = [crop for _, crop in batch]
                    for (time_s, crop), frame in zip(batch, self.drive_batch(crops), strict=True):
                        shown = np.hstack([current.crop, crop, frame.rgb]) if side_by_side else frame.rgb
                        writer.write(shown, time_s)
                    bar.update(len(batch))

    @torch.inference_mode()
    def _canonical(self, crop: np.ndarray, matte: np.ndarray) -> tuple[Canonical, Motion]:
        image = self._tensor([crop])
        mask = torch.from_numpy(matte)[None, None].to(self.device)
        motion = self.model.motion(image)
        return self.model.canonical(image, mask, motion), motion

    def _tensor(self, crops: list[np.ndarray]) -> Float[Tensor, "B 3 S S"]:
        right_size = [
            c if len(c) == self.size_px else SquareCrop(0.0, 0.0, float(len(c))).cut(c, self.size_px) for c in crops
        ]
        return torch.from_numpy(np.stack(right_size)).to(self.device).permute(0, 3, 1, 2).float() / 255

    def _person_mattes(self, painted: Float[np.ndarray, "B S S 3"]) -> list[Float[np.ndarray, "S S"]]:
        self._person = self._person or PersonMatte()
        return [self._person.matte((np.clip(p, 0, 1) * 255 + 0.5).astype(np.uint8)) for p in painted]


def animate(
    source: Path,
    driver: Path,
    output: Path,
    weights: Path | None = None,
    side_by_side: bool = False,
    device: Device = "auto",
) -> None:
    """Animate a photo by the head movement and expression of a video.

    Args:
        source: photo of one person.
        driver: video of one person, whose movement and sound are taken.
        output: video to write (.mp4, .mov or .mkv).
        weights: checkpoint folder; by default the weights that came with the package.
        side_by_side: show source, driver and result beside each other.
        device: where to compute; auto takes a GPU where there is one.
    """
    leave_a_core()
    Animator.load(weights, device).animate(source, driver, output, side_by_side)
    print(f"wrote {output}")


def leave_a_core() -> None:
    """Let PyTorch use one CPU core less: its threads wait actively, and decoder and encoder need a core as well."""
    torch.set_num_threads(max(1, torch.get_num_threads() - 1))


def shipped_weights() -> Path:
    """Folder of the base model's weights inside the package.

    Raises:
        UserError: this installation came without weights.
    """
    folder = Path(str(resources.files("megaportraits"))) / "weights" / "base"
    if not folder.is_dir():
        raise UserError(
            "this installation holds no weights; give a checkpoint folder with --weights, or install a release"
        )
    return folder


def _device(name: Device) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device 'cuda' was asked for, but PyTorch sees no GPU; choose --device cpu")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def _refuse_overwriting(output: str | Path, inputs: list[str | Path]) -> None:
    for path in inputs:
        if Path(output).resolve() == Path(path).resolve():
            raise UserError(f"the output {output} is one of the inputs; choose another output name")


def _batches(items: Iterable, size: int) -> Iterator[list]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
