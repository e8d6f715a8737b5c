"""`megaportraits train identity`: a net that recognises rendered people, for L_face and the identity loss.

Additive-margin softmax (CosFace, Wang et al., CVPR 2018) over the people of the data. Clothes, hair, light and
background are disturbed at random, so that the face decides.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.utils.data import Dataset

from megaportraits import geometry
from megaportraits.checkpoint import read_model, write_model
from megaportraits.config import IDENTITY_PRESETS, IdentityNetConfig, IdentityTraining, to_dict
from megaportraits.data import augment
from megaportraits.data.alignment import aligned_face
from megaportraits.data.clips import find_clips, read_info
from megaportraits.data.pairs import FrameStore
from megaportraits.errors import UserError
from megaportraits.models.identity import IdentityNet
from megaportraits.models.network import checked_load
from megaportraits.tensors import HeadPose, stack
from megaportraits.training.log import grid
from megaportraits.training.loop import Terms, train
from megaportraits.training.stage import LoneStage

_FACE_ELLIPSE = (0.72, 0.92)
"""Half axes of the ellipse that holds brows, cheeks and chin of an upright face, in its half sides."""


@dataclass(frozen=True)
class Faces:
    """Upright faces as the net is to see them."""

    rgb: Float[Tensor, "B 3 S S"]
    """In [0, 1]."""
    person: Int[Tensor, " B"]
    """Number of the person."""


def margin_softmax(
    cosines: Float[Tensor, "B N"], person: Int[Tensor, " B"], scale: float | int, margin: float | int
) -> Float[Tensor, ""]:
    """Cross entropy of scale * (cosine - margin at the right person) (CosFace, Eq. 4), mean over the batch."""
    right = F.one_hot(person, cosines.shape[1]).to(cosines.dtype)
    return F.cross_entropy(scale * (cosines - margin * right), person)


class IdentityClassifier(nn.Module):
    """The net and one direction for each person of the data; only the net is exported."""

    def __init__(self, config: IdentityNetConfig, people: int):
        super().__init__()
        self.net = IdentityNet(config)
        self.directions = nn.Parameter(F.normalize(torch.randn(people, config.embedding), dim=-1))

    def forward(self, face: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B N"]:
        """Cosine of the embedding with each person's direction."""
        embedding = self.net.embed(face)
        with geometry.full_precision(face.device):
            return embedding @ F.normalize(self.directions, dim=-1).T


class FaceDataset(Dataset):
    """Upright faces of people drawn evenly, disturbed; item i is a function of (seed, i)."""

    def __init__(self, store: FrameStore, people: list[list[int]], face_px: int, config: IdentityTraining, length: int):
        self.store, self.people, self.face_px, self.config, self.length = store, people, face_px, config, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Faces:
        """A batch of one."""
        settings = self.config
        generator = Generator().manual_seed((settings.loop.seed * 1_000_003 + index) % 2**63)
        person = _draw(len(self.people), generator)
        clip = self.people[person][_draw(len(self.people[person]), generator)]
        frame = self.store.frame(clip, _draw(len(self.store[clip].rgb), generator))
        if augment.uniform(generator, 0.0, 1.0) < settings.flip:
            frame = frame.flipped()
        pose = _misplaced(frame.pose, settings, generator)
        face = aligned_face(frame.rgb, pose, self.face_px)
        matte = aligned_face(frame.matte.expand_as(frame.rgb), pose, self.face_px)[:, :1]
        face = self._over_backdrop(face, matte, generator)
        face = augment.colour_jitter(face, generator, settings.jitter, settings.grey)
        return Faces(_blurred(face, augment.uniform(generator, 1.0, settings.blur)), torch.tensor([person]))

    def _over_backdrop(self, face: Tensor, matte: Tensor, generator: Generator) -> Tensor:
        """Sometimes with another background, and sometimes without what surrounds the face in its ellipse."""
        backdrop = augment.random_backdrop(self.face_px, generator)
        if augment.uniform(generator, 0.0, 1.0) >= self.config.backdrop:
            matte = torch.ones_like(matte)
        if augment.uniform(generator, 0.0, 1.0) < self.config.surroundings:
            matte = matte * _ellipse(self.face_px)
        return face * matte + backdrop * (1 - matte)


