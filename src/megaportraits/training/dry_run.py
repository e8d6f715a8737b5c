"""What a run would need: parameters, memory, steps, time (`--dry-run`)."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from megaportraits.config import LoopConfig
from megaportraits.training.batches import Order, map_tensors
from megaportraits.training.players import MIXED, number_type
from megaportraits.training.stage import Stage, Terms

SAMPLES = 2
"""Samples of the measured step: L_cos compares two."""


@dataclass(frozen=True)
class _Measured:
    """A forward and backward pass of both players."""

    samples: int
    seconds: float
    activations: int
    """Bytes kept for the backward pass, of the larger of the two."""


def describe(stage: Stage, loop: LoopConfig, order: Order, device: torch.device) -> str:
    """Parameters, memory and time of a run of `stage`, as lines of text.

    Two samples go forward and backward on `device`, in the last step's composition of terms; memory and time are
    scaled to the batch, so both are estimates. Recomputed activations (`gradient_checkpointing`) are not counted.
    """
    found = _measure(stage, loop, min(SAMPLES, stage.batch), device)
    scale = stage.batch / found.samples
    step_s = found.seconds * scale * order.accumulate
    trained = sum(_bytes(p for p in n.parameters() if p.requires_grad) for n in _networks(stage).values())
    weights = sum(_bytes([*n.parameters(), *n.buffers()]) for n in _networks(stage).values())
    average = _bytes([*stage.generator.parameters(), *stage.generator.buffers()])
    fixed, activations = weights + 3 * trained + average, found.activations * scale
    samples = loop.steps * order.samples_per_step
    lines = [
        *_parameters(stage),
        "",
        "memory of one process (estimate; frozen networks of the losses and workspace come on top)",
        f"  weights {_gb(weights)}, gradients {_gb(trained)}, Adam {_gb(2 * trained)}, moving average {_gb(average)}",
        f"  activations of a batch of {stage.batch}: {_gb(activations)} (measured on {found.samples} samples)",
        f"  together {_gb(fixed + activations)}",
        "",
        f"steps {loop.steps:,} of {order.samples_per_step} samples (batch {order.batch} x {order.count} processes x "
        f"{order.accumulate} accumulated), {samples:,} samples in all",
        f"time {_duration(loop.steps * step_s)}: {step_s:.2f} s a step on this {device.type}, scaled from forward and "
        f"backward pass of {found.samples} samples ({found.seconds:.2f} s); loading data is not included",
    ]
    return "\n".join(lines)


def _networks(stage: Stage) -> dict[str, nn.Module]:
    both = {"generator": stage.generator, "discriminator": stage.discriminator}
    return {name: network for name, network in both.items() if network is not None}


def _parameters(stage: Stage) -> Iterator[str]:
    yield f"{'parameters (millions)':<28}{'trained':>9}{'frozen':>9}"
    for name, network in _networks(stage).items():
        yield _row(name, network)
        if name == "generator":
            yield from (_row(f"  {part}", child) for part, child in network.named_children())


def _row(name: str, network: nn.Module) -> str:
    trained, frozen = (
        sum(p.numel() for p in network.parameters() if p.requires_grad is wanted) for wanted in (True, False)
    )
    return f"{name:<28}{trained / 1e6:>9.2f}{frozen / 1e6:>9.2f}"


def _measure(stage: Stage, loop: LoopConfig, samples: int, device: torch.device) -> _Measured:
    amp = MIXED.get(loop.precision)
    dataset: Any = stage.dataset(samples)
    batch = stage.collate([dataset[i] for i in range(samples)])
    kind = number_type(loop)
    batch = map_tensors(batch, lambda tensor: tensor.to(device, kind if tensor.is_floating_point() else None))
    batch = stage.to_device(batch, device)

    def run(terms_of: Callable[[], Terms]) -> int:
        known = {_storage(t) for m in vars(stage).values() if isinstance(m, nn.Module) for t in m.parameters()}
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            if _storage(tensor) not in known:
                kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            with torch.autocast(device.type, amp, enabled=amp is not None):
                terms = terms_of()
            torch.stack([weight * raw.float() for raw, weight in terms.values()]).sum().backward()
        return sum(kept.values())

    def both() -> int:
        kept = [run(lambda: stage.generator_terms(batch, loop.steps - 1))]
        if stage.discriminator is not None:
            kept.append(run(lambda: stage.discriminator_terms(batch)))
        return max(kept)

    both()  # warm-up
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    activations = both()
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    for network in _networks(stage).values():
        network.zero_grad(set_to_none=True)
    return _Measured(samples, seconds, activations)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _bytes(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def _gb(count: float | int) -> str:
    return f"{count / 2**30:.2f} GB"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
