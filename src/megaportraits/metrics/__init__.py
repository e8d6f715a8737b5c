"""Pure measures of pictures, angles and landmarks, for training's scoreboard and for evaluation."""

from megaportraits.metrics.agreement import mean_difference_without_offset, pearson, pooled_pearson
from megaportraits.metrics.angles import axis_errors_deg
from megaportraits.metrics.distributions import frechet_distance, kernel_distance
from megaportraits.metrics.flow import optical_flow, returning, warp_error
from megaportraits.metrics.landmarks import (
    expression_measures,
    expression_movement,
    eye_distance,
    eye_opening,
    landmark_error,
    mouth_opening,
    movement,
)
from megaportraits.metrics.pictures import (
    gradient_error,
    gradient_size,
    l1,
    masked_mean,
    ms_ssim,
    psnr_db,
    sharpness,
    ssim,
    ssim_map,
)

__all__ = [
    "axis_errors_deg",
    "expression_measures",
    "expression_movement",
    "eye_distance",
    "eye_opening",
    "frechet_distance",
    "gradient_error",
    "gradient_size",
    "kernel_distance",
    "l1",
    "landmark_error",
    "masked_mean",
    "mean_difference_without_offset",
    "mouth_opening",
    "movement",
    "ms_ssim",
    "optical_flow",
    "pearson",
    "pooled_pearson",
    "psnr_db",
    "returning",
    "sharpness",
    "ssim",
    "ssim_map",
    "warp_error",
]
