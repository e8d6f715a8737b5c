"""Tiny networks whose zero-initialised layers are perturbed, and inputs for them."""

import pytest
import torch
from perturbed import perturb_zeros
from torch import Tensor

from megaportraits.config import preset
from megaportraits.models.base import BaseModel


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
