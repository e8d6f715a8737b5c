"""Scores of each frame and method."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits.data.regions import CHIN, TOP
from megaportraits.evaluate.judging import Columns, Judge
from megaportraits.evaluate.protocols import Sample
from megaportraits.evaluate.results import Row
from megaportraits.geometry import angles_from_rotation
from megaportraits.metrics import (
    expression_movement,
    gradient_error,
    l1,
    masked_mean,
    movement,
    ms_ssim,
    psnr_db,
    sharpness,
    ssim_map,
)

MOST_DB = 100.0
"""Equal pictures have infinite PSNR; means count them with this."""
ANSWER, DRIVER = "right answer", "driver"
"""What is wanted, itself before the judges: what they say of a perfect result; without a right answer, of the
driver."""


def score(sample: Sample, method: str, result: Float[Tensor, "T 3 S S"], judges: Sequence[Judge] = ()) -> list[Row]:
    """Compare a method's pictures with the right answers over grey, where there are any, and ask the judges."""
    return _rows(sample, method, _picture_columns(sample, result) | _judged(sample, result, judges))


def score_wanted(sample: Sample, judges: Sequence[Judge]) -> list[Row]:
    """What the judges say of the right answer, or of the driver; no rows without judges."""
    if not judges:
        return []
    name = DRIVER if sample.target is None else ANSWER
    return _rows(sample, name, _judged(sample, sample.wanted.over_grey(), judges))


def _picture_columns(sample: Sample, result: Float[Tensor, "T 3 S S"]) -> Columns:
    """PSNR, SSIM, L1, gradient error and sharpness of the whole picture (raw) and of each region, MS-SSIM of the whole
    picture."""
    target = sample.target
    if target is None:
        return {}
    truth = target.over_grey()
    similarity = ssim_map(result, truth)
    masks = {"raw": torch.ones_like(truth[:, :1])} | target.regions()
    columns: Columns = {}
    for region, mask in masks.items():
        columns[f"{region}_psnr_db"] = psnr_db(result, truth, mask).clamp(max=MOST_DB)
        columns[f"{region}_ssim"] = masked_mean(similarity, mask)
        columns[f"{region}_l1"] = l1(result, truth, mask)
        columns[f"{region}_gradient_error"] = gradient_error(result, truth, mask)
        columns[f"{region}_sharpness"] = sharpness(result, truth, mask)
    columns["raw_ms_ssim"] = ms_ssim(result, truth)
    return columns


def _judged(sample: Sample, result: Float[Tensor, "T 3 S S"], judges: Sequence[Judge]) -> Columns:
    return {key: column for judge in judges for key, column in judge(sample, result).items()}


def _rows(sample: Sample, method: str, columns: Columns) -> list[Row]:
    wanted = sample.wanted
    rows = {number: i for i, number in enumerate(wanted.landmark_ids)}
    moved = movement(sample.before, wanted.landmarks, (rows[TOP], rows[CHIN])).tolist()
    acted = expression_movement(sample.before, wanted.landmarks, wanted.landmark_ids).tolist()
    yaw = angles_from_rotation(wanted.pose.rotation)[:, 0].tolist()
    lists = {key: column.tolist() for key, column in columns.items()}
    return [
        Row(
            sample.name, frame, method, yaw[i], moved[i], acted[i],
            {k: None if math.isnan(v[i]) else v[i] for k, v in lists.items()},
        )
        for i, frame in enumerate(wanted.numbers)
    ]  # fmt: skip
