"""`megaportraits train gaze`: the gaze and blink net (B.5), on rendered truth or on a teacher's predictions.

Paper: B.5: distilled from RT-GENE and RT-BENE; 15 MAE + 10 MSE, angles in radians. Deviations: the default teacher is
the rendered truth; where both eyes are closed, gaze counts as much as the more open eye is open.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from megaportraits.config import GazeTraining, gaze_preset
from megaportraits.data.clips import find_clips
from megaportraits.data.eyes import EyeDataset, EyeSample
from megaportraits.data.pairs import FrameStore
from megaportraits.data.teachers import taught_states, true_states
from megaportraits.models.gaze import GazeNet, gaze_error_deg
from megaportraits.tensors import stack
from megaportraits.training.log import grid
from megaportraits.training.loop import Terms, train
from megaportraits.training.stage import LoneStage
from megaportraits.training.warm_start import start_generator

MAE_WEIGHT, MSE_WEIGHT = 15.0, 10.0


class GazeStage(LoneStage):
    """Losses: mean absolute and squared errors of gaze (radians) and blink."""

    def __init__(self, config: GazeTraining):
        torch.manual_seed(config.loop.seed)
        self.config = config
        self.batch = config.batch
        self.collate = stack
        self.generator = GazeNet(gaze_preset(config.preset))
        if config.start_from:
            start_generator(self.generator, config.start_from, "gaze")
        clips = find_clips(config.data, "train")
        self.store = FrameStore(clips, config.size_px, config.cache_gb)
        self.states = taught_states(config.teacher, clips) if config.teacher else true_states(clips)

    def dataset(self, length: int) -> EyeDataset:
        return EyeDataset(self.store, self.states, self.config, self.generator.config.eye_px, length)

    def to_device(self, batch: EyeSample, device: torch.device) -> EyeSample:
        return batch.to(device)

    def generator_terms(self, batch: EyeSample, step: int) -> Terms:
        found, truth = self.generator(batch.eyes, batch.keypoints), batch.truth
        openness = 1 - truth.blink.amin(1)
        gaze = torch.deg2rad(found.gaze_deg - truth.gaze_deg)
        blink = found.blink - truth.blink
        error = gaze_error_deg(found.gaze_deg.detach(), truth.gaze_deg)
        return {
            "gaze_mae": ((gaze.abs().mean(1) * openness).mean(), MAE_WEIGHT),
            "gaze_mse": ((gaze.square().mean(1) * openness).mean(), MSE_WEIGHT),
            "blink_mae": (blink.abs().mean(), MAE_WEIGHT),
            "blink_mse": (blink.square().mean(), MSE_WEIGHT),
            "error_deg": (error[openness > 0.5].mean() if (openness > 0.5).any() else error.new_zeros(()), 0.0),
        }

    def pictures(self, average: nn.Module, batch: EyeSample) -> Tensor:
        """Both eyes of some frames as the net sees them: the person's right eye, then the left."""
        return grid([batch.eyes[:, 1], batch.eyes[:, 0]], rows=8)

    def export(self, average: nn.Module, folder: Path, facts: dict[str, Any]) -> None:
        assert isinstance(average, GazeNet)
        average.save(folder, **facts)


def train_gaze(config: GazeTraining) -> None:
    """Train the gaze and blink net on rendered clips, or on another gaze system's predictions."""
    train(GazeStage(config), config)
