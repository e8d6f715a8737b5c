"""Head poses by other methods, and the report of a head pose net."""

import re
import sys

import pytest
import torch

from megaportraits.config import preset
from megaportraits.errors import UserError
from megaportraits.evaluate.pose_report import FIT, NET, PoseErrors, agreement_table, pose_report, truth_table
from megaportraits.evaluate.poses import FsaNet
from megaportraits.models.motion_encoder import HeadPoseNet


def test_errors_stand_in_their_bin():
    errors = PoseErrors(
        torch.tensor([-10.0, 20.0, -25.0, 50.0]),
        torch.tensor([1.0, 3.0, 5.0, 9.0]),
        torch.tensor([[-1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [-4.0, 0.0, 0.0], [9.0, 0.0, 0.0]]),
        torch.zeros(4),
        torch.zeros(4),
    )
    rows = {line.split(" | ")[0].strip("| "): line for line in truth_table(errors).splitlines()[2:]}
    assert rows["0-15"].startswith("| 0-15 | 1 | 1.00, 1.00 | 1.00, 1.00, +1.00 |")
    assert rows["15-30"].startswith("| 15-30 | 2 | 4.00, 3.00 | 3.00, 2.00, +3.00 |")
    assert rows["30-45"].startswith("| 30-45 | 0 |  |")
    assert rows["0-45"].startswith("| 0-45 | 3 | 3.00, 3.00 |")
    assert rows["all"].startswith("| all | 4 | 4.50, 3.00 |")


def test_agreement_removes_offsets(generator):
    angles = torch.randn(2, 5, 3, generator=generator)
    same = [{NET: a, FIT: a + torch.tensor([3.0, -2.0, 1.0])} for a in angles]
    shifted = [{NET: a, FIT: a + 10 * i} for i, a in enumerate(angles)]
    assert "| all frames | 0.00 | 0.00 | 0.00 | 1.000 | 1.000 | 1.000 |" in agreement_table(same)
    assert "| all frames | 5.00 | 5.00 | 5.00 |" in agreement_table(shifted)
    assert "| within clips | 0.00 | 0.00 | 0.00 | 1.000 | 1.000 | 1.000 |" in agreement_table(shifted)


class Straight(HeadPoseNet):
    """Sees every head from the front, at the mean size."""

    def __init__(self):
        super().__init__(preset("tiny").motion)

    def forward(self, image):
        pose = super().forward(image)
        eye = torch.eye(3).expand(len(image), 3, 3)
        return type(pose)(eye, torch.full_like(pose.scale, 0.8), torch.zeros_like(pose.translation))


def test_report_on_clips(crossed_clips, monkeypatch, capsys):
    monkeypatch.setattr(HeadPoseNet, "load", lambda folder: Straight())
    pose_report(crossed_clips)
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if line.startswith("| all "))
    total = float(re.findall(r"[\d.]+", row)[1])
    assert 5 < total < 40  # the clips' angles are within 20 degrees
    assert row.endswith("| 0.0000 | 0.0000 |")
    with pytest.raises(UserError, match="no train clips"):
        pose_report(crossed_clips, split="train")


def test_missing_onnx_runtime_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="pip install onnxruntime"):
        FsaNet(["fsanet.onnx"])
