"""Every knob, once: frozen dataclasses with a sentence for each field, and the presets. No torch here."""

from megaportraits.config.alarms import AlarmConfig
from megaportraits.config.animate import (
    AnimateConfig,
    AnimateOptions,
    BatchConfig,
    Device,
    EnlargeConfig,
    MotionExtract,
    NoFace,
    Owner,
    Precision,
)
from megaportraits.config.avatars import AvatarAnimate, AvatarMake, AvatarRemove, AvatarScore, LiveConfig
from megaportraits.config.base import BaseTraining, CriticsConfig, LossWeights, MixtureConfig
from megaportraits.config.compare import CompareConfig
from megaportraits.config.data import DOMAIN_ON, AugmentConfig, DomainConfig
from megaportraits.config.enhance import (
    ENHANCER_DISCRIMINATORS,
    ENHANCER_PRESETS,
    EnhancerConfig,
    EnhancerPresetName,
    EnhanceTraining,
    EnhanceWeights,
    ViewConfig,
    enhancer_preset,
)
from megaportraits.config.evaluate import EvaluateConfig, Protocol
from megaportraits.config.frames import ExpressionTraining, PoseTraining
from megaportraits.config.gaze import (
    GAZE_PRESETS,
    EyeAugmentConfig,
    GazeNetConfig,
    GazePresetName,
    GazeTraining,
    gaze_preset,
)
from megaportraits.config.identity import IDENTITY_PRESETS, IdentityNetConfig, IdentityTraining
from megaportraits.config.loop import LoopConfig, OptimiserConfig
from megaportraits.config.online import OnlineConfig
from megaportraits.config.plain import from_dict, to_dict
from megaportraits.config.prepare import (
    FilterConfig,
    Layout,
    PrepareConfig,
    PreparePhotos,
    PrepareShards,
    PrepareVideos,
    RunnerConfig,
)
from megaportraits.config.presets import DISCRIMINATOR_PRESETS, MODEL_PRESETS, PresetName, preset
from megaportraits.config.sizes import (
    AppearanceConfig,
    DiscriminatorConfig,
    G2DConfig,
    G3DConfig,
    ModelConfig,
    MotionConfig,
    WarpConfig,
)
from megaportraits.config.student import (
    STUDENT_DISCRIMINATORS,
    STUDENT_PRESETS,
    DistillTraining,
    DistillWeights,
    StudentConfig,
    StudentPresetName,
    student_preset,
)

__all__ = [
    "DISCRIMINATOR_PRESETS",
    "DOMAIN_ON",
    "ENHANCER_DISCRIMINATORS",
    "ENHANCER_PRESETS",
    "GAZE_PRESETS",
    "IDENTITY_PRESETS",
    "MODEL_PRESETS",
    "STUDENT_DISCRIMINATORS",
    "STUDENT_PRESETS",
    "AlarmConfig",
    "AnimateConfig",
    "AnimateOptions",
    "AppearanceConfig",
    "AugmentConfig",
    "AvatarAnimate",
    "AvatarMake",
    "AvatarRemove",
    "AvatarScore",
    "BaseTraining",
    "BatchConfig",
    "CompareConfig",
    "CriticsConfig",
    "Device",
    "DiscriminatorConfig",
    "DistillTraining",
    "DistillWeights",
    "DomainConfig",
    "EnhanceTraining",
    "EnhanceWeights",
    "EnhancerConfig",
    "EnhancerPresetName",
    "EnlargeConfig",
    "EvaluateConfig",
    "ExpressionTraining",
    "EyeAugmentConfig",
    "FilterConfig",
    "G2DConfig",
    "G3DConfig",
    "GazeNetConfig",
    "GazePresetName",
    "GazeTraining",
    "IdentityNetConfig",
    "IdentityTraining",
    "Layout",
    "LiveConfig",
    "LoopConfig",
    "LossWeights",
    "MixtureConfig",
    "ModelConfig",
    "MotionConfig",
    "MotionExtract",
    "NoFace",
    "OnlineConfig",
    "OptimiserConfig",
    "Owner",
    "PoseTraining",
    "Precision",
    "PrepareConfig",
    "PreparePhotos",
    "PrepareShards",
    "PrepareVideos",
    "PresetName",
    "Protocol",
    "RunnerConfig",
    "StudentConfig",
    "StudentPresetName",
    "ViewConfig",
    "WarpConfig",
    "enhancer_preset",
    "from_dict",
    "gaze_preset",
    "preset",
    "student_preset",
    "to_dict",
]
