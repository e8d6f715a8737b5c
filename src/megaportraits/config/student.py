"""Settings of stage three: sizes of the student, and what `megaportraits train distill` takes as options."""

from dataclasses import dataclass, field
from typing import Literal

from megaportraits.config.base import CriticsConfig
from megaportraits.config.checks import at_least
from megaportraits.config.loop import LoopConfig, OptimiserConfig
from megaportraits.config.sizes import DiscriminatorConfig
from megaportraits.errors import UserError

StudentPresetName = Literal["student-paper", "student-paper-512", "student-small", "student-tiny"]
_STRIDE = 32
"""Of a ResNet-18."""


@dataclass(frozen=True)
class StudentConfig:
    """The student G_DT (3.3, A.3, Fig. 11); the defaults are the drawing, 256 px to 1024 px."""

    input_px: int = 256
    """Side of the driver's crop."""
    encoder_base: int = 64
    """Width of the ResNet-18's first stage."""
    widths: tuple[int, ...] = (192, 192, 192, 192, 192, 96, 48, 24)
    """Channels of the decoder's residual blocks; each doubles the side, but for the first."""
    identity_px: int = 64
    """Largest side of an avatar's tensors."""
    shuffle: int = 1
    """Factor of the PixelShuffle after the last convolution; 1 is none, as drawn."""
    paints_matte: bool = False
    """Paint the matte as a fourth channel (ours), as small base models do."""
    avatars: int = 100
    """People it can show, and no others."""

    def __post_init__(self):
        at_least(self, 1, "encoder_base", "identity_px", "shuffle", "avatars")
        if self.input_px < _STRIDE or self.input_px % _STRIDE or not self.widths:
            raise UserError(
                f"input_px is {self.input_px} and widths are {self.widths}; give a multiple of {_STRIDE}, and at least "
                "one block"
            )

    @property
    def sides_px(self) -> tuple[int, ...]:
        """Side of what each residual block of the decoder makes."""
        return tuple(self.input_px // _STRIDE * 2**level for level in range(len(self.widths)))

    @property
    def size_px(self) -> int:
        """Side of the result."""
        return self.sides_px[-1] * self.shuffle


STUDENT_PRESETS: dict[str, StudentConfig] = {
    "student-paper": StudentConfig(),
    "student-paper-512": StudentConfig(input_px=128),
    "student-small": StudentConfig(
        input_px=128, encoder_base=16, widths=(80, 80, 64, 48, 32, 24), identity_px=16, shuffle=2, paints_matte=True,
        avatars=8,
    ),
    "student-tiny": StudentConfig(
        input_px=64, encoder_base=4, widths=(8, 8, 8, 8, 8), identity_px=8, shuffle=2, paints_matte=True, avatars=2,
    ),
}  # fmt: skip
"""`student-paper` is Fig. 11 (1024 px), `student-paper-512` the same network seen from 128 px; `student-small` (256 px)
runs in real time on a CPU."""

STUDENT_DISCRIMINATORS: dict[str, DiscriminatorConfig] = {
    "student-paper": DiscriminatorConfig(scales=4),
    "student-paper-512": DiscriminatorConfig(scales=4),
    "student-small": DiscriminatorConfig((32, 64, 128, 128), scales=4),
    "student-tiny": DiscriminatorConfig((8, 8, 8, 8), scales=2),
}
"""Four scales (3.3)."""


def student_preset(name: str) -> StudentConfig:
    """The student's sizes under a preset's name.

    Raises:
        UserError: no such preset.
    """
    if name not in STUDENT_PRESETS:
        raise UserError(f"no student is called '{name}'; choose one of {', '.join(STUDENT_PRESETS)}")
    return STUDENT_PRESETS[name]


@dataclass(frozen=True)
class DistillWeights:
    """Weights of stage three's terms (3.3 names the terms, no numbers: those of stage one)."""

    perceptual: float = 20.0
    """L_IN."""
    face: float = 4.0
    """L_face."""
    gaze: float = 5.0
    """L_gaze."""
    adversarial: float = 1.0
    """L_adv at four scales; 0 trains without a discriminator, and so without L_FM."""
    feature_matching: float = 40.0
    """L_FM."""
    reconstruction: float = 0.0
    """L1 of the pictures (ours)."""
    parts: float = 0.0
    """L1 inside the boxes around mouth and eyes (ours)."""
    motion: float = 0.0
    """Mean square between the teacher's z and what a linear map reads off the encoder's features (ours)."""
    matte: float = 5.0
    """L1 of the painted matte (ours)."""


@dataclass(frozen=True)
class DistillTraining:
    """`megaportraits train distill`: stage three, a real-time student of a frozen teacher (3.3, A.3)."""

    output: str
    """Folder of the run; the same command resumes it."""
    avatars: tuple[str, ...] = ()
    """Folders of prepared photos or clips (`prepare photos`): the first picture of each is an avatar, by name."""
    data: tuple[str, ...] = ()
    """Folders of clips that drive (split "train" is used)."""
    teacher: str = ""
    """Checkpoint folder of `train base`; empty for the weights of the package."""
    enhancer: str = ""
    """Checkpoint folder of `train enhance`, where the student's pictures are larger than the teacher's; empty for the
    weights of the package."""
    preset: StudentPresetName = "student-small"
    """Sizes of the student; the number of avatars is that of the photos."""
    start_from: str = ""
    """Warm restart: the weights for use of an earlier leg (fresh optimiser)."""
    add: bool = False
    """Train only the tensors of avatars that `start_from` does not know; everything else stays, so that no avatar
    changes."""
    batch: int = 8
    """Drivers in a batch."""
    jitter: float = 0.1
    """Colour jitter of what the student sees of a driver; the teacher sees it as it is (ours)."""
    flip: float = 0.5
    """Probability that a driver is mirrored."""
    weights: DistillWeights = field(default_factory=DistillWeights)
    critics: CriticsConfig = field(default_factory=CriticsConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=170_000))
    dry_run: bool = False
    """Print parameters, memory, steps and an estimate of the time; train nothing."""
    cache_gb: float = 4.0
    """Memory for decoded clips, of each process that loads data."""

    def __post_init__(self):
        at_least(self, 1, "batch")
        at_least(self, 0, "jitter", "flip")
        if self.add and not self.start_from:
            raise UserError("--add trains new avatars of a student; name it with --start-from")
