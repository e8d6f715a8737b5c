"""Sizes of the gaze and blink net, and settings of `megaportraits train gaze` (B.5)."""

from dataclasses import dataclass, field
from typing import Literal

from megaportraits.config.checks import at_least
from megaportraits.config.loop import LoopConfig, OptimiserConfig
from megaportraits.errors import UserError

GazePresetName = Literal["paper", "small", "tiny"]
Five = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class GazeNetConfig:
    """The gaze and blink net (B.5). The defaults are the paper's VGG16; side of the eye pictures and widths of the
    hidden layers are ours, the paper does not give them."""

    eye_px: int = 64
    """Side of the picture of each eye."""
    widths: Five = (64, 128, 256, 512, 512)
    """Channels of VGG16's five blocks."""
    eye_features: int = 256
    """Numbers that the VGG makes of each eye; those of both eyes are summed."""
    keypoint_features: int = 64
    """Numbers that three linear layers make of the keypoints."""
    head_width: int = 256
    """Hidden width of the gaze head and of the blink head."""

    def __post_init__(self):
        if self.eye_px < 32 or self.eye_px % 16:
            raise UserError(f"eye_px is {self.eye_px}; five blocks halve the picture: give 32 or another 16-fold above")


GAZE_PRESETS: dict[str, GazeNetConfig] = {
    "paper": GazeNetConfig(),
    "small": GazeNetConfig(48, (16, 32, 48, 64, 96), 128, 64, 64),
    "tiny": GazeNetConfig(32, (4, 4, 8, 8, 8), 16, 8, 8),
}


@dataclass(frozen=True)
class EyeAugmentConfig:
    """Augmentation of eye pictures, so that a net of rendered heads works on recorded ones."""

    flip: float = 0.5
    """Probability that a frame is mirrored."""
    shift: float = 0.08
    """Deviation of the place of each eye picture, in widths of the eye."""
    zoom: float = 0.1
    """Deviation of its size (natural logarithm)."""
    keypoint_noise: float = 0.03
    """Deviation of each keypoint, in widths of the eye."""
    jitter: float = 0.4
    """Colour jitter."""
    grey: float = 0.1
    """Probability that the pictures lose their colour."""
    blur: float = 3.0
    """Pictures are reduced by a random factor up to this one, and enlarged again."""
    noise: float = 0.04
    """Largest deviation of the noise, in [0, 1] units."""


@dataclass(frozen=True)
class GazeTraining:
    """`megaportraits train gaze`: gaze and blink from both eyes (B.5)."""

    output: str
    """Folder of the run; the same command resumes it."""
    data: tuple[str, ...] = ()
    """Folders of training clips (split "train" is used)."""
    preset: GazePresetName = "small"
    """Sizes of the network."""
    teacher: str = ""
    """File of another gaze system's predictions (docs/gaze.md), learnt in the place of the rendered truth."""
    start_from: str = ""
    """Warm restart: checkpoint of an earlier leg, or weights for use (weights only, fresh optimiser)."""
    batch: int = 64
    """Frames in a batch."""
    size_px: int = 256
    """Side at which clips are kept in memory; eye pictures are cut from it."""
    blinks: float = 0.25
    """Part of the frames that are drawn among those in which an eye is more than a third closed: blinks are rare."""
    augment: EyeAugmentConfig = field(default_factory=EyeAugmentConfig)
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(0.8e-3, 1e-7, (0.9, 0.999), weight_decay=0.0, warmup_steps=5_625)
    )
    """Adam and one cycle (B.5): the warm-up is the cycle's rising tenth of the steps."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=56_250))
    """The default is the paper's 60 epochs of 60,000 frames."""
    dry_run: bool = False
    """Print parameters, memory, steps and an estimate of the time; train nothing."""
    cache_gb: float = 4.0
    """Memory for decoded clips, of each process that loads data; frames come in random order, so all should fit."""

    def __post_init__(self):
        at_least(self, 1, "batch")
        at_least(self, 32, "size_px")
        at_least(self.augment, 1, "blur")


def gaze_preset(name: str) -> GazeNetConfig:
    """The gaze net's sizes under a preset's name.

    Raises:
        UserError: no such preset.
    """
    if name not in GAZE_PRESETS:
        raise UserError(f"no gaze preset is called '{name}'; choose one of {', '.join(GAZE_PRESETS)}")
    return GAZE_PRESETS[name]
