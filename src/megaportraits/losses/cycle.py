"""The losses of stage two that other stages do not have. Paper: Eq. 9 and 10. Raw, unweighted.

    L_enh = L_GAN + 100 L_MAE + 1 L_adv^c + 10 L_cyc^c      (10), L_GAN = L_adv + 100 L_FM
    L_cyc^c = MAE(DS_4(x_hat_c), DS_8(x_hat_c^HR))          (9)

L_adv, L_adv^c: `adversarial.py`, L_FM: `feature_matching.py`, the perceptual term of the text: `perceptual.py`.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from megaportraits import geometry

FACTOR = 4
"""The base model's picture is reduced by this, the enhanced one by twice this."""


def reduced(picture: Float[Tensor, "B C H W"], factor: int) -> Float[Tensor, "B C h w"]:
    """DS_k: the mean of each square of k x k pixels; sides are multiples of k."""
    return F.avg_pool2d(picture, factor)


def mae_loss(prediction: Float[Tensor, "B C H W"], truth: Float[Tensor, "B C H W"]) -> Float[Tensor, ""]:
    """L_MAE: mean absolute difference, in fp32 or better."""
    kind = geometry.working_type(prediction)
    return F.l1_loss(prediction.to(kind), truth.to(kind))


def low_resolution_cycle_loss(low: Float[Tensor, "B C H W"], high: Float[Tensor, "B C 2*H 2*W"]) -> Float[Tensor, ""]:
    """L_cyc^c (Eq. 9): the enhanced picture, reduced, is the base model's, reduced. No gradient reaches the latter."""
    return mae_loss(reduced(high, 2 * FACTOR), reduced(low, FACTOR).detach())
