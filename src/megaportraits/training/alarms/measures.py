"""The measurements of the alarms, on anything that moves a source by a code z.

Pictures are compared inside the head: the matte of the answer within a circle around it. The pose of a driven frame is
the one that the model sees in the answer, whoever acts: only z is from the actor. docs/alarms.md explains each value.
"""

import functools
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image, ImageFilter
from torch import Tensor, nn

from megaportraits import geometry
from megaportraits.data.keypoints import in_space
from megaportraits.metrics import masked_mean, psnr_db
from megaportraits.models.base import BaseModel
from megaportraits.tensors import Canonical, HeadPose, Motion, Prediction, stack
from megaportraits.training.alarms.probe import Scenes, Shots

HEAD_RADIUS = 0.85
"""Of the circle around the head, in the head frame: hair is inside, most of the clothes are not."""
MOST_DB = 60.0
"""Equal pictures have infinite PSNR; means count them with this."""
JPEG_QUALITY, BLUR = 50, 1 / 128
"""What a hidden code must survive; the blur is a Gaussian's deviation, as a part of the picture's side."""


@runtime_checkable
class Puppet(Protocol):
    """What the alarms need of a model, in evaluation mode: the interface of `BaseModel`."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...

    def motion(self, image: Tensor) -> Motion: ...

    def canonical(self, image: Tensor, matte: Tensor, motion: Motion) -> Canonical: ...

    def driver_offsets(self, canonical: Canonical, motion: Motion) -> Tensor: ...

    def render(self, canonical: Canonical, motion: Motion) -> Prediction: ...


@dataclass(frozen=True)
class Take:
    """A model's work on the scenes: what all measurements share."""

    model: Puppet
    scenes: Scenes
    batch: int
    canonical: Canonical
    """Of the G sources."""
    source: Motion
    answer: Motion
    """Of the G * T answers."""
    acted: Float[Tensor, "K GT Z"] | None
    """z of the actors."""

    @functools.cached_property
    def heads(self) -> Float[Tensor, "GT 1 S S"]:
        """Where pictures are compared."""
        return head_mask(self.scenes.answers)

    @functools.cached_property
    def own(self) -> Float[Tensor, "GT 3 S S"]:
        """Self-driving: the sources, driven by their own answers."""
        return self.drive(self.answer.expression)

    def drive(self, code: Float[Tensor, "GT Z"]) -> Float[Tensor, "GT 3 S S"]:
        """The sources with the answers' poses and other codes."""
        painted = [
            self.model.render(self.sources(rows), motion_at(self.answer.pose, code, rows)).rgb.float()
            for rows in _slices(len(code), self.batch)
        ]
        return torch.cat(painted)

    def sources(self, rows: slice) -> Canonical:
        """The canonical volumes of the answers' rows."""
        scene = torch.arange(len(self.heads), device=self.heads.device)[rows] // self.scenes.frames
        return Canonical(self.canonical.volume[scene], self.canonical.descriptor[scene])

    def mean_psnr_db(self, painted: Float[Tensor, "GT 3 S S"]) -> float:
        """Against the right answers, mean of the frames' dB."""
        return _mean_psnr_db(painted, self.scenes.answers, self.heads)


def rehearse(model: Puppet, scenes: Scenes, batch: int) -> Take:
    """Compute what the measurements share."""
    answer, source = see(model, scenes.answers, batch), see(model, scenes.source, batch)
    canonical = model.canonical(scenes.source.rgb, scenes.source.matte, source)
    acted = None
    if scenes.actors is not None:
        codes = see(model, scenes.actors, batch).expression
        acted = codes.view(-1, len(scenes.answers), codes.shape[1])
    return Take(model, scenes, batch, canonical, source, answer, acted)


def see(model: Puppet, shots: Shots, batch: int) -> Motion:
    """E_mtn of all shots."""
    motions = [model.motion(shots.at(rows).rgb) for rows in _slices(len(shots), batch)]
    return stack([motion_at(m.pose, m.expression, slice(None)) for m in motions])


