"""Settings of stage one: what `megaportraits train base` takes as options."""

from dataclasses import dataclass, field
from typing import Literal

from megaportraits.config.alarms import AlarmConfig
from megaportraits.config.checks import at_least
from megaportraits.config.data import AugmentConfig
from megaportraits.config.loop import LoopConfig, OptimiserConfig
from megaportraits.config.online import OnlineConfig
from megaportraits.config.presets import PresetName
from megaportraits.config.sizes import Foreground
from megaportraits.errors import UserError


@dataclass(frozen=True)
class LossWeights:
    """Weights of Eq. 4, 5 and 8; a term of weight 0 is not computed, and its networks are not loaded."""

    perceptual: float = 20.0
    """L_IN."""
    face: float = 4.0
    """L_face."""
    gaze: float = 5.0
    """L_gaze."""
    adversarial: float = 1.0
    """L_adv; 0 trains without a discriminator, and so without L_FM."""
    feature_matching: float = 40.0
    """L_FM."""
    cycle: float = 2.0
    """L_cos."""
    identity: float = 0.0
    """1 - cos of face recognition between the source and the crossed picture (ours)."""
    reconstruction: float = 0.0
    """L1 of the pictures (ours)."""
    parts: float = 0.0
    """L1 around mouth and eyes (ours)."""
    correspondence: float = 0.0
    """How far both warps together miss known landmarks in space (ours)."""
    offsets: float = 0.0
    """Mean square of the driver warp's offsets: none where the expression needs none (ours)."""
    matte: float = 5.0
    """L1 of the painted matte (ours, presets with `paints_matte`)."""


@dataclass(frozen=True)
class CriticsConfig:
    """The frozen networks that losses look through, and where their weights are (`docs/frozen-nets.md`)."""

    perceptual: Literal["vgg19", "squeezenet1_0", "squeezenet1_1"] = "vgg19"
    """Network of L_IN."""
    perceptual_weights: str = ""
    """Its file; empty: an environment variable or a download."""
    perceptual_scales: int = 4
    """Pictures of L_IN, each half the side of the one before."""
    face: Literal["vggface", "identity"] = "vggface"
    """Network of L_face."""
    face_weights: str = ""
    """Its file, or a checkpoint folder of `train identity`; empty: as above, or what came with the package."""
    gaze_weights: str = ""
    """Checkpoint folder of `train gaze`; empty: the one that came with the package."""
    recogniser_weights: str = ""
    """Checkpoint folder of `train identity` for the identity loss; empty: the one that came with the package."""

    def __post_init__(self):
        at_least(self, 1, "perceptual_scales")


@dataclass(frozen=True)
class MixtureConfig:
    """How often each kind of data is drawn, relative to the others; kinds that are not given do not count."""

    rendered: float = 1.0
    """Clips of `data`."""
    online: float = 1.0
    """Clips rendered while training."""
    recorded: float = 0.2
    """Clips of `recorded`."""
    stills: float = 0.1
    """Photos of `stills`."""

    def __post_init__(self):
        at_least(self, 0, "rendered", "online", "recorded", "stills")


@dataclass(frozen=True)
class BaseTraining:
    """`megaportraits train base`: stage one (3.1, 4.1, B.1)."""

    output: str
    """Folder of the run; the same command resumes it."""
    data: tuple[str, ...] = ()
    """Folders of rendered clips (split "train" is used)."""
    recorded: tuple[str, ...] = ()
    """Folders of recorded clips (`prepare videos`)."""
    stills: tuple[str, ...] = ()
    """Folders of prepared photos (`prepare photos`); two views of one make a pair."""
    online: OnlineConfig = field(default_factory=OnlineConfig)
    """Clips rendered while training; on where `online.assets` is given."""
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    preset: PresetName = "small"
    """Sizes of the networks."""
    size_px: int = 0
    """Train at this picture size; 0 takes the preset's. Latents shrink with it, weights are the same."""
    descriptor: bool = True
    """Use e_s; false is the paper's ablation (B.4)."""
    source_warp: bool = True
    """Use w_s->; false is the paper's ablation (B.4)."""
    pose: str = ""
    """Checkpoint of `train pose` or of a base model: its head pose net is used, frozen, instead of --start-from's."""
    expression: str = ""
    """Checkpoint folder of `train expression`: the expression net starts from it, also instead of --start-from's."""
    expression_frozen: bool = False
    """Keep the expression net as it starts: z stays what `train expression` made of it."""
    anew: tuple[Literal["warp_source", "warp_driver"], ...] = ()
    """Networks of --start-from that are not taken over but begin again."""
    start_from: str = ""
    """Warm restart: checkpoint of an earlier leg, or weights for use (weights only, fresh optimiser)."""
    batch: int = 24
    """Sources in a batch."""
    drivers_per_source: int = 1
    """Drivers of each source; more than one shares the cost of the source's volume."""
    weights: LossWeights = field(default_factory=LossWeights)
    critics: CriticsConfig = field(default_factory=CriticsConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    cycle_start: float = 0.05
    """Part of the steps after which the terms of the crossed picture (L_cos and identity) start."""
    cycle_group: int = 0
    """Sources whose drivers are each other's second pair (Eq. 6): 2 is the paper, 0 the whole batch of a process."""
    foreground: Foreground = "grey"
    """What losses see. grey: whole pictures, the truth over constant grey. masked: both over grey by the true matte, as
    the paper writes. all: background and all, source unmasked (the paper's ablation, B.4)."""
    alarms: AlarmConfig = field(default_factory=AlarmConfig)
    dry_run: bool = False
    """Print parameters, memory, steps and an estimate of the time; train nothing."""
    cache_gb: float = 4.0
    """Memory for decoded clips, for each kind of data and each process that loads data."""

    def __post_init__(self):
        at_least(self, 1, "batch", "drivers_per_source")
        at_least(self, 0, "size_px")
        if self.expression_frozen and not (self.expression or self.start_from):
            raise UserError(
                "expression_frozen keeps an expression net that learnt nothing yet; give --expression or --start-from"
            )
        group = self.cycle_group or self.batch
        if self.batch % group or (group < 2 and self.weights.cycle + self.weights.identity > 0):
            raise UserError(
                f"cycle_group is {self.cycle_group} with batch {self.batch}; L_cos needs groups of at least 2 that "
                "divide the batch: change one of them, or set --weights.cycle 0"
            )
