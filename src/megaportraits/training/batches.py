"""Batches in the order that a run needs: sample numbers are a function of step, process and micro-batch.

Micro-batch m = step * accumulate + a of process r (of W, with B samples each) takes the samples m B W + r B up to
m B W + r B + B - 1, so W processes, or W micro-batches, with batch B see the samples of one process with batch W B.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from megaportraits.errors import UserError
from megaportraits.signals import heed_the_parent_only


def map_tensors(thing: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Apply `function` to every tensor in dataclasses, tuples, lists and dictionaries."""
    if isinstance(thing, Tensor):
        return function(thing)
    if is_dataclass(thing) and not isinstance(thing, type):
        return type(thing)(**{f.name: map_tensors(getattr(thing, f.name), function) for f in fields(thing)})
    if isinstance(thing, tuple | list):
        return type(thing)(map_tensors(part, function) for part in thing)
    if isinstance(thing, dict):
        return {key: map_tensors(part, function) for key, part in thing.items()}
    return thing


@dataclass(frozen=True)
class Order:
    """Which samples a process takes."""

    batch: int
    accumulate: int
    rank: int
    count: int

    @property
    def samples_per_step(self) -> int:
        """Of all processes."""
        return self.batch * self.accumulate * self.count

    def numbers(self, micro_batch: int) -> list[int]:
        """The samples of a micro-batch, counted from the start of the run."""
        first = (micro_batch * self.count + self.rank) * self.batch
        return list(range(first, first + self.batch))


class _Batches(Sampler[list[int]]):
    """Micro-batches of the steps first..last-1."""

    def __init__(self, order: Order, first: int, last: int):
        self.order, self.first, self.last = order, first, last

    def __iter__(self) -> Iterator[list[int]]:
        many = self.order.accumulate
        return (self.order.numbers(m) for m in range(self.first * many, self.last * many))

    def __len__(self) -> int:
        return (self.last - self.first) * self.order.accumulate


class _Telling(Dataset):
    """Returns a `UserError` as a sample: raised in a worker, it would arrive wrapped in a traceback."""

    def __init__(self, samples: Any):
        self.samples = samples

    def __getitem__(self, number: int) -> Any:
        try:
            return self.samples[number]
        except UserError as error:
            return error


@dataclass(frozen=True)
class _Collated:
    """A batch, or the error that stands for it."""

    content: Any

    def pin_memory(self) -> "_Collated":
        return _Collated(map_tensors(self.content, lambda tensor: tensor.pin_memory()))


@dataclass(frozen=True)
class _Collate:
    collate: Callable[..., Any]

    def __call__(self, items: list[Any]) -> _Collated:
        errors = [item for item in items if isinstance(item, UserError)]
        return _Collated(errors[0] if errors else self.collate(items))


def _begin(_: int) -> None:
    heed_the_parent_only()


def load_batches(
    samples: Dataset,
    collate: Callable[..., Any],
    order: Order,
    steps: tuple[int, int],
    workers: int,
    device: torch.device,
    dtype: torch.dtype | None = None,
) -> Iterator[Any]:
    """Batches of the steps from steps[0] up to steps[1], on `device`; floating tensors as `dtype` where one is given.

    Raises:
        UserError: what the data raised, in this process or in a worker.
    """
    loader = DataLoader(
        _Telling(samples),
        batch_sampler=_Batches(order, *steps),
        collate_fn=_Collate(collate),
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        pin_memory=device.type == "cuda",
        worker_init_fn=_begin,
        generator=torch.Generator(),  # else a loader takes a number from PyTorch's own generator
    )

    def move(tensor: Tensor) -> Tensor:
        return tensor.to(device, dtype if tensor.is_floating_point() else None, non_blocking=True)

    for batch in loader:
        if isinstance(batch.content, UserError):
            raise batch.content
        yield map_tensors(batch.content, move)
