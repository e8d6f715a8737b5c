"""Frozen networks: where files come from, strict loading of the official layouts, preprocessing, what they are."""

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from weight_files import OFFICIAL, saved, squeezenet_caffe, tensors

from megaportraits.errors import UserError
from megaportraits.losses import pretrained
from megaportraits.losses.frozen import alexnet, features, inception, lpips, mobilefacenet, squeezenet, vgg
from megaportraits.losses.pretrained import NETWORKS, load_frozen, variable

DOCS = Path(__file__).resolve().parents[2] / "docs/frozen-nets.md"
SQUEEZENET = Path(os.environ.get("MEGAPORTRAITS_SQUEEZENET1_0", ""))
MOBILEFACENET = Path(os.environ.get("MEGAPORTRAITS_MOBILEFACENET", ""))
"""Networks' files, which do not ship."""
BUILDERS = {
    "vgg19": vgg.vgg19, "vgg16": vgg.vgg16, "vggface": vgg.vggface, "squeezenet1_0": squeezenet.squeezenet1_0,
    "squeezenet1_0_caffe": squeezenet.squeezenet1_0_caffe, "squeezenet1_1": squeezenet.squeezenet1_1,
    "alexnet": alexnet.alexnet,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_files_of_this_machine(monkeypatch, tmp_path):
    for name in NETWORKS:
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))


def official(name: str, folder: Path) -> Path:
    """A file laid out as the official one; the backbone of LPIPS is found through its variable."""
    path = folder / f"{name}.pth"
    torch.save(saved(name, tensors(OFFICIAL[name])), path)
    return path


def used(name: str) -> dict[str, torch.Tensor]:
    """The tensors that a network needs of its file."""
    heads = ("classifier.", "fc.", "fc6.", "fc7.", "fc8.")
    return {k: v for k, v in tensors(OFFICIAL[name]).items() if not k.startswith(heads)}


def meta_net(name: str) -> nn.Module:
    with torch.device("meta"):
        return BUILDERS[name]()


def test_every_network_has_its_true_list():
    assert OFFICIAL.keys() == NETWORKS.keys()
    assert {n: len(s) for n, s in OFFICIAL.items()} == {
        "vgg19": 38, "vgg16": 32, "vggface": 32, "squeezenet1_0": 52, "squeezenet1_1": 52, "alexnet": 16,
        "lpips": 5, "lpips_vgg": 5, "lpips_squeeze": 7, "mobilefacenet": 333,
        "inception": 566, "hyperiqa": 355,
    }  # fmt: skip


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_official_layout_loads_completely_and_frozen(name, tmp_path, monkeypatch):
    if NETWORKS[name].backbone:
        backbone = NETWORKS[name].backbone
        monkeypatch.setenv(variable(backbone), str(official(backbone, tmp_path)))
    network = load_frozen(name, official(name, tmp_path))
    own = getattr(network, "weights", network)  # LPIPS: its own weights, without the backbone's
    found = sorted(round(float(v.flatten()[0]), 4) for v in own.state_dict().values())
    assert found == sorted(round(float(v.flatten()[0]), 4) for v in used(name).values())
    assert not any(p.requires_grad for p in network.parameters())
    assert not any(m.training for m in network.train().modules())  # even where a stage calls train()


