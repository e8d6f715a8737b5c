"""Ways to twice the base model's size: by the enhancer, and by interpolation. All start from the same base pictures.

The paper compares the enhancer with bicubic interpolation (4.2, 1024 px). The base model is given source and driver at
its own size, by the mean of each square of 2 x 2 pixels.
"""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image, ImageFilter
from torch import Tensor

from megaportraits.animate import Animator
from megaportraits.animate.steady import SteadyDetail
from megaportraits.config import AnimateOptions
from megaportraits.evaluate.driven import DrivenModel
from megaportraits.evaluate.protocols import Sample
from megaportraits.models.enhancer import Enhancer
from megaportraits.tensors import Prediction

_UNSHARP = ImageFilter.UnsharpMask(radius=2, percent=100, threshold=0)
"""Adds the difference from a Gaussian blur of sigma 2 px once. Doubling blurs over as many pixels at every size."""


class DoublingMethods:
    """A base model's pictures at twice their size. A sample's base pictures are computed once."""

    def __init__(self, animator: Animator, enhancer: Enhancer):
        self.model = DrivenModel(animator)
        self.enhancer = enhancer.to(self.model.device)
        self._current: tuple[Sample, Prediction] | None = None

    def bicubic(self, sample: Sample) -> Float[Tensor, "T 3 S S"]:
        """Bicubic interpolation, pixel centres kept, limited to [0, 1]."""
        low = self.base(sample).rgb
        return F.interpolate(low, scale_factor=2.0, mode="bicubic", align_corners=False).clamp(0, 1)

    def sharpened(self, sample: Sample) -> Float[Tensor, "T 3 S S"]:
        """Pillow's Lanczos filter and unsharp mask, on bytes."""
        return torch.stack([_sharpened(picture) for picture in self.base(sample).rgb])

    @torch.inference_mode()
    def enhanced(self, sample: Sample) -> Float[Tensor, "T 3 S S"]:
        """The enhancer, inside the base model's matte where it paints one; a frame at a time, for they are large."""
        low, device = self.base(sample), self.model.device
        mattes = [None] * len(low.rgb) if low.matte is None else low.matte.to(device).split(1)
        frames = zip(low.rgb.to(device).split(1), mattes, strict=True)
        return torch.cat([self.enhancer.enhance(Prediction(rgb, matte)).rgb.cpu() for rgb, matte in frames])

    def steady(self, sample: Sample) -> Float[Tensor, "T 3 S S"]:
        """The enhancer's pictures of neighbouring frames, filtered in time as `animate` does by default."""
        filtered = SteadyDetail(AnimateOptions().steady, self.model.model.config.size_px)
        pictures = (picture.permute(1, 2, 0).contiguous().numpy() for picture in self.enhanced(sample))
        return torch.from_numpy(np.stack([filtered(picture) for picture in pictures])).permute(0, 3, 1, 2)

    def base(self, sample: Sample) -> Prediction:
        """The base model's own pictures of a sample at twice their size."""
        if self._current is None or self._current[0] is not sample:
            small = replace(sample, source=sample.source.halved(), driver=sample.driver.halved(), target=None)
            self._current = sample, self.model.painted(small, self.model.motion(small.driver.picture()))
        return self._current[1]


def _sharpened(picture: Float[Tensor, "3 s s"]) -> Float[Tensor, "3 S S"]:
    values = (picture.clamp(0, 1) * 255 + 0.5).byte().permute(1, 2, 0).contiguous().numpy()
    side = 2 * len(values)
    made = Image.fromarray(values).resize((side, side), Image.Resampling.LANCZOS).filter(_UNSHARP)
    return torch.from_numpy(np.array(made)).permute(2, 0, 1).float() / 255
