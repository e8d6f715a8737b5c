"""Tiny networks whose zero-initialised layers are perturbed, and inputs for them."""

import pytest
import torch
from torch import Tensor, nn

from megaportraits.config import preset
from megaportraits.models.base import BaseModel


def perturb_zeros(module: nn.Module) -> None:
    """Give every parameter that starts at zero small random values, so that signals and gradients pass."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        if not parameter.any():
            parameter.data = 0.02 * torch.randn(parameter.shape, generator=generator)


@pytest.fixture
def fresh() -> BaseModel:
    """The tiny base model as it starts training."""
    torch.manual_seed(0)
    return BaseModel(preset("tiny"))


@pytest.fixture
def model(fresh: BaseModel) -> BaseModel:
    """The tiny base model with perturbed zeros, in evaluation mode."""
    perturb_zeros(fresh)
    return fresh.eval()


@pytest.fixture
def pictures(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(sources, mattes, drivers), batch 2, 64 px."""
    source, driver = torch.rand(2, 2, 3, 64, 64, generator=generator)
    return source, (torch.rand(2, 1, 64, 64, generator=generator) > 0.3).float(), driver
