"""AdamW, the learning rate, and the moving average of the weights. Paper: B.1."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from megaportraits.config import OptimiserConfig


def build_optimiser(parameters: Iterable[Tensor], config: OptimiserConfig) -> AdamW:
    """AdamW on the parameters that are trained; fused, so that `found_inf` skips a step without asking the device."""
    return AdamW(
        [p for p in parameters if p.requires_grad],
        lr=config.learning_rate,
        betas=config.betas,
        eps=1e-8,
        weight_decay=config.weight_decay,
        fused=True,
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
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    buffers = list(network.buffers())
    if buffers:
        torch._foreach_copy_(list(average.buffers()), buffers)


def optimiser_tensors(optimiser: AdamW) -> dict[str, Tensor]:
    """The optimiser's moments as a flat dictionary."""
    state = optimiser.state_dict()["state"]
    return {f"{index}.{name}": value for index, entry in state.items() for name, value in entry.items()}


def restore_optimiser(optimiser: AdamW, tensors: dict[str, Tensor]) -> None:
    """Inverse of `optimiser_tensors`; moments get the memory layout of their parameters, which fused steps assume."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    for parameter, entry in optimiser.state.items():
        for name, value in entry.items():
            if value.shape == parameter.shape:
                entry[name] = torch.empty_like(parameter).copy_(value)
