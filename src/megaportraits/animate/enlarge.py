"""The enhancer in use: the base model's pictures, doubled as often as the wanted resolution asks for."""

import torch
from torch import Tensor

from megaportraits.animate.devices import Arithmetic, note, out_of_memory
from megaportraits.errors import UserError
from megaportraits.models.enhancer import Enhancer
from megaportraits.tensors import Prediction, mapped, stack

MOST_DOUBLINGS = 3
"""More would be invention only."""
_LEAST_TILE_PX = 64


def doublings(base_px: int, resolution: int) -> int:
    """How often pictures of the side `base_px` are doubled for the wanted side; 0 stands for `base_px`.

    Raises:
        UserError: it is not the side, or 2, 4 or 8 times that.
    """
    sides = [base_px * 2**times for times in range(MOST_DOUBLINGS + 1)]
    if resolution and resolution not in sides:
        raise UserError(
            f"resolution {resolution} came, but these weights make pictures of {base_px} px, which can be doubled; "
            f"give {', '.join(map(str, sides[:-1]))} or {sides[-1]}"
        )
    return sides.index(resolution) if resolution else 0


class Enlarger:
    """Doubles pictures one by one: whole, or where memory is too short for that, in tiles."""

    def __init__(self, enhancer: Enhancer, times: int, arithmetic: Arithmetic):
        self.enhancer, self.times, self.arithmetic = enhancer, times, arithmetic
        self.tile_px: int | None = None
        """Side of the tiles; None for whole pictures."""

    def __call__(self, prediction: Prediction) -> Prediction:
        """Pictures of `2 ** times` the size, in fp32, on the same device.

        Raises:
            UserError: results are not finite in fp32 either.
            RuntimeError: memory does not suffice for a small tile.
        """
        rows = range(len(prediction.rgb))
        return stack([self._grown(_row(prediction, row)) for row in rows])

    def _grown(self, prediction: Prediction) -> Prediction:
        for _ in range(self.times):
            prediction = self._doubled(prediction)
        return prediction

    def _doubled(self, prediction: Prediction) -> Prediction:
        while True:
            try:
                return self.arithmetic.finite(lambda: self._computed(prediction))
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or not self._can_be_smaller(max(prediction.rgb.shape[2:])):
                    raise
            self._take_smaller_tiles(max(prediction.rgb.shape[2:]))  # outside the handler: the traceback holds tensors

    def _computed(self, prediction: Prediction) -> Prediction:
        if self.tile_px is None:
            made = self.enhancer.enhance(prediction)
        else:
            made = self.enhancer.enhance_in_tiles(prediction, self.tile_px)
        return mapped(made, Tensor.float)

    def _can_be_smaller(self, side_px: int) -> bool:
        return min(side_px, self.tile_px or side_px) // 2 >= _LEAST_TILE_PX

    def _take_smaller_tiles(self, side_px: int) -> None:
        self.tile_px = min(side_px, self.tile_px or side_px) // 2
        torch.cuda.empty_cache()
        note(f"memory is short; enlarging pictures in tiles of {self.tile_px} px")


def _row(prediction: Prediction, row: int) -> Prediction:
    return mapped(prediction, lambda picture: picture[row : row + 1])
