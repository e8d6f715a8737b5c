"""Sizes of the networks. The defaults are the paper's drawings at 512 px (Fig. 9, A.1; choices: docs/paper.md)."""

from dataclasses import dataclass, field
from typing import Literal

from megaportraits.errors import UserError

Triple = tuple[int, int, int]
Foreground = Literal["grey", "masked", "all"]


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
    leak: float = 0.2
    """Slope below zero of the last activation; with 0, as drawn, the offsets of the face can die (docs/log.md)."""


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
    """Spectral normalisation of the convolutions that are not weight-standardised (B.1; docs/paper.md, C7)."""
    descriptor: bool = True
    """Use e_s; without it the warps see z only (ablation, B.4)."""
    source_warp: bool = True
    """Use w_s->; without it the volume keeps the source's motion (ablation, B.4)."""
    foreground: Foreground = "grey"
    """What is painted around the person. grey: that constant; masked: anything, and what it is does not matter, as the
    result is put over grey by the painted matte; all: the source's own surroundings, which the model sees too
    (ablation, B.4)."""

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
