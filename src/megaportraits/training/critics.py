"""What stage one's losses look through: the frozen networks of Eq. 4 and of the identity loss.

A network is loaded only where its term has a weight.
"""

from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.config import CriticsConfig, LossWeights
from megaportraits.data.alignment import aligned_face
from megaportraits.losses.gaze import gaze_loss
from megaportraits.losses.identity import identity_loss
from megaportraits.losses.perceptual import perceptual_loss
from megaportraits.losses.pretrained import load_frozen
from megaportraits.models.gaze import GazeNet
from megaportraits.models.identity import IdentityNet
from megaportraits.models.network import shipped_weights
from megaportraits.tensors import HeadPose

VGGFACE_PX = 224
"""Side of the aligned face that VGGFace sees."""

Raw = tuple[Tensor, float]
"""A raw term and its weight."""


class Critics(nn.Module):
    """L_IN, L_face, L_gaze and the identity loss, raw, with their weights."""

    def __init__(self, config: CriticsConfig, weights: LossWeights):
        super().__init__()
        self.config, self.weights = config, weights
        if weights.perceptual:
            self.perceptual = load_frozen(config.perceptual, config.perceptual_weights)
        if weights.face and config.face == "identity":
            self.face: nn.Module = IdentityNet.load(config.face_weights or shipped_weights("identity"))
        elif weights.face:
            self.face = load_frozen(config.face, config.face_weights)
        if weights.gaze:
            self.gaze = GazeNet.load(config.gaze_weights or shipped_weights("gaze"))
        if weights.identity:
            self.recogniser = IdentityNet.load(config.recogniser_weights or shipped_weights("identity"))

    def terms(
        self,
        painted: Float[Tensor, "N 3 H W"],
        wanted: Float[Tensor, "N 3 H W"],
        pose: HeadPose,
        keypoints: Float[Tensor, "N K 2"],
    ) -> dict[str, Raw]:
        """L_IN, L_face and L_gaze (Eq. 4) of predictions and truth, whose head pose and keypoints serve both."""
        found: dict[str, Raw] = {}
        if self.weights.perceptual:
            raw = perceptual_loss(self.perceptual, painted, wanted, self.config.perceptual_scales)
            found["perceptual"] = (raw, self.weights.perceptual)
        if self.weights.face:
            px = self.face.config.input_px if isinstance(self.face, IdentityNet) else VGGFACE_PX
            face, true_face = (aligned_face(picture, pose, px) for picture in (painted, wanted))
            found["face"] = (perceptual_loss(self.face, face, true_face, 1), self.weights.face)
        if self.weights.gaze:
            found["gaze"] = (gaze_loss(self.gaze, painted, wanted, keypoints), self.weights.gaze)
        return found

    def identity(
        self,
        crossed: Float[Tensor, "N 3 H W"],
        crossed_pose: HeadPose,
        source: Float[Tensor, "N 3 H W"],
        source_pose: HeadPose,
    ) -> Tensor:
        """1 - cos between the crossed pictures' and their sources' faces."""
        px = self.recogniser.config.input_px
        return identity_loss(
            self.recogniser, aligned_face(crossed, crossed_pose, px), aligned_face(source, source_pose, px)
        )
