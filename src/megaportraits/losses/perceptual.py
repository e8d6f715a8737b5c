"""L_IN: weighted L1 between a frozen network's feature maps of prediction and truth, over a picture pyramid.

Paper: Eq. 4. Raw, unweighted. The networks are in `pretrained.py`.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def perceptual_loss(
    network: nn.Module, prediction: Float[Tensor, "B 3 H W"], truth: Float[Tensor, "B 3 H W"], scales: int
) -> Float[Tensor, ""]:
    """Sum over layers of the mean L1 between features, averaged over `scales` pictures, each half the side before.

    Each layer's L1 is divided by the mean magnitude of the truth's features, so that layers count alike.
    """
    terms = []
    for level in range(scales):
        if level:
            prediction, truth = F.avg_pool2d(prediction, 2), F.avg_pool2d(truth, 2)
        with torch.no_grad():
            wanted = network(truth)
        for f, w in zip(network(prediction), wanted, strict=True):
            terms.append(F.l1_loss(f, w) / (w.abs().mean() + 1e-6))
    return torch.stack(terms).sum() / scales
