"""Do mouth and eyes of the result open when the driver's do? Correlations over clips."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits.evaluate.results import Row
from megaportraits.evaluate.scores import ANSWER, DRIVER
from megaportraits.metrics import pooled_pearson

ENOUGH = 0.02
"""A clip counts where the standard deviations of the wanted mouth opening (face heights) and of the wanted eye opening
(eye widths) are both at least this."""
PARTS = ("mouth", "eyes")


def opening_agreements(rows: Sequence[Row]) -> dict[str, dict[str, float | None]]:
    """Correlation of the result's openings with those of the right answer (or driver), by method.

    `PART_opening_r`: all frames of all counted clips together; `PART_opening_r_within`: after each clip's means were
    taken away, so that differences between people do not help. None where nothing varies. Frames without a face are
    left out.
    """
    by_method: dict[str, dict[str, dict[int, Row]]] = {}
    for row in rows:
        by_method.setdefault(row.method, {}).setdefault(row.sample, {})[row.frame] = row
    wanted = by_method.get(ANSWER) or by_method.get(DRIVER) or {}
    counted = [name for name, frames in wanted.items() if all(_varies(frames, part) for part in PARTS)]
    return {
        method: {key: value for part in PARTS for key, value in _agreement(samples, wanted, counted, part).items()}
        for method, samples in by_method.items()
    }


def _opening(row: Row, part: str) -> float | None:
    return row.scores.get(f"{part}_opening")


def _varies(frames: dict[int, Row], part: str) -> bool:
    values = [value for row in frames.values() if (value := _opening(row, part)) is not None]
    return len(values) > 1 and float(torch.tensor(values).std()) >= ENOUGH


def _agreement(
    found: dict[str, dict[int, Row]], wanted: dict[str, dict[int, Row]], counted: Sequence[str], part: str
) -> dict[str, float | None]:
    series = [_series(found[name], wanted[name], part) for name in counted if name in found]
    return {
        f"{part}_opening_r": _known(pooled_pearson(series, centred=False)),
        f"{part}_opening_r_within": _known(pooled_pearson(series, centred=True)),
    }


def _series(
    found: dict[int, Row], wanted: dict[int, Row], part: str
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Openings wanted and found, of the frames that have both."""
    pairs = [(_opening(wanted[frame], part), _opening(row, part)) for frame, row in found.items() if frame in wanted]
    both = [(w, f) for w, f in pairs if w is not None and f is not None]
    return torch.tensor([w for w, _ in both]), torch.tensor([f for _, f in both])


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