def test_names_of_the_faces_and_caffe_files_reach_their_own_layers(tmp_path):
    face, source = load_frozen("vggface", official("vggface", tmp_path)), tensors(OFFICIAL["vggface"])
    for number, name in ((0, "conv1_1"), (7, "conv2_2"), (14, "conv3_3"), (17, "conv4_1"), (28, "conv5_3")):
        assert torch.equal(face.features[number].weight, source[f"{name}.weight"])
        assert torch.equal(face.features[number].bias, source[f"{name}.bias"])
    source = tensors(squeezenet_caffe())
    np.savez(tmp_path / "caffe.npz", **{k: v.numpy() for k, v in source.items()})
    caffe = load_frozen("squeezenet1_0", tmp_path / "caffe.npz")
    assert torch.equal(caffe.features[0].weight, source["conv1.weight"])
    for number, name in ((3, "fire2"), (5, "fire4"), (7, "fire5"), (10, "fire8"), (12, "fire9")):
        assert torch.equal(caffe.features[number].squeeze.weight, source[f"{name}/squeeze1x1.weight"])
        assert torch.equal(caffe.features[number].expand3x3.bias, source[f"{name}/expand3x3.bias"])


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_missing_an_extra_and_a_misshapen_tensor_are_named(name, tmp_path, monkeypatch):
    if NETWORKS[name].backbone:
        monkeypatch.setenv(variable(NETWORKS[name].backbone), str(official(NETWORKS[name].backbone, tmp_path)))
    good = used(name)
    key = [k for k in good if k.endswith("weight")][-1]
    broken = {
        f"missing {key}": {k: v for k, v in good.items() if k != key},
        "unknown surplus.weight": good | {"surplus.weight": torch.zeros(2)},
        f"misshapen {key}": good | {key: torch.zeros(3, 1)},
    }
    for fault, held in broken.items():
        torch.save(saved(name, held), tmp_path / "broken.pth")
        with pytest.raises(UserError, match=fault.replace(".", r"\.")):
            load_frozen(name, tmp_path / "broken.pth")


@pytest.mark.parametrize("name", ["inception", "hyperiqa"])
def test_files_older_than_the_counters_of_batch_norm_load(name, tmp_path):
    held = {k: v for k, v in used(name).items() if not k.endswith("num_batches_tracked")}
    torch.save(held, tmp_path / "old.pth")
    state = load_frozen(name, tmp_path / "old.pth").state_dict()
    assert {k for k, v in state.items() if v.dtype == torch.int64} == used(name).keys() - held.keys()
    assert not any(v.is_meta for v in state.values())


