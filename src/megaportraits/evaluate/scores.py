"""Scores of each frame and method, and their means."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from megaportraits.evaluate.protocols import Sample
from megaportraits.evaluate.regions import regions
from megaportraits.metrics import l1, masked_mean, psnr_db, ssim_map

MOST_DB = 100.0
"""Equal pictures have infinite PSNR; means count them with this."""


@dataclass(frozen=True)
class Row:
    """The scores of one frame of one sample by one method."""

    sample: str
    frame: int
    """Frame number of the right answer in its clip."""
    method: str
    scores: dict[str, float | None]
    """By "REGION_METRIC" (psnr_db, ssim, l1); None where the region is outside the picture."""


def score(sample: Sample, method: str, result: Float[Tensor, "T 3 S S"]) -> list[Row]:
    """Compare a method's pictures with the right answers over grey, in the regions of the target."""
    target = sample.target
    truth = target.over_grey()
    matte = None if target.pose is None else target.foreground()
    similarity = ssim_map(result, truth)
    columns: dict[str, list[float]] = {}
    for region, mask in regions(target.landmarks, target.landmark_ids, matte, truth.shape[-1]).items():
        columns[f"{region}_psnr_db"] = psnr_db(result, truth, mask).clamp(max=MOST_DB).tolist()
        columns[f"{region}_ssim"] = masked_mean(similarity, mask).tolist()
        columns[f"{region}_l1"] = l1(result, truth, mask).tolist()
    return [
        Row(sample.name, frame, method, {k: None if math.isnan(v[i]) else v[i] for k, v in columns.items()})
        for i, frame in enumerate(target.numbers)
    ]


def means(rows: Sequence[Row]) -> dict[str, dict[str, float | None]]:
    """Mean of each score over all frames (PSNR: mean of the frames' dB), by method in order of appearance."""
    out: dict[str, dict[str, float | None]] = {}
    for method in dict.fromkeys(row.method for row in rows):
        own = [row.scores for row in rows if row.method == method]
        known = {key: [v for scores in own if (v := scores[key]) is not None] for key in own[0]}
        out[method] = {key: sum(values) / len(values) if values else None for key, values in known.items()}
    return out
