"""Named sizes.

`paper-512` and `paper-256` are the paper's drawings (Fig. 9, A.1) with the choices of `docs/paper.md`; `small` is for a
GPU, `live` for slow machines, `tiny` for tests. One code, sizes from the preset.
"""

from typing import Literal

from megaportraits.config.sizes import (
    AppearanceConfig,
    DiscriminatorConfig,
    G2DConfig,
    G3DConfig,
    ModelConfig,
    MotionConfig,
    WarpConfig,
)
from megaportraits.errors import UserError

PresetName = Literal["paper-512", "paper-256", "small", "live", "tiny"]

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
    size_px=256,
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
