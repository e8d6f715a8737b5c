"""The recognition net: who is in the picture, from an upright face.

Its feature maps serve L_face, its embedding the identity loss. Paper: Eq. 4 (VGGFace). Deviation: VGGFace cannot be
shipped, so the presets of small machines take this net, trained on rendered people (`megaportraits train identity`).
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.config import IdentityNetConfig
from megaportraits.models.network import Network
from megaportraits.models.resnet import ResNetTrunk

_POOL = 4


class IdentityNet(Network):
    """Upright face in [0, 1], as `data.alignment.aligned_face` cuts it -> features and embedding.

    Any side works; the embedding is meant for `config.input_px`.
    """

    kind, sizes = "identity", IdentityNetConfig

    def __init__(self, config: IdentityNetConfig):
        super().__init__()
        self.config = config
        self.trunk = ResNetTrunk(18, config.base)
        self.head = nn.Linear(self.trunk.out_channels * _POOL**2, config.embedding)

    def forward(self, face: Float[Tensor, "B 3 S S"]) -> list[Float[Tensor, "B C h w"]]:
        """Feature maps, each after a ReLU: the stem's (1/2 of the side) and those of the four stages (1/4 to 1/32)."""
        x = F.relu(self.trunk.norm(self.trunk.stem(face * 2 - 1)))
        features = [x]
        x = F.max_pool2d(x, 3, 2, 1)
        for i, block in enumerate(self.trunk.stages):
            x = block(x)
            if i % 2:
                features.append(x)
        return features

    def embed(self, face: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B D"]:
        """Embedding of length 1; the scalar product of two of them is the similarity of the faces."""
        deepest = self(face)[-1]
        return F.normalize(self.head(F.adaptive_avg_pool2d(deepest, _POOL).flatten(1)).float(), dim=-1)
