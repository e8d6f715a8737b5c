"""Settings of `megaportraits animate`, `motion extract` and `batch`: one place for each knob of a finished picture."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from megaportraits.config.checks import at_least
from megaportraits.errors import UserError

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "fp16", "bf16"]
NoFace = Literal["hold", "interpolate", "skip"]
Owner = Literal["source", "driver"]


@dataclass(frozen=True, kw_only=True)
class AnimateOptions:
    """How a picture follows its driver, and what is shown. Every field has a default."""

    motion: Literal["absolute", "relative"] = "absolute"
    """Take the driver's pose and expression as they are, or add its changes since a reference frame to the source's."""
    reference: int | None = None
    """Reference frame of relative motion and neutral frame of the gains, from 0; by default the calmest one."""
    scale: Owner = "driver"
    """Whose head size: the driver's, or the source's (video call)."""
    translation: Owner = "driver"
    """Whose place in the picture."""
    frontalize: bool = False
    """Look straight ahead; --rotate and --sweep turn from there."""
    rotate: str = ""
    """Degrees to turn the head further: YAW,PITCH,ROLL; to the picture's right, up, and clockwise are positive."""
    sweep: tuple[str, ...] = ()
    """Turn over the length of the driver: yaw:-30..30, pitch:0..10..0; angles in degrees at evenly spaced times."""
    expression_gain: float = 1.0
    """Exaggerate (above 1) or damp (below 1) the expression against its neutral frame."""
    eyes: float = 1.0
    """The same for the region of the eyes only."""
    mouth: float = 1.0
    """The same for the region of the mouth only."""
    smooth: float = 1.0
    """Strength of the filter against trembling of pose and expression; 0 turns it off."""
    steady: float = 0.7
    """Strength of the filter against flicker of what the enhancer adds, below 1; 0 turns it off."""
    no_watermark: bool = False
    """Leave out the invisible mark by which `provenance check` knows results again; the statement in the file stays."""
    no_face: NoFace = "interpolate"
    """What to show where the driver's face is not seen: the last motion, one between both ends, or nothing."""
    face: str = "largest"
    """Which of several faces drives: largest, a number (0 is the largest), or all; all takes a folder of sources."""
    seconds: float | None = None
    """Only the first seconds of the driver; by default all of it, and 4 seconds of a picture or a camera."""
    paste_back: bool = False
    """Show the whole photo with the moving head in it, not the head's crop."""
    background: str = "source"
    """What is behind the person: source, blur, transparent, a colour (red, #00ff00), a picture or a video."""
    matte_net: Path | None = None
    """ONNX matting network for the source; by default MediaPipe's."""
    plate_net: Path | None = None
    """ONNX inpainting network (LaMa) for what is behind the person; by default a smooth fill."""
    audio: Path | None = None
    """File whose sound is taken instead of the driver's."""
    side_by_side: bool = False
    """Show source, driver and result beside each other."""
    preview: bool = False
    """Render every tenth frame only, into a contact sheet (.png or .jpg)."""

    def __post_init__(self):
        at_least(self, 0, "smooth", "steady", "reference", "expression_gain", "eyes", "mouth")
        if self.expression_gain > 100:
            raise UserError(f"expression_gain is {self.expression_gain}; give at most 100")
        if self.steady >= 1:
            raise UserError(f"steady is {self.steady}; give a number from 0 to below 1")
        at_least(self, 0.04, "seconds")


@dataclass(frozen=True, kw_only=True)
class LoadConfig:
    """Which model computes, and on what."""

    weights: str | None = None
    """Checkpoint folder, preset, or OWNER/NAME of a hub; by default the weights that came with the package."""
    device: Device = "auto"
    """Where to compute; auto takes a GPU where there is one."""
    precision: Precision = "auto"
    """Numbers of the networks; auto takes fp16 on a GPU, and falls back where that fails."""


@dataclass(frozen=True, kw_only=True)
class EnlargeConfig(LoadConfig):
    """How large the results are."""

    resolution: int = 0
    """Side of the results in pixels (of the head's square): the model's own, which 0 stands for, or 2, 4 or 8 times
    that, which the enhancer makes."""
    enhancer: str | None = None
    """Checkpoint folder of `train enhance`; by default the enhancer that came with the package."""


@dataclass(frozen=True, kw_only=True)
class AnimateConfig(EnlargeConfig, AnimateOptions):
    """`megaportraits animate`."""

    source: Path
    """Photo of one person (with --face all: a folder of photos, one for each face in the order of their names)."""
    driver: Path
    """Video, picture, folder of pictures, number of a camera, or motion file (.mpmotion)."""
    output: Path
    """Video (.mp4, .mov, .mkv, .webm), picture (.png, .jpg), or folder for pictures (a name without suffix)."""

    def options(self) -> AnimateOptions:
        """What does not depend on files and machine."""
        return _options_of(self)


@dataclass(frozen=True, kw_only=True)
class MotionExtract(LoadConfig):
    """`megaportraits motion extract`."""

    driver: Path
    """Video, picture, folder of pictures, or number of a camera."""
    output: Path
    """Motion file to write (.mpmotion)."""
    face: str = "largest"
    """Which of several faces: largest, or a number (0 is the largest)."""
    seconds: float | None = None
    """Only the first seconds of the driver; by default all of it, and 4 seconds of a camera."""


@dataclass(frozen=True, kw_only=True)
class BatchConfig(EnlargeConfig, AnimateOptions):
    """`megaportraits batch`; its options are those of every row that does not say otherwise."""

    jobs: Path
    """CSV file with a header: source, driver, and if wanted output and any option of `animate`, with underscores."""
    output: Path
    """Folder for the results."""

    def options(self) -> AnimateOptions:
        """What rows take where they do not say otherwise."""
        return _options_of(self)


def _options_of(config: AnimateOptions) -> AnimateOptions:
    return AnimateOptions(**{f.name: getattr(config, f.name) for f in fields(AnimateOptions)})
