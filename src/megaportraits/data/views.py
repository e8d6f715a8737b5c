"""Training samples of stage two: two views of one photo, and another person's photo as driver.

Paper: 3.2 (stills of different people; views differ by crop and rotation, nothing that changes the person's shape).
Frames of clips serve as photos too, and two frames of a clip as source and driver (ours). Conventions: `geometry.py`.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor
from torch.utils.data import Dataset

from megaportraits import geometry
from megaportraits.config import EnhanceTraining, ViewConfig
from megaportraits.data import augment
from megaportraits.data.clips import find_clips, read_info
from megaportraits.data.pairs import Frame, FrameStore, sample_generator
from megaportraits.data.stills import find_stills
from megaportraits.errors import UserError

_TRIES = 20
"""Draws after which a view stays uncropped."""


@dataclass(frozen=True)
class Views:
    """What stage two sees of B people: pictures of the result's size, RGB in [0, 1], background included."""

    source: Float[Tensor, "B 3 H W"]
    source_matte: Float[Tensor, "B 1 H W"]
    driver: Float[Tensor, "B 3 H W"]
    """Another view of the source's photo: driver and truth of the supervised half."""
    driver_matte: Float[Tensor, "B 1 H W"]
    other: Float[Tensor, "B 3 h w"]
    """x_c, another person's view at half the size: driver of the unsupervised half; the driver's view without one."""


@dataclass(frozen=True)
class Crop:
    """A turned square of a photo: view coordinates q show the photo at side * turn @ q + centre."""

    side: float
    """Relative to the photo's."""
    angle_deg: float
    centre: tuple[float, float]
    """(x, y) in crop coordinates of the photo."""

    def _turn(self) -> Float[Tensor, "2 2"]:
        cosine, sine = math.cos(math.radians(self.angle_deg)), math.sin(math.radians(self.angle_deg))
        return torch.tensor([[cosine, -sine], [sine, cosine]])

    def points(self, photo_points: Float[Tensor, "K 2"]) -> Float[Tensor, "K 2"]:
        """Where points of the photo are in the view."""
        return (photo_points - torch.tensor(self.centre)) @ self._turn() / self.side

    def cut(self, image: Float[Tensor, "1 C H W"]) -> Float[Tensor, "1 C H W"]:
        """The view; what lies outside the photo reads zero."""
        grid = geometry.identity_grid(image.shape[-2:]) @ self._turn().T * self.side + torch.tensor(self.centre)
        return geometry.sample(image, grid[None])


def face_part(points: Float[Tensor, "K 2"]) -> float:
    """Part of the points' upright box that lies within the picture; NaN points do not count."""
    known = points[points.isfinite().all(-1)]
    if len(known) == 0:
        return 1.0
    low, high = known.amin(0), known.amax(0)
    shown = (high.clamp(-1, 1) - low.clamp(-1, 1)).prod()
    return float(shown / (high - low).prod().clamp(min=1e-9))


def draw_crop(keypoints: Float[Tensor, "K 2"], generator: Generator, settings: ViewConfig) -> Crop:
    """A random turned crop, its centre's square within the photo, that keeps enough of the face."""
    angle = augment.uniform(generator, -settings.rotation_deg, settings.rotation_deg)
    for _ in range(_TRIES):
        side = augment.uniform(generator, settings.least_side, 1.0)
        x, y = (augment.uniform(generator, side - 1, 1 - side) for _ in range(2))
        crop = Crop(side, angle, (x, y))
        if face_part(crop.points(keypoints)) >= settings.face_kept:
            return crop
    return Crop(1.0, angle, (0.0, 0.0))


def turn_hue(image: Float[Tensor, "B 3 H W"], turns: float) -> Float[Tensor, "B 3 H W"]:
    """Turn colours around the grey axis; 1/3 turns red into green."""
    angle = 2 * math.pi * turns
    cosine, sine = math.cos(angle), math.sin(angle) / math.sqrt(3)
    across = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    matrix = cosine * torch.eye(3) + (1 - cosine) / 3 + sine * across
    return torch.einsum("ij,bjhw->bihw", matrix.to(image), image).clamp(0, 1)


