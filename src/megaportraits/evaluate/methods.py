"""The methods that are compared: the model, its ablations and the baselines, all as pictures over grey.

The model paints its own grey; its picture is taken as it is.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits.animate import Animator
from megaportraits.config import EvaluateConfig
from megaportraits.errors import UserError
from megaportraits.evaluate.baselines import moved_by_points, moved_by_poses, similar, warped_by_landmarks
from megaportraits.evaluate.outside import CommandMethod, FolderMethod
from megaportraits.evaluate.protocols import Sample
from megaportraits.models.base import BaseModel
from megaportraits.tensors import Canonical, HeadPose, Motion

Method = Callable[[Sample], Float[Tensor, "T 3 S S"]]
MODEL, CONSTANT_Z, ORACLE = "model", "model, z constant", "model, driven by the answer"
SOURCE, SIMILARITY, SPLINE = "source unchanged", "source, similarity", "source, landmark warp"
RELATIVE = "source, driver's landmark motion"
_TAKEN = ("source", "driver", "right answer", "real", ORACLE, SPLINE, RELATIVE)
"""Names that other systems cannot have, besides those of the table's methods."""
_CHUNK = 16
"""Frames that are computed at once."""


class ModelMethods:
    """A model, driven in the ways that are compared. A sample's source is computed once."""

    def __init__(self, animator: Animator, samples: list[Sample]):
        self.model: BaseModel = animator.model
        self.device = animator.device
        self.mean_expression = self._mean_expression(samples)
        self._current: tuple[Sample, Canonical] | None = None

    def driven(self, sample: Sample) -> Float[Tensor, "T 3 S S"]:
        """The source with the driver's motion."""
        return self._render(sample, self._motion(sample.driver.picture()))

    def driven_without_expression(self, sample: Sample) -> Float[Tensor, "T 3 S S"]:
        """The driver's head pose, but z is the mean over all drivers: what expression contributes is missing."""
        pose = self._motion(sample.driver.picture()).pose
        return self._render(sample, Motion(pose, self.mean_expression.expand(len(pose.scale), -1)))

    def driven_by_answer(self, sample: Sample) -> Float[Tensor, "T 3 S S"]:
        """The right answer as driver: what the model reaches when motion need not cross identities."""
        return self._render(sample, self._motion(sample.wanted.picture()))

    @torch.inference_mode()
    def _motion(self, pictures: Float[Tensor, "T 3 S S"]) -> Motion:
        parts = [self.model.motion(part.to(self.device)) for part in pictures.split(_CHUNK)]
        pose = HeadPose(*(torch.cat([getattr(p.pose, f) for p in parts]) for f in ("rotation", "scale", "translation")))
        return Motion(pose, torch.cat([p.expression for p in parts]))

    @torch.inference_mode()
    def _mean_expression(self, samples: list[Sample]) -> Float[Tensor, "1 Z"]:
        return torch.cat([self._motion(s.driver.picture()).expression for s in samples]).mean(0, keepdim=True)

    @torch.inference_mode()
    def _render(self, sample: Sample, motion: Motion) -> Float[Tensor, "T 3 S S"]:
        canonical, pose, painted = self._canonical(sample), motion.pose, []
        for rows in torch.arange(len(motion.expression), device=self.device).split(_CHUNK):
            part = Motion(
                HeadPose(pose.rotation[rows], pose.scale[rows], pose.translation[rows]), motion.expression[rows]
            )
            rgb = self.model.render(canonical.repeat(len(rows)), part).rgb
            painted.append(rgb.float().clamp(0, 1).cpu())
        return torch.cat(painted)

    def _canonical(self, sample: Sample) -> Canonical:
        if self._current is None or self._current[0] is not sample:
            image = sample.source.picture().to(self.device)
            matte = sample.source.foreground().to(self.device)
            self._current = sample, self.model.canonical(image, matte, self.model.motion(image))
        return self._current[1]


def all_methods(animator: Animator, samples: list[Sample], config: EvaluateConfig) -> dict[str, Method]:
    """Every method by its name, in the order of the table.

    Raises:
        UserError: another system's results or command cannot be used, or has the name of a method.
    """
    ours, first = ModelMethods(animator, samples), samples[0]
    methods: dict[str, Method] = {MODEL: ours.driven, CONSTANT_Z: ours.driven_without_expression}
    if first.crossed and first.target is not None:
        methods[ORACLE] = ours.driven_by_answer
    methods |= {SOURCE: _source, SIMILARITY: _similarity}
    methods |= {RELATIVE: _relative} if first.target is None else {SPLINE: _spline}
    for kind, others in ((FolderMethod, config.outputs), (CommandMethod, config.command)):
        for text in others:
            name, equals, value = text.partition("=")
            if not (name and equals and value) or name in methods or name in _TAKEN:
                raise UserError(f"'{text}' does not name another system; write NAME=VALUE with a name of its own")
            methods[name] = kind(value)
    return methods


def _source(sample: Sample) -> Float[Tensor, "T 3 S S"]:
    return sample.source.over_grey().expand(len(sample.wanted.numbers), -1, -1, -1)


def _similarity(sample: Sample) -> Float[Tensor, "T 3 S S"]:
    source, driver = sample.source, sample.driver
    if source.rendered:
        return moved_by_poses(source.over_grey(), source.pose, driver.pose)
    return moved_by_points(source.over_grey(), source.landmarks, driver.landmarks)


def _spline(sample: Sample) -> Float[Tensor, "T 3 S S"]:
    return warped_by_landmarks(sample.source.over_grey(), sample.source.landmarks, sample.wanted.landmarks)


def _relative(sample: Sample) -> Float[Tensor, "T 3 S S"]:
    """The source's landmarks move as the driver's do from their first frame on, at the source's size."""
    there = similar(sample.driver.landmarks[:1], sample.source.landmarks, sample.driver.landmarks)
    moved = sample.source.landmarks + there - there[:1]
    return warped_by_landmarks(sample.source.over_grey(), sample.source.landmarks, moved)
