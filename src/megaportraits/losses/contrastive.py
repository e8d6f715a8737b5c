"""L_cos: motion descriptors of predictions agree with their driver's and differ from other drivers'.

Paper: 3.1, Eq. 6 and 7. Deviations (docs/paper.md): the margin stands on the positive only (as in CosFace; as printed
it cancels); negatives are all other drivers of the batch; the source's own descriptor joins the denominator where it
lies within one clip, so that a clip's expressions do not collapse. Raw, unweighted.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from megaportraits import geometry

SCALE = 5.0
MARGIN = 0.2
SAME_CLIP_TOLERANCE = 0.5


def cycle_loss(
    predicted: Float[Tensor, "P Z"],
    positive: Float[Tensor, "P Z"],
    negatives: Float[Tensor, "N Z"],
    is_negative: Bool[Tensor, "P N"],
    same_clip: Float[Tensor, "P Z"],
) -> Float[Tensor, ""]:
    """Mean over P of -log( e^d(P) / (e^d(P) + sum e^d(N) + e^same) ), d(a, b) = s cos(a, b), minus s m on positives.

    Args:
        predicted: z of the predicted pictures (z_s->d and z_s*->d).
        positive: z_d of the driver of each.
        negatives: candidates z_d*.
        is_negative: which candidates are negatives of which prediction.
        same_clip: z of another frame of the driver's clip, or zeros where there is none; it counts by
            max(0, cos - 0.5), detached.
    """
    kind = geometry.working_type(predicted)
    with geometry.full_precision(predicted.device):
        predicted, positive, negatives, same_clip = (z.to(kind) for z in (predicted, positive, negatives, same_clip))
        return _contrast(predicted, positive, negatives, is_negative, same_clip)


def _contrast(predicted: Tensor, positive: Tensor, negatives: Tensor, is_negative: Tensor, same_clip: Tensor) -> Tensor:
    predicted, positive, negatives = (F.normalize(z, dim=-1) for z in (predicted, positive, negatives))
    attract = SCALE * ((predicted * positive).sum(-1) - MARGIN)
    repel = (SCALE * predicted @ negatives.T).masked_fill(~is_negative, -torch.inf)
    closeness = (F.normalize(same_clip.detach(), dim=-1) * positive).sum(-1)
    within = SCALE * F.relu(closeness - SAME_CLIP_TOLERANCE)
    logits = torch.cat([attract[:, None], repel, within[:, None]], 1)
    return (torch.logsumexp(logits, 1) - attract).mean()
