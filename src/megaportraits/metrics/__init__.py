"""Pure measures of pictures, angles and landmarks, for training's scoreboard and for evaluation."""

from megaportraits.metrics.agreement import mean_difference_without_offset, pearson, pooled_pearson
from megaportraits.metrics.angles import axis_errors_deg
from megaportraits.metrics.landmarks import eye_distance, eye_opening, landmark_error, mouth_opening, movement
from megaportraits.metrics.pictures import l1, masked_mean, psnr_db, ssim, ssim_map

__all__ = [
    "axis_errors_deg",
    "eye_distance",
    "eye_opening",
    "l1",
    "landmark_error",
    "masked_mean",
    "mean_difference_without_offset",
    "mouth_opening",
    "movement",
    "pearson",
    "pooled_pearson",
    "psnr_db",
    "ssim",
    "ssim_map",
]
