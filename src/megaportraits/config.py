"""Every knob, once: frozen dataclasses with a sentence for each field, and the presets. No torch here.

Presets: `paper-512` and `paper-256` are the paper's drawings (Fig. 9, A.1) with the choices of `docs/paper.md`;
`small` ships; `live` is for slow machines; `tiny` is for tests. One code, sizes from the preset.
"""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from megaportraits.errors import UserError

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class AppearanceConfig:
    """E_app (Fig. 9a and A.1)."""

    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    """Channels of the 7x7 conv and of the three 2D residual blocks, each followed by a pooling by 2."""
    blocks_3d: int = 3
    """3D residual blocks on the volume."""
    descriptor_base: int = 64
    """Base width of the ResNet-50 that makes e_s."""
    descriptor_channels: int = 512
    """Channels E of e_s (E x 4 x 4)."""
    descriptor_input_px: int = 256
    """Side of the picture that the ResNet-50 sees."""


@dataclass(frozen=True)
class MotionConfig:
    """E_mtn (A.1): two separate ResNet-18."""

    pose_base: int = 64
    """Base width of the head pose net."""
    expression_base: int = 64
    """Base width of the expression net."""
    expression: int = 512
    """Numbers in z."""
    input_px: int = 128
    """Side of the pictures that both nets see."""


@dataclass(frozen=True)
class WarpConfig:
    """W_s-> and W_->d (Fig. 9b)."""

    widths: tuple[int, ...] = (512, 256, 128, 64, 32)
    """Channels after the reshape (depth 4, 4 x 4), then of each 3D residual block."""
    upsample: tuple[Triple, ...] = ((2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2))
    """Factor (depth, height, width) after each block."""


@dataclass(frozen=True)
class G3DConfig:
    """G_3D (Fig. 9c): a 3D U-Net of two levels."""

    widths: Triple = (192, 384, 512)
    """Channels of the first level, the second level and the bottleneck."""


@dataclass(frozen=True)
class G2DConfig:
    """P and G_2D (Fig. 9d)."""

    width: int = 512
    """Channels at the latent's resolution."""
    blocks: int = 8
    """Residual blocks at the latent's resolution."""
    up_widths: tuple[int, ...] = (256, 128, 64)
    """Channels of the residual block after each up-sampling by 2."""
    pixel_shuffle: bool = False
    """Make the last doubling by PixelShuffle of the output convolution instead of an up-sampling and a block."""


@dataclass(frozen=True)
class ModelConfig:
    """The base model G_base (3.1)."""

    size_px: int = 512
    """Side of source, driver and result; the latent has 1/8 of it."""
    volume_channels: int = 96
    """Channels C of the volume."""
    volume_depth: int = 16
    """Depth D of the volume."""
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    warp: WarpConfig = field(default_factory=WarpConfig)
    g3d: G3DConfig = field(default_factory=G3DConfig)
    g2d: G2DConfig = field(default_factory=G2DConfig)
    paints_matte: bool = False
    """Paint a fourth channel, the matte of the result."""
    spectral_norm: bool = True
    """Spectral normalisation of the convolutions that are not weight-standardised (B.1)."""

    def __post_init__(self):
        if self.size_px % 32:
            raise UserError(f"size_px is {self.size_px}; it must be a multiple of 32: choose 128, 256 or 512")
        if len(self.warp.widths) != len(self.warp.upsample) + 1:
            raise UserError(
                f"warp.widths has {len(self.warp.widths)} entries and warp.upsample {len(self.warp.upsample)}; "
                "give one width for the input and one for each block"
            )
        if len(self.g2d.up_widths) + self.g2d.pixel_shuffle != 3:
            raise UserError(
                f"g2d has {len(self.g2d.up_widths)} up-sampling blocks with pixel_shuffle={self.g2d.pixel_shuffle}; "
                "the latent is 1/8 of the picture, so three doublings are needed in all"
            )


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Multi-scale patch discriminator (Eq. 5; sizes ours, see docs/paper.md)."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Channels of the convolutions of each scale."""
    scales: int = 2
    """Scales; each halves the picture."""


_TINY = ModelConfig(
    size_px=64,
    volume_channels=8,
    volume_depth=4,
    appearance=AppearanceConfig((8, 8, 16, 16), 1, 4, 32, 64),
    motion=MotionConfig(8, 8, 16, 64),
    warp=WarpConfig((16, 8, 8), ((1, 2, 2), (1, 2, 2))),
    g3d=G3DConfig((8, 16, 16)),
    g2d=G2DConfig(16, 1, (8, 8, 8)),
    paints_matte=True,
)
_LIVE = ModelConfig(
    size_px=128,
    volume_channels=24,
    volume_depth=8,
    appearance=AppearanceConfig((24, 48, 64, 96), 2, 16, 128, 128),
    motion=MotionConfig(16, 24, 64, 128),
    warp=WarpConfig((64, 32, 32), ((1, 2, 2), (1, 2, 2))),
    g3d=G3DConfig((32, 56, 80)),
    g2d=G2DConfig(96, 3, (48, 24), pixel_shuffle=True),
    paints_matte=True,
    spectral_norm=False,
)
_SMALL = ModelConfig(
    size_px=256,
    volume_channels=32,
    volume_depth=16,
    appearance=AppearanceConfig((32, 64, 96, 128), 2, 16, 128, 256),
    motion=MotionConfig(16, 24, 128, 128),
    warp=WarpConfig((96, 64, 32), ((2, 2, 2), (1, 2, 2))),
    g3d=G3DConfig((32, 64, 80)),
    g2d=G2DConfig(128, 4, (64, 32), pixel_shuffle=True),
    paints_matte=True,
)
MODEL_PRESETS: dict[str, ModelConfig] = {
    "paper-512": ModelConfig(),
    "paper-256": ModelConfig(size_px=256, warp=WarpConfig(upsample=((2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 1, 1)))),
    "small": _SMALL,
    "live": _LIVE,
    "tiny": _TINY,
}
PresetName = Literal["paper-512", "paper-256", "small", "live", "tiny"]

DISCRIMINATOR_PRESETS: dict[str, DiscriminatorConfig] = {
    "paper-512": DiscriminatorConfig(),
    "paper-256": DiscriminatorConfig(),
    "small": DiscriminatorConfig((48, 96, 192, 256)),
    "live": DiscriminatorConfig((24, 48, 96, 128)),
    "tiny": DiscriminatorConfig((8, 8, 8, 8)),
}


def preset(name: str) -> ModelConfig:
    """The base model's sizes under a preset's name.

    Raises:
        UserError: no such preset.
    """
    if name not in MODEL_PRESETS:
        raise UserError(f"no preset is called '{name}'; choose one of {', '.join(MODEL_PRESETS)}")
    return MODEL_PRESETS[name]


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON data: equal to itself after a round trip through a file."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(kind: type, data: dict[str, Any]) -> Any:
    """A frozen configuration of type `kind` from JSON data; unknown keys are refused with the known ones listed.

    Raises:
        UserError: a key is unknown.
    """
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise UserError(f"{kind.__name__} has no field {', '.join(unknown)}; known fields: {', '.join(sorted(hints))}")
    return kind(**{key: _convert(hints[key], value) for key, value in data.items()})


def _convert(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [h for h in typing.get_args(hint) if h is not type(None)]
        return None if value is None else _convert(inner[0], value)
    if typing.get_origin(hint) is tuple:
        items = typing.get_args(hint)
        item = items[0]
        return tuple(_convert(item, v) for v in value)
    return value


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
