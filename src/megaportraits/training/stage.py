"""What a stage gives to the training loop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import UInt8
from torch import Tensor, nn
from torch.utils.data import Dataset

Terms = dict[str, tuple[Tensor, float]]
"""Raw value and weight of each loss term, by name. A term is a mean over the samples of its batch, so that the terms
of several processes or micro-batches average to those of one big batch (but for what compares samples with each other:
`docs/scale.md`)."""


@runtime_checkable
class Stage(Protocol):
    """Networks, data and losses; the loop does the rest.

    With several processes, every process has a stage of its own, made by the same command. All return the same names
    and give gradients to the same parameters at the same step; only their samples differ. Everything random about a
    sample is a function of (seed, number of the sample), and everything random about a step of (seed, step).

    Optional: `generator.checkpoint_activations()` switches to recomputing activations in the backward pass
    (`LoopConfig.gradient_checkpointing`).
    """

    collate: Callable[..., Any]
    batch: int
    """Samples in a batch of one process."""

    @property
    def generator(self) -> nn.Module: ...

    @property
    def discriminator(self) -> nn.Module | None: ...

    def dataset(self, length: int) -> Dataset: ...

    def to_device(self, batch: Any, device: torch.device, /) -> Any:
        """The batch with all that the terms need on `device`; its tensors have been moved there already."""
        ...

    def generator_terms(self, batch: Any, step: int, /) -> Terms:
        """The discriminator's parameters need no gradient during this call."""
        ...

    def discriminator_terms(self, batch: Any, /) -> Terms:
        """Called after `generator_terms` of the same batch, on its pictures, detached; the generator is not used."""
        ...

    def pictures(self, average: nn.Module, batch: Any, /) -> UInt8[Tensor, "H W 3"] | None: ...

    def measure(self, average: nn.Module, step: int, /) -> dict[str, float]:
        """After each step, in the first process: what the log shall hold beside the terms, mostly nothing."""
        ...

    def export(self, average: nn.Module, folder: Path, facts: dict[str, Any]) -> None: ...


class LoneStage:
    """What stages of a single network have in common: no discriminator, nothing to measure or to show."""

    discriminator: nn.Module | None = None

    def discriminator_terms(self, batch: Any, /) -> Terms:
        raise NotImplementedError("this stage has no discriminator")

    def pictures(self, average: nn.Module, batch: Any, /) -> UInt8[Tensor, "H W 3"] | None:
        return None

    def measure(self, average: nn.Module, step: int, /) -> dict[str, float]:
        return {}
