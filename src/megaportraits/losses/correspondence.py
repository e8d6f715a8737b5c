"""Where the two warps together take known landmarks in space, against where they are (ours). Raw, unweighted.

Pictures teach a warp only where it is already nearly right; a landmark that is known in both frames says where to read.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def correspondence_loss(found: Float[Tensor, "B K 3"], wanted: Float[Tensor, "B K 3"]) -> Float[Tensor, ""]:
    """Mean over samples of: the mean over known landmarks and axes of the absolute distance, in crop coordinates.

    Args:
        found: the driver's landmarks, taken through w_->d and w_s-> into the source's crop.
        wanted: the source's landmarks; those that are unknown (NaN) do not count, and a sample without any counts 0.
    """
    known = wanted.isfinite().all(-1, keepdim=True)
    distance = torch.where(known, found - wanted, 0.0).abs()
    return (distance.sum((1, 2)) / (3 * known.sum((1, 2))).clamp(min=1)).mean()
