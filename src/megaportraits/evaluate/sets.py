"""FID and KID of a method's pictures, whatever picture belongs to which (4.2)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.evaluate.done import Features
from megaportraits.evaluate.protocols import Sample
from megaportraits.metrics import frechet_distance, kernel_distance

REAL = "real"
"""Name of the features of the pictures that results are compared with."""


class SetJudge:
    """Features of all pictures over grey, and at the end the distances of each method's from the real ones.

    Real pictures are the right answers; without any, the sources' and the drivers'. FID of few pictures is biased
    upwards: compare only numbers of equally many pictures, and prefer KID (`metrics/distributions.py`).
    """

    def __init__(self, network: nn.Module | None):
        self.network = network

    @torch.inference_mode()
    def features(self, sample: Sample, results: dict[str, Float[Tensor, "T 3 S S"]]) -> Features:
        """Of each method's pictures, and of the real ones; empty without a network."""
        if self.network is None:
            return {}
        real = sample.wanted.over_grey()
        if sample.target is None:
            real = torch.cat([sample.source.over_grey(), real])
        return {name: self.network(pictures) for name, pictures in {**results, REAL: real}.items()}

    def distances(self, features: Sequence[Features]) -> dict[str, dict[str, float | None]]:
        """FID and KID by method; empty without a network."""
        if self.network is None:
            return {}
        sets = {name: torch.cat([one[name] for one in features]) for name in features[0]}
        real = sets.pop(REAL)
        if len(real) < 2:
            return {name: {"fid": None, "kid": None} for name in sets}
        return {
            name: {"fid": frechet_distance(real, found), "kid": kernel_distance(real, found)[0]}
            for name, found in sets.items()
        }
