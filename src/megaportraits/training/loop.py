"""The training loop, one for every stage.

A stage offers networks, losses and data (`training/stage.py`); the loop steps them, logs, averages, saves and resumes,
in one process or many (`training/distributed.py`). A checkpoint:

    OUTPUT/step-N/model.safetensors, config.json     folded EMA weights for use
    OUTPUT/step-N/state/*.safetensors, loop.json     raw weights, EMA, optimisers and the data cursor

Everything random is a function of (seed, step) or (seed, sample), so the cursor is the step, and a resumed run equals
an uninterrupted one, bit by bit on a CPU. Raw loss values are logged; weights are applied here and nowhere else.
"""

import contextlib
import copy
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from megaportraits.checkpoint import read_json, read_tensors, write_json, write_tensors
from megaportraits.config import LoopConfig, OptimiserConfig, to_dict
from megaportraits.errors import UserError
from megaportraits.files import replacing
from megaportraits.training.batches import Order, load_batches
from megaportraits.training.distributed import Processes
from megaportraits.training.dry_run import describe
from megaportraits.training.log import Log
from megaportraits.training.meter import Meter, Stopwatch
from megaportraits.training.optim import learning_rate, update_average
from megaportraits.training.players import MIXED, Player, number_type, rewound, standing_still
from megaportraits.training.resume import check_settings, checkpoints
from megaportraits.training.stage import Stage, Terms

__all__ = ["Stage", "Terms", "Trainer", "checkpoints", "train"]

BAD_STEPS_IN_A_ROW = 100
"""After so many steps whose loss or gradient was not finite, the run ends with an error."""
AGREE_EVERY = 10
"""Steps after which several processes ask each other whether to stop: asking makes the host wait for the device."""


