"""A base model as an evaluation uses it: driven by frames, on its device, a few at a time."""

import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits.animate import Animator
from megaportraits.evaluate.protocols import Sample
from megaportraits.models.base import BaseModel
from megaportraits.tensors import Canonical, HeadPose, Motion, Prediction

_CHUNK = 16
"""Frames that are computed at once."""


class DrivenModel:
    """Motions of pictures, and a sample's source with any motions. The source is computed once."""

    def __init__(self, animator: Animator):
        self.model: BaseModel = animator.model
        self.device = animator.device
        self._current: tuple[Sample, Canonical] | None = None

    @torch.inference_mode()
    def motion(self, pictures: Float[Tensor, "T 3 S S"]) -> Motion:
        """What E_mtn sees in pictures."""
        parts = [self.model.motion(part.to(self.device)) for part in pictures.split(_CHUNK)]
        pose = HeadPose(*(torch.cat([getattr(p.pose, f) for p in parts]) for f in ("rotation", "scale", "translation")))
        return Motion(pose, torch.cat([p.expression for p in parts]))

    @torch.inference_mode()
    def painted(self, sample: Sample, motion: Motion) -> Prediction:
        """The source with each of the motions, in [0, 1], on the CPU."""
        canonical, pose, rgb, mattes = self._canonical(sample), motion.pose, [], []
        for rows in torch.arange(len(motion.expression), device=self.device).split(_CHUNK):
            part = Motion(
                HeadPose(pose.rotation[rows], pose.scale[rows], pose.translation[rows]), motion.expression[rows]
            )
            made = self.model.render(canonical.repeat(len(rows)), part)
            rgb.append(made.rgb.float().clamp(0, 1).cpu())
            if made.matte is not None:
                mattes.append(made.matte.float().cpu())
        return Prediction(torch.cat(rgb), torch.cat(mattes) if mattes else None)

    def _canonical(self, sample: Sample) -> Canonical:
        if self._current is None or self._current[0] is not sample:
            image = sample.source.picture().to(self.device)
            matte = sample.source.foreground().to(self.device)
            self._current = sample, self.model.canonical(image, matte, self.model.motion(image))
        return self._current[1]
