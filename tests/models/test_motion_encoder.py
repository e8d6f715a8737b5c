"""E_mtn: where its head pose net is read from."""

import pytest
import torch

from megaportraits.checkpoint import write_model
from megaportraits.config import preset, to_dict
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.models.motion_encoder import HeadPoseNet


def test_pose_net_is_read_from_both_kinds_of_checkpoint(model, tmp_path, generator):
    model.save(tmp_path / "base")
    net = BaseModel.load(tmp_path / "base").motion_encoder.pose
    write_model(tmp_path / "pose", "pose", to_dict(preset("tiny").motion), net.state_dict(), {})
    picture = torch.rand(1, 3, 64, 64, generator=generator)
    for folder in (tmp_path / "base", tmp_path / "pose"):
        torch.testing.assert_close(HeadPoseNet.load(folder)(picture).rotation, net(picture).rotation)
    with pytest.raises(UserError, match="no checkpoint"):
        HeadPoseNet.load(tmp_path)
    write_model(tmp_path / "other", "gaze", {}, {}, {})
    with pytest.raises(UserError, match="'gaze' model, but a 'pose' or 'base' model was wanted"):
        HeadPoseNet.load(tmp_path / "other")