class Trainer:
    """Runs a stage to its last step, or until SIGTERM or SIGINT, and can be started again with the same command."""

    def __init__(self, stage: Stage, loop: LoopConfig, optimiser: OptimiserConfig, output: Path, config: dict):
        self.stage, self.loop, self.settings, self.output, self.config = stage, loop, optimiser, output, config
        self.processes = Processes(loop)
        if loop.threads:
            torch.set_num_threads(loop.threads)
        self.device = self.processes.device
        self.order = Order(stage.batch, loop.accumulate, self.processes.rank, self.processes.count)
        self.amp = MIXED.get(loop.precision)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp is torch.float16)
        self.step, self.stopping = 0, False
        self.skipped, self.in_a_row = (torch.zeros((), device=self.device) for _ in range(2))
        self.meter, self.stopwatch = Meter(), Stopwatch(self.device)
        networks = {"generator": stage.generator, "discriminator": stage.discriminator}
        self.players = {
            name: Player(network, loop, optimiser, self.processes, self.scaler)
            for name, network in networks.items()
            if network is not None
        }
        self.average = copy.deepcopy(stage.generator).eval().requires_grad_(False) if self.processes.first else None
        self._resume()
        self._speed_up()

    def _speed_up(self) -> None:
        if self.device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
        if self.loop.gradient_checkpointing:
            switch = getattr(self.stage.generator, "checkpoint_activations", None)
            if switch is None:
                raise UserError("this stage cannot compute activations again; leave out --loop.gradient-checkpointing")
            switch()
        if self.loop.compile:
            for part in self.stage.generator.children():
                part.compile()

    def run(self) -> Path:
        """Train; the folder of the last checkpoint."""
        with self._listening(), self._log() as log:
            batches = load_batches(
                self.stage.dataset(self.loop.steps * self.order.samples_per_step),
                self.stage.collate,
                self.order,
                (self.step, self.loop.steps),
                self.loop.workers,
                self.device,
                number_type(self.loop),
            )
            while self.step < self.loop.steps and not self._agree_to_stop():
                batch = self._train_step(batches)
                self.step += 1
                self._report(log, batch)
                if self.step % self.loop.checkpoint_every == 0:
                    self.save()
            return self.save()

    def _log(self) -> contextlib.AbstractContextManager[Log | None]:
        if self.processes.first:
            return Log(self.output, self.step, self.loop.steps, self.loop.logger)
        return contextlib.nullcontext()

    def _agree_to_stop(self) -> bool:
        if self.processes.count > 1 and self.step % AGREE_EVERY:
            return False
        return self.processes.any(self.stopping)

    def _train_step(self, batches: Iterator[Any]) -> Any:
        """One optimiser step of each player; the last batch."""
        for player in self.players.values():
            player.begin()
        batch: Any = None
        for _ in rewound(self.players.values(), self.loop.accumulate):
            with self.stopwatch.waiting():
                batch = next(batches)
            batch = self.stage.to_device(batch, self.device)
            self._backward("generator", lambda batch=batch: self.stage.generator_terms(batch, self.step))
            if "discriminator" in self.players:
                self._backward("discriminator", lambda batch=batch: self.stage.discriminator_terms(batch))
        self._update()
        if self.average is not None:
            update_average(self.average, self.stage.generator, self.settings.ema, self.step)
        self.stopwatch.count(self.order.samples_per_step)
        return batch

    def _backward(self, name: str, terms_of: Callable[[], Terms]) -> None:
        with standing_still(player for other, player in self.players.items() if other != name):
            self.meter.add(self.players[name].backward(terms_of))

    def _update(self) -> None:
        """Step all players; count those whose loss or gradient was not finite in some process."""
        skips = []
        for name, player in self.players.items():
            loss, norm, bad = player.update(self._rate())
            self.meter.add({f"{name}_total": loss, f"{name}_gradient_norm": norm})
            skips.append(bad)
        self.scaler.update()
        bad = torch.stack(skips).amax()
        self.skipped += bad
        self.in_a_row = (self.in_a_row + 1) * bad

    def _rate(self) -> float:
        return learning_rate(self.settings, self.step, self.loop.steps)

    def _report(self, log: Log | None, batch: Any) -> None:
        if log:
            log.advance()
        values: dict[str, float] = {}
        if self.step % self.loop.log_every == 0:
            values = self.meter.take(self.processes.sum) | self.stopwatch.take()
            values |= {"learning_rate": self._rate(), "skipped_steps": float(self.skipped)}
        if self.average is not None:
            values |= self.stage.measure(self.average, self.step)
        if log and values:
            log.scalars(self.step, values)
        if self.step % self.loop.log_every == 0:
            self._give_up_where_diverged()
        if log and self.average is not None and self.step % self.loop.pictures_every == 0:
            pictures = self.stage.pictures(self.average, batch)
            if pictures is not None:
                log.pictures(self.step, pictures)

    def _give_up_where_diverged(self) -> None:
        if self.in_a_row >= BAD_STEPS_IN_A_ROW:
            raise UserError(
                f"loss or gradient was not finite in the last {int(self.in_a_row)} steps; go on from an earlier "
                "checkpoint (--start-from, another --output) with a smaller learning rate or in 32-true precision"
            )

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
        """Write `step-N`, atomically, in the first process; older checkpoints beyond `keep` are deleted."""
        target = self.output / f"step-{self.step}"
        if self.average is not None and not (target / "state" / "loop.json").is_file():
            with replacing(target) as folder:
                folder.mkdir()
                self.stage.export(self.average, folder, {"step": self.step, "training": self.config})
                self._write_state(folder / "state", self.average)
            for old in checkpoints(self.output)[: -self.loop.keep]:
                shutil.rmtree(old)
        self.processes.wait()
        return target

    def _write_state(self, state: Path, average: nn.Module) -> None:
        write_tensors(state / "average.safetensors", average.state_dict())
        for name, player in self.players.items():
            player.write(state, name)
        counts = {"step": self.step, "skipped": int(self.skipped), "in_a_row": int(self.in_a_row)}
        facts = {"samples_per_step": self.order.samples_per_step, "scaler": self.scaler.state_dict()}
        write_json(state / "loop.json", counts | facts | {"config": self.config})

    def _resume(self) -> None:
        """Take up the newest checkpoint that the first process sees; what a killed process began to write is deleted.

        Raises:
            UserError: it was written with other settings, or its steps cover another number of samples.
        """
        if self.processes.first:
            for unfinished in self.output.glob(".step-*"):
                shutil.rmtree(unfinished, ignore_errors=True)
        found = self.processes.of_first(checkpoints(self.output)[-1:])
        if not found:
            return
        state = found[0] / "state"
        facts = read_json(state / "loop.json")
        check_settings(self.output, facts, self.config, self.order.samples_per_step)
        self.step = facts["step"]
        self.skipped += facts["skipped"]
        self.in_a_row += facts.get("in_a_row", 0)
        self.scaler.load_state_dict(facts["scaler"])
        for name, player in self.players.items():
            player.read(state, name)
        if self.average is not None:
            self.average.load_state_dict(read_tensors(state / "average.safetensors"))


@runtime_checkable
class TrainingConfig(Protocol):
    """What the settings of every stage have."""

    @property
    def output(self) -> str: ...

    @property
    def loop(self) -> LoopConfig: ...

    @property
    def optimiser(self) -> OptimiserConfig: ...

    @property
    def dry_run(self) -> bool: ...


def train(stage: Stage, config: TrainingConfig) -> None:
    """What a stage's command does: train it, or say what that would need."""
    trainer = Trainer(stage, config.loop, config.optimiser, Path(config.output), to_dict(config))
    if config.dry_run:
        message = describe(stage, config.loop, trainer.order, trainer.device)
    else:
        message = f"trained: {trainer.run()}"
    if trainer.processes.first:
        print(message)
