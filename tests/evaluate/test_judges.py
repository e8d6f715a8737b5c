"""What the judges say of results whose faults are known."""

import hashlib
from dataclasses import replace

import pytest
import torch
from torch import nn

from megaportraits import geometry
from megaportraits.checkpoint import write_model
from megaportraits.config import EvaluateConfig, GazeNetConfig, IdentityNetConfig, preset, to_dict
from megaportraits.data import keypoints
from megaportraits.errors import UserError
from megaportraits.evaluate.face_reader import FaceReader
from megaportraits.evaluate.frames import LANDMARKS
from megaportraits.evaluate.judges import (
    FeatureJudge,
    GazeJudge,
    LandmarkJudge,
    LikenessJudge,
    LpipsJudge,
    PoseJudge,
    embedder,
    open_judges,
)
from megaportraits.evaluate.networks import OnDevice, networks_missing, networks_used
from megaportraits.evaluate.protocols import Sample, load_samples
from megaportraits.evaluate.steadiness import WarpJudge, flicker
from megaportraits.models.gaze import GazeNet
from megaportraits.models.identity import IdentityNet
from megaportraits.models.motion_encoder import HeadPoseNet
from megaportraits.tensors import HeadPose


@pytest.fixture(scope="module")
def sample(crossed_clips) -> Sample:
    return load_samples(EvaluateConfig(str(crossed_clips), "out", count=1, frames=3), "truth", 64).samples[0]


class Told(FaceReader):
    """A reader of faces that knows the landmarks already: of each call the next."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def landmarks(self, pictures):
        return self.answers.pop(0)


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
    judge = GazeJudge(gaze_net(), Told())
    answer = sample.target.over_grey()
    assert judge(sample, answer)["eyes_gaze_deg"].max() < 1e-3
    assert judge(sample, answer.flip(-1))["eyes_gaze_deg"].min() > 1e-2


def test_without_an_answer_the_eyes_are_looked_for_in_the_result(sample):
    """The driver's landmarks would cut beside the eyes of another person."""
    ids, driver = list(sample.driver.landmark_ids), sample.driver
    moved = torch.zeros(len(driver.landmarks), LANDMARKS, 2)
    moved[:, ids] = driver.landmarks + torch.tensor([8 / 32, 0.0])
    moved[1] = torch.nan  # no face is found in the second picture
    result = driver.over_grey().roll(8, -1)
    found = GazeJudge(gaze_net(), Told(moved))(replace(sample, target=None), result)["eyes_gaze_deg"]
    assert found[[0, 2]].max() < 0.1
    assert found[1].isnan()


def gaze_net() -> GazeNet:
    torch.manual_seed(0)
    network = GazeNet(GazeNetConfig(widths=(4, 4, 4, 4, 4), eye_px=32)).eval()
    nn.init.normal_(network.gaze[-1].weight)
    return network


class Difference(nn.Module):
    def forward(self, a, b):
        return (a - b).abs().sum((1, 2, 3))


def test_lpips_is_taken_raw_and_without_what_is_outside_the_head(sample):
    judge, answer = LpipsJudge(Difference()), sample.target.over_grey()
    corner = answer.clone()
    corner[..., -4:, -4:] = 1.0
    found = judge(sample, corner)
    assert found["head_lpips"].tolist() == [0.0] * 3
    assert found["raw_lpips"].min() > 1.0
    assert judge(sample, 1 - answer)["head_lpips"].min() > 1.0


def test_feature_distances_are_of_each_frame_by_itself(sample):
    class Colours(nn.Module):
        def forward(self, rgb):
            return [rgb]

    answer = sample.target.over_grey()
    result = answer.clone()
    result[1] = 1 - result[1]
    found = FeatureJudge(Colours())(sample, result)["raw_squeezenet"]
    assert found[[0, 2]].tolist() == [0.0, 0.0]
    assert found[1] > 0


def test_likeness_is_to_the_source_and_leak_to_the_driver(sample):
    def colours(pictures):
        return nn.functional.normalize(pictures.mean((2, 3)), dim=-1)

    judge, count = LikenessJudge(colours), len(sample.driver.numbers)
    as_source = judge(sample, sample.source.over_grey().expand(count, -1, -1, -1))
    as_driver = judge(sample, sample.driver.over_grey())
    assert as_source["face_csim"].tolist() == pytest.approx([1.0] * count)
    assert as_driver["face_leak"].tolist() == pytest.approx([1.0] * count)
    assert as_source["face_leak"].max() < 0.9999
    alone = Sample(0, "alone", sample.source, sample.target, sample.target)
    assert set(judge(alone, sample.target.over_grey())) == {"face_csim"}


