"""Named bundles of tensors. One name, one meaning, one unit; conventions are those of `geometry.py`.

B = batch, N = avatars, C x D x H x W = channels, depth, height, width of a volume.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Bundle = TypeVar("Bundle")
"""A dataclass of this module, a tensor, or None for a part that is missing."""


GREY = 0.5
"""The constant that models paint, and scores see, around the person."""


def over_grey(rgb: Float[Tensor, "B 3 H W"], matte: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B 3 H W"]:
    """The foreground in front of constant grey, in [0, 1]."""
    return rgb * matte + GREY * (1 - matte)


@dataclass(frozen=True)
class HeadPose:
    """Where the head is in the crop: p_crop = scale * rotation @ p_head + translation."""

    rotation: Float[Tensor, "B 3 3"]
    """Head axes -> camera axes."""
    scale: Float[Tensor, " B"]
    """Size relative to the mean head in a nominal crop (about 1)."""
    translation: Float[Tensor, "B 3"]
    """Head origin in crop coordinates; z is 0 (orthographic depth has no origin)."""

    def detach(self) -> "HeadPose":
        return HeadPose(self.rotation.detach(), self.scale.detach(), self.translation.detach())

    def roll_batch(self) -> "HeadPose":
        """Sample i receives the pose of sample i - 1."""
        return HeadPose(self.rotation.roll(1, 0), self.scale.roll(1, 0), self.translation.roll(1, 0))


@dataclass(frozen=True)
class Motion:
    """What E_mtn sees in a picture: R, t (with scale) and the latent expression z."""

    pose: HeadPose
    expression: Float[Tensor, "B Z"]


@dataclass(frozen=True)
class Appearance:
    """What E_app sees in the source: v_s and e_s."""

    volume: Float[Tensor, "B C D H W"]
    descriptor: Float[Tensor, "B E 4 4"]


@dataclass(frozen=True)
class Canonical:
    """Everything that depends on the source only: G_3D(w_s-> o v_s) and e_s. Computed once, driven many times."""

    volume: Float[Tensor, "B C D H W"]
    descriptor: Float[Tensor, "B E 4 4"]

    def repeat(self, count: int) -> "Canonical":
        """Each source `count` times in a row, one for each of its drivers."""
        return Canonical(self.volume.repeat_interleave(count, 0), self.descriptor.repeat_interleave(count, 0))


@dataclass(frozen=True)
class Prediction:
    """A picture the model painted, and its matte where the preset paints one."""

    rgb: Float[Tensor, "B 3 H W"]
    matte: Float[Tensor, "B 1 H W"] | None


@dataclass(frozen=True)
class View:
    """One frame as training sees it."""

    rgb: Float[Tensor, "B 3 H W"]
    """The frame in [0, 1], background included, photometric augmentation applied."""
    matte: Float[Tensor, "B 1 H W"]
    """Foreground in [0, 1]."""
    motion_input: Float[Tensor, "B 3 H W"]
    """The same frame as E_mtn's expression net sees it in training: warped and colour-jittered (B.1)."""
    pose: HeadPose
    """True head pose."""
    keypoints: Float[Tensor, "B K 2"]
    """Crop coordinates of `data.keypoints.KEYPOINTS`; NaN where unknown."""
    depth: Float[Tensor, "B K"]
    """Their z, relative to the head's origin; NaN where unknown."""


@dataclass(frozen=True)
class Pair:
    """x_s and x_d: B sources and, of each, K drivers of the same clip (source 0's drivers first)."""

    source: View
    driver: View
    clip: Int[Tensor, " B"]
    """Number of the clip of each source."""
    sample: Int[Tensor, " B"]
    """Number of the sample of each source in the run: what is random about a sample is a function of it."""
    moving: Bool[Tensor, " B"]
    """Whether drivers differ from their source in expression; false for views of one photo."""

    def to(self, device: torch.device | str) -> "Pair":
        return mapped(self, lambda tensor: tensor.to(device, non_blocking=True))


def mapped(bundle: Bundle, function: Callable[[Tensor], Tensor]) -> Bundle:
    """Apply `function` to every tensor of a (nested) bundle."""
    if bundle is None:
        return bundle
    if isinstance(bundle, Tensor):
        return cast(Bundle, function(bundle))
    names = [f.name for f in fields(cast(Any, bundle))]
    return type(bundle)(**{name: mapped(getattr(bundle, name), function) for name in names})


def stack(bundles: Sequence[Bundle]) -> Bundle:
    """Concatenate equal bundles along the batch axis."""
    first = bundles[0]
    if first is None:
        return first
    if isinstance(first, Tensor):
        return cast(Bundle, torch.cat(cast(list[Tensor], bundles)))
    names = [f.name for f in fields(cast(Any, first))]
    return type(first)(**{name: stack([getattr(b, name) for b in bundles]) for name in names})
