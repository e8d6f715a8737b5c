"""Settings of the recognition net and of the stage that trains it."""

from dataclasses import dataclass, field
from typing import Literal

from megaportraits.config.checks import at_least
from megaportraits.config.loop import LoopConfig, OptimiserConfig
from megaportraits.errors import UserError

IdentityPresetName = Literal["small", "tiny"]


@dataclass(frozen=True)
class IdentityNetConfig:
    """The recognition net: a ResNet-18 and a linear layer (sizes ours; the paper takes VGGFace)."""

    base: int = 16
    """Base width of the ResNet-18."""
    embedding: int = 128
    """Numbers in the embedding."""
    input_px: int = 112
    """Side of the upright face that the net is trained on."""

    def __post_init__(self):
        at_least(self, 1, "base", "embedding")
        at_least(self, 32, "input_px")


IDENTITY_PRESETS: dict[str, IdentityNetConfig] = {
    "small": IdentityNetConfig(),
    "tiny": IdentityNetConfig(base=8, embedding=16, input_px=32),
}


@dataclass(frozen=True)
class IdentityTraining:
    """`megaportraits train identity`: recognition of the people in rendered clips."""

    output: str
    """Folder of the run; the same command resumes it."""
    data: tuple[str, ...] = ()
    """Folders of training clips (split "train" is used); clips of equal identity label show the same person."""
    preset: IdentityPresetName = "small"
    """Sizes of the net."""
    start_from: str = ""
    """Warm restart: checkpoint of an earlier run, whose net is taken; the classifier starts anew."""
    frame_px: int = 192
    """Side of the decoded frames; the face fills about half of it."""
    batch: int = 64
    """Faces in a batch."""
    scale: float = 30.0
    """s of the additive-margin softmax."""
    margin: float = 0.25
    """m of the additive-margin softmax."""
    shift: float = 0.05
    """Largest error of the face's place, in crop coordinates."""
    zoom: float = 0.12
    """Largest error of the face's size (natural logarithm)."""
    roll_deg: float = 8.0
    """Largest error of the face's upright."""
    flip: float = 0.5
    """Probability that a face is mirrored."""
    jitter: float = 0.4
    """Strength of the colour jitter."""
    grey: float = 0.2
    """Probability that a face loses its colour."""
    blur: float = 3.0
    """Largest factor by which a face is made smaller and larger again."""
    backdrop: float = 0.7
    """Probability that what the matte calls background is replaced by a random backdrop."""
    surroundings: float = 0.5
    """Probability that hair, neck and clothes are replaced as well: all outside an ellipse around the face."""
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(1e-3, 1e-5, (0.9, 0.999)))
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=20_000))
    dry_run: bool = False
    """Print parameters, memory, steps and an estimate of the time; train nothing."""
    cache_gb: float = 4.0
    """Memory for decoded clips, of each process that loads data."""

    def __post_init__(self):
        at_least(self, 1, "batch", "frame_px", "blur")
        at_least(self, 0, "margin", "shift", "zoom", "roll_deg", "jitter")
        if not self.scale > 0:
            raise UserError(f"scale is {self.scale}; give a positive number, for example 30")
        for name in ("flip", "grey", "backdrop", "surroundings"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)}; it is a probability: give 0 to 1")
