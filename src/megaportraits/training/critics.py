"""What stage one's losses look through: the frozen networks of Eq. 4 and of the identity loss.

A network is loaded only where its term has a weight.
"""

from importlib import resources
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.config import CriticsConfig, LossWeights
from megaportraits.tensors import HeadPose

FACE_PX = {"vggface": 224, "identity": 112}
"""Side of the aligned face that each network of L_face sees."""

Raw = tuple[Tensor, float]
"""A raw term and its weight."""


class Critics(nn.Module):
    """L_IN, L_face, L_gaze and the identity loss, raw, with their weights."""

    def __init__(self, config: CriticsConfig, weights: LossWeights):
        super().__init__()
        self.config, self.weights = config, weights
        if weights.perceptual:
            from megaportraits.losses.pretrained import load_frozen

            self.perceptual = load_frozen(config.perceptual, config.perceptual_weights)
        if weights.face:
            self.face = _face_net(config.face, config.face_weights)
        if weights.gaze:
            from megaportraits.models.gaze import GazeNet

            self.gaze = GazeNet.load(config.gaze_weights or _shipped("gaze"))
        if weights.identity:
            self.recogniser = _face_net(config.recogniser, config.recogniser_weights)

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
            from megaportraits.losses.perceptual import perceptual_loss

            raw = perceptual_loss(self.perceptual, painted, wanted, self.config.perceptual_scales)
            found["perceptual"] = (raw, self.weights.perceptual)
        if self.weights.face:
            from megaportraits.data.alignment import aligned_face
            from megaportraits.losses.perceptual import perceptual_loss

            faces = (aligned_face(picture, pose, FACE_PX[self.config.face]) for picture in (painted, wanted))
            found["face"] = (perceptual_loss(self.face, *faces, 1), self.weights.face)
        if self.weights.gaze:
            from megaportraits.losses.gaze import gaze_loss

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
        from megaportraits.data.alignment import aligned_face
        from megaportraits.losses.identity import identity_loss

        faces = (aligned_face(p, pose, 112) for p, pose in ((crossed, crossed_pose), (source, source_pose)))
        return identity_loss(self.recogniser, *faces)


def _face_net(name: str, weights: str) -> nn.Module:
    from megaportraits.losses.pretrained import load_frozen
    from megaportraits.models.identity import IdentityNet

    if name == "identity":
        return IdentityNet.load(weights or _shipped("identity"))
    return load_frozen(name, weights)


def _shipped(name: str) -> Path:
    return Path(str(resources.files("megaportraits").joinpath("weights", name)))
