"""The recognition net: sizes, shapes, embedding, files, stored outputs.

After an intended change of the forward pass, `python tests/models/test_identity.py` writes
tests/golden/identity.safetensors anew; say why in the commit.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from test_golden import fill
from torch import Tensor

from megaportraits.checkpoint import read_json, write_model
from megaportraits.config import IDENTITY_PRESETS, IdentityNetConfig, IdentityTraining, to_dict
from megaportraits.errors import UserError
from megaportraits.models.identity import IdentityNet
from megaportraits.models.network import shipped_weights

GOLDEN = Path(__file__).resolve().parents[1] / "golden/identity.safetensors"
TINY = IDENTITY_PRESETS["tiny"]


@pytest.fixture
def net() -> IdentityNet:
    torch.manual_seed(0)
    return IdentityNet(TINY).eval()


@torch.no_grad()
def outputs() -> dict[str, Tensor]:
    network = IdentityNet(TINY).eval()
    fill(network)
    face = torch.from_numpy(np.random.default_rng(1).random((2, 3, 8, 8))).float()
    face = F.interpolate(face, size=(32, 32), mode="bilinear")
    features = {f"features{i}": F.adaptive_avg_pool2d(f, 2) for i, f in enumerate(network(face))}
    return features | {"embedding": network.embed(face)}


def test_outputs_stay_what_they_were():
    found, stored = outputs(), load_file(GOLDEN)
    assert found.keys() == stored.keys()
    for name, tensor in stored.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-4, rtol=1e-4, msg=name)


def test_small_has_its_sizes():
    with torch.device("meta"):
        net = IdentityNet(IDENTITY_PRESETS["small"])
        features = net(torch.empty(2, 3, 112, 112))
        embedding = net.embed(torch.empty(2, 3, 112, 112))
    assert sum(p.numel() for p in net.parameters()) == 964_368
    assert [tuple(f.shape) for f in features] == [
        (2, 16, 56, 56), (2, 16, 28, 28), (2, 32, 14, 14), (2, 64, 7, 7), (2, 128, 4, 4),
    ]  # fmt: skip
    assert embedding.shape == (2, 128)


def test_embedding_has_length_one_and_follows_the_face(net, generator):
    faces = torch.rand(3, 3, 32, 32, generator=generator)
    embedding = net.embed(faces)
    torch.testing.assert_close(embedding.norm(dim=-1), torch.ones(3))
    assert (embedding[0] - embedding[1]).abs().max() > 1e-3
    torch.testing.assert_close(net.embed(faces[:1]), embedding[:1], atol=1e-5, rtol=1e-4)  # no sample sees another


def test_features_and_embedding_pass_gradients_to_the_picture(generator):
    net = IdentityNet(TINY)
    face = torch.rand(1, 3, 64, 64, generator=generator, requires_grad=True)
    for value in (*net(face), net.embed(face)):
        (gradient,) = torch.autograd.grad(value.square().sum() + value.sum(), face, retain_graph=True)
        assert torch.isfinite(gradient).all()
        assert gradient.any()


def test_a_net_is_read_as_it_was_written(net, tmp_path, generator):
    write_model(tmp_path, "identity", to_dict(TINY), net.state_dict(), {})
    read = IdentityNet.load(tmp_path)
    face = torch.rand(1, 3, 32, 32, generator=generator)
    torch.testing.assert_close(read.embed(face), net.embed(face), atol=2e-3, rtol=0)
    assert read.config == TINY
    assert not read.training
    assert not any(p.requires_grad for p in read.parameters())


def test_other_files_are_refused(net, tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        IdentityNet.load(tmp_path)
    write_model(tmp_path / "pose", "pose", to_dict(TINY), net.state_dict(), {})
    with pytest.raises(UserError, match="'pose' model, but a 'identity'"):
        IdentityNet.load(tmp_path / "pose")
    write_model(tmp_path / "other", "identity", to_dict(replace(TINY, base=16)), net.state_dict(), {})
    with pytest.raises(UserError, match="of other shapes"):
        IdentityNet.load(tmp_path / "other")


def test_the_shipped_net_is_small_and_tells_two_faces_apart(generator):
    net = IdentityNet.load(shipped_weights("identity"))
    assert net.config == IDENTITY_PRESETS["small"]
    assert (shipped_weights("identity") / "model.safetensors").stat().st_size < 2.5e6
    assert (
        not {"data", "output", "start_from"} & read_json(shipped_weights("identity") / "config.json")["training"].keys()
    )
    coarse = torch.rand(2, 3, 7, 7, generator=generator)
    one, other = net.embed(F.interpolate(coarse, size=(112, 112), mode="bilinear"))
    assert one @ other < 0.95
    assert one.abs().max() < 0.6


def test_settings_out_of_range_are_refused():
    with pytest.raises(UserError, match="base is 0"):
        IdentityNetConfig(base=0)
    with pytest.raises(UserError, match="grey is 2"):
        IdentityTraining("runs/identity", grey=2.0)
    with pytest.raises(UserError, match="scale is 0"):
        IdentityTraining("runs/identity", scale=0.0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save_file(outputs(), GOLDEN)
