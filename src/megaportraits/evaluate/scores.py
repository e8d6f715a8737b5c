"""Scores of each frame and method, and their means."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from megaportraits.data.regions import CHIN, TOP, regions
from megaportraits.evaluate.judges import Columns, Judge
from megaportraits.evaluate.protocols import Sample
from megaportraits.metrics import l1, masked_mean, movement, psnr_db, ssim_map

MOST_DB = 100.0
"""Equal pictures have infinite PSNR; means count them with this."""
ANSWER = "right answer"
"""The right answer itself before the judges: what they say of a perfect result."""
MOVED = 0.05
"""A frame counts as moved where its landmarks are further than this from the source's, on average, in face heights."""
Means = dict[str, dict[str, float | None]]
"""Mean of each score by method, in order of appearance."""


@dataclass(frozen=True)
class Row:
    """The scores of one frame of one sample by one method."""

    sample: str
    frame: int
    """Frame number of the right answer in its clip."""
    method: str
    moved: float
    """Mean distance of the right answer's landmarks from the source's, in face heights."""
    scores: dict[str, float | None]
    """By "REGION_METRIC"; None where the region is outside the picture, or a judge finds no face."""


def score(sample: Sample, method: str, result: Float[Tensor, "T 3 S S"], judges: Sequence[Judge] = ()) -> list[Row]:
    """Compare a method's pictures with the right answers over grey, in the regions of the target; ask the judges."""
    return _rows(sample, method, picture_columns(sample, result) | _judged(sample, result, judges))


def score_answer(sample: Sample, judges: Sequence[Judge]) -> list[Row]:
    """What the judges say of the right answer itself; no rows without judges."""
    return _rows(sample, ANSWER, _judged(sample, sample.target.over_grey(), judges)) if judges else []


def picture_columns(sample: Sample, result: Float[Tensor, "T 3 S S"]) -> Columns:
    """PSNR, SSIM and L1 of each region."""
    target = sample.target
    truth = target.over_grey()
    matte = None if target.pose is None else target.foreground()
    similarity = ssim_map(result, truth)
    columns: Columns = {}
    for region, mask in regions(target.landmarks, target.landmark_ids, matte, truth.shape[-1]).items():
        columns[f"{region}_psnr_db"] = psnr_db(result, truth, mask).clamp(max=MOST_DB)
        columns[f"{region}_ssim"] = masked_mean(similarity, mask)
        columns[f"{region}_l1"] = l1(result, truth, mask)
    return columns


def means(rows: Sequence[Row]) -> Means:
    """Mean of each score over all frames that have it (PSNR: mean of the frames' dB)."""
    out: Means = {}
    for method in dict.fromkeys(row.method for row in rows):
        own = [row.scores for row in rows if row.method == method]
        known = {key: [v for scores in own if (v := scores[key]) is not None] for key in own[0]}
        out[method] = {key: sum(values) / len(values) if values else None for key, values in known.items()}
    return out


def faceless(rows: Sequence[Row]) -> dict[str, tuple[int, int]]:
    """Frames in which MediaPipe found no face, and frames in which it looked, by method."""
    looked = [row for row in rows if "mouth_landmarks" in row.scores]
    return {
        method: (
            sum(row.scores["mouth_landmarks"] is None for row in looked if row.method == method),
            sum(row.method == method for row in looked),
        )
        for method in dict.fromkeys(row.method for row in looked)
    }


def _judged(sample: Sample, result: Float[Tensor, "T 3 S S"], judges: Sequence[Judge]) -> Columns:
    return {key: column for judge in judges for key, column in judge(sample, result).items()}


def _rows(sample: Sample, method: str, columns: Columns) -> list[Row]:
    rows = {number: i for i, number in enumerate(sample.target.landmark_ids)}
    moved = movement(sample.source.landmarks, sample.target.landmarks, (rows[TOP], rows[CHIN])).tolist()
    lists = {key: column.tolist() for key, column in columns.items()}
    return [
        Row(sample.name, frame, method, moved[i], {k: None if math.isnan(v[i]) else v[i] for k, v in lists.items()})
        for i, frame in enumerate(sample.target.numbers)
    ]
