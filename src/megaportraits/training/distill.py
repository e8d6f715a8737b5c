"""`megaportraits train distill`: stage three, a real-time student of a frozen teacher (3.3, A.3).

Cross-driving only: someone's frame drives an avatar, the teacher's picture of that is the truth. L_IN, L_face, L_gaze,
L_adv at four scales and L_FM, raw terms from `losses/`, weights from `config.DistillWeights`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.checkpoint import read_facts
from megaportraits.config import (
    STUDENT_DISCRIMINATORS,
    DistillTraining,
    DistillWeights,
    LossWeights,
    StudentConfig,
    student_preset,
)
from megaportraits.data.avatars import Avatars, Driven, DrivenDataset, read_avatars
from megaportraits.data.clips import find_clips
from megaportraits.data.pairs import FrameStore
from megaportraits.errors import UserError
from megaportraits.losses import adversarial
from megaportraits.losses.feature_matching import feature_matching_loss
from megaportraits.losses.parts import parts_loss
from megaportraits.models.base import BaseModel
from megaportraits.models.discriminator import Discriminator
from megaportraits.models.enhancer import Enhancer
from megaportraits.models.network import shipped_weights
from megaportraits.models.student import Student
from megaportraits.tensors import Canonical, Motion, Prediction, stack
from megaportraits.training.critics import Critics
from megaportraits.training.log import grid
from megaportraits.training.loop import Terms, checkpoints, train
from megaportraits.training.warm_start import start_discriminator

_READ_CLIPS = 64
"""Clips by which z is standardised."""


class Teacher(nn.Module):
    """The frozen base model, doubled by the enhancer up to the student's size; avatars are computed once.

    Args:
        base: checkpoint folder; empty for the weights of the package.
        enhancer: the same, where the student is larger than the base model's pictures.
        size_px: side of the student's pictures.

    Raises:
        UserError: no such weights, or that size cannot be reached.
    """

    volume: Tensor
    descriptor: Tensor

    def __init__(self, base: str, enhancer: str, size_px: int):
        super().__init__()
        self.base = BaseModel.load(base or shipped_weights("base"))
        self.size_px = self.base.config.size_px
        self.doublings = (size_px // self.size_px).bit_length() - 1
        if self.size_px * 2**self.doublings != size_px:
            raise UserError(
                f"the teacher paints {self.size_px} px and the student {size_px} px; give a student of that size, or "
                "one twice or four times as large"
            )
        self.enhancer = Enhancer.load(enhancer or shipped_weights("enhancer")) if self.doublings else None

    @torch.no_grad()
    def meet(self, avatars: Avatars) -> None:
        """Compute what depends on the avatars only; it follows the teacher to other devices and number types."""
        canonical = stack([
            self.base.canonical(rgb[None], matte[None], self.base.motion(rgb[None]))
            for rgb, matte in zip(avatars.rgb, avatars.matte, strict=True)
        ])  # fmt: skip
        self.register_buffer("volume", canonical.volume, persistent=False)
        self.register_buffer("descriptor", canonical.descriptor, persistent=False)

    @torch.no_grad()
    def show(self, batch: Driven) -> tuple[Prediction, Motion]:
        """Avatars with their drivers' motions, and these."""
        motion = self.base.motion(batch.driver)
        canonical = Canonical(self.volume[batch.avatar], self.descriptor[batch.avatar])
        picture = self.base.render(canonical, motion)
        for _ in range(self.doublings):
            assert self.enhancer is not None
            picture = self.enhancer.enhance(picture)
        return picture, motion


