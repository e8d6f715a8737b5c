"""How well two series of numbers agree: Pearson correlation, and differences without a constant offset."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Series = tuple[Float[Tensor, " _n"], Float[Tensor, " _n"]]
"""Two measurements of the same frames; other frames, and another number of them, in another group."""


def pearson(a: Float[Tensor, " N"], b: Float[Tensor, " N"]) -> float:
    """Pearson's correlation in [-1, 1]; NaN where one of them does not vary (or has fewer than two numbers)."""
    if len(a) < 2 or _is_constant(a) or _is_constant(b):
        return float("nan")
    x, y = a.double() - a.double().mean(), b.double() - b.double().mean()
    return float((x * y).sum() / (x.norm() * y.norm()))


def pooled_pearson(groups: Sequence[Series], centred: bool) -> float:
    """Correlation over all groups at once; `centred` takes each group's own means away first."""
    if not groups:
        return float("nan")
    parts = [(_centred(a), _centred(b)) if centred else (a, b) for a, b in groups]
    return pearson(torch.cat([a for a, _ in parts]), torch.cat([b for _, b in parts]))


def mean_difference_without_offset(a: Float[Tensor, "N *c"], b: Float[Tensor, "N *c"]) -> Float[Tensor, "*c"]:
    """Mean absolute difference after the mean difference was taken away."""
    difference = a - b
    return (difference - difference.mean(0)).abs().mean(0)


def _is_constant(values: Float[Tensor, " N"]) -> bool:
    return bool((values.amax() - values.amin()) <= 1e-6 * values.abs().amax())


def _centred(values: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Without the mean; exactly 0 where nothing varies, so that rounding is not taken for a signal."""
    return torch.zeros_like(values) if len(values) == 0 or _is_constant(values) else values - values.mean()
