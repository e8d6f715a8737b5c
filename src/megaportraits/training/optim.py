"""AdamW, the learning rate, and the moving average of the weights. Paper: B.1."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from megaportraits.config import OptimiserConfig


def build_optimiser(parameters: Iterable[Tensor], config: OptimiserConfig) -> AdamW:
    """AdamW on the parameters that are trained."""
    return AdamW(
        [p for p in parameters if p.requires_grad],
        lr=config.learning_rate,
        betas=config.betas,
        eps=1e-8,
        weight_decay=config.weight_decay,
    )


def learning_rate(config: OptimiserConfig, step: int, steps: int) -> float:
    """Linear warm-up, then cosine decay to the final learning rate at the last of `steps`."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = min(1.0, (step - config.warmup_steps) / max(1, steps - config.warmup_steps))
    span = config.learning_rate - config.final_learning_rate
    return config.final_learning_rate + span * 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move `average` towards `network`; early steps use a smaller decay. Buffers are copied."""
    decay = min(decay, (1 + step) / (10 + step))
    for a, p in zip(average.parameters(), network.parameters(), strict=True):
        a.lerp_(p, 1 - decay)
    for a, b in zip(average.buffers(), network.buffers(), strict=True):
        a.copy_(b)


def optimiser_tensors(optimiser: AdamW) -> dict[str, Tensor]:
    """The optimiser's moments as a flat dictionary."""
    state = optimiser.state_dict()["state"]
    return {f"{index}.{name}": value for index, entry in state.items() for name, value in entry.items()}


def restore_optimiser(optimiser: AdamW, tensors: dict[str, Tensor]) -> None:
    """Inverse of `optimiser_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
