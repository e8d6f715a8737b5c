"""Weights for tests: no layer stands still because it starts at zero."""

import torch
from torch import nn


def perturb_zeros(module: nn.Module) -> None:
    """Give every parameter that starts at zero small random values, so that signals and gradients pass."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        if not parameter.any():
            parameter.data = 0.02 * torch.randn(parameter.shape, generator=generator)
