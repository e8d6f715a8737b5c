"""Pure measures of pictures, for training's scoreboard and for evaluation."""

from megaportraits.metrics.pictures import l1, masked_mean, psnr_db, ssim, ssim_map

__all__ = ["l1", "masked_mean", "psnr_db", "ssim", "ssim_map"]
