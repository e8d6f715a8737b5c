"""The gaze net: sizes, shapes, both eyes, angles, files, stored outputs.

After an intended change of the forward pass, `python tests/models/test_gaze_net.py` writes
tests/golden/gaze.safetensors anew; say why in the commit.
"""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from test_golden import fill
from torch import Tensor, nn

from megaportraits import geometry
from megaportraits.checkpoint import read_json, write_model
from megaportraits.config import GAZE_PRESETS, GazeNetConfig, gaze_preset, to_dict
from megaportraits.data.keypoints import KEYPOINTS, positions
from megaportraits.errors import UserError
from megaportraits.models.gaze import GazeNet, gaze_directions, gaze_error_deg

GOLDEN = Path(__file__).resolve().parents[1] / "golden/gaze.safetensors"


def face_keypoints(batch: int) -> Tensor:
    """Keypoints of the mean head, seen from the front."""
    head = torch.from_numpy(geometry.mean_head())[list(KEYPOINTS), :2].float()
    return head[None].repeat(batch, 1, 1)


@torch.no_grad()
def outputs() -> dict[str, Tensor]:
    network = GazeNet(gaze_preset("tiny")).eval()
    fill(network)
    picture = torch.from_numpy(np.random.default_rng(1).random((2, 3, 16, 16))).float()
    picture = F.interpolate(picture, size=(64, 64), mode="bilinear")
    state = network.look(picture, face_keypoints(2))
    features = {f"features{i}": F.adaptive_avg_pool2d(f, 2) for i, f in enumerate(network.features(picture))}
    return features | {"gaze_deg": state.gaze_deg, "blink": state.blink}


@pytest.fixture
def net() -> GazeNet:
    torch.manual_seed(0)
    return GazeNet(gaze_preset("tiny"))


def test_the_papers_size_is_a_vgg16_and_the_layers_of_b5():
    with torch.device("meta"):
        network = GazeNet(gaze_preset("paper"))
    vgg16 = 14_714_688
    vector = 512 * 2 * 2 * 256 + 256
    keypoints = 2 * len(KEYPOINTS) * 64 + 64 + 2 * (64 * 64 + 64)
    gaze, blink = 320 * 256 + 256 + 256 * 2 + 2, 256 * 256 + 256 + 256 * 2 + 2
    assert sum(p.numel() for p in network.blocks.parameters()) == vgg16
    assert sum(p.numel() for p in network.parameters()) == vgg16 + vector + keypoints + gaze + blink == 15_414_020


def test_small_fits_into_a_megabyte_of_fp16():
    with torch.device("meta"):
        assert sum(p.numel() for p in GazeNet(gaze_preset("small")).parameters()) < 0.5e6


@pytest.mark.parametrize("name", GAZE_PRESETS)
def test_five_depths_and_no_norm(name):
    config = gaze_preset(name)
    with torch.device("meta"):
        network = GazeNet(config)
        maps = network.features(torch.zeros(4, 3, config.eye_px, config.eye_px))
        state = network(torch.zeros(2, 2, 3, config.eye_px, config.eye_px), torch.zeros(2, len(KEYPOINTS), 2))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (width, config.eye_px >> depth, config.eye_px >> depth) for depth, width in enumerate(config.widths)
    ]
    assert state.gaze_deg.shape == state.blink.shape == (2, 2)
    assert not [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm | nn.GroupNorm)]


def test_every_weight_gets_a_gradient(net, generator):
    state = net.look(torch.rand(8, 3, 64, 64, generator=generator), face_keypoints(8))
    (state.gaze_deg.square().sum() + state.blink.square().sum()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_blink_sees_both_eyes_and_no_keypoints_gaze_sees_all(net, generator):
    eyes = torch.rand(1, 2, 3, 32, 32, generator=generator).requires_grad_()
    points = face_keypoints(1).requires_grad_()
    state = net(eyes, points)
    for number, sees_points in ((state.gaze_deg.sum(), True), (state.blink.sum(), False)):
        by_eyes, by_points = torch.autograd.grad(number, (eyes, points), allow_unused=True, retain_graph=True)
        assert (by_eyes.flatten(2).abs().sum(2) > 0).all()
        assert (by_points is not None and bool(by_points.any())) == sees_points


def test_unknown_keypoints_leave_finite_outputs(net, generator):
    points = face_keypoints(1)
    points[:, positions([10, 1, 33])] = float("nan")
    state = net.look(torch.rand(1, 3, 64, 64, generator=generator), points)
    assert state.gaze_deg.isfinite().all()
    assert state.blink.isfinite().all()


def test_known_angles_between_gazes():
    straight = torch.tensor([[0.0, 0.0]])
    for other, angle in (([10.0, 0.0], 10), ([0.0, -7.0], 7), ([90.0, 0.0], 90), ([60.0, 60.0], 75.5225), ([0, 0], 0)):
        error = gaze_error_deg(straight, torch.tensor([other]).float())
        torch.testing.assert_close(error, torch.tensor([float(angle)]).double(), atol=1e-3, rtol=0)
    right_up = gaze_directions(torch.tensor([[20.0, 10.0]]))[0]
    assert right_up[0] > 0, "yaw > 0 looks to the picture's right"
    assert right_up[1] < 0, "pitch > 0 looks up"
    assert right_up[2] < 0, "the viewer is in front"


def test_saved_and_loaded_is_the_same_and_frozen(net, tmp_path, generator):
    net.half().float().save(tmp_path, step=3)
    loaded = GazeNet.load(tmp_path)
    picture = torch.rand(1, 3, 64, 64, generator=generator)
    torch.testing.assert_close(
        loaded.look(picture, face_keypoints(1)).gaze_deg, net.look(picture, face_keypoints(1)).gaze_deg
    )
    assert not any(p.requires_grad for p in loaded.parameters())


def test_the_shipped_weights_load_are_small_and_name_no_folders():
    folder = Path(str(resources.files("megaportraits"))) / "weights" / "gaze"
    assert GazeNet.load(folder).config == gaze_preset("small")
    assert (folder / "model.safetensors").stat().st_size < 1e6
    assert not {"output", "data", "teacher", "start_from"} & read_json(folder / "config.json")["training"].keys()


def test_other_files_are_refused(net, tmp_path):
    write_model(tmp_path / "other", "pose", to_dict(net.config), net.state_dict(), {})
    with pytest.raises(UserError, match="'pose' model, but a 'gaze' model"):
        GazeNet.load(tmp_path / "other")
    state = net.state_dict()
    state.pop("blink.2.bias")
    write_model(tmp_path / "less", "gaze", to_dict(net.config), state, {})
    with pytest.raises(UserError, match=r"missing \['blink.2.bias'\]"):
        GazeNet.load(tmp_path / "less")


def test_wrong_names_and_sizes_are_refused():
    with pytest.raises(UserError, match="'huge'; choose one of paper, small, tiny"):
        gaze_preset("huge")
    for size in (16, 40):
        with pytest.raises(UserError, match=f"eye_px is {size}"):
            GazeNetConfig(eye_px=size)


@pytest.fixture(scope="module")
def found() -> dict[str, Tensor]:
    return outputs()


@pytest.mark.parametrize("name", sorted(load_file(GOLDEN)) if GOLDEN.is_file() else ["missing"])
def test_the_tiny_net_gives_the_stored_outputs(found, name):
    torch.testing.assert_close(found[name], load_file(GOLDEN)[name], atol=1e-4, rtol=1e-4)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save_file(outputs(), GOLDEN)
