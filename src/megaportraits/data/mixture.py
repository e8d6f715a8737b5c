"""Several sources of pairs as one: rendered clips, recorded clips, stills."""

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Generator
from torch.utils.data import Dataset

from megaportraits.errors import UserError
from megaportraits.tensors import Pair

_APART = 2**32
"""Distance between the clip numbers of two datasets."""


class Mixture(Dataset):
    """Item i is item i of one of the datasets, which one by weight: a function of (seed, i).

    Clip numbers are shifted so that those of different datasets differ: L_cos takes equal numbers for the same person.

    Args:
        datasets: they yield `Pair`, and each has at least `length` items.
        weights: one for each dataset, not negative; only their proportions count.
        seed: of the choice.
        length: items in all.

    Raises:
        UserError: not one weight for each dataset, a negative one, or none above zero.
    """

    def __init__(self, datasets: Sequence[Dataset], weights: Sequence[float | int], seed: int, length: int):
        if len(datasets) != len(weights):
            raise UserError(f"{len(weights)} weights came for {len(datasets)} datasets; give one for each")
        if min(weights, default=0) < 0 or not sum(weights) > 0:
            raise UserError(f"the weights are {list(weights)}; give numbers from 0 up, one of them above 0")
        self.datasets, self.seed, self.length = list(datasets), seed, length
        self._bounds = [bound / sum(weights) for bound in itertools.accumulate(weights)]

    def __len__(self) -> int:
        return self.length

    def choice(self, index: int) -> int:
        """Which dataset item `index` comes from."""
        generator = Generator().manual_seed((self.seed * 1_000_003 + index) * 31 + 7)
        drawn = torch.rand((), generator=generator, dtype=torch.float64).item()
        return min(bisect.bisect_right(self._bounds, drawn), len(self.datasets) - 1)

    def __getitem__(self, index: int) -> Pair:
        number = self.choice(index)
        pair = cast(Pair, self.datasets[number][index])
        return replace(pair, clip=pair.clip + number * _APART)