class MotionReading(nn.Module):
    """A linear map that reads the teacher's z off the encoder's features, in training only (ours).

    Without it the encoder is slow to look at the mouth, which is a small part of the picture.

    Args:
        features: how many one sample has.
        expressions: z of some drivers, by whose mean and deviation each number is standardised.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int, expressions: Float[Tensor, "N Z"]):
        super().__init__()
        self.map = nn.Linear(features, expressions.shape[1])
        self.register_buffer("mean", expressions.mean(0))
        self.register_buffer("deviation", expressions.std(0) + 1e-6)

    def forward(self, features: Float[Tensor, "B C h w"], expression: Float[Tensor, "B Z"]) -> Float[Tensor, ""]:
        """Mean squared error, in deviations of z."""
        return F.mse_loss(self.map(features.flatten(1)).float(), (expression - self.mean) / self.deviation)


class DistillStage:
    """Networks, data and losses of stage three."""

    def __init__(self, config: DistillTraining):
        torch.manual_seed(config.loop.seed)
        self.config = config
        self.batch, self.collate = config.batch, stack
        if not config.avatars or not config.data:
            raise UserError("no avatars or no drivers came; give --avatars and --data (folders of prepared clips)")
        sizes = student_preset(config.preset)
        known: tuple[str, ...] = ()
        if config.start_from:
            known = tuple(read_facts(config.start_from, "student").get("avatars", ()))
        self.teacher = Teacher(config.teacher, config.enhancer, sizes.size_px)
        self.avatars = read_avatars(config.avatars, self.teacher.size_px, known, self.teacher.base.motion_encoder.pose)
        self._check_resumed()
        self.trained = range(len(known) if config.add else 0, len(self.avatars.names))
        if not self.trained:
            raise UserError(f"the student knows all of {', '.join(known)}; give folders of new people to --add")
        self.generator = self._student(replace(sizes, avatars=len(self.avatars.names)))
        adversary = config.weights.adversarial > 0
        self.discriminator = Discriminator(STUDENT_DISCRIMINATORS[config.preset]) if adversary else None
        if config.start_from:
            start_discriminator(self.discriminator, config.start_from)
        self.critics = Critics(config.critics, _of_critics(config.weights))
        self.teacher.meet(self.avatars)
        self.store = FrameStore(find_clips(config.data, "train"), self.teacher.size_px, config.cache_gb)
        if config.weights.motion > 0:
            self.generator.reading = self._reading()
        self._last: tuple[Tensor, Tensor] | None = None

    def _check_resumed(self) -> None:
        """A run that goes on must find the people it began with: their tensors have numbers, not names."""
        for last in checkpoints(Path(self.config.output))[-1:]:
            before = tuple(read_facts(last, "student")["avatars"])
            if before != self.avatars.names:
                raise UserError(
                    f"the run in {self.config.output} has the avatars {', '.join(before)}, the folders hold "
                    f"{', '.join(self.avatars.names)}; choose another --output, and --start-from for new ones"
                )

    @torch.no_grad()
    def _reading(self) -> MotionReading:
        """By the first frames of clips from all over the data."""
        count = min(len(self.store), _READ_CLIPS)
        frames = [self.store.frame(i * len(self.store) // count, 0).rgb for i in range(count)]
        expressions = torch.cat([self.teacher.base.motion(frame).expression for frame in frames])
        sizes = self.generator.config
        return MotionReading(self.generator.encoder.out_channels * (sizes.input_px // 32) ** 2, expressions)

    def _student(self, sizes: StudentConfig) -> Student:
        """A new student, or that of `start_from` with the new avatars."""
        path = self.config.start_from
        if not path:
            student = Student(sizes)
            student.start_encoder(self.teacher.base.motion_encoder.pose.trunk)
            return student
        before = Student.load(path)
        if replace(before.config, avatars=sizes.avatars) != sizes:
            raise UserError(f"{path} holds a student of other sizes; give its --preset")
        return before.with_avatars(sizes.avatars, self.trained.start).train()

    def dataset(self, length: int) -> DrivenDataset:
        config = self.config
        return DrivenDataset(self.store, self.trained, config.jitter, config.flip, config.loop.seed, length)

    def to_device(self, batch: Driven, device: torch.device) -> Driven:
        for network in (self.teacher, self.critics):
            network.to(device, batch.driver.dtype)
        return batch

    def generator_terms(self, batch: Driven, step: int) -> Terms:
        weights = self.config.weights
        wanted, motion = self.teacher.show(batch)
        features = self.generator.encode(self._seen(batch.seen))
        made = self.generator.decode(features, self.generator.modulation(batch.avatar))
        painted, truth = made.rgb, wanted.rgb
        self._last = painted.detach(), truth
        points = self.avatars.placed(batch.avatar.cpu(), motion.pose)
        terms: Terms = self.critics.terms(painted, truth, motion.pose, points)
        if weights.reconstruction > 0:
            terms["reconstruction"] = (F.l1_loss(painted, truth), weights.reconstruction)
        if weights.parts > 0:
            terms["parts"] = (parts_loss(painted, truth, points), weights.parts)
        if self.generator.reading is not None:
            terms["motion"] = (self.generator.reading(features, motion.expression), weights.motion)
        if made.matte is not None and wanted.matte is not None and weights.matte > 0:
            terms["matte"] = (F.l1_loss(made.matte, wanted.matte), weights.matte)
        if self.discriminator is not None:
            fake = self.discriminator(painted)
            terms["adversarial"] = (adversarial.generator_loss([f[-1] for f in fake]), weights.adversarial)
            if weights.feature_matching > 0:
                raw = feature_matching_loss(self.discriminator(truth), fake)
                terms["feature_matching"] = (raw, weights.feature_matching)
        return terms

    def _seen(self, driver: Tensor) -> Tensor:
        """Drivers at the student's input size."""
        px = self.generator.config.input_px
        return F.interpolate(driver, (px, px), mode="bilinear", antialias=True, align_corners=False)

    def discriminator_terms(self, batch: Driven) -> Terms:
        assert self.discriminator is not None
        assert self._last is not None
        fake, real = (self.discriminator(picture) for picture in self._last)
        raw = adversarial.discriminator_loss([r[-1] for r in real], [f[-1] for f in fake])
        return {"discriminator": (raw, 1.0)}

    @torch.no_grad()
    def pictures(self, average: nn.Module, batch: Driven):
        """Columns: driver, the teacher's picture, the student's."""
        assert isinstance(average, Student)
        wanted, _ = self.teacher.show(batch)
        made = average(self._seen(batch.driver), batch.avatar)
        return grid([batch.driver, wanted.rgb, made.rgb], rows=4)

    def measure(self, average: nn.Module, step: int) -> dict[str, float]:
        return {}

    def export(self, average: nn.Module, folder: Path, facts: dict[str, Any]) -> None:
        assert isinstance(average, Student)
        whole = average.with_avatars(len(self.avatars.names))
        whole.eval().save(folder, avatars=list(self.avatars.names), **facts)


def _of_critics(weights: DistillWeights) -> LossWeights:
    """The weights of the terms that stage one has too."""
    return LossWeights(perceptual=weights.perceptual, face=weights.face, gaze=weights.gaze, identity=0.0)


def train_distill(config: DistillTraining) -> None:
    """Train a real-time student that is locked to chosen avatars, from a frozen teacher."""
    train(DistillStage(config), config)
