"""`megaportraits train enhance`: stage two, the enhancer of a frozen base model (3.2, A.2).

L_enh = L_GAN + 100 L_MAE + 1 L_adv^c + 10 L_cyc^c (10), raw terms from `losses/`, weights from `config.EnhanceWeights`.
Supervised half: source and driver are two views of one photo, so the driver is the truth. Unsupervised half: another
person's photo drives; a second discriminator, whose real samples are photos, and the cycle at low resolution (9).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from megaportraits.config import ENHANCER_DISCRIMINATORS, EnhanceTraining, enhancer_preset
from megaportraits.data.augment import uniform
from megaportraits.data.pairs import sample_generator
from megaportraits.data.views import PhotoStore, ViewDataset, Views
from megaportraits.errors import UserError
from megaportraits.losses import adversarial
from megaportraits.losses.cycle import low_resolution_cycle_loss, mae_loss
from megaportraits.losses.feature_matching import feature_matching_loss
from megaportraits.losses.perceptual import perceptual_loss
from megaportraits.losses.pretrained import load_frozen
from megaportraits.models.base import BaseModel
from megaportraits.models.discriminator import Discriminator
from megaportraits.models.enhancer import Enhancer, doubled
from megaportraits.tensors import Prediction, mapped, over_grey, stack
from megaportraits.training.log import grid
from megaportraits.training.loop import Terms, checkpoints, train
from megaportraits.training.warm_start import start_discriminator, start_generator


@dataclass(frozen=True)
class _Window:
    """A square of the base model's pictures, in their pixels, and the same square of pictures of twice the size."""

    top: int
    left: int
    side: int

    def of_low(self, low: Prediction) -> Prediction:
        return mapped(low, lambda picture: self._cut(picture, 1))

    def of_high(self, high: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 h w"]:
        return self._cut(high, 2)

    def _cut(self, picture: Tensor, scale: int) -> Tensor:
        rows, columns = (slice(scale * start, scale * (start + self.side)) for start in (self.top, self.left))
        return picture[..., rows, columns]


class EnhanceStage:
    """Networks, data and losses of stage two."""

    def __init__(self, config: EnhanceTraining):
        torch.manual_seed(config.loop.seed)
        self.config = config
        self.batch, self.collate = config.batch, stack
        if not config.base:
            raise UserError("no base model came; give --base (a checkpoint of `train base`)")
        self.base = BaseModel.load(config.base)
        self.result_px = 2 * (config.size_px or self.base.config.size_px)
        if config.patch_px > self.result_px // 2:
            raise UserError(
                f"patch_px is {config.patch_px}, but the base model's pictures have {self.result_px // 2} px; "
                "give a smaller patch, or 0 for whole pictures"
            )
        self.generator = Enhancer(enhancer_preset(config.preset))
        self.discriminator = self._judges()
        self.perceptual = (
            load_frozen(config.perceptual, config.perceptual_weights) if config.weights.perceptual > 0 else None
        )
        self._load_weights()
        self.store = PhotoStore(config, self.result_px)
        self._last: dict[str, tuple[Tensor, Tensor]] = {}

    @property
    def supervised(self) -> bool:
        """Whether the half with truth is trained."""
        return self.config.halves != "unsupervised"

    @property
    def unsupervised(self) -> bool:
        """Whether the half with other people as drivers is trained."""
        return self.config.halves != "supervised"

    def _judges(self) -> nn.ModuleDict | None:
        """A discriminator for each half that has an adversarial term."""
        weights = self.config.weights
        wanted = {
            "same": self.supervised and weights.adversarial > 0,
            "cross": self.unsupervised and weights.cross_adversarial > 0,
        }
        sizes = ENHANCER_DISCRIMINATORS[self.config.preset]
        judges = {name: Discriminator(sizes) for name, present in wanted.items() if present}
        return nn.ModuleDict(judges) if judges else None

    def _load_weights(self) -> None:
        if checkpoints(Path(self.config.output)) or not self.config.start_from:
            return  # a run that is there goes on from its own weights
        start_generator(self.generator, self.config.start_from, "enhancer")
        start_discriminator(self.discriminator, self.config.start_from)

    def dataset(self, length: int) -> ViewDataset:
        return ViewDataset(self.store, self.config, self.result_px, length)

    def to_device(self, batch: Views, device: torch.device) -> Views:
        for network in (self.base, self.perceptual):
            if network is not None:
                network.to(device, batch.source.dtype)
        return batch

    def generator_terms(self, batch: Views, step: int) -> Terms:
        chance = sample_generator(self.config.loop.seed, -1 - step)  # those of samples are not negative
        same, cross = self._low_pictures(batch, chance)
        self._last.clear()
        window = self._window(chance)
        terms: Terms = {}
        if same is not None:
            wanted = over_grey(batch.driver, batch.driver_matte)
            terms |= self._supervised_terms(window.of_low(same), window.of_high(wanted))
        if cross is not None:
            photos = over_grey(batch.source, batch.source_matte)
            terms |= self._unsupervised_terms(window.of_low(cross), window.of_high(photos))
        return terms

    def _window(self, chance: Generator) -> "_Window":
        """Where pictures are enhanced in this step: the same in all processes and micro-batches."""
        whole_px = self.result_px // 2
        side = self.config.patch_px or whole_px
        top, left = torch.randint(whole_px - side + 1, (2,), generator=chance).tolist()
        return _Window(top, left, side)

    def _low_pictures(self, batch: Views, chance: Generator) -> tuple[Prediction | None, Prediction | None]:
        """What is enhanced: the base model's pictures, or of the supervised half the truth, made blurred."""
        config = self.config
        blurred = self.supervised and uniform(chance, 0.0, 1.0) < config.blurred_truth
        if not blurred:
            return self._base_pictures(batch)
        cross = self._base_pictures(batch)[1] if self.unsupervised else None
        return _blurred(batch, uniform(chance, 0.0, config.blur_px)), cross

    @torch.no_grad()
    def _base_pictures(self, batch: Views) -> tuple[Prediction | None, Prediction | None]:
        """x_hat of the two halves: the source driven by another view of itself, and by another person."""
        source, matte, driver = (F.avg_pool2d(t, 2) for t in (batch.source, batch.source_matte, batch.driver))
        canonical = self.base.canonical(source, matte, self.base.motion(source))
        same = self.base.render(canonical, self.base.motion(driver)) if self.supervised else None
        cross = self.base.render(canonical, self.base.motion(batch.other)) if self.unsupervised else None
        return same, cross

    def _supervised_terms(self, low: Prediction, wanted: Float[Tensor, "B 3 H W"]) -> Terms:
        """L_MAE, L_GAN = L_adv + L_FM, and the perceptual term of the text."""
        config, weights = self.config, self.config.weights
        made = self.generator(low.rgb, low.matte)
        terms: Terms = {"bilinear_mae": (mae_loss(doubled(low.rgb), wanted), 0.0)}
        if weights.mae > 0:
            terms["mae"] = (mae_loss(made, wanted), weights.mae)
        if self.perceptual is not None:
            raw = perceptual_loss(self.perceptual, made, wanted, config.perceptual_scales)
            terms["perceptual"] = (raw, weights.perceptual)
        if weights.adversarial > 0:
            fake = self._judged("same", made, wanted)
            terms["adversarial"] = (adversarial.generator_loss([f[-1] for f in fake]), weights.adversarial)
            if weights.feature_matching > 0:
                real = self._judge("same")(wanted)
                terms["feature_matching"] = (feature_matching_loss(real, fake), weights.feature_matching)
        return terms

    def _unsupervised_terms(self, low: Prediction, photos: Float[Tensor, "B 3 H W"]) -> Terms:
        """L_adv^c and L_cyc^c."""
        weights = self.config.weights
        made = self.generator(low.rgb, low.matte)
        terms: Terms = {}
        if weights.cross_adversarial > 0:
            fake = self._judged("cross", made, photos)
            terms["cross_adversarial"] = (adversarial.generator_loss([f[-1] for f in fake]), weights.cross_adversarial)
        if weights.cycle > 0:
            terms["cycle"] = (low_resolution_cycle_loss(low.rgb, made), weights.cycle)
        return terms

    def _judge(self, name: str) -> nn.Module:
        assert self.discriminator is not None
        return self.discriminator[name]

    def _judged(self, name: str, fake: Tensor, real: Tensor) -> list[list[Tensor]]:
        """What a discriminator makes of fake pictures; they and the real ones are kept for its own terms."""
        self._last[name] = fake.detach(), real
        return self._judge(name)(fake)

    def discriminator_terms(self, batch: Views) -> Terms:
        terms: Terms = {}
        for name, pictures in self._last.items():
            fake, real = (self._judge(name)(picture) for picture in pictures)
            raw = adversarial.discriminator_loss([r[-1] for r in real], [f[-1] for f in fake])
            terms[f"{name}_discriminator"] = (raw, 1.0)
        return terms

    @torch.no_grad()
    def pictures(self, average: nn.Module, batch: Views):
        """Columns: source; of each half the base model's picture doubled and enhanced, the truth where there is one."""
        assert isinstance(average, Enhancer)
        same, cross = self._base_pictures(batch)
        columns = [batch.source]
        for low in (same, cross):
            if low is not None:
                columns += [doubled(low.rgb), average.enhance(low).rgb]
        if same is not None:
            columns.insert(3, over_grey(batch.driver, batch.driver_matte))
        return grid(columns, rows=4)

    def measure(self, average: nn.Module, step: int) -> dict[str, float]:
        return {}

    def export(self, average: nn.Module, folder: Path, facts: dict[str, Any]) -> None:
        assert isinstance(average, Enhancer)
        average.save(folder, base_px=self.result_px // 2, **facts)


def _blurred(batch: Views, sigma_px: float) -> Prediction:
    """The truth of the supervised half at half its size, blurred (Gaussian)."""
    low = F.avg_pool2d(over_grey(batch.driver, batch.driver_matte), 2)
    reach = max(1, math.ceil(3 * sigma_px))
    offsets = torch.arange(-reach, reach + 1, device=low.device, dtype=low.dtype)
    kernel = torch.softmax(-0.5 * (offsets / max(sigma_px, 0.1)).square(), 0).expand(3, 1, 1, -1)
    for weight, padding in ((kernel, (reach, reach, 0, 0)), (kernel.transpose(2, 3), (0, 0, reach, reach))):
        low = F.conv2d(F.pad(low, padding, mode="replicate"), weight, groups=3)
    return Prediction(low, F.avg_pool2d(batch.driver_matte, 2))


def train_enhance(config: EnhanceTraining) -> None:
    """Train the enhancer on photos and clips, behind a frozen base model."""
    train(EnhanceStage(config), config)
