"""Where weights are found, and what is said where there are none."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from megaportraits.animate.weights import find_weights, tensors_hash
from megaportraits.config import preset
from megaportraits.errors import UserError
from megaportraits.models import network
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights
from megaportraits.models.network import shipped_weights

SHIPPED_PRESET = "live"


def test_nothing_and_the_shipped_presets_name_mean_the_shipped_weights():
    assert find_weights(None) == find_weights(SHIPPED_PRESET) == shipped_weights()


def test_a_folder_is_taken_as_it_is_even_with_a_presets_name(tmp_path, monkeypatch):
    assert find_weights(tmp_path) == find_weights(str(tmp_path)) == tmp_path
    (tmp_path / "live").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_weights("live") == Path("live")


def test_a_preset_without_weights_names_the_one_that_has_them():
    with pytest.raises(UserError, match=r"no weights of preset 'paper-512', only 'live'; give a checkpoint folder"):
        find_weights("paper-512")


@pytest.mark.parametrize("name", ["lvie", "/no/such/folder", "a/b/c", "../x/y", ".hidden/x"])
def test_anything_else_is_refused(name):
    with pytest.raises(UserError, match=r"there are no weights .*give a checkpoint folder, a preset"):
        find_weights(name)


def test_a_hub_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"no folder someone/weights, .*megaportraits\[hub\]"):
        find_weights("someone/weights")


def test_only_the_two_files_are_fetched(monkeypatch, tmp_path):
    asked = []

    def snapshot_download(place: str, allow_patterns: list[str]) -> str:
        asked.append((place, sorted(allow_patterns)))
        shutil.copytree(shipped_weights(), tmp_path / "there", dirs_exist_ok=True)
        return str(tmp_path / "there")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    assert find_weights("someone/weights-1.0") == tmp_path / "there"
    assert asked == [("someone/weights-1.0", ["config.json", "model.safetensors"])]


@pytest.mark.parametrize("error", [FileNotFoundError, ValueError, ConnectionError])
def test_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch, error):
    def snapshot_download(place: str, allow_patterns: list[str]) -> str:
        raise error("no connection.\nmany\nlines")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    with pytest.raises(UserError, match=r"could not be fetched from the hub \(no connection\); check the name") as told:
        find_weights("someone/weights")
    assert "\n" not in str(told.value)


def test_a_place_without_weights_is_refused(monkeypatch, tmp_path):
    hub = SimpleNamespace(snapshot_download=lambda place, allow_patterns: str(tmp_path))
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(UserError, match=r"someone/empty on the hub holds no model\.safetensors and config\.json"):
        find_weights("someone/empty")


def test_an_installation_without_weights_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(network.resources, "files", lambda package: tmp_path)
    with pytest.raises(UserError, match="holds no weights of the base model; give a checkpoint folder with --weights"):
        find_weights(None)


def test_the_hash_survives_saving_and_knows_every_tensor(tmp_path):
    torch.manual_seed(0)
    model = fold_weights(BaseModel(preset("tiny")).eval())
    model.save(tmp_path)
    loaded = BaseModel.load(tmp_path)
    first = tensors_hash(loaded.motion_encoder)
    assert first == tensors_hash(model.motion_encoder)
    assert first != tensors_hash(loaded)
    loaded.motion_encoder.expression.head.bias[0] += 0.01
    assert first != tensors_hash(loaded.motion_encoder)