def motion_at(pose: HeadPose, code: Float[Tensor, "N Z"], rows: slice) -> Motion:
    """Rows of a motion, z in fp32."""
    return Motion(HeadPose(pose.rotation[rows], pose.scale[rows], pose.translation[rows]), code[rows].float())


def head_mask(shots: Shots) -> Float[Tensor, "N 1 S S"]:
    """The matte, within a circle around the head."""
    size = shots.matte8.shape[-1]
    pixels = geometry.identity_grid((size, size), shots.matte8.device)
    distance = (pixels[None] - shots.pose.translation[:, None, None, :2]).norm(dim=-1)
    return shots.matte * (distance <= HEAD_RADIUS * shots.pose.scale[:, None, None])[:, None]


def leakage(take: Take) -> dict[str, float]:
    """How much the result depends on who acts and on what is acted; the answer's PSNR by whose z is used."""
    if take.acted is None or len(take.acted) < 2:
        return {}
    painted = torch.stack([take.drive(code) for code in take.acted])
    look, motion = _between_actors(painted, take), _between_frames(painted, take)
    offsets = _offsets(take).unflatten(1, (-1, take.scenes.frames))
    constant = take.acted.mean((0, 1)).expand_as(take.answer.expression)
    return {
        "leak_look": look,
        "leak_motion": motion,
        "leak_ratio": _ratio(look, motion),
        "leak_offsets_ratio": _ratio(_apart(offsets, 0), _apart(offsets, 2)),
        "cross_driver_db": sum(take.mean_psnr_db(p) for p in painted) / len(painted),
        "cross_constant_db": take.mean_psnr_db(take.drive(constant)),
        "cross_answer_db": take.mean_psnr_db(take.own),
    }


def _between_actors(painted: Float[Tensor, "K GT 3 S S"], take: Take) -> float:
    pairs = [masked_mean((a - b).abs(), take.heads).mean() for a, b in itertools.combinations(painted, 2)]
    return float(torch.stack(pairs).mean())


def _between_frames(painted: Float[Tensor, "K GT 3 S S"], take: Take) -> float:
    """Inside either frame's head."""
    frames = painted.unflatten(1, (-1, take.scenes.frames)).unbind(2)
    heads = take.heads.unflatten(0, (-1, take.scenes.frames)).unbind(1)
    pairs = [
        masked_mean((a - b).abs().flatten(0, 1), torch.maximum(x, y).repeat(len(painted), 1, 1, 1)).mean()
        for (a, x), (b, y) in itertools.combinations(zip(frames, heads, strict=True), 2)
    ]
    return float(torch.stack(pairs).mean())


def _offsets(take: Take) -> Float[Tensor, "K GT N"]:
    """w_->d's expression part for each actor's frame: independent of the pose."""
    assert take.acted is not None
    fields = [
        torch.cat(
            [
                take.model.driver_offsets(take.sources(rows), motion_at(take.answer.pose, code, rows)).float()
                for rows in _slices(len(code), take.batch)
            ]
        )
        for code in take.acted
    ]
    return torch.stack(fields).flatten(2)


def _apart(values: Tensor, axis: int) -> float:
    """Mean absolute difference over pairs along an axis."""
    pairs = [(a - b).abs().mean() for a, b in itertools.combinations(values.unbind(axis), 2)]
    return float(torch.stack(pairs).mean())


def collapse(take: Take) -> dict[str, float]:
    """What z is worth in self-driving, and how far the warps move."""
    code = take.answer.expression
    frames = take.scenes.frames
    shuffled = code.roll((frames + 1) % len(code) or 1, 0)
    driven = take.mean_psnr_db(take.own)
    offsets = take.model.driver_offsets(take.sources(slice(None)), take.answer)
    values = {
        "self_db": driven,
        "collapse_zero_db": driven - take.mean_psnr_db(take.drive(torch.zeros_like(code))),
        "collapse_shuffled_db": driven - take.mean_psnr_db(take.drive(shuffled)),
        "offset_driver": float(offsets.float().abs().mean()),
        "offset_face_voxels": float(moved_in_face(offsets.float())),
    }
    if isinstance(take.model, BaseModel):
        source_offsets = take.model.source_offsets(take.canonical.descriptor, take.source)
        if source_offsets is not None:
            values["offset_source"] = float(source_offsets.float().abs().mean())
        values |= missed(take, offsets, source_offsets)
    return values