def test_our_recogniser_finds_the_face_by_the_pose_net(sample, tmp_path):
    config = IdentityNetConfig(base=8, input_px=32, embedding=16)
    torch.manual_seed(0)
    write_model(tmp_path, "identity", to_dict(config), IdentityNet(config).state_dict(), {})
    embed = embedder(str(tmp_path), HeadPoseNet(preset("tiny").motion), Told())
    faces = embed(sample.target.over_grey())
    torch.testing.assert_close(faces.norm(dim=-1), torch.ones(3))


def test_expression_error_does_not_ask_whose_face_it_is(sample):
    """A face of other proportions that acts alike has no error, one that does not act has one."""
    wanted = torch.from_numpy(geometry.mean_head()[:, :2]).float().repeat(3, 1, 1)
    wanted[1, list(keypoints.OUTER_LIPS[1:10]), 1] += 0.1
    wanted[1, list(keypoints.INNER_LIPS[1:10]), 1] += 0.1
    picture = sample.target.over_grey()
    alike = LandmarkJudge(Told(1.3 * wanted, wanted))(sample, picture)
    still = LandmarkJudge(Told(wanted[:1].repeat(3, 1, 1), wanted))(sample, picture)
    assert alike["face_expression"].max() < 1e-4
    assert still["face_expression"].min() > 0.005
    crossed = Sample(0, "crossed", sample.source, sample.driver, None)
    assert "mouth_landmarks" not in LandmarkJudge(Told(wanted, wanted))(crossed, picture)


def test_judges_follow_settings(crossed_clips, tmp_path):
    net = HeadPoseNet(preset("tiny").motion).eval()
    with open_judges(EvaluateConfig(str(crossed_clips), "out"), net) as judges:
        assert [type(judge) for judge in judges] == [PoseJudge, LandmarkJudge]
        assert judges[0].network is net
    with open_judges(EvaluateConfig(str(crossed_clips), "out", step=1), net) as judges:
        assert judges[1] is flicker
        assert isinstance(judges[2], WarpJudge)
    for option in ("pose_net", "gaze_net", "recogniser", "lpips", "squeezenet", "iqa"):
        missing = EvaluateConfig(str(crossed_clips), "out", **{option: str(tmp_path / "absent")})
        with pytest.raises(UserError, match="absent"), open_judges(missing, net):
            pass


def test_networks_are_named_with_their_hash_or_missed(tmp_path, random_weights):
    (tmp_path / "net.pth").write_bytes(b"abc")
    config = EvaluateConfig("data", "out", iqa=str(tmp_path / "net.pth"), step=1)
    used = networks_used(config, random_weights, "truth")
    assert used["iqa"] == {"file": "net.pth", "sha256": hashlib.sha256(b"abc").hexdigest()}
    assert set(used) == {"iqa", "pose_deg"}
    missing = networks_missing(config, "truth", 256)
    assert set(missing) == {"gaze_deg", "lpips", "squeezenet", "csim", "leak", "fid", "kid"}
    assert "--inception" in missing["fid"]
    assert missing.keys() - networks_missing(config, "cross", 256).keys() == {"lpips", "squeezenet"}
    assert missing.keys() - networks_missing(config, "self", 256).keys() == {"leak"}
    assert networks_missing(replace(config, step=0), "truth", 128).keys() - missing.keys() == {
        "flicker", "warp_error", "ms_ssim",
    }  # fmt: skip
    assert "warp_error" not in networks_missing(replace(config, step=0), "cross", 128)
    enhance = EvaluateConfig("data", "out", "enhance", enhancer="any", step=1)
    assert networks_used(enhance, random_weights, "enhance")["warp_error"] == used["pose_deg"], "of the base's pictures"
    assert "leak" not in networks_missing(enhance, "enhance", 256)
    with pytest.raises(UserError, match="there is no file"):
        networks_used(replace(config, iqa=str(tmp_path / "absent")), random_weights, "truth")


def test_a_second_network_is_named_too(tmp_path, random_weights, monkeypatch):
    """LPIPS has a backbone, and our recognition net sees the face where a head pose net says it is."""
    for name in ("heads.pth", "alexnet.pth", "own/model.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.setenv("MEGAPORTRAITS_ALEXNET", str(tmp_path / "alexnet.pth"))
    config = EvaluateConfig("data", "out", lpips=str(tmp_path / "heads.pth"), recogniser=str(tmp_path / "own"))
    used = networks_used(config, random_weights, "truth")
    assert used["lpips"]["with"] == hashlib.sha256(b"alexnet.pth").hexdigest()
    assert used["csim"]["with"] == used["leak"]["with"] == used["pose_deg"]["sha256"]


def test_networks_see_a_few_pictures_at_a_time():
    class Means(nn.Module):
        def forward(self, a, b):
            assert len(a) <= 16
            return a.mean((1, 2, 3)) - b.mean((1, 2, 3))

    a, b = torch.rand(2, 40, 3, 4, 4)
    found = OnDevice(Means(), torch.device("cpu"))(a, b)
    torch.testing.assert_close(found, a.mean((1, 2, 3)) - b.mean((1, 2, 3)))
