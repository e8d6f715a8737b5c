"""The processes of a run: one, or many on one machine or several, started by Lightning Fabric.

Fabric finds the launcher (torchrun, SLURM, or itself for `--loop.devices N`), the ranks and the device. Gradients are
averaged here, explicitly, by one flat all-reduce for each type of number after the backward passes, and not by
DistributedDataParallel: stages call sub-networks and methods, use one network several times in a pass and freeze the
other player, which its hooks on `forward` do not see. The average is exact: a mean of means over equal batches.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.config import LoopConfig
from megaportraits.errors import UserError


def launched(environment: dict[str, str]) -> tuple[int, int] | None:
    """(processes on this machine, machines) where torchrun or srun has started this process."""
    if "TORCHELASTIC_RUN_ID" in environment:
        here = int(environment["LOCAL_WORLD_SIZE"])
        return here, int(environment["WORLD_SIZE"]) // here
    if "SLURM_STEP_NUM_TASKS" in environment:
        machines = int(environment.get("SLURM_STEP_NUM_NODES", 1))
        return int(environment["SLURM_STEP_NUM_TASKS"]) // machines, machines
    return None


def _make_fabric(loop: LoopConfig) -> Any:
    try:
        from lightning_fabric import Fabric
    except ImportError:
        try:
            from lightning.fabric import Fabric
        except ImportError as error:
            raise UserError("training needs lightning-fabric; install megaportraits with its extra 'train'") from error
    here, machines = launched(dict(os.environ)) or (loop.devices, 1)
    gpus = torch.cuda.device_count()
    if loop.device == "cuda" and not gpus:
        raise UserError("device is 'cuda', but PyTorch sees no GPU here; choose 'cpu' or 'auto'")
    kind = "cuda" if loop.device != "cpu" and gpus else "cpu"
    if kind == "cuda" and here > gpus:
        raise UserError(
            f"{here} processes on this machine need a GPU each, but PyTorch sees {gpus}; "
            "start fewer processes, or let each see all GPUs of its machine"
        )
    several = here * machines > 1
    return Fabric(accelerator=kind, devices=here, num_nodes=machines, strategy="ddp" if several else "auto")


class Processes:
    """This process among the others of the run.

    Raises:
        UserError: Fabric is not installed, or there are fewer GPUs than processes.
    """

    def __init__(self, loop: LoopConfig):
        self.fabric = _make_fabric(loop)
        self.fabric.launch()
        self.device: torch.device = self.fabric.device
        self.rank: int = self.fabric.global_rank
        self.count: int = self.fabric.world_size
        self._patterns: dict[tuple, Tensor] = {}

    @property
    def first(self) -> bool:
        """Whether this process writes: checkpoints, the moving average, the log."""
        return self.rank == 0

    def share_weights(self, network: nn.Module) -> None:
        """Give every process the parameters and buffers of the first."""
        if self.count > 1:
            with torch.no_grad():
                for tensor in network.state_dict(keep_vars=True).values():
                    whole = tensor.detach().contiguous()
                    dist.broadcast(whole, 0)
                    tensor.copy_(whole)

    def average_gradients(self, parameters: Iterable[nn.Parameter], loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Average gradients over the processes, in place, and `loss`, which is returned.

        The loss comes back as NaN where processes disagree on which parameters have gradients.
        """
        if self.count == 1:
            return loss
        groups: dict[torch.dtype, list[nn.Parameter]] = {}
        for parameter in parameters:
            groups.setdefault(parameter.dtype, []).append(parameter)
        losses = [self._average_group(group, loss) for group in groups.values()]
        return torch.stack([value.to(loss.dtype) for value in losses]).mean()

    def _average_group(self, group: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in group]
        present = self._present(group)
        # Logical order, whatever the layout of a tensor in memory is: processes may differ in it.
        buffer = torch.cat([g.reshape(-1) for g in gradients] + [present, loss.detach().to(present.dtype).view(1)])
        dist.all_reduce(buffer)
        buffer /= self.count
        *parts, agreed, mean = buffer.split([g.numel() for g in gradients] + [len(group), 1])
        for parameter, part in zip(group, parts, strict=True):
            if parameter.grad is not None:
                parameter.grad.copy_(part.view_as(parameter))
        return torch.where((agreed == present).all(), mean[0], torch.nan)

    def _present(self, group: Sequence[nn.Parameter]) -> Tensor:
        """1 for each parameter that has a gradient; kept on the device, so that it is copied there once."""
        pattern = (group[0].dtype, tuple(p.grad is not None for p in group))
        if pattern not in self._patterns:
            self._patterns[pattern] = torch.tensor(pattern[1], dtype=pattern[0], device=self.device)
        return self._patterns[pattern]

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the processes, in place."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.count == 1:
            return flag
        return bool(self.sum(torch.tensor([float(flag)], device=self.device)).item() > 0)

    def of_first(self, thing: Any) -> Any:
        """The first process's `thing` (small, picklable)."""
        return self.fabric.broadcast(thing) if self.count > 1 else thing

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            self.fabric.barrier()