def test_long_lists_of_faults_are_cut(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(
        UserError, match=r"missing features\.0\.weight \(64, 3, 3, 3\).* and 28 more, unknown a \(1,\);"
    ):
        load_frozen("vgg19", tmp_path / "other.pth")


def test_files_that_are_none_are_refused_without_running_what_they_hold(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    torch.save({"state_dict": {}}, tmp_path / "nested.pth")
    for file in ("text.pth", "text.npz"):
        (tmp_path / file).write_text("not what it says\n")
    for name, file in (
        ("vgg19", "evil.pth"), ("vgg19", "tensor.pth"), ("mobilefacenet", "nested.pth"), ("vgg19", "text.pth"),
        ("squeezenet1_0", "text.npz"),
    ):  # fmt: skip
        with pytest.raises(UserError, match="no readable file of weights"):
            load_frozen(name, tmp_path / file)
    assert not (tmp_path / "made").exists()


def test_path_comes_before_the_variable_and_both_must_name_a_file(tmp_path, monkeypatch):
    good = official("alexnet", tmp_path)
    monkeypatch.setenv("MEGAPORTRAITS_ALEXNET", str(good))
    assert load_frozen("alexnet").features[0].weight.shape == (64, 3, 11, 11)
    with pytest.raises(UserError, match=r"no file .*absent\.pth, which the settings names? for alexnet"):
        load_frozen("alexnet", tmp_path / "absent.pth")
    monkeypatch.setenv("MEGAPORTRAITS_ALEXNET", str(tmp_path / "gone.pth"))
    with pytest.raises(UserError, match=r"gone\.pth, which MEGAPORTRAITS_ALEXNET names"):
        load_frozen("alexnet")
    assert load_frozen("alexnet", good) is not None


def test_download_is_checked_kept_and_used_again(tmp_path, monkeypatch):
    file = official("alexnet", tmp_path)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    entry = dataclasses.replace(NETWORKS["alexnet"], source=file.as_uri(), sha256="00000000")
    monkeypatch.setitem(NETWORKS, "alexnet", entry)
    with pytest.raises(UserError, match="invalid hash"):
        load_frozen("alexnet")
    kept = tmp_path / "hub/hub/checkpoints" / entry.file
    assert not kept.exists()
    monkeypatch.setitem(NETWORKS, "alexnet", dataclasses.replace(entry, sha256=digest[:8]))
    load_frozen("alexnet")
    assert kept.read_bytes() == file.read_bytes()
    file.unlink()
    assert load_frozen("alexnet").features[0].weight.shape == (64, 3, 11, 11)


@pytest.mark.parametrize("name", NETWORKS)
def test_offline_it_says_which_file_from_where_and_how_to_give_it(name, monkeypatch):
    def no_network(*_):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(UserError) as caught:
        load_frozen(name)
    entry = NETWORKS[name]
    assert all(part in str(caught.value) for part in (entry.file, entry.source, variable(name)))
    assert "no route to host" in str(caught.value) or not entry.download


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UserError, match=r"no frozen network 'vgg20'; known are vgg19, .*mobilefacenet"):
        load_frozen("vgg20")


def test_the_guide_has_each_network():
    rows = DOCS.read_text()
    for name, entry in NETWORKS.items():
        facts = (f"`{name}`", entry.file, entry.source.split(" ")[0], entry.sha256, variable(name))
        assert [f for f in facts if f not in rows] == []


@pytest.mark.parametrize(
    ("preprocessing", "wanted"),
    [
        (features.IMAGENET, ((1.0 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.0 - 0.406) / 0.225)),
        (features.CAFFE, (0.0 - 104.0, 127.5 - 117.0, 255.0 - 123.0)),
        (vgg.FACES, (255.0 - 129.186279296875, 127.5 - 104.76238250732422, 0.0 - 93.59396362304688)),
        (mobilefacenet.INPUT, (127.5 / 128, 0.0, -127.5 / 128)),
        (inception.INPUT, (1.0, 0.0, -1.0)),
    ],
)
def test_preprocessing_of_orange(preprocessing, wanted):
    """Red 1, green 1/2, blue 0: channel order, range, mean and deviation all show."""
    orange = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64).view(1, 3, 1, 1)
    assert preprocessing(orange).flatten().tolist() == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "preprocessing", "relative"),
    [
        ("vgg19", features.IMAGENET, False), ("vgg16", features.IMAGENET, False), ("vggface", vgg.FACES, True),
        ("squeezenet1_0", features.IMAGENET, True), ("squeezenet1_0_caffe", features.CAFFE, True),
        ("squeezenet1_1", features.IMAGENET, True), ("alexnet", features.IMAGENET, True),
    ],
)  # fmt: skip
def test_first_layer_sees_the_preprocessed_picture(name, preprocessing, relative, generator):
    network = meta_net(name)
    assert network.relative_features == relative
    seen, rgb = [], torch.rand(1, 3, 40, 40, generator=generator)

    class Stop(Exception):
        pass

    def look(_, inputs):
        seen.append(inputs[0])
        raise Stop

    network.features[0].register_forward_pre_hook(look)
    with pytest.raises(Stop):
        network(rgb)
    torch.testing.assert_close(seen[0], preprocessing(rgb))


VGG_SHAPES = [(64, 64), (128, 32), (256, 16), (512, 8), (512, 4)]


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("vgg19", VGG_SHAPES), ("vgg16", VGG_SHAPES), ("vggface", VGG_SHAPES),
        ("squeezenet1_0", [(96, 29), (128, 14), (128, 14), (256, 7), (384, 7)]),
        ("squeezenet1_1", [(64, 31), (128, 15), (256, 7), (384, 3), (384, 3), (512, 3), (512, 3)]),
        ("alexnet", [(64, 15), (192, 7), (384, 3), (256, 3), (256, 3)]),
    ],
)  # fmt: skip
def test_features_are_rectified_and_of_known_shapes(name, shapes):
    network = meta_net(name)
    found = network(torch.empty(1, 3, 64, 64, device="meta"))
    assert [tuple(f.shape[1:]) for f in found] == [(c, s, s) for c, s in shapes]
    assert all(isinstance(network.features[tap], nn.ReLU | squeezenet.Fire) for tap in network.taps)


