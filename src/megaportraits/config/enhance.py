"""Settings of stage two: sizes of the enhancer, and what `megaportraits train enhance` takes as options."""

import math
from dataclasses import dataclass, field
from typing import Literal

from megaportraits.config.checks import at_least
from megaportraits.config.loop import LoopConfig, OptimiserConfig
from megaportraits.config.sizes import DiscriminatorConfig
from megaportraits.errors import UserError

EnhancerPresetName = Literal["enhancer-paper", "enhancer-small", "enhancer-tiny"]


@dataclass(frozen=True)
class EnhancerConfig:
    """The enhancer G_enh (A.2, Fig. 10); the defaults are the drawing."""

    size_px: int = 512
    """Side of the picture that it is meant for; the result has twice that. Other sides work with the same weights."""
    unshuffle: int = 0
    """Fold squares of so many pixels into channels at the entry; 0 doubles the picture instead, as drawn."""
    stem_kernel: int = 7
    """Side of the first convolution."""
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Encoder: channels of the first convolution and of the residual blocks, each followed by a pooling by 2."""
    volume: tuple[int, int] = (96, 16)
    """Channels and depth of the volume between encoder and decoder."""
    blocks_3d: int = 3
    """3D residual blocks on the volume; 0 leaves the volume out."""
    width: int = 512
    """Channels of the decoder's first residual blocks."""
    blocks: int = 8
    """These residual blocks."""
    up_widths: tuple[int, ...] = (256, 128, 128)
    """Channels of the residual block after each up-sampling by 2."""
    end_widths: tuple[int, ...] = (128, 64, 32)
    """Channels of the residual blocks at the end, which keep the size."""
    shuffle: int = 1
    """Factor of the PixelShuffle after the last convolution; 1 is none, as drawn."""
    skips: bool = False
    """Add the encoder's features before each pooling to the decoder's after the up-sampling of their level."""
    norm: bool = True
    """GroupNorm, as drawn. Without it a pixel depends on its surroundings only, not on the whole picture."""
    leak: float = 0.0
    """Slope of the last activation below 0; 0 is a ReLU, as drawn. Without `norm` a ReLU there dies: its inputs sink
    below 0 everywhere, and nothing is learnt any more."""
    spectral_norm: bool = True
    """Spectral normalisation of the inner convolutions that are not weight-standardised (B.1)."""

    def __post_init__(self):
        at_least(self, 0, "unshuffle", "blocks_3d", "blocks")
        at_least(self, 1, "shuffle")
        grown = 2 ** len(self.up_widths) * self.shuffle * (1 if self.unshuffle else 2)
        shrunk = 2 ** len(self.widths[1:]) * max(self.unshuffle, 1)
        if grown != 2 * shrunk:
            raise UserError(
                f"these sizes make a picture {grown / shrunk:g} times as large; change unshuffle, widths, up_widths or "
                "shuffle so that it is 2 times"
            )
        if not self.blocks_3d and self.widths[-1] != self.width:
            raise UserError(f"width is {self.width}; without a volume it must be the encoder's last, {self.widths[-1]}")
        inner = (self.width, *self.up_widths)[: len(self.widths) - 1]
        if self.skips and inner != self.widths[:0:-1]:
            raise UserError(
                f"with skips, the decoder must enter its levels with the encoder's channels {self.widths[:0:-1]}; "
                f"width and up_widths say {inner}"
            )

    @property
    def reach_px(self) -> int:
        """How far away, at most, a pixel of the picture acts on the result; without `norm` nothing farther does."""
        levels = len(self.widths) - 1
        finest = self.unshuffle or 0.5
        scale = [finest * 2**level for level in range(levels + 1)]
        reach = finest * (self.stem_kernel // 2) + sum(2 * scale[level] for level in range(levels))
        reach += 2 * scale[-1] * (self.blocks + self.blocks_3d)
        grown = [scale[-1] / 2 ** (step + 1) for step in range(len(self.up_widths))]
        reach += sum(2 * size for size in grown) + grown[-1] * (2 * len(self.end_widths) + 1)
        return math.ceil(reach + 2 * scale[-1])

    @property
    def multiple_px(self) -> int:
        """Sides of pictures must be multiples of this."""
        shrunk = 2 ** len(self.widths[1:]) * max(self.unshuffle, 1)
        return shrunk if self.unshuffle else max(1, shrunk // 2)


ENHANCER_PRESETS: dict[str, EnhancerConfig] = {
    "enhancer-paper": EnhancerConfig(),
    "enhancer-small": EnhancerConfig(
        size_px=256, unshuffle=2, stem_kernel=3, widths=(64, 128), blocks_3d=0, width=128, blocks=5,
        up_widths=(64,), end_widths=(), shuffle=4, skips=True, norm=False, leak=0.2,
    ),
    "enhancer-tiny": EnhancerConfig(
        size_px=64, unshuffle=2, stem_kernel=3, widths=(8, 16), volume=(4, 4), blocks_3d=1, width=16, blocks=1,
        up_widths=(16,), end_widths=(8,), shuffle=4, skips=True,
    ),
}  # fmt: skip
"""`enhancer-paper` is Fig. 10 (512 -> 1024); `enhancer-small` serves 256 -> 512 and 512 -> 1024; `enhancer-tiny` has
every part of both, for tests."""

ENHANCER_DISCRIMINATORS: dict[str, DiscriminatorConfig] = {
    "enhancer-paper": DiscriminatorConfig(),
    "enhancer-small": DiscriminatorConfig((48, 96, 192, 256)),
    "enhancer-tiny": DiscriminatorConfig((8, 8, 8, 8)),
}
"""Sizes of each of the two discriminators."""


def enhancer_preset(name: str) -> EnhancerConfig:
    """The enhancer's sizes under a preset's name.

    Raises:
        UserError: no such preset.
    """
    if name not in ENHANCER_PRESETS:
        raise UserError(f"no enhancer is called '{name}'; choose one of {', '.join(ENHANCER_PRESETS)}")
    return ENHANCER_PRESETS[name]


@dataclass(frozen=True)
class EnhanceWeights:
    """Weights of Eq. 10; a term of weight 0 is not computed."""

    mae: float = 100.0
    """L_MAE."""
    perceptual: float = 0.0
    """L1 of a frozen network's features, which the text above Eq. 10 names and the equation does not have."""
    adversarial: float = 1.0
    """L_adv inside L_GAN; 0 trains without its discriminator, and so without L_FM."""
    feature_matching: float = 100.0
    """L_FM inside L_GAN."""
    cross_adversarial: float = 1.0
    """L_adv^c: a second discriminator, for cross-driven pictures."""
    cycle: float = 10.0
    """L_cyc^c (Eq. 9)."""


@dataclass(frozen=True)
class ViewConfig:
    """Two views of one photo: crops and rotations, nothing that changes the person's shape (3.2)."""

    rotation_deg: float = 20.0
    """Largest rotation."""
    least_side: float = 0.8
    """Smallest side of a crop, relative to the photo's."""
    face_kept: float = 0.75
    """Least part of the face's box that a view shows."""
    hue: float = 0.02
    """Largest turn of the colour circle, in turns; one draw for both views."""
    flip: float = 0.5
    """Probability that both views are mirrored."""

    def __post_init__(self):
        at_least(self, 0, "rotation_deg", "hue", "flip")
        for name in ("least_side", "face_kept"):
            if not 0 < getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)}; give a number above 0 and up to 1")


