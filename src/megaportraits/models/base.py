"""The base model G_base: Figure 2 of the paper.

    v_s, e_s = E_app(x_s)        R, t, z = E_mtn(x)
    v_s->d   = w_->d o G_3D(w_s-> o v_s)       (1)
    x_s->d   = G_2D(P(v_s->d))                 (2)

Everything up to G_3D depends on the source only (`canonical`), so a source is computed once and driven many times
(`render`). Conventions: `geometry.py`.
"""

from jaxtyping import Float
from torch import Tensor

from megaportraits import geometry
from megaportraits.config import ModelConfig
from megaportraits.models.appearance_encoder import AppearanceEncoder
from megaportraits.models.g2d import G2D, Projection
from megaportraits.models.g3d import G3D
from megaportraits.models.motion_encoder import MotionEncoder
from megaportraits.models.network import Network
from megaportraits.models.warp_generator import MotionEmbedding, WarpGenerator
from megaportraits.tensors import Appearance, Canonical, Motion, Prediction, over_grey


class BaseModel(Network):
    """G_base (3.1)."""

    kind, sizes = "base", ModelConfig

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.appearance_encoder = AppearanceEncoder(config)
        self.motion_encoder = MotionEncoder(config.motion)
        self.embedding = MotionEmbedding(config)
        self.warp_source = WarpGenerator(config) if config.source_warp else None
        self.warp_driver = WarpGenerator(config)
        self.g3d = G3D(config)
        self.projection = Projection(config)
        self.g2d = G2D(config)

    def motion(self, image: Float[Tensor, "B 3 H W"]) -> Motion:
        """E_mtn of a crop in [0, 1]."""
        return self.motion_encoder(image)

    def appearance(self, image: Float[Tensor, "B 3 H W"], matte: Float[Tensor, "B 1 H W"]) -> Appearance:
        """E_app of a source in [0, 1], made black outside its matte (but for `foreground` all)."""
        return self.appearance_encoder(image if self.config.foreground == "all" else image * matte)

    def canonical(self, image: Float[Tensor, "B 3 H W"], matte: Float[Tensor, "B 1 H W"], motion: Motion) -> Canonical:
        """G_3D(w_s-> o v_s) and e_s: the source without its motion (inner part of Eq. 1)."""
        appearance = self.appearance(image, matte)
        return self.to_canonical(appearance, motion, self.source_offsets(appearance.descriptor, motion))

    def to_canonical(
        self, appearance: Appearance, motion: Motion, offsets: Float[Tensor, "B 3 d h w"] | None
    ) -> Canonical:
        """G_3D(w_s-> o v_s) and e_s, from what E_app made and the `source_offsets`."""
        volume = appearance.volume
        if offsets is not None:
            grid = geometry.compose_source_grid(motion.pose, offsets, volume.shape[2:])
            volume = geometry.sample(volume, grid)
        return Canonical(self.g3d(volume), appearance.descriptor)

    def source_offsets(self, descriptor: Float[Tensor, "B E 4 4"], motion: Motion) -> Float[Tensor, "B 3 d h w"] | None:
        """The expression part of w_s->; none without `warp_source`."""
        if self.warp_source is None:
            return None
        return self.warp_source(self.embedding(motion.expression, descriptor))

    def driver_offsets(self, canonical: Canonical, motion: Motion) -> Float[Tensor, "B 3 d h w"]:
        """The expression part of w_->d."""
        return self.warp_driver(self.embedding(motion.expression, canonical.descriptor))

    def render(
        self, canonical: Canonical, motion: Motion, offsets: Float[Tensor, "B 3 d h w"] | None = None
    ) -> Prediction:
        """The source with the driver's motion (outer part of Eq. 1, and Eq. 2).

        With `offsets`, these are the expression part of w_->d, instead of `driver_offsets`.
        """
        if offsets is None:
            offsets = self.driver_offsets(canonical, motion)
        grid = geometry.compose_driver_grid(motion.pose, offsets, canonical.volume.shape[2:])
        made = self.g2d(self.projection(geometry.sample(canonical.volume, grid)))
        if self.config.foreground == "masked" and made.matte is not None:
            return Prediction(over_grey(made.rgb, made.matte), made.matte)
        return made

    def forward(
        self, source: Float[Tensor, "B 3 H W"], matte: Float[Tensor, "B 1 H W"], driver: Float[Tensor, "B 3 H W"]
    ) -> Prediction:
        """x_s->d from pictures alone."""
        return self.render(self.canonical(source, matte, self.motion(source)), self.motion(driver))
