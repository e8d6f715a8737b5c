"""Every knob, once: frozen dataclasses with a sentence for each field, and the presets. No torch here."""

from megaportraits.config.plain import from_dict, to_dict
from megaportraits.config.presets import DISCRIMINATOR_PRESETS, MODEL_PRESETS, PresetName, preset
from megaportraits.config.runs import (
    AugmentConfig,
    BaseTraining,
    EvaluateConfig,
    LoopConfig,
    LossWeights,
    OptimiserConfig,
    PoseTraining,
)
from megaportraits.config.sizes import (
    AppearanceConfig,
    DiscriminatorConfig,
    G2DConfig,
    G3DConfig,
    ModelConfig,
    MotionConfig,
    WarpConfig,
)

__all__ = [
    "DISCRIMINATOR_PRESETS",
    "MODEL_PRESETS",
    "AppearanceConfig",
    "AugmentConfig",
    "BaseTraining",
    "DiscriminatorConfig",
    "EvaluateConfig",
    "G2DConfig",
    "G3DConfig",
    "LoopConfig",
    "LossWeights",
    "ModelConfig",
    "MotionConfig",
    "OptimiserConfig",
    "PoseTraining",
    "PresetName",
    "WarpConfig",
    "from_dict",
    "preset",
    "to_dict",
]
