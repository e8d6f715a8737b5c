"""Settings of the stages that learn from single frames with known truth: head pose, expression."""

from dataclasses import dataclass, field

from megaportraits.config.checks import at_least
from megaportraits.config.data import AugmentConfig
from megaportraits.config.loop import LoopConfig, OptimiserConfig
from megaportraits.config.presets import PresetName


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
    """Warm restart: checkpoint of an earlier run, or a base model, whose head pose net goes on."""
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
    dry_run: bool = False
    """Print parameters, memory, steps and an estimate of the time; train nothing."""
    cache_gb: float = 4.0
    """Memory for decoded clips, of each process that loads data."""

    def __post_init__(self):
        at_least(self, 1, "batch")


@dataclass(frozen=True)
class ExpressionTraining:
    """`megaportraits train expression`: a start for the expression net of E_mtn, from face landmarks (ours)."""

    output: str
    """Folder of the run; the same command resumes it."""
    data: tuple[str, ...] = ()
    """Folders of training clips, rendered or recorded (split "train" is used)."""
    preset: PresetName = "small"
    """Sizes of the networks."""
    size_px: int = 0
    """Picture size that faces are cut from; 0 takes the preset's."""
    start_from: str = ""
    """Warm restart: training checkpoint of an earlier leg."""
    batch: int = 16
    """What is acted, in a batch; there are two pictures of each."""
    invariance: float = 0.3
    """Weight of z being the same for two people who do the same."""
    shift: float = 0.03
    """Deviation of the face's place from the true one, in crop coordinates: what a head pose net gets wrong."""
    zoom: float = 0.05
    """Deviation of its size (natural logarithm)."""
    roll_deg: float = 3.0
    """Deviation of its in-plane rotation."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(1e-3, 1e-5, (0.9, 0.99)))
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=20_000))
    dry_run: bool = False
    """Print parameters, memory, steps and an estimate of the time; train nothing."""
    cache_gb: float = 4.0
    """Memory for decoded clips, of each process that loads data."""

    def __post_init__(self):
        at_least(self, 2, "batch")
        at_least(self, 0, "size_px", "invariance", "shift", "zoom", "roll_deg")
