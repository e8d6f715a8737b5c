"""Identity loss: a recogniser takes two faces for the same person. Raw, unweighted.

Deviation (docs/paper.md): the paper does not name it; the authors' own runs use it on the cross-driven picture.
"""

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Recogniser(Protocol):
    """A frozen network that tells people apart."""

    def embed(self, face: Tensor, /) -> Tensor:
        """Face, RGB in [0, 1], aligned as the network wants it -> one vector for each sample."""
        ...


def identity_loss(
    network: Recogniser, faces: Float[Tensor, "B 3 H W"], wanted_faces: Float[Tensor, "B 3 H W"]
) -> Float[Tensor, ""]:
    """Mean over samples of 1 - cos(embedding of the face, embedding of the wanted face): 0 ... 2.

    Args:
        network: its weights get no gradient.
        faces: aligned as the network wants them, RGB in [0, 1].
        wanted_faces: the person they should show; no gradient reaches them.
    """
    with torch.no_grad():
        wanted = network.embed(wanted_faces)
    return (1 - F.cosine_similarity(network.embed(faces), wanted, dim=1)).mean()
