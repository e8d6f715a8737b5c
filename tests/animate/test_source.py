"""Sources as files: exact, versioned, strict."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from megaportraits.animate import Animator, Source
from megaportraits.config import preset
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights

SOURCE = Path(str(resources.files("megaportraits.demo"))) / "source.png"


def tiny(seed: int) -> Animator:
    torch.manual_seed(seed)
    return Animator(fold_weights(BaseModel(preset("tiny")).eval()), torch.device("cpu"))


@pytest.fixture(scope="module")
def animator() -> Animator:
    animator = tiny(0)
    animator.set_source(SOURCE)
    return animator


@pytest.fixture
def file(animator: Animator, tmp_path: Path) -> Path:
    animator.save_source(tmp_path / "me.mpsource")
    return tmp_path / "me.mpsource"


def changed(path: Path, facts: dict[str, str] | None = None, **tensors: torch.Tensor | None) -> Path:
    """The file with other metadata or tensors (None: without it)."""
    with safe_open(path, "pt") as file:
        known = file.metadata()
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    everything = {name: tensor for name, tensor in (kept | tensors).items() if tensor is not None}
    save_file(everything, path, known | (facts or {}))
    return path


def test_a_source_comes_back_as_it_was(animator, file):
    before = animator.source
    fresh = tiny(0)
    after = fresh.load_source(file)
    assert fresh.source is after
    for name in ("photo", "crop", "matte", "plate"):
        assert np.array_equal(getattr(after, name), getattr(before, name))
    assert after.square == before.square
    assert torch.equal(after.canonical.volume, before.canonical.volume)
    assert torch.equal(after.motion.pose.rotation, before.motion.pose.rotation)
    crop = np.ascontiguousarray(before.crop[:, ::-1])
    assert np.array_equal(fresh.drive(crop).rgb, animator.drive(crop).rgb)


def test_another_source_than_the_current_one_can_be_saved(animator, tmp_path):
    other = animator.source
    animator.set_source(np.ascontiguousarray(other.photo[:, ::-1]))
    animator.save_source(tmp_path / "other", other)
    assert np.array_equal(animator.load_source(tmp_path / "other").photo, other.photo)


def test_another_models_source_is_refused(file):
    with pytest.raises(UserError, match=r"was computed by another model .*make it again from the photo"):
        tiny(1).load_source(file)


def test_the_current_source_stays_when_a_file_is_bad(animator, file):
    before = animator.source
    with pytest.raises(UserError):
        animator.load_source(changed(file, crop=None))
    assert animator.source is before


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"format": "mpmotion"}, "is not a source file"),
        ({"version": "2"}, "source file of version 2, this program reads 1"),
        ({"model": "0" * 64}, "computed by another model"),
    ],
)
def test_other_formats_and_versions_are_refused(animator, file, facts, message):
    with pytest.raises(UserError, match=message):
        animator.load_source(changed(file, facts))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"matte": None}, "has no 'matte'"),
        ({"volume": torch.zeros(1, 8, 4, 4, 4)}, r"has a 'volume' of torch.float32 \(1, 8, 4, 4, 4\)"),
        ({"photo": torch.zeros(0, 8, 3, dtype=torch.uint8)}, "has a 'photo' of"),
        ({"photo": torch.zeros(8, 8, 3)}, "has a 'photo' of torch.float32"),
        ({"expression": torch.full((1, 16), torch.nan)}, "has a 'expression' that is not finite|shape"),
        ({"square": torch.tensor([0.0, 0.0, 0.0], dtype=torch.float64)}, "impossible size"),
        ({"square": torch.tensor([0.0, 0.0, 1e9], dtype=torch.float64)}, "impossible size"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(animator, file, tensors, message):
    with pytest.raises(UserError, match=message):
        animator.load_source(changed(file, **tensors))


def test_files_of_other_kinds_are_refused(animator, tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        animator.load_source(tmp_path / "none")
    for content in (b"", b"no safetensors at all", b"\xff" * 4096):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(UserError, match="not a readable source file"):
            animator.load_source(tmp_path / "bad")
    save_file({"a": torch.zeros(1)}, tmp_path / "plain")
    with pytest.raises(UserError, match="is not a source file"):
        animator.load_source(tmp_path / "plain")


@pytest.mark.parametrize("error", [SafetensorError("I/O error"), OSError(28, "No space left on device")])
def test_a_full_disk_is_one_sentence(animator, tmp_path, monkeypatch, error):
    def fail(*given):
        raise error

    monkeypatch.setattr("megaportraits.animate.source.save_file", fail)
    with pytest.raises(UserError, match=r"cannot write .*me\.mpsource \((I/O error|No space left on device)\)"):
        animator.save_source(tmp_path / "me.mpsource")
    assert list(tmp_path.iterdir()) == []


def test_saving_needs_a_source_and_a_place(animator, tmp_path):
    with pytest.raises(UserError, match="set_source"):
        tiny(0).save_source(tmp_path / "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        animator.save_source(tmp_path / "file" / "x")
    assert isinstance(animator.source, Source)
