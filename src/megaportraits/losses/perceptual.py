"""L_IN and L_face: L1 between a frozen network's feature maps of prediction and truth, over a picture pyramid.

Paper: Eq. 4. Raw, unweighted. L_IN: VGG19, whole pictures, four scales. L_face: VGGFace on
`data.alignment.aligned_face(picture, pose, 224)`, one scale. The networks are in `pretrained.py`.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SMALLEST_PX = 32
"""The pyramid ends here: below, networks have no room for their last features."""


def perceptual_loss(
    network: nn.Module, prediction: Float[Tensor, "B 3 H W"], truth: Float[Tensor, "B 3 H W"], scales: int
) -> Float[Tensor, ""]:
    """Mean over samples of: sum over layers of the mean L1 between features, averaged over pictures of the pyramid.

    Layers have equal weights. Where the network says `relative_features`, the L1 of each layer and sample is divided
    by the mean magnitude of the truth's features, so that layers of unlike magnitude count alike. A sample's value
    does not depend on the other samples of the batch. No gradient reaches the truth.

    Args:
        network: RGB in [0, 1] -> feature maps.
        scales: pictures of the pyramid, each half the side before; those under `SMALLEST_PX` are left out.
    """
    relative = getattr(network, "relative_features", False)
    levels = []
    for painted, wanted in _pyramid(prediction, truth, scales):
        with torch.no_grad():
            truths = network(wanted)
        layers = zip(network(painted), truths, strict=True)
        levels.append(torch.stack([_distance(f, t, relative) for f, t in layers]).sum(0))
    return torch.stack(levels).mean()


def _pyramid(prediction: Tensor, truth: Tensor, scales: int) -> Iterator[tuple[Tensor, Tensor]]:
    yield prediction, truth
    for _ in range(scales - 1):
        if min(truth.shape[-2:]) < 2 * SMALLEST_PX:
            return
        prediction, truth = F.avg_pool2d(prediction, 2), F.avg_pool2d(truth, 2)
        yield prediction, truth


def _distance(found: Float[Tensor, "B *d"], wanted: Float[Tensor, "B *d"], relative: bool) -> Float[Tensor, " B"]:
    distance = _magnitude(found - wanted)
    return distance / (_magnitude(wanted) + 1e-6) if relative else distance


def _magnitude(features: Float[Tensor, "B *d"]) -> Float[Tensor, " B"]:
    """Mean absolute value, in fp32 or better; dividing the sum, not each element, keeps the backward pass cheap."""
    total = features.abs().flatten(1).sum(1, dtype=torch.promote_types(features.dtype, torch.float32))
    return total / features[0].numel()