class PhotoStore:
    """Photos and frames of clips, told apart by the person.

    Raises:
        UserError: none came, a folder holds none, they are smaller than the result, or the unsupervised half has one
            person only.
    """

    def __init__(self, config: EnhanceTraining, result_px: int):
        stills = find_stills(config.stills) if config.stills else []
        clips = find_clips(config.data, "train") if config.data else []
        if not stills and not clips:
            raise UserError("no training data came; give --stills (of `prepare photos`) or --data (folders of clips)")
        photo_px = config.photo_px or result_px
        if photo_px % result_px:
            raise UserError(f"photo_px is {photo_px}; give a multiple of the result's side, {result_px}")
        self.frames = FrameStore([*stills, *clips], photo_px, config.cache_gb)
        self.kinds = [range(len(stills)), range(len(stills), len(stills) + len(clips))]
        self.stills_share = config.stills_share if clips and stills else float(bool(stills))
        known = [read_info(path) for path in self.frames.clips]
        small = [path for path, info in zip(self.frames.clips, known, strict=True) if info.size_px < result_px]
        if small:
            raise UserError(
                f"{len(small)} photos or clips, {small[0]} among them, are smaller than the result, {result_px} px, "
                "and would teach blur; prepare or render them at that size, or train with a smaller --size-px"
            )
        self.people = [info.identity for info in known]
        if config.halves != "supervised" and len(set(self.people)) < 2:
            raise UserError(
                "all photos show one person, but the unsupervised half takes another person as driver; "
                "give photos of more people, or --halves supervised"
            )

    def draw(self, generator: Generator) -> int:
        """A photo or clip."""
        chosen = self.kinds[augment.uniform(generator, 0.0, 1.0) >= self.stills_share]
        return chosen[_below(len(chosen), generator)]

    def draw_other(self, index: int, generator: Generator) -> int:
        """A photo or clip of another person."""
        others = [i for i, person in enumerate(self.people) if person != self.people[index]]
        return others[_below(len(others), generator)]

    def frame(self, index: int, generator: Generator) -> Frame:
        """A random frame."""
        return self.frames.frame(index, _below(len(self.frames[index].rgb), generator))

    def two_frames(self, index: int, generator: Generator) -> tuple[Frame, Frame]:
        """Two frames of a clip, different ones where it has several."""
        chosen = torch.randperm(len(self.frames[index].rgb), generator=generator)[:2].tolist()
        return self.frames.frame(index, chosen[0]), self.frames.frame(index, chosen[-1])


def _below(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


class ViewDataset(Dataset):
    """Item i, a batch of one, is a function of (seed, i)."""

    def __init__(self, store: PhotoStore, config: EnhanceTraining, result_px: int, length: int):
        self.store, self.config, self.result_px, self.length = store, config, result_px, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Views:
        settings, generator = self.config.views, sample_generator(self.config.loop.seed, index)
        number = self.store.draw(generator)
        if self.config.two_frames:
            frames = self.store.two_frames(number, generator)
        else:
            frames = (self.store.frame(number, generator),) * 2
        mirrored = augment.uniform(generator, 0.0, 1.0) < settings.flip
        hue = augment.uniform(generator, -settings.hue, settings.hue)
        source, driver = (self._view(frame, mirrored, hue, generator) for frame in frames)
        other = driver
        if self.config.halves != "supervised":
            frame = self.store.frame(self.store.draw_other(number, generator), generator)
            other = self._view(frame, mirrored, 0.0, generator)
        return Views(*source, *driver, F.avg_pool2d(other[0], 2))

    def _view(self, frame: Frame, mirrored: bool, hue: float, generator: Generator) -> tuple[Tensor, Tensor]:
        """RGB and matte of a random view of a frame."""
        frame = frame.flipped() if mirrored else frame
        crop = draw_crop(frame.keypoints[0], generator, self.config.views)
        view = crop.cut(torch.cat([frame.rgb, frame.matte], 1))
        view = F.avg_pool2d(view, view.shape[-1] // self.result_px)
        return turn_hue(view[:, :3], hue), view[:, 3:]
