"""Settings of training data: augmentation and domain randomisation."""

from dataclasses import dataclass, field

from megaportraits.config.checks import at_least
from megaportraits.errors import UserError

_PROBABILITIES = (
    "blur", "motion_blur", "vignette", "rescale", "noise", "jpeg", "h264", "glasses", "occluders", "backdrop", "source",
    "shared",
)  # fmt: skip


@dataclass(frozen=True)
class DomainConfig:
    """Domain randomisation: what lenses, cameras, files, rooms and things do to real pictures (ours; docs/data.md).

    An effect at 0 is off and leaves the draws of all others as they are. `DOMAIN_ON` has all of them on.
    """

    blur: float = 0.0
    """Probability of a picture out of focus (Gaussian)."""
    blur_sigma: float = 1.5
    """Largest deviation of that blur, in 1/128 of the side."""
    motion_blur: float = 0.0
    """Probability of a picture blurred along a line."""
    motion_blur_length: float = 8.0
    """Longest such line, in 1/128 of the side."""
    vignette: float = 0.0
    """Probability of dark corners."""
    rescale: float = 0.0
    """Probability that noise and compression happen at a lower resolution, from which the picture is enlarged."""
    rescale_least: float = 0.4
    """Lowest such resolution, as a part of the picture's."""
    noise: float = 0.0
    """Probability of sensor noise (read and shot noise)."""
    noise_level: float = 0.05
    """Largest deviation of the noise, in the picture's range of [0, 1]."""
    jpeg: float = 0.0
    """Probability of JPEG compression."""
    jpeg_quality: tuple[int, int] = (20, 90)
    """Lowest and highest JPEG quality."""
    h264: float = 0.0
    """Probability of H.264 compression, as the second frame of a clip."""
    h264_crf: tuple[int, int] = (24, 40)
    """Lowest and highest constant rate factor; higher is worse."""
    white_balance: float = 0.0
    """Strength: largest gain of red against green (blue falls as red rises), as a natural logarithm."""
    exposure: float = 0.0
    """Strength: largest change of exposure, in stops."""
    gamma: float = 0.0
    """Strength: largest change of the tone curve's exponent, as a natural logarithm."""
    glasses: float = 0.0
    """Probability of glasses, the same in source and drivers; they belong to the person and are in the target too."""
    occluders: float = 0.0
    """Probability of a hand, a microphone or a cup before the face; in the motion encoder's input only."""
    backdrop: float = 0.0
    """Probability of another background in the motion encoder's input."""
    backgrounds: str = ""
    """Folder of photos that backgrounds are cut from; empty for random colour fields and shapes."""
    source: float = 0.3
    """How often the source picture gets the camera's effects, as a part of their probabilities; the target never."""
    shared: float = 0.3
    """Part of white balance, exposure and gamma that is drawn once for a pair and also changes source and target."""

    def __post_init__(self):
        for name in _PROBABILITIES:
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)}; give a number from 0 to 1")
        at_least(self, 0, "blur_sigma", "motion_blur_length", "noise_level", "white_balance", "exposure", "gamma")
        for name, (low, high), most in (("jpeg_quality", self.jpeg_quality, 95), ("h264_crf", self.h264_crf, 51)):
            if not 1 <= low <= high <= most:
                raise UserError(f"{name} is {low} to {high}; give two rising numbers from 1 to {most}")
        if not 0.1 <= self.rescale_least <= 1:
            raise UserError(f"rescale_least is {self.rescale_least}; give a number from 0.1 to 1")


DOMAIN_ON = DomainConfig(
    blur=0.3, motion_blur=0.15, vignette=0.15, rescale=0.4, noise=0.4, jpeg=0.3, h264=0.25, white_balance=0.2,
    exposure=0.5, gamma=0.25, glasses=0.2, occluders=0.12, backdrop=0.6,
)  # fmt: skip
"""Every effect on, at strengths that still let a person see the expression."""


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
    domain: DomainConfig = field(default_factory=DomainConfig)
    """Domain randomisation, off unless asked for."""
