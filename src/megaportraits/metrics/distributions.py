"""How far two sets of pictures are from each other, whatever picture belongs to which: FID and KID.

FID (Heusel et al., 2017) is the Frechet distance of two Gaussians fitted to a network's features, KID (Binkowski et
al., 2018) the squared maximum mean discrepancy of the features with a cubic kernel. Both are computed by torchmetrics,
here in double precision; it is imported where it is needed, since that takes a second.

FID is biased upwards, the more the fewer pictures there are: with fewer than about 2048 in either set compare only
numbers of equally many pictures, and prefer KID. Both belong to one network (`load_frozen("inception")` for numbers to
compare with others').
"""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.errors import UserError

SUBSETS = 100
SUBSET_SIZE = 1000
"""Of KID, as in the paper's code; all of the smaller set where it has fewer."""


def frechet_distance(features_a: Float[Tensor, "N D"], features_b: Float[Tensor, "M D"]) -> float:
    """|mean_a - mean_b|^2 + trace(C_a + C_b - 2 (C_a C_b)^(1/2)) of means and unbiased covariances C; at least 0.

    Raises:
        UserError: fewer than 2 rows in a set.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    _refuse_few(features_a, features_b)
    metric = FrechetInceptionDistance(_AsTheyAre(features_a.shape[1]))
    metric.update(_double(features_a), real=True)
    metric.update(_double(features_b), real=False)
    distance = float(metric.compute())
    return 0.0 if distance < 0 else distance


def kernel_distance(
    features_a: Float[Tensor, "N D"], features_b: Float[Tensor, "M D"], subsets: int = SUBSETS, seed: int = 0
) -> tuple[float, float]:
    """Unbiased squared MMD with the kernel (x.y / D + 1)^3: mean and standard deviation over random subsets.

    Subsets have 1000 rows of each set, or as many as the smaller set has. Of two sets with no more rows than that and
    equally many, every subset is everything: the mean is that of all rows and the deviation 0.

    Raises:
        UserError: fewer than 2 rows in a set.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    _refuse_few(features_a, features_b)
    size = min(SUBSET_SIZE, len(features_a), len(features_b))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*will save all extracted features")
        metric = KernelInceptionDistance(_AsTheyAre(features_a.shape[1]), subsets=subsets, subset_size=size)
    metric.update(_double(features_a), real=True)
    metric.update(_double(features_b), real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, deviation = metric.compute()
    return float(mean), float(deviation)


class _AsTheyAre(nn.Identity):
    """A network for torchmetrics whose pictures are features already."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features


def _refuse_few(*sets: Float[Tensor, "_n D"]) -> None:
    least = min(len(features) for features in sets)
    if least < 2:
        raise UserError(
            f"a set has {least} pictures, which is no distribution; FID and KID need 2, better 2048 or more"
        )


def _double(features: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    return features.detach().cpu().double()
