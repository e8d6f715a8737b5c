"""What the judges say of results whose faults are known."""

import pytest
import torch
from torch import nn

from megaportraits import geometry
from megaportraits.checkpoint import write_model
from megaportraits.config import EvaluateConfig, GazeNetConfig, IdentityNetConfig, preset, to_dict
from megaportraits.errors import UserError
from megaportraits.evaluate.judges import GazeJudge, LikenessJudge, LpipsJudge, PoseJudge, embedder, open_judges
from megaportraits.evaluate.protocols import Sample, load_samples
from megaportraits.models.gaze import GazeNet
from megaportraits.models.identity import IdentityNet
from megaportraits.models.motion_encoder import HeadPoseNet
from megaportraits.tensors import HeadPose


@pytest.fixture(scope="module")
def sample(crossed_clips) -> Sample:
    return load_samples(EvaluateConfig(str(crossed_clips), "out", count=1, frames=3), 64)[0]


class Turned(HeadPoseNet):
    """Sees the true pose, turned by five degrees of yaw."""

    def __init__(self, truth: HeadPose):
        super().__init__(preset("tiny").motion)
        self.truth = truth

    def forward(self, image):
        count = len(image)
        turn = geometry.rotation_from_angles(torch.full((count,), 5.0), torch.zeros(count), torch.zeros(count))
        return HeadPose(self.truth.rotation @ turn, self.truth.scale, self.truth.translation)


def test_pose_error_is_the_angle_to_the_true_pose(sample):
    found = PoseJudge(Turned(sample.target.pose))(sample, sample.target.over_grey())
    torch.testing.assert_close(found["head_pose_deg"], torch.full((3,), 5.0), atol=0.01, rtol=0)


def test_gaze_error_is_zero_for_the_answer_only(sample):
    torch.manual_seed(0)
    judge = GazeJudge(GazeNet(GazeNetConfig(widths=(4, 4, 4, 4, 4), eye_px=32)).eval())
    nn.init.normal_(judge.network.gaze[-1].weight)
    answer = sample.target.over_grey()
    assert judge(sample, answer)["eyes_gaze_deg"].max() < 1e-3
    assert judge(sample, answer.flip(-1))["eyes_gaze_deg"].min() > 1e-2


def test_lpips_sees_nothing_outside_the_head(sample):
    class Difference(nn.Module):
        def forward(self, a, b):
            return (a - b).abs().sum((1, 2, 3))

    judge, answer = LpipsJudge(Difference()), sample.target.over_grey()
    corner = answer.clone()
    corner[..., -4:, -4:] = 1.0
    assert judge(sample, corner)["head_lpips"].tolist() == [0.0] * 3
    assert judge(sample, 1 - answer)["head_lpips"].min() > 1.0


def test_likeness_is_one_for_the_source_itself(sample, tmp_path):
    config = IdentityNetConfig(base=8, input_px=32, embedding=16)
    torch.manual_seed(0)
    write_model(tmp_path, "identity", to_dict(config), IdentityNet(config).state_dict(), {})
    judge = LikenessJudge(embedder(str(tmp_path), HeadPoseNet(preset("tiny").motion)))
    itself = Sample("itself", sample.source, sample.source, sample.source)
    same = judge(itself, sample.source.over_grey())["face_csim"]
    other = judge(itself, 1 - sample.source.over_grey())["face_csim"]
    assert same.item() == pytest.approx(1.0, abs=1e-4)
    assert other.item() < 0.999


def test_judges_follow_settings_and_data(crossed_clips, sample, tmp_path):
    net = HeadPoseNet(preset("tiny").motion).eval()
    config = EvaluateConfig(str(crossed_clips), "out")
    with open_judges(config, net, [sample]) as judges:
        assert [type(judge) for judge in judges] == [PoseJudge]
        assert judges[0].network is net
    for option in ("pose_net", "gaze_net", "recogniser", "lpips"):
        missing = EvaluateConfig(str(crossed_clips), "out", **{option: str(tmp_path / "absent")})
        with pytest.raises(UserError, match="absent"), open_judges(missing, net, [sample]):
            pass
