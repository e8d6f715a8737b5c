"""L1 inside the boxes around mouth and eyes, which are too small to count in whole pictures (ours). Raw, unweighted."""

from jaxtyping import Float
from torch import Tensor

from megaportraits.data.keypoints import KEYPOINTS
from megaportraits.data.regions import boxes


def parts_loss(
    prediction: Float[Tensor, "B 3 S S"], truth: Float[Tensor, "B 3 S S"], keypoints: Float[Tensor, "B K 2"]
) -> Float[Tensor, ""]:
    """Mean over samples of (mouth + eyes) / 2; a box whose landmarks are unknown (NaN) counts 0.

    Pictures are in [0, 1], `keypoints` are the truth's (`data.keypoints.KEYPOINTS`), in crop coordinates.
    """
    difference = (prediction - truth).abs().mean(1, keepdim=True)
    masks = boxes(keypoints, KEYPOINTS, truth.shape[-1]).values()
    parts = [(difference * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3)).clamp(min=1) for mask in masks]
    return sum(parts[1:], parts[0]).mean() / len(parts)
