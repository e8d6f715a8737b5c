"""Settings of stage one: what `megaportraits train base` takes as options."""

from dataclasses import dataclass, field

from megaportraits.config.checks import at_least
from megaportraits.config.data import AugmentConfig
from megaportraits.config.loop import LoopConfig, OptimiserConfig
from megaportraits.config.presets import PresetName


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
        at_least(self, 1, "batch", "drivers_per_source")
        at_least(self, 0, "size_px")
