"""The training loop, one for every stage.

A stage offers networks, losses and data; the loop steps them, logs, averages, saves and resumes. A checkpoint:

    OUTPUT/step-N/model.safetensors, config.json     folded EMA weights for use
    OUTPUT/step-N/state/*.safetensors, loop.json     raw weights, EMA, optimisers and the data cursor

Everything random is a function of (seed, step), so the cursor is the step, and a resumed run equals an uninterrupted
one on the same machine. Raw loss values are logged; weights are applied here and nowhere else.
"""

import contextlib
import copy
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import UInt8
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from megaportraits.checkpoint import read_json, read_tensors, write_json, write_tensors
from megaportraits.config import LoopConfig, OptimiserConfig
from megaportraits.errors import UserError
from megaportraits.files import replacing
from megaportraits.training.log import Log
from megaportraits.training.optim import (
    build_optimiser,
    learning_rate,
    optimiser_tensors,
    restore_optimiser,
    update_average,
)

Terms = dict[str, tuple[Tensor, float]]
"""Raw value and weight of each loss term, by name."""


@runtime_checkable
class Stage(Protocol):
    """What a stage gives to the loop."""

    collate: Callable[..., Any]
    batch: int

    @property
    def generator(self) -> nn.Module: ...

    @property
    def discriminator(self) -> nn.Module | None: ...

    def dataset(self, length: int) -> Dataset: ...

    def to_device(self, batch: Any, device: torch.device, /) -> Any: ...

    def generator_terms(self, batch: Any, step: int, /) -> Terms: ...

    def discriminator_terms(self, batch: Any, /) -> Terms:
        """Called after `generator_terms` of the same batch."""
        ...

    def pictures(self, average: nn.Module, batch: Any, /) -> UInt8[Tensor, "H W 3"] | None: ...

    def export(self, average: nn.Module, folder: Path, facts: dict[str, Any]) -> None: ...


class _From(Sampler[int]):
    def __init__(self, first: int, length: int):
        self.first, self.length = first, length

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.length))

    def __len__(self) -> int:
        return self.length - self.first


@dataclass
class _Player:
    """A network with its optimiser."""

    network: nn.Module
    optimiser: torch.optim.AdamW


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device is 'cuda', but PyTorch sees no GPU here; choose 'cpu' or 'auto'")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


