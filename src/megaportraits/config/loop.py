"""Settings of the training loop and its optimiser."""

from dataclasses import dataclass
from typing import Literal

from megaportraits.config.checks import at_least
from megaportraits.errors import UserError


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with warm-up and cosine decay (B.1)."""

    learning_rate: float = 2e-4
    """Peak learning rate, of generator and discriminator alike."""
    final_learning_rate: float = 1e-6
    """Learning rate at the last step."""
    betas: tuple[float, float] = (0.5, 0.999)
    """AdamW's betas."""
    weight_decay: float = 1e-2
    """AdamW's weight decay."""
    warmup_steps: int = 300
    """Steps of linear warm-up."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which is what is evaluated and shipped."""

    def __post_init__(self):
        at_least(self, 0, "learning_rate", "final_learning_rate", "weight_decay", "warmup_steps")
        at_least(self, 1e-6, "clip_norm")
        for name, value in (("betas", max(self.betas)), ("betas", min(self.betas)), ("ema", self.ema)):
            if not 0 <= value < 1:
                raise UserError(f"{name} holds {value}; give numbers from 0 to below 1")


@dataclass(frozen=True)
class LoopConfig:
    """The training loop."""

    steps: int = 200_000
    """Optimiser steps in all."""
    checkpoint_every: int = 1000
    """Steps between checkpoints (one is also written on SIGTERM and SIGINT)."""
    keep: int = 2
    """Checkpoints kept."""
    log_every: int = 20
    """Steps between lines of scalars, each the mean since the line before."""
    pictures_every: int = 500
    """Steps between picture grids."""
    seed: int = 0
    """Seed of weights, data order and augmentation."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "64-true"] = "32-true"
    """Arithmetic of the networks; fp16 scales the loss, 64-true is for comparing runs digit by digit."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    devices: int = 1
    """Processes on this machine, one GPU each; torchrun and SLURM set their own number (docs/scale.md)."""
    accumulate: int = 1
    """Batches of each process that are summed before the networks step."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, more time."""
    compile: bool = False
    """Compile the parts of the generator (torch.compile)."""
    channels_last: bool = False
    """Keep convolution weights with channels last, which mixed precision on a GPU prefers."""
    logger: Literal["tensorboard", "wandb"] = "tensorboard"
    """Where scalars and pictures go, besides the files of OUTPUT/log."""
    threads: int = 0
    """CPU threads of the arithmetic; 0 leaves PyTorch's choice."""
    workers: int = 0
    """Processes that load data; 0 loads in the training process."""

    def __post_init__(self):
        at_least(self, 1, "steps", "checkpoint_every", "keep", "log_every", "pictures_every", "devices", "accumulate")
        at_least(self, 0, "threads", "workers")
