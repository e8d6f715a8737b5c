"""Checkpoint folders and atomic files."""

import errno
import json
import resource

import pytest
import torch
from safetensors import SafetensorError

from megaportraits.checkpoint import read_json, read_model, read_tensors, write_json, write_model, write_tensors
from megaportraits.errors import UserError
from megaportraits.files import replacing, writing


@pytest.fixture
def folder(tmp_path):
    """A written checkpoint."""
    tensors = {"weight": torch.linspace(-1, 1, 7), "count": torch.tensor([3])}
    write_model(tmp_path / "model", "base", {"size_px": 64}, tensors, {"step": 5})
    return tmp_path / "model"


def edit(folder, **changes) -> None:
    data = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(data))


def test_round_trip_in_half_precision(folder):
    config, tensors = read_model(folder, "base")
    assert (config["model"], config["step"], config["schema_version"]) == ({"size_px": 64}, 5, 1)
    assert tensors["weight"].dtype == torch.float16
    assert tensors["count"].dtype == torch.int64
    torch.testing.assert_close(tensors["weight"].float(), torch.linspace(-1, 1, 7), atol=1e-3, rtol=0)
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_another_kind_another_schema_and_an_absent_file_are_refused(folder):
    with pytest.raises(UserError, match="holds a 'base' model, but a 'pose' model was wanted"):
        read_model(folder, "pose")
    edit(folder, schema_version=2)
    with pytest.raises(UserError, match="schema version 2, this program reads 1"):
        read_model(folder, "base")
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match="no checkpoint in"):
        read_model(folder, "base")


def test_damaged_files_are_refused(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-3])
    with pytest.raises(UserError, match="not a readable safetensors file"):
        read_model(folder, "base")
    (folder / "config.json").write_text('{"kind": ')
    with pytest.raises(UserError, match="not readable JSON"):
        read_model(folder, "base")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        read_tensors(folder / "absent.safetensors")


@pytest.mark.parametrize("text", ["[]", "3", "null", '"words"', "[" * 100_000])
def test_json_that_is_no_object_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json .*restore it from a backup"):
        read_model(folder, "base")


@pytest.mark.parametrize("model", [None, [], "large"])
def test_sizes_that_are_none_are_refused(folder, model):
    edit(folder, model=model)
    with pytest.raises(UserError, match="names no model sizes"):
        read_model(folder, "base")


def test_a_full_disk_is_one_sentence(tmp_path):
    tensors = {"a": torch.rand(4000)}
    writers = {
        "a.safetensors": lambda: write_tensors(tmp_path / "a.safetensors", tensors),
        "b.json": lambda: write_json(tmp_path / "b.json", {"a": list(range(4000))}),
        "model.safetensors": lambda: write_model(tmp_path, "base", {}, tensors, {}),
    }
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
    try:
        for name, write in writers.items():
            with pytest.raises(UserError, match=rf"cannot write .*{name} \(.*; make room"):
                write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), r"\(No space left on device\)"),
        (OSError("encoder error -2"), r"\(encoder error -2\)"),
        (ValueError("encoding error 5\nmore"), r"\(encoding error 5\)"),
        (SafetensorError("I/O error"), r"\(I/O error\)"),
        (OSError(), r"\(OSError\)"),
    ],
)
def test_what_fails_in_writing_is_one_sentence(error, reason):
    with pytest.raises(UserError, match=f"cannot write out.png {reason}; make room"), writing("out.png"):
        raise error


def test_tensors_and_json_keep_their_values(tmp_path):
    values = {"a": torch.rand(3, 4).T, "b": torch.arange(3)}
    write_tensors(tmp_path / "deep/er/x.safetensors", values)
    found = read_tensors(tmp_path / "deep/er/x.safetensors")
    assert all(torch.equal(found[k], v) and found[k].dtype == v.dtype for k, v in values.items())
    write_json(tmp_path / "x.json", {"a": [1, "ü"]})
    assert read_json(tmp_path / "x.json") == {"a": [1, "ü"]}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")

    def fail() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    with replacing(target) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for name in ("first", "second"):
        with replacing(tmp_path / "out") as folder:
            folder.mkdir()
            (folder / name).touch()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["second"]


def test_a_place_that_cannot_be_written_is_a_user_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"), replacing(tmp_path / "file" / "below.txt"):
        pass


def test_a_folder_in_the_place_of_a_file_is_a_user_error(tmp_path):
    (tmp_path / "scores.json").mkdir()
    with pytest.raises(UserError, match="cannot write"):
        write_json(tmp_path / "scores.json", {})
    assert [p.name for p in tmp_path.rglob("*")] == ["scores.json"]