class Trainer:
    """Runs a stage to its last step, or until SIGTERM or SIGINT, and can be started again with the same command."""

    def __init__(self, stage: Stage, loop: LoopConfig, optimiser: OptimiserConfig, output: Path, config: dict):
        self.stage, self.loop, self.settings, self.output, self.config = stage, loop, optimiser, output, config
        if loop.threads:
            torch.set_num_threads(loop.threads)
        self.device = _device(loop.device)
        stage.generator.to(self.device)
        self.average = copy.deepcopy(stage.generator).eval().requires_grad_(False)
        self.players = {"generator": self._player(stage.generator)}
        if stage.discriminator is not None:
            self.players["discriminator"] = self._player(stage.discriminator.to(self.device))
        self.amp = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}[loop.precision]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp is torch.float16)
        self.step, self.skipped, self.stopping = 0, 0, False
        self._resume()

    def _player(self, network: nn.Module) -> _Player:
        return _Player(network, build_optimiser(network.parameters(), self.settings))

    def run(self) -> Path:
        """Train; the folder of the last checkpoint."""
        with self._listening(), Log(self.output, self.step, self.loop.steps) as log:
            for batch in self._batches():
                batch = self.stage.to_device(batch, self.device)
                values = self._train_step(batch)
                self.step += 1
                self._report(log, batch, values)
                if self.step % self.loop.checkpoint_every == 0 or self.stopping:
                    self.save()
                if self.stopping:
                    break
            return self.save()

    def _batches(self) -> Iterator[Any]:
        batch, length = self.stage.batch, self.loop.steps * self.stage.batch
        loader = DataLoader(
            self.stage.dataset(length),
            batch_size=batch,
            sampler=_From(self.step * batch, length),
            collate_fn=self.stage.collate,
            num_workers=self.loop.workers,
            persistent_workers=self.loop.workers > 0,
            pin_memory=False,
        )
        return iter(loader)

    def _train_step(self, batch: Any) -> dict[str, float]:
        values = self._play("generator", lambda: self.stage.generator_terms(batch, self.step))
        update_average(self.average, self.stage.generator, self.settings.ema, self.step)
        if "discriminator" in self.players:
            values |= self._play("discriminator", lambda: self.stage.discriminator_terms(batch))
        return values

    def _play(self, name: str, terms_of: Callable[[], Terms]) -> dict[str, float]:
        """One optimiser step of one network; skipped and counted where the loss or a gradient is not finite."""
        player = self.players[name]
        with torch.autocast(self.device.type, self.amp, enabled=self.amp is not None):
            terms = terms_of()
        total = torch.stack([weight * raw.float() for raw, weight in terms.values()]).sum()
        for group in player.optimiser.param_groups:
            group["lr"] = self._rate()
        player.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()
        self.scaler.unscale_(player.optimiser)
        norm = nn.utils.clip_grad_norm_(player.network.parameters(), self.settings.clip_norm)
        if torch.isfinite(norm):
            self.scaler.step(player.optimiser)
        else:
            self.skipped += 1
        self.scaler.update()
        values = {key: float(raw.detach()) for key, (raw, _) in terms.items()}
        return values | {f"{name}_total": float(total.detach()), f"{name}_gradient_norm": float(norm)}

    def _rate(self) -> float:
        return learning_rate(self.settings, self.step, self.loop.steps)

    def _report(self, log: Log, batch: Any, values: dict[str, float]) -> None:
        log.advance(values["generator_total"])
        if self.step % self.loop.log_every == 0:
            log.scalars(self.step, values | {"learning_rate": self._rate(), "skipped_steps": float(self.skipped)})
        if self.step % self.loop.pictures_every == 0:
            pictures = self.stage.pictures(self.average, batch)
            if pictures is not None:
                log.pictures(self.step, pictures)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the run after the present step; the handlers of before come back with the end."""

        def stop(number, frame):
            self.stopping = True

        kept = {name: signal.signal(name, stop) for name in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for name, handler in kept.items():
                signal.signal(name, handler)

    def save(self) -> Path:
        """Write `step-N`, atomically; older checkpoints beyond `keep` are deleted."""
        target = self.output / f"step-{self.step}"
        if (target / "state" / "loop.json").is_file():
            return target
        with replacing(target) as folder:
            folder.mkdir()
            self.stage.export(self.average, folder, {"step": self.step, "training": self.config})
            state = folder / "state"
            write_tensors(state / "average.safetensors", self.average.state_dict())
            for name, player in self.players.items():
                write_tensors(state / f"{name}.safetensors", player.network.state_dict())
                write_tensors(state / f"{name}_optimiser.safetensors", optimiser_tensors(player.optimiser))
            facts = {"step": self.step, "skipped": self.skipped, "scaler": self.scaler.state_dict()}
            write_json(state / "loop.json", facts | {"config": self.config})
        for old in checkpoints(self.output)[: -self.loop.keep]:
            shutil.rmtree(old)
        return target

    def _resume(self) -> None:
        found = checkpoints(self.output)
        if not found:
            return
        state = found[-1] / "state"
        facts = read_json(state / "loop.json")
        old, new = _decisive(facts["config"]), _decisive(self.config)
        different = sorted(k for k in new if old.get(k) != new[k])
        if different:
            raise UserError(
                f"{self.output} holds a run with other settings ({', '.join(different)}); "
                "choose another --output, or use --start-from for a warm restart"
            )
        self.step, self.skipped = facts["step"], facts["skipped"]
        self.scaler.load_state_dict(facts["scaler"])
        self.average.load_state_dict(read_tensors(state / "average.safetensors"))
        for name, player in self.players.items():
            player.network.load_state_dict(read_tensors(state / f"{name}.safetensors"))
            restore_optimiser(player.optimiser, read_tensors(state / f"{name}_optimiser.safetensors"))


def _decisive(config: dict[str, Any]) -> dict[str, Any]:
    """The settings that a resumed run must share: all but where it is, how it is logged, and what computes it."""
    free = ("threads", "workers", "device", "keep", "log_every", "pictures_every", "checkpoint_every")
    loop = {k: v for k, v in config["loop"].items() if k not in free}
    return {k: v for k, v in config.items() if k != "output"} | {"loop": loop}


def checkpoints(output: Path) -> list[Path]:
    """Checkpoints of a run that training can resume from, oldest first."""
    found = [p for p in output.glob("step-*") if (p / "state" / "loop.json").is_file()]
    return sorted(found, key=lambda p: int(p.name.split("-")[1]))
