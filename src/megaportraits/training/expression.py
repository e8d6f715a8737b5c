"""`megaportraits train expression`: a start for E_mtn's expression net, from face landmarks.

Deviation: the paper trains the expression net from scratch (A.1). Here z first learns to tell by a linear map, which is
then thrown away, how landmarks differ from the person's mean and where the eyes look, and to be the same for all people
who do the same. Stage one goes on from there (`train base --expression`).
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.checkpoint import read_tensors, write_model
from megaportraits.config import ExpressionTraining, MotionConfig, preset, to_dict
from megaportraits.data import keypoints
from megaportraits.data.acting import Acted, ActingDataset
from megaportraits.data.clips import find_clips
from megaportraits.data.keypoints import positions
from megaportraits.data.pairs import FrameStore
from megaportraits.models.motion_encoder import ExpressionNet
from megaportraits.models.network import checked_load
from megaportraits.tensors import stack
from megaportraits.training.log import grid
from megaportraits.training.loop import Terms, train
from megaportraits.training.stage import LoneStage

PARTS = {
    "mouth": positions((*keypoints.OUTER_LIPS, *keypoints.INNER_LIPS)),
    "eyes": positions((*keypoints.RIGHT_EYE, *keypoints.LEFT_EYE)),
    "brows": positions((*keypoints.RIGHT_BROW, *keypoints.LEFT_BROW)),
}
"""Keypoints whose shifts z shall tell, each part in units of its own deviation."""
_POINTS = sum(map(len, PARTS.values()))


class Reader(nn.Module):
    """The expression net, and the linear map from z to shifts (`PARTS` in order, x, y, z) and gaze."""

    def __init__(self, config: MotionConfig):
        super().__init__()
        self.expression = ExpressionNet(config)
        self.read = nn.Linear(config.expression, 3 * _POINTS + 2)
        nn.init.normal_(self.read.weight, std=0.02)
        nn.init.zeros_(self.read.bias)

    def forward(self, face: Float[Tensor, "B 3 S S"]) -> tuple[Float[Tensor, "B Z"], Float[Tensor, "B A"]]:
        z = self.expression(face).float()
        return z, self.read(z)


class ExpressionStage(LoneStage):
    """Losses: squared error over variance of each part's shifts and of the gaze; what z varies by between two pictures
    of one acting, over what it varies by in all; its deviation should be 1."""

    def __init__(self, config: ExpressionTraining):
        torch.manual_seed(config.loop.seed)
        self.config, self.batch, self.collate = config, config.batch, stack
        sizes = preset(config.preset)
        self.sizes = sizes.motion
        self.generator = Reader(self.sizes)
        if config.start_from:
            state = Path(config.start_from) / "state" / "generator.safetensors"
            checked_load(self.generator, read_tensors(state), state)
        self.store = FrameStore(find_clips(config.data, "train"), config.size_px or sizes.size_px, config.cache_gb)
        shifts = torch.cat([acting.shift for acting in self.dataset(1).acting])
        self.deviation = {part: float(shifts[:, rows].square().mean().sqrt()) for part, rows in PARTS.items()}

    def dataset(self, length: int) -> ActingDataset:
        return ActingDataset(self.store, self.config, self.sizes.input_px, length)

    def to_device(self, batch: Acted, device: torch.device) -> Acted:
        return batch

    def generator_terms(self, batch: Acted, step: int) -> Terms:
        z, told = self.generator(torch.cat([batch.first, batch.second]))
        one, other = z.chunk(2)
        terms: Terms = {}
        for part, (found, wanted) in self._parts(told, batch).items():
            known = wanted.isfinite()
            error = (found - wanted.nan_to_num()).square()[known]
            terms[part] = (error.mean() if len(error) else told.sum() * 0, 1.0)
        within, between = 0.5 * (one - other).square().mean(), z.var(0).mean()
        terms["person"] = (within / (between + 1e-4), self.config.invariance)
        terms["spread"] = ((between - 1).square(), 0.02)
        return terms

    def _parts(self, told: Float[Tensor, "N A"], batch: Acted) -> dict[str, tuple[Tensor, Tensor]]:
        """What was told and what is true, by part, in units of the deviation."""
        *shifts, gaze = told.split([3 * len(rows) for rows in PARTS.values()] + [2], 1)
        truth = {p: batch.acting.shift[:, rows].flatten(1) / self.deviation[p] for p, rows in PARTS.items()}
        truth["gaze"] = batch.acting.gaze
        return {p: (f, truth[p].repeat(2, 1)) for p, f in zip(truth, [*shifts, gaze], strict=True)}

    def pictures(self, average: nn.Module, batch: Acted):
        """Faces as the net sees them: above and below the same acting."""
        return grid([batch.first[:8], batch.second[:8]], rows=8)

    def export(self, average: nn.Module, folder: Path, facts: dict[str, Any]) -> None:
        assert isinstance(average, Reader)
        write_model(folder, "expression", to_dict(self.sizes), average.expression.state_dict(), facts)


def train_expression(config: ExpressionTraining) -> None:
    """Train a start for E_mtn's expression net on clips with three-dimensional landmarks."""
    train(ExpressionStage(config), config)
