"""Settings of the training stages and of evaluation: what `train` and `evaluate` take as options."""

from dataclasses import dataclass, field
from typing import Any, Literal

from megaportraits.config.presets import PresetName
from megaportraits.errors import UserError


def _check_at_least(config: Any, least: int, *names: str) -> None:
    """Refuse whole numbers that are too small."""
    for name in names:
        if getattr(config, name) < least:
            raise UserError(f"{name} is {getattr(config, name)}; give at least {least}")


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of training frames (4.1, B.1; strengths: docs/paper.md)."""

    flip: float = 0.5
    """Probability that a pair is mirrored (one draw for the pair)."""
    mild_jitter: float = 0.1
    """Colour jitter shared by source and target."""
    shape_sigma: float = 0.1
    """Thin-plate spline of the motion encoder's input: deviation of the control points, in cells."""
    shape_cells: int = 8
    """Cells of the spline's control grid along a side."""
    severe_jitter: float = 0.4
    """Colour jitter of the motion encoder's input, drawn separately for source and driver."""
    grey: float = 0.05
    """Probability that the motion encoder's input loses its colour."""
    acted_by_another: float = 0.0
    """Probability that the expression net sees the driver's frame as another person performs it, where rendered clips
    of the same motion are at hand (true cross pairs, ours); 0 is the paper's self-driving."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of Eq. 4, 5 and 8."""

    perceptual: float = 20.0
    """L_IN."""
    reconstruction: float = 20.0
    """L1 of the pictures (ours; stands in where no perceptual network is given, docs/paper.md)."""
    matte: float = 5.0
    """L1 of the painted matte (ours, presets with `paints_matte`)."""
    adversarial: float = 1.0
    """L_adv; 0 trains without a discriminator."""
    feature_matching: float = 40.0
    """L_FM."""
    cycle: float = 2.0
    """L_cos."""


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
    """Steps between scalars."""
    pictures_every: int = 500
    """Steps between picture grids."""
    seed: int = 0
    """Seed of weights, data order and augmentation."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Arithmetic of the networks; fp16 scales the loss."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    threads: int = 0
    """CPU threads of the arithmetic; 0 leaves PyTorch's choice."""
    workers: int = 0
    """Processes that load data; 0 loads in the training process."""

    def __post_init__(self):
        _check_at_least(self, 1, "steps", "checkpoint_every", "keep", "log_every", "pictures_every")
        _check_at_least(self, 0, "threads", "workers")


@dataclass(frozen=True)
class BaseTraining:
    """`megaportraits train base`: stage one (3.1, 4.1, B.1)."""

    output: str
    """Folder of the run; the same command resumes it."""
    data: tuple[str, ...] = ()
    """Folders of training clips (split "train" is used)."""
    preset: PresetName = "small"
    """Sizes of the networks."""
    size_px: int = 0
    """Train at this picture size; 0 takes the preset's. Latents shrink with it, weights are the same."""
    pose: str = ""
    """Checkpoint folder of `train pose`, whose head pose net is used frozen."""
    start_from: str = ""
    """Warm restart: training checkpoint of an earlier leg (weights only, fresh optimiser)."""
    perceptual_weights: str = ""
    """File of the frozen network of L_IN (`losses/pretrained.py` names them); empty leaves L_IN out."""
    batch: int = 24
    """Sources in a batch."""
    drivers_per_source: int = 1
    """Drivers of each source; more than one shares the cost of the source's volume."""
    weights: LossWeights = field(default_factory=LossWeights)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    cycle_start: float = 0.05
    """Part of the steps after which L_cos starts."""
    masked_losses: bool = False
    """Take all losses on the foreground only, as the paper writes; else on pictures composited over grey."""
    cache_gb: float = 4.0
    """Memory for decoded clips, of each process that loads data."""

    def __post_init__(self):
        _check_at_least(self, 1, "batch", "drivers_per_source")
        _check_at_least(self, 0, "size_px")


@dataclass(frozen=True)
class PoseTraining:
    """`megaportraits train pose`: the head pose net of E_mtn on rendered truth."""

    output: str
    """Folder of the run; the same command resumes it."""
    data: tuple[str, ...] = ()
    """Folders of training clips (split "train" is used)."""
    preset: PresetName = "small"
    """Sizes of the networks."""
    start_from: str = ""
    """Warm restart: training checkpoint of an earlier leg."""
    batch: int = 32
    """Frames in a batch."""
    shift: float = 0.15
    """Largest random shift of the crop, in crop coordinates."""
    zoom: float = 0.2
    """Largest random zoom of the crop (natural logarithm)."""
    roll_deg: float = 20.0
    """Largest random in-plane rotation of the crop."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(1e-3, 1e-5, (0.9, 0.999)))
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=20_000))
    cache_gb: float = 4.0
    """Memory for decoded clips, of each process that loads data."""

    def __post_init__(self):
        _check_at_least(self, 1, "batch")


@dataclass(frozen=True)
class EvaluateConfig:
    """`megaportraits evaluate`: score a model against right answers."""

    data: str
    """Folder of rendered clips; for protocol "self" also a folder of videos."""
    output: str
    """Folder for scores.json, scores.md and contact_sheet.png."""
    protocol: Literal["truth", "self"] = "truth"
    """truth: rendered persons drive each other and the right answer is known; self: a clip's or video's first frame is
    driven by its later ones."""
    weights: str = ""
    """Checkpoint folder; empty takes the weights that came with the package."""
    split: Literal["all", "train", "held_out"] = "all"
    """Use only rendered clips of this split."""
    count: int = 32
    """Samples (source and driver) at most."""
    frames: int = 8
    """Driven frames of each sample at most."""
    seed: int = 0
    """Seed of the choice of sources and drivers."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU where there is one."""

    def __post_init__(self):
        _check_at_least(self, 1, "count", "frames")
