"""How well two series of numbers agree: Pearson correlation, and differences without a constant offset."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Series = tuple[Float[Tensor, " N"], Float[Tensor, " N"]]
"""Two measurements of the same frames."""


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
    means = [(a.mean(), b.mean()) if centred and len(a) else (0.0, 0.0) for a, b in groups]
    pairs = list(zip(groups, means, strict=True))
    return pearson(torch.cat([a - m for (a, _), (m, _) in pairs]), torch.cat([b - m for (_, b), (_, m) in pairs]))


def mean_difference_without_offset(a: Float[Tensor, "N *c"], b: Float[Tensor, "N *c"]) -> Float[Tensor, "*c"]:
    """Mean absolute difference after the mean difference was taken away."""
    difference = a - b
    return (difference - difference.mean(0)).abs().mean(0)


def _is_constant(values: Float[Tensor, " N"]) -> bool:
    return bool((values.amax() - values.amin()) <= 1e-6 * values.abs().amax())