@dataclass(frozen=True)
class EnhanceTraining:
    """`megaportraits train enhance`: stage two, the enhancer (3.2, A.2)."""

    output: str
    """Folder of the run; the same command resumes it."""
    base: str = ""
    """Checkpoint folder of `train base`, whose pictures are enhanced; it stays as it is."""
    stills: tuple[str, ...] = ()
    """Folders of prepared photos (`prepare photos`), best of the result's size or larger."""
    data: tuple[str, ...] = ()
    """Folders of clips, rendered or recorded, of the result's size or larger (split "train" is used)."""
    stills_share: float = 0.5
    """How often a photo is drawn, where both photos and clips are given."""
    two_frames: bool = False
    """Of clips, take two frames as source and driver instead of two views of one frame (ours)."""
    preset: EnhancerPresetName = "enhancer-small"
    """Sizes of the enhancer."""
    size_px: int = 0
    """Side of the base model's pictures; 0 takes its own. The result has twice that."""
    photo_px: int = 0
    """Side at which photos are read before they are turned and cropped, a multiple of the result's: larger ones keep
    the truth sharp. 0 takes the result's."""
    halves: Literal["both", "supervised", "unsupervised"] = "both"
    """Halves of the training: two views of one photo (L_GAN, L_MAE), another person as driver (L_adv^c, L_cyc^c)."""
    blurred_truth: float = 0.0
    """How often the supervised half starts from the truth itself, halved and blurred, in the place of the base model's
    picture (ours): detail is learnt where nothing is in the wrong place. 1 needs no pictures of the base model."""
    blur_px: float = 2.0
    """Largest deviation of that blur, in pixels of the base model's picture."""
    start_from: str = ""
    """Warm restart: checkpoint of an earlier leg, or weights for use (weights only, fresh optimiser)."""
    batch: int = 16
    """Sources in a batch."""
    patch_px: int = 0
    """Enhance and judge a square of this side of each picture of the base model, at a random place; 0 takes the whole
    picture (ours: a step costs less, so that there are more of them)."""
    weights: EnhanceWeights = field(default_factory=EnhanceWeights)
    views: ViewConfig = field(default_factory=ViewConfig)
    perceptual: Literal["vgg19", "squeezenet1_0", "squeezenet1_1"] = "vgg19"
    """Network of the perceptual term."""
    perceptual_weights: str = ""
    """Its file; empty: an environment variable or a download (docs/frozen-nets.md)."""
    perceptual_scales: int = 4
    """Pictures of the perceptual term, each half the side of the one before."""
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=50_000))
    dry_run: bool = False
    """Print parameters, memory, steps and an estimate of the time; train nothing."""
    cache_gb: float = 4.0
    """Memory for decoded photos and clips, of each process that loads data."""

    def __post_init__(self):
        at_least(self, 1, "batch", "perceptual_scales")
        at_least(self, 0, "size_px", "photo_px", "patch_px", "blur_px")
        if self.size_px % 32:
            raise UserError(f"size_px is {self.size_px}; it must be a multiple of 32: choose 128, 256 or 512")
        if self.patch_px % 32:
            raise UserError(f"patch_px is {self.patch_px}; it must be a multiple of 32: choose 64, 96 or 128, or 0")
        for name in ("stills_share", "blurred_truth"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)}; give a number from 0 to 1")
        weights = self.weights
        of_halves = {
            "supervised": weights.mae + weights.perceptual + weights.adversarial,
            "unsupervised": weights.cross_adversarial + weights.cycle,
        }
        for half, total in of_halves.items():
            if self.halves in ("both", half) and not total > 0:
                raise UserError(
                    f"halves is '{self.halves}', but all weights of the {half} half are 0; change one of them"
                )
