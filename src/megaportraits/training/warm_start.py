"""Warm restarts: where the weights of a run come from, if not from the run itself."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import parametrize

from megaportraits.checkpoint import read_model, read_tensors
from megaportraits.models.blocks import unfolded_state
from megaportraits.models.network import checked_load

_ITERATIONS = 30
"""After so many readings of a weight, the estimate of its spectral norm is its own."""


def start_generator(generator: nn.Module, path: str | Path, kind: str, anew: Sequence[str] = ()) -> None:
    """Load the raw weights of a training checkpoint, or where it has none the weights for use, but for `anew`.

    Args:
        generator: the network; its parts in `anew` stay as they are.
        path: folder of the checkpoint.
        kind: of the model that weights for use must be.
        anew: names of parts.

    Raises:
        UserError: there is no checkpoint, it is damaged, or does not fit the network.
    """
    raw = Path(path) / "state" / "generator.safetensors"
    tensors = read_tensors(raw) if raw.is_file() else unfolded_state(generator, read_model(path, kind)[1])
    own = generator.state_dict()
    tensors |= {name: own[name] for name in tensors.keys() & own.keys() if name.split(".")[0] in anew}
    checked_load(generator, tensors, path)
    if not raw.is_file():
        _settle(generator)


@torch.no_grad()
def _settle(network: nn.Module) -> None:
    """Make the estimates of spectral norms those of the present weights."""
    for layer in network.modules():
        if parametrize.is_parametrized(layer, "weight"):
            for _ in range(_ITERATIONS):
                _ = layer.weight


def start_discriminator(discriminator: nn.Module | None, path: str | Path) -> None:
    """Take over a training checkpoint's discriminator, where both have one."""
    file = Path(path) / "state" / "discriminator.safetensors"
    if discriminator is not None and file.is_file():
        checked_load(discriminator, read_tensors(file), file)
