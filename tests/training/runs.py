"""What the tests of training share: small settings, trainers as the commands make them, checkpoints as numbers."""

import json
from collections.abc import Callable
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from megaportraits.checkpoint import read_tensors
from megaportraits.config import BaseTraining, LoopConfig, LossWeights, OptimiserConfig, PoseTraining, to_dict
from megaportraits.training.base import BaseStage
from megaportraits.training.loop import Trainer
from megaportraits.training.pose import PoseStage

Config = PoseTraining | BaseTraining
Stage = PoseStage | BaseStage
LOOP = LoopConfig(steps=6, checkpoint_every=100, log_every=1, pictures_every=100, device="cpu")
PLAIN = LossWeights(perceptual=0.0, face=0.0, gaze=0.0, reconstruction=20.0, parts=5.0)
"""Terms that need no frozen network."""
FAST = OptimiserConfig(3e-3, 3e-3, (0.5, 0.999), warmup_steps=1, ema=0.9)


class Repeated(Dataset):
    """The first `period` samples again and again: overfitting one batch."""

    def __init__(self, samples: Dataset, period: int, length: int):
        self.samples, self.period, self.length = samples, period, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int):
        return self.samples[index % self.period]


def make_stage(config: Config) -> Stage:
    return BaseStage(config) if isinstance(config, BaseTraining) else PoseStage(config)


def make_trainer(config: Config, change: Callable[[Stage], None] = lambda stage: None) -> Trainer:
    """The stage's trainer as the command makes it; `change` may alter the stage first."""
    stage = make_stage(config)
    change(stage)
    return Trainer(stage, config.loop, config.optimiser, Path(config.output), to_dict(config))


def read_state(checkpoint: Path) -> dict[str, Tensor]:
    """Every tensor of a training checkpoint, by file and name."""
    files = [checkpoint / "model.safetensors", *sorted((checkpoint / "state").glob("*.safetensors"))]
    return {f"{f.stem}/{k}": v for f in files for k, v in read_tensors(f).items()}


def logged(output: str) -> list[dict[str, float]]:
    """The log of a run, line by line."""
    return [json.loads(t) for t in (Path(output) / "log/scalars.jsonl").read_text().splitlines()]
