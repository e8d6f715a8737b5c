"""Settings of the stages that learn from single frames with known truth: head pose."""

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
    dry_run: bool = False
    """Print parameters, memory, steps and an estimate of the time; train nothing."""
    cache_gb: float = 4.0
    """Memory for decoded clips, of each process that loads data."""

    def __post_init__(self):
        at_least(self, 1, "batch")