def missed(
    take: Take, offsets: Float[Tensor, "GT 3 d h w"], source_offsets: Float[Tensor, "G 3 d h w"] | None
) -> dict[str, float]:
    """How far the warps, with and without their offsets, miss known landmarks, in percent of the picture's side."""
    answers, source = (in_space(shots.keypoints, shots.depth) for shots in (take.scenes.answers, take.scenes.source))
    wanted = source.repeat_interleave(take.scenes.frames, 0)
    known = (answers.isfinite() & wanted.isfinite()).all(-1)
    if not known.any():
        return {}
    points, values = torch.where(known[..., None], answers, 0.0), {}
    for name, size in (("missed_percent", 1.0), ("missed_rigid_percent", 0.0)):
        of_source = None if source_offsets is None else size * source_offsets
        found = geometry.driver_to_source(take.answer.pose, size * offsets, take.source.pose, of_source, points)
        values[name] = 50 * float((found - wanted)[known][:, :2].norm(dim=-1).mean())
    return values


def moved_in_face(offsets: Float[Tensor, "N 3 d h w"]) -> Float[Tensor, ""]:
    """Standard deviation over N expressions of the offsets inside the face, in voxels of the offsets' width."""
    size = offsets.shape[2:]
    grid = geometry.identity_grid(size)
    low, high = (torch.from_numpy(edge(geometry.mean_head()[list(geometry.FACE_OVAL)], 0)) for edge in (np.min, np.max))
    face = ((grid[..., :2] > low[:2]) & (grid[..., :2] < high[:2])).all(-1) & (grid[..., 2] < 0)
    return offsets[..., face.to(offsets.device)].std(0).mean() * size[-1] / 2


def hidden_code(take: Take) -> dict[str, float]:
    """cos between z of a picture and z of the same picture compressed and blurred: predictions, and real answers."""
    out = {}
    for name, pictures in (("hidden_cos", take.own), ("hidden_cos_frames", take.scenes.answers.rgb)):
        cosines = [
            F.cosine_similarity(_code(take.model, pictures[rows]), _code(take.model, degrade(pictures[rows])), dim=1)
            for rows in _slices(len(pictures), take.batch)
        ]
        out[name] = float(torch.cat(cosines).mean())
    return out


def _code(model: Puppet, pictures: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B Z"]:
    return model.motion(pictures).expression.float()


def degrade(pictures: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 3 S S"]:
    """The pictures after JPEG and a blur, in [0, 1]."""
    out = []
    for picture in (pictures.float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy():
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=JPEG_QUALITY)
        blurred = Image.open(file).filter(ImageFilter.GaussianBlur(BLUR * len(picture)))
        out.append(torch.from_numpy(np.array(blurred)))
    return torch.stack(out).permute(0, 3, 1, 2).to(pictures.device).float() / 255


def portraits(model: Puppet, scenes: Scenes, batch: int) -> tuple[float, float]:
    """PSNR of sources that drive themselves (what appearance alone can reach), and of their self-driven answers."""
    kept, driven = [], []
    for rows in _slices(len(scenes.source), batch):
        source, answer = scenes.source.at(rows), scenes.answers.at(rows)
        motion = model.motion(source.rgb)
        canonical = model.canonical(source.rgb, source.matte, motion)
        kept.append(model.render(canonical, motion).rgb.float())
        driven.append(model.render(canonical, model.motion(answer.rgb)).rgb.float())
    return (
        _mean_psnr_db(torch.cat(kept), scenes.source, head_mask(scenes.source)),
        _mean_psnr_db(torch.cat(driven), scenes.answers, head_mask(scenes.answers)),
    )


def _mean_psnr_db(painted: Tensor, answers: Shots, heads: Tensor) -> float:
    values = psnr_db(painted, answers.wanted, heads).clamp(max=MOST_DB)
    return float(values[values.isfinite()].mean())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _slices(count: int, batch: int) -> list[slice]:
    return [slice(first, first + batch) for first in range(0, count, batch)]
