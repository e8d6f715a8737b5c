"""What neighbouring frames of a method say of its steadiness; other frames have no value."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits.evaluate.judging import Columns, Pictures
from megaportraits.evaluate.protocols import Sample
from megaportraits.metrics import optical_flow, returning, warp_error


def flicker(sample: Sample, result: Pictures) -> Columns:
    """Mean size of the second difference in time of each frame that stands between neighbours, in [0, 1] units; NaN
    elsewhere. Movement counts too: compare with the right answer's (or the driver's)."""
    out = torch.full((len(result),), torch.nan)
    numbers = sample.wanted.numbers
    for i in range(1, len(result) - 1):
        if numbers[i - 1] + 1 == numbers[i] == numbers[i + 1] - 1:
            out[i] = (result[i - 1] - 2 * result[i] + result[i + 1]).abs().mean()
    return {"raw_flicker": out}


def answer(sample: Sample) -> Pictures:
    """The right answers (the driver's frames where there are none), over grey."""
    return sample.wanted.over_grey()


@dataclass(frozen=True)
class _Flow:
    """How one sample moves: of each frame that has its neighbour before it, and where that can be trusted."""

    sample: Sample
    rows: list[int]
    flow: Float[Tensor, "N S S 2"]
    mask: Float[Tensor, "N 1 S S"]


class WarpJudge:
    """Warp error inside the head (or face), in [0, 1] units: what of each frame the one before does not explain once
    it is moved by optical flow. No value without a right answer, from which the region comes.

    The flow is one and the same for all methods, that of the pictures `moving`; so a result that moves otherwise has an
    error too.
    """

    def __init__(self, moving: Callable[[Sample], Pictures] = answer):
        self.moving = moving
        self._known: _Flow | None = None

    @torch.inference_mode()
    def __call__(self, sample: Sample, result: Pictures) -> Columns:
        if sample.target is None:
            return {}
        if self._known is None or self._known.sample is not sample:
            self._known = self._look(sample)
        out, rows = torch.full((len(result),), torch.nan), self._known.rows
        if rows:
            before = [row - 1 for row in rows]
            out[rows] = warp_error(result[rows], result[before], self._known.flow, self._known.mask)
        return {f"{next(iter(sample.target.regions()))}_warp_error": out}

    def _look(self, sample: Sample) -> _Flow:
        numbers = sample.wanted.numbers
        rows = [i for i in range(1, len(numbers)) if numbers[i - 1] + 1 == numbers[i]]
        region = next(iter(sample.wanted.regions().values()))[rows]
        if not rows:
            return _Flow(sample, rows, region.new_zeros(0, *region.shape[2:], 2), region)
        pictures = self.moving(sample)
        now, before = pictures[rows], pictures[[row - 1 for row in rows]]
        flow = optical_flow(now, before)
        return _Flow(sample, rows, flow, region * returning(flow, optical_flow(before, now)))
