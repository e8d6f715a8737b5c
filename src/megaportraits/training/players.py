"""A network in training: gradients of its batches, steps of its optimiser, and what of it goes into a checkpoint."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from megaportraits.checkpoint import read_tensors, write_tensors
from megaportraits.config import LoopConfig, OptimiserConfig
from megaportraits.errors import UserError
from megaportraits.training.distributed import Processes
from megaportraits.training.optim import build_optimiser, optimiser_tensors, restore_optimiser
from megaportraits.training.stage import Terms

MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Type of the networks' arithmetic under mixed precision."""


def number_type(loop: LoopConfig) -> torch.dtype:
    """Type of weights and batches."""
    return torch.float64 if loop.precision == "64-true" else torch.float32


class Player:
    """A network with its optimiser. `scaler` is shared by all players."""

    def __init__(
        self, network: nn.Module, loop: LoopConfig, settings: OptimiserConfig, processes: Processes,
        scaler: torch.amp.GradScaler,
    ):  # fmt: skip
        self.network = network.to(processes.device, number_type(loop))
        if loop.channels_last:
            _put_channels_last(network)
        processes.share_weights(network)
        self.optimiser = build_optimiser(network.parameters(), settings)
        self.trained: list[nn.Parameter] = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.loop, self.settings, self.processes, self.scaler = loop, settings, processes, scaler
        self._losses: list[Tensor] = []

    def begin(self) -> None:
        """Forget the gradients of the step before."""
        self.optimiser.zero_grad(set_to_none=True)
        self._losses.clear()

    def backward(self, terms_of: Callable[[], Terms]) -> dict[str, Tensor]:
        """Add the gradients of one batch; the raw terms."""
        device, amp = self.processes.device.type, MIXED.get(self.loop.precision)
        with torch.autocast(device, amp, enabled=amp is not None):
            terms = terms_of()
        weighted = [w * raw.to(torch.promote_types(raw.dtype, torch.float32)) for raw, w in terms.values()]
        total = torch.stack(weighted).sum() / self.loop.accumulate
        self.scaler.scale(total).backward()
        self._losses.append(total.detach())
        return {name: raw for name, (raw, _) in terms.items()}

    def update(self, rate: float) -> tuple[Tensor, Tensor, Tensor]:
        """One optimiser step with the gradients of all processes.

        Returns the weighted loss, the norm of the gradient, and 1 where one of them is not finite: then the step was
        skipped, in all processes alike. The three are on the device, which is not waited for.
        """
        loss = self.processes.average_gradients(self.trained, torch.stack(self._losses).sum())
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.trained, self.settings.clip_norm)
        bad = 1 - (norm.isfinite() & loss.isfinite()).float()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        setattr(self.optimiser, "found_inf", bad)  # noqa: B010 - AdamW's fused step does nothing where it is 1
        self.optimiser.step()
        return loss, norm, bad

    def write(self, state: Path, name: str) -> None:
        """Weights and moments as `name`.safetensors and `name`_optimiser.safetensors."""
        write_tensors(state / f"{name}.safetensors", self.network.state_dict())
        write_tensors(state / f"{name}_optimiser.safetensors", optimiser_tensors(self.optimiser))

    def read(self, state: Path, name: str) -> None:
        """Inverse of `write`.

        Raises:
            UserError: the data have changed what the network needs, such as the number of people.
        """
        try:
            self.network.load_state_dict(read_tensors(state / f"{name}.safetensors"))
        except RuntimeError as error:
            reason = str(error).split("\n\t")[-1]
            raise UserError(
                f"the run in {state.parents[1]} had other data ({reason}); choose another --output, or use "
                "--start-from for a warm restart"
            ) from error
        restore_optimiser(self.optimiser, read_tensors(state / f"{name}_optimiser.safetensors"))


def _put_channels_last(network: nn.Module) -> None:
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in network.parameters():
        if parameter.dim() in formats:
            parameter.data = parameter.data.contiguous(memory_format=formats[parameter.dim()])


@contextlib.contextmanager
def standing_still(players: Iterable[Player]) -> Iterator[None]:
    """These players' parameters need no gradient."""
    parameters = [p for player in players for p in player.trained]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def rewound(players: Iterable[Player], times: int) -> Iterator[int]:
    """Count to `times`, for the micro-batches of a step: each sees the buffers that the step began with.

    Buffers that forward passes move (power iterations of spectral norms) then move as in one big batch.
    """
    buffers = [b for player in players for b in player.network.buffers()]
    kept = [b.clone() for b in buffers] if times > 1 else []
    for turn in range(times):
        if turn:
            for buffer, value in zip(buffers, kept, strict=True):
                buffer.copy_(value)
        yield turn
