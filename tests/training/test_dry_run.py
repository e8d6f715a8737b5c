"""`--dry-run`: numbers that can be counted by hand."""

from dataclasses import replace

import pytest
import torch
from runs import make_stage

from megaportraits.config import LoopConfig
from megaportraits.training.batches import Order
from megaportraits.training.dry_run import describe
from megaportraits.training.loop import checkpoints, train


def _text(stage, steps: int = 1000, count: int = 2, accumulate: int = 3) -> str:
    order = Order(stage.batch, accumulate, 0, count)
    return describe(stage, LoopConfig(steps=steps), order, torch.device("cpu"))


def test_parameters_and_samples_are_those_of_the_stage(base_config):
    stage = make_stage(replace(base_config, batch=4))
    lines = _text(stage).splitlines()
    rows = {line.split()[0]: [float(n) for n in line.split()[1:]] for line in lines[1 : lines.index("")]}
    sizes = [
        sum(p.numel() for p in stage.generator.parameters() if p.requires_grad is wanted) / 1e6
        for wanted in (True, False)
    ]
    assert rows["generator"] == pytest.approx(sizes, abs=0.006)
    assert rows["motion_encoder"][1] == pytest.approx(sizes[1], abs=0.006)  # the frozen pose net is all that is frozen
    assert {"appearance_encoder", "g3d", "discriminator"} < rows.keys()
    assert "steps 1,000 of 24 samples (batch 4 x 2 processes x 3 accumulated), 24,000 samples in all" in "\n".join(
        lines
    )


def test_activations_of_a_known_network():
    """A linear layer keeps its input for the backward pass: 256 KiB a sample, and the square its output."""

    class Stage:
        batch, discriminator, collate = 4096, None, staticmethod(torch.stack)

        def __init__(self):
            self.generator = torch.nn.Linear(2**16, 4)

        def dataset(self, length):
            return torch.ones(length, 2**16)

        def to_device(self, batch, device):
            return batch

        def generator_terms(self, batch, step):
            return {"square": (self.generator(batch).square().mean(), 1.0)}

        def discriminator_terms(self, batch):
            raise NotImplementedError

        def pictures(self, average, batch):
            return None

        def measure(self, average, step):
            return {}

        def export(self, average, folder, facts):
            pass

    text = _text(Stage())
    assert "activations of a batch of 4096: 1.00 GB (measured on 2 samples)" in text


def test_a_dry_run_prints_and_writes_nothing(pose_config, capsys, tmp_path):
    config = replace(pose_config, dry_run=True)
    train(make_stage(pose_config), config)
    printed = capsys.readouterr().out
    assert "memory of one process" in printed
    assert "s a step on this cpu" in printed
    assert checkpoints(tmp_path / "pose") == []
    assert not (tmp_path / "pose").exists()
