"""Avatars as ONNX: the graph paints what the student paints."""

import json
import shutil

import numpy as np
import pytest
import torch
from perturbed import perturb_zeros

from megaportraits.cli import main
from megaportraits.config import student_preset
from megaportraits.export import write_onnx
from megaportraits.models.student import Student

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (extra 'onnx')")


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(0)
    network = Student(student_preset("student-tiny"))
    perturb_zeros(network)
    return network.eval()


def test_the_graph_paints_what_the_student_paints(student, tmp_path):
    write_onnx(student.baked(), tmp_path / "a.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"), providers=["CPUExecutionProvider"])
    drivers = torch.rand(2, 3, 64, 64)
    for driver, number in ((drivers[:1], 0), (drivers[1:], 1)):
        (picture,) = session.run(None, {"driver": driver.numpy(), "avatar": np.array([number])})
        made = student(driver, torch.tensor([number]))
        wanted = torch.cat([made.rgb, made.matte], 1).detach().numpy()
        np.testing.assert_allclose(picture, wanted, atol=1e-4)


def test_the_command_takes_signed_files_only(student, drawn_clips, tmp_path, capsys):
    student.save(tmp_path / "student", avatars=["a", "b"])
    for number, name in enumerate("ab"):
        shutil.copytree(drawn_clips / f"clip{number}", tmp_path / "people" / name)
    said = {"consent": "agreed", "licence": "CC0-1.0"}
    (tmp_path / "consent.json").write_text(json.dumps({"a": said, "b": said}))
    key, bundle = str(tmp_path / "key.pem"), str(tmp_path / "a.mpa")
    main(["avatar", "key", key])
    words = ["--student", str(tmp_path / "student"), "--consent", str(tmp_path / "consent.json"), "--key", key]
    assert main(["avatar", "make", *words, "--output", bundle, "--avatars", str(tmp_path / "people")]) == 0
    assert main(["export", bundle, str(tmp_path / "a.onnx")]) == 0
    assert (tmp_path / "a.onnx").stat().st_size > 100_000
    assert main(["export", bundle, str(tmp_path / "a.zip")]) == 2
    assert main(["export", str(tmp_path / "student/model.safetensors"), str(tmp_path / "b.onnx")]) == 2
    assert "is not signed" in capsys.readouterr().err
