"""L_gaze: L1 between the gaze net's features of prediction and truth, on both eyes.

Paper: Eq. 4, B.5. Raw, unweighted. Choices (docs/gaze.md): five depths with weights 1/32 ... 1; the truth's keypoints
place the eye pictures of both; each depth's L1 is divided by the mean magnitude of the truth's features.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits import geometry
from megaportraits.data.eyes import eye_crops, eyes_known
from megaportraits.models.gaze import GazeNet

DEPTH_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


def gaze_loss(
    network: GazeNet,
    prediction: Float[Tensor, "B 3 H W"],
    truth: Float[Tensor, "B 3 H W"],
    keypoints: Float[Tensor, "B K 2"],
) -> Float[Tensor, ""]:
    """Mean over samples; one whose eye corners are unknown (NaN) counts 0.

    Pictures are in [0, 1], `keypoints` are the truth's, in crop coordinates. Gradient reaches the prediction, and of it
    only the surroundings of the eyes.
    """
    size = network.config.eye_px
    with torch.no_grad():
        wanted = network.features(eye_crops(truth, keypoints, size).flatten(0, 1))
    found = network.features(eye_crops(prediction, keypoints, size).flatten(0, 1))
    samples = torch.zeros(len(prediction), device=prediction.device, dtype=geometry.working_type(prediction))
    for weight, f, w in zip(DEPTH_WEIGHTS, *(map(_full, features) for features in (found, wanted)), strict=True):
        difference, magnitude = ((values.unflatten(0, (-1, 2)).flatten(1).mean(1)) for values in ((f - w).abs(), w))
        samples = samples + weight * difference / (magnitude + 1e-3)
    return torch.where(eyes_known(keypoints), samples, 0.0).mean()


def _full(features: Tensor) -> Tensor:
    """Features in fp32 or better, for means and ratios."""
    return features.to(geometry.working_type(features))
