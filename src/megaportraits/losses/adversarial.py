"""Hinge loss of the multi-scale patch discriminator. Paper: Eq. 5 (L_adv). Raw, unweighted.

Scores come as one map for each scale; each scale counts alike.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from megaportraits import geometry


def discriminator_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """mean(max(0, 1 - D(real))) + mean(max(0, 1 + D(fake))), averaged over scales; the fake pictures are detached."""
    pairs = zip(map(_full, real), map(_full, fake), strict=True)
    terms = [F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in pairs]
    return torch.stack(terms).mean()


def generator_loss(fake: list[Tensor]) -> Tensor:
    """-mean(D(fake)), averaged over scales."""
    return torch.stack([-_full(f).mean() for f in fake]).mean()


def _full(scores: Tensor) -> Tensor:
    """Scores in fp32 or better: means of half-precision numbers lose digits, and their gradients overflow."""
    return scores.to(geometry.working_type(scores))
