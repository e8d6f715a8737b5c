"""Feature matching: the discriminator's features of prediction and truth agree. Paper: Eq. 5 (L_FM). Unweighted."""

import torch
import torch.nn.functional as F
from torch import Tensor


def feature_matching_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Mean L1 over scales and layers, patch scores left out; no gradient through the truth."""
    terms = [
        F.l1_loss(f, r.detach())
        for real_scale, fake_scale in zip(real, fake, strict=True)
        for r, f in zip(real_scale[:-1], fake_scale[:-1], strict=True)
    ]
    return torch.stack(terms).mean()