def test_vgg19_features_are_the_first_of_each_block_and_vgg16s_the_last():
    assert meta_net("vgg19").taps == (1, 6, 11, 20, 29)
    assert meta_net("vggface").taps == (1, 6, 11, 18, 25)
    assert meta_net("vgg16").taps == (3, 8, 15, 22, 29)


def test_features_are_not_overwritten_by_the_layers_after_them(generator):
    network = squeezenet.squeezenet1_1().double()
    rgb = torch.rand(1, 3, 64, 64, generator=generator, dtype=torch.float64)
    x, wanted = network.preprocessing(rgb), []
    for number, layer in enumerate(network.features):
        x = layer(x.clone())
        wanted += [x.clone()] if number in network.taps else []
    found = network(rgb)
    assert all(torch.equal(f, w) for f, w in zip(found, wanted, strict=True))
    assert all((f >= 0).all() and f.dtype == torch.float64 for f in found)


class TwoMaps(features.Frozen):
    """Features with two channels: (red, green), and (1, blue)."""

    def forward(self, rgb):
        return [rgb[:, :2], torch.cat([torch.ones_like(rgb[:, :1]), rgb[:, 2:]], 1)]


def test_lpips_known_answer(generator):
    weights = nn.ParameterList([torch.tensor([2.0, 3.0]).view(1, 2, 1, 1), torch.tensor([5.0, 7.0]).view(1, 2, 1, 1)])
    distance = lpips.Lpips(TwoMaps(), weights)
    a = torch.tensor([0.3, 0.4, 0.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    b = torch.tensor([0.8, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    # unit vectors: (.6, .8) and (1, 0); (1, 0) and (1, 1) / sqrt 2
    wanted = 2 * 0.4**2 + 3 * 0.8**2 + 5 * (1 - 0.5**0.5) ** 2 + 7 * 0.5
    assert distance(a, b).item() == pytest.approx(wanted, rel=1e-5)
    pair = torch.rand(2, 2, 3, 8, 8, generator=generator)
    assert distance(pair[0], pair[0]).tolist() == [0, 0]
    torch.testing.assert_close(distance(pair[0], pair[1]), distance(pair[1], pair[0]))


def test_mobilefacenet_shapes_and_unit_vectors(generator):
    network = mobilefacenet.MobileFaceNet().eval()
    face = torch.rand(2, 3, 112, 96, generator=generator)
    assert [tuple(f.shape[1:]) for f in network(face)] == [(64, 28, 24), (128, 14, 12), (128, 7, 6)]
    embedded = network.embed(face)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(network.embed(face.flip(-1)), embedded)  # a person and the mirror image are one


@pytest.mark.skipif(not SQUEEZENET.is_file(), reason="MEGAPORTRAITS_SQUEEZENET1_0 names no file of SqueezeNet 1.0")
def test_true_squeezenet_loads(monkeypatch):
    monkeypatch.setenv("MEGAPORTRAITS_SQUEEZENET1_0", str(SQUEEZENET))
    network = load_frozen("squeezenet1_0")
    assert sum(p.numel() for p in network.parameters()) == 735_424
    assert all((f.mean() > 1) for f in network(torch.rand(1, 3, 64, 64)))


@pytest.mark.skipif(not MOBILEFACENET.is_file(), reason="MEGAPORTRAITS_MOBILEFACENET names no file of MobileFaceNet")
def test_true_mobilefacenet_has_the_written_list():
    held = torch.load(MOBILEFACENET, map_location="cpu", weights_only=True)["net_state_dict"]
    assert {k: tuple(v.shape) for k, v in held.items()} == OFFICIAL["mobilefacenet"]
    assert pretrained.load_frozen("mobilefacenet", MOBILEFACENET).embed(torch.rand(1, 3, 112, 96)).norm() > 0.99