def _draw(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _misplaced(pose: HeadPose, settings: IdentityTraining, generator: Generator) -> HeadPose:
    """The pose as an imperfect tracker finds it: moved, scaled and turned in the picture."""
    move = [augment.uniform(generator, -settings.shift, settings.shift) for _ in range(2)]
    factor = pose.scale.new_tensor(augment.uniform(generator, -settings.zoom, settings.zoom)).exp()
    angle = torch.tensor([augment.uniform(generator, -settings.roll_deg, settings.roll_deg)])
    turn = geometry.rotation_from_angles(torch.zeros(1), torch.zeros(1), angle)
    return HeadPose(turn @ pose.rotation, pose.scale * factor, pose.translation + torch.tensor([[*move, 0.0]]))


def _ellipse(size: int) -> Float[Tensor, "1 1 S S"]:
    """1 inside the face's ellipse, 0 outside, soft between."""
    radius = (geometry.identity_grid((size, size)) / torch.tensor(_FACE_ELLIPSE)).norm(dim=-1)
    return ((1.1 - radius) / 0.2).clamp(0, 1)[None, None]


def _blurred(face: Tensor, factor: float) -> Tensor:
    size = face.shape[-1]
    smaller = F.interpolate(face, size=max(1, round(size / factor)), mode="bilinear", antialias=True)
    return F.interpolate(smaller, size=size, mode="bilinear", align_corners=False)


class IdentityStage(LoneStage):
    """Loss: additive-margin softmax. Logged beside it: the share of faces whose nearest direction is the right one."""

    def __init__(self, config: IdentityTraining):
        torch.manual_seed(config.loop.seed)
        self.config, self.batch, self.collate = config, config.batch, stack
        self.sizes = IDENTITY_PRESETS[config.preset]
        self.store = FrameStore(find_clips(config.data, "train"), config.frame_px, config.cache_gb)
        self.people = _clips_of_people(self.store)
        self.generator = IdentityClassifier(self.sizes, len(self.people))
        if config.start_from:
            _, tensors = read_model(config.start_from, "identity")
            checked_load(self.generator.net, tensors, config.start_from)

    def dataset(self, length: int) -> FaceDataset:
        return FaceDataset(self.store, self.people, self.sizes.input_px, self.config, length)

    def to_device(self, batch: Faces, device: torch.device) -> Faces:
        return Faces(batch.rgb.to(device), batch.person.to(device))

    def generator_terms(self, batch: Faces, step: int) -> Terms:
        cosines = self.generator(batch.rgb)
        hits = (cosines.detach().argmax(1) == batch.person).float().mean()
        return {
            "margin_softmax": (margin_softmax(cosines, batch.person, self.config.scale, self.config.margin), 1.0),
            "accuracy": (hits, 0.0),
        }

    def pictures(self, average: nn.Module, batch: Faces):
        """The first 36 faces, as the net sees them."""
        rows = min(6, len(batch.rgb))
        return grid(list(batch.rgb.split(rows))[: min(6, len(batch.rgb) // rows)], rows)

    def export(self, average: nn.Module, folder: Path, facts: dict[str, Any]) -> None:
        assert isinstance(average, IdentityClassifier)
        write_model(folder, "identity", to_dict(self.sizes), average.net.state_dict(), facts)


def _clips_of_people(store: FrameStore) -> list[list[int]]:
    """Positions of the clips in the store, person by person, in the order of the labels.

    Raises:
        UserError: the data show fewer than two people.
    """
    people: dict[str, list[int]] = {}
    for position, path in enumerate(store.clips):
        people.setdefault(read_info(path).identity, []).append(position)
    if len(people) < 2:
        raise UserError("the clips show one person only; recognition needs clips of at least two people")
    return [people[label] for label in sorted(people)]


def train_identity(config: IdentityTraining) -> None:
    """Train the recognition net on clips of rendered people."""
    train(IdentityStage(config), config)
