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
from megaportraits.evaluate.doubling import DoublingMethods
from megaportraits.evaluate.driven import DrivenModel
from megaportraits.evaluate.outside import CommandMethod, FolderMethod
from megaportraits.evaluate.protocols import Sample
from megaportraits.models.enhancer import Enhancer
from megaportraits.tensors import Motion

Method = Callable[[Sample], Float[Tensor, "T 3 S S"]]
MODEL, CONSTANT_Z, ORACLE = "model", "model, z constant", "model, driven by the answer"
SOURCE, SIMILARITY, SPLINE = "source unchanged", "source, similarity", "source, landmark warp"
RELATIVE = "source, driver's landmark motion"
BICUBIC, LANCZOS = "base, bicubic", "base, Lanczos + unsharp mask"
ENHANCED, STEADY = "base, enhancer", "base, enhancer, steady"
_TAKEN = ("source", "driver", "right answer", "real", ORACLE, SPLINE, RELATIVE)
"""Names that other systems cannot have, besides those of the table's methods."""


class ModelMethods:
    """A model, driven in the ways that are compared."""

    def __init__(self, animator: Animator, samples: list[Sample]):
        self.model = DrivenModel(animator)
        self.mean_expression = self._mean_expression(samples)

    def driven(self, sample: Sample) -> Float[Tensor, "T 3 S S"]:
        """The source with the driver's motion."""
        return self.model.painted(sample, self.model.motion(sample.driver.picture())).rgb

    def driven_without_expression(self, sample: Sample) -> Float[Tensor, "T 3 S S"]:
        """The driver's head pose, but z is the mean over all drivers: what expression contributes is missing."""
        pose = self.model.motion(sample.driver.picture()).pose
        return self.model.painted(sample, Motion(pose, self.mean_expression.expand(len(pose.scale), -1))).rgb

    def driven_by_answer(self, sample: Sample) -> Float[Tensor, "T 3 S S"]:
        """The right answer as driver: what the model reaches when motion need not cross identities."""
        return self.model.painted(sample, self.model.motion(sample.wanted.picture())).rgb

    def _mean_expression(self, samples: list[Sample]) -> Float[Tensor, "1 Z"]:
        return torch.cat([self.model.motion(s.driver.picture()).expression for s in samples]).mean(0, keepdim=True)


def all_methods(
    animator: Animator, samples: list[Sample], config: EvaluateConfig, enhancer: Enhancer | None = None
) -> dict[str, Method]:
    """Every method by its name, in the order of the table; with an enhancer, the ways to the doubled size.

    Raises:
        UserError: another system's results or command cannot be used, or has the name of a method.
    """
    methods = _of_model(animator, samples) if enhancer is None else _of_enhancer(animator, enhancer, config)
    for kind, others in ((FolderMethod, config.outputs), (CommandMethod, config.command)):
        for text in others:
            name, equals, value = text.partition("=")
            if not (name and equals and value) or name in methods or name in _TAKEN:
                raise UserError(f"'{text}' does not name another system; write NAME=VALUE with a name of its own")
            methods[name] = kind(value)
    return methods


def _of_model(animator: Animator, samples: list[Sample]) -> dict[str, Method]:
    ours, first = ModelMethods(animator, samples), samples[0]
    methods: dict[str, Method] = {MODEL: ours.driven, CONSTANT_Z: ours.driven_without_expression}
    if first.crossed and first.target is not None:
        methods[ORACLE] = ours.driven_by_answer
    methods |= {SOURCE: _source, SIMILARITY: _similarity}
    return methods | ({RELATIVE: _relative} if first.target is None else {SPLINE: _spline})


def _of_enhancer(animator: Animator, enhancer: Enhancer, config: EvaluateConfig) -> dict[str, Method]:
    ours = DoublingMethods(animator, enhancer)
    methods: dict[str, Method] = {BICUBIC: ours.bicubic, LANCZOS: ours.sharpened, ENHANCED: ours.enhanced}
    if config.step == 1:
        methods[STEADY] = ours.steady
    return methods | {SOURCE: _source}


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
