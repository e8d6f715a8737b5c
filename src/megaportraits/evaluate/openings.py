"""Do mouth and eyes of the result open when the driver's do? Correlations over videos."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits.evaluate.protocols import Sample
from megaportraits.evaluate.scores import Row
from megaportraits.metrics import eye_opening, mouth_opening, pearson, pooled_pearson

ENOUGH = 0.02
"""A clip counts where the standard deviations of the driver's mouth opening (face heights) and of its eye opening (eye
widths) are both at least this."""
PARTS = {"mouth": mouth_opening, "eyes": eye_opening}


@dataclass(frozen=True)
class Agreement:
    """Correlation of the driver's and the result's opening, over frames in which the result shows a face."""

    pooled: float | None
    """All frames of all counted clips together."""
    within_clips: float | None
    """The same after each clip's means were taken away: differences between people do not help."""
    by_clip: dict[str, float | None]
    """Of each counted clip."""
    frames: int


def opening_agreements(rows: Sequence[Row], samples: Sequence[Sample]) -> dict[str, dict[str, Agreement]]:
    """By method and part, over the clips that have enough of both openings."""
    wanted = {s.name: {part: measure(s.target.landmarks) for part, measure in PARTS.items()} for s in samples}
    counted = [name for name, parts in wanted.items() if all(_varies(values) for values in parts.values())]
    methods = dict.fromkeys(row.method for row in rows)
    return {
        m: {part: _agreement(rows, m, part, {n: wanted[n][part] for n in counted}) for part in PARTS} for m in methods
    }


def _varies(values: Float[Tensor, " T"]) -> bool:
    return len(values) > 1 and float(values.std()) >= ENOUGH


def _agreement(rows: Sequence[Row], method: str, part: str, wanted: dict[str, Tensor]) -> Agreement:
    groups: dict[str, tuple[Tensor, Tensor]] = {}
    for name, driver in wanted.items():
        found = [row.scores[f"{part}_opening"] for row in rows if row.method == method and row.sample == name]
        known = [i for i, value in enumerate(found) if value is not None]
        groups[name] = driver[known], torch.tensor([v for v in found if v is not None])
    series = list(groups.values())
    return Agreement(
        _known(pooled_pearson(series, centred=False)),
        _known(pooled_pearson(series, centred=True)),
        {name: _known(pearson(*pair)) for name, pair in groups.items()},
        sum(len(driver) for driver, _ in series),
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
