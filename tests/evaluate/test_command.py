"""`megaportraits evaluate` from data to files."""

import csv
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

from megaportraits.config import EvaluateConfig
from megaportraits.errors import UserError
from megaportraits.evaluate import command
from megaportraits.evaluate.command import evaluate
from megaportraits.evaluate.methods import ModelMethods
from megaportraits.evaluate.results import Results, read_results
from megaportraits.files import file_hash


@pytest.fixture
def config(crossed_clips: Path, random_weights: Path, tmp_path: Path) -> EvaluateConfig:
    return EvaluateConfig(
        str(crossed_clips), str(tmp_path / "a"), weights=str(random_weights), count=3, frames=2, device="cpu"
    )


def run(config: EvaluateConfig, **changes: object) -> Results:
    config = replace(config, **changes)
    evaluate(config)
    return read_results(config.output)


def mean(results: Results, method: str, key: str) -> float:
    values = [row.scores[key] for row in results.rows if row.method == method]
    return sum(values) / len(values)


def test_truth_protocol(config, crossed_clips, random_weights, tmp_path, capsys):
    results = run(config)
    methods = ["model", "model, z constant", "model, driven by the answer", "source unchanged", "source, similarity"]
    assert results.columns == ["source", "driver", "right answer", *methods, "source, landmark warp"]
    assert len(results.rows) == 6 * 7
    assert results.weights_sha256 == file_hash(random_weights / "model.safetensors")
    assert results.settings["data"] == crossed_clips.name
    assert str(tmp_path) not in (tmp_path / "a/scores.json").read_text()
    pictures = {f"{r}_{m}" for r in ("raw", "head", "mouth", "eyes") for m in ("psnr_db", "ssim", "l1", "sharpness")}
    assert pictures | {"head_pose_deg", "face_expression"} <= results.rows[0].scores.keys()
    text = (tmp_path / "a/scores.md").read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    assert f"| model | {mean(results, 'model', 'raw_psnr_db'):.2f} |" in text
    assert "LPIPS: not available: no network; name its file with --lpips" in text
    assert "gaze error °: not available: no network; give --gaze-net shipped" in text
    assert "\\toprule" in (tmp_path / "a/scores.tex").read_text()
    with (tmp_path / "a/scores.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(results.rows)
    with Image.open(tmp_path / "a/contact_sheet.png") as sheet:
        assert sheet.size == (9 * 160, 40 + 3 * 160)


def test_pictures_are_where_the_results_say(config, tmp_path):
    results = run(config)
    for row in results.rows:
        with Image.open(tmp_path / f"a/pictures/{results.samples.index(row.sample):03d}-{row.frame:04d}.jpg") as strip:
            assert strip.size == (64 * len(results.columns), 64)
    page = (tmp_path / "a/report.html").read_text()
    assert 'src="pictures/00' in page


def test_all_protocols_that_the_data_allows(config, tmp_path):
    evaluate(replace(config, protocol="all", count=2))
    found = {name: read_results(tmp_path / "a" / name) for name in ("truth", "self", "cross")}
    assert {name: results.protocol for name, results in found.items()} == {name: name for name in found}
    assert {row.method for row in found["cross"].rows} >= {"model", "driver", "source, driver's landmark motion"}
    assert "model, driven by the answer" not in {row.method for row in found["self"].rows}
    assert not any("psnr" in key for key in found["cross"].rows[0].scores)
    page = (tmp_path / "a/report.html").read_text()
    assert all(f'src="{name}/pictures/' in page for name in found)


def test_the_same_command_gives_the_same_rows(config, tmp_path):
    assert run(config).rows == run(config, output=str(tmp_path / "b")).rows


def test_a_run_that_was_killed_goes_on_where_it_was(config, monkeypatch, tmp_path):
    """The second of three samples fails; then only it and the third are computed."""
    whole = run(config, output=str(tmp_path / "whole")).rows
    asked: list[int] = []
    driven = ModelMethods.driven

    def failing(self, sample):
        asked.append(sample.number)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return driven(self, sample)

    monkeypatch.setattr(ModelMethods, "driven", failing)
    with pytest.raises(KeyboardInterrupt):
        run(config)
    assert not (tmp_path / "a/scores.json").exists()
    assert run(config).rows == whole
    assert asked == [0, 1, 1, 2]
    run(config, seed=1, count=1)
    assert asked[4:] == [0], "other settings, another evaluation"


def test_what_is_done_is_known_by_its_content(config, crossed_clips, monkeypatch, tmp_path):
    """Moved data and a renamed checkpoint change nothing; changed truth, deleted strips or other results do."""
    asked: list[int] = []
    driven = ModelMethods.driven

    def counting(self, sample):
        asked.append(sample.number)
        return driven(self, sample)

    monkeypatch.setattr(ModelMethods, "driven", counting)
    config = replace(config, protocol="self", count=1)
    run(config)
    shutil.copytree(crossed_clips, tmp_path / "moved")
    moved = replace(config, data=str(tmp_path / "moved"))
    run(moved)
    assert asked == [0]
    shutil.rmtree(tmp_path / "a/pictures")
    run(moved)
    assert asked == [0, 0]
    clip = tmp_path / "moved/id0_motion0/truth.safetensors"
    truth = load_file(clip)
    save_file(truth | {"landmarks": truth["landmarks"] + 0.1}, clip)
    run(moved)
    assert asked == [0, 0, 0]


def test_other_results_of_another_system_are_scored_anew(config, tmp_path):
    config = replace(config, protocol="self", count=1)
    evaluate(replace(config, inputs=str(tmp_path / "inputs")))
    shutil.copytree(tmp_path / "inputs/000/driver", tmp_path / "peer/000")
    good = mean(run(config, outputs=(f"peer={tmp_path / 'peer'}",)), "peer", "mouth_psnr_db")
    for picture in (tmp_path / "peer/000").iterdir():
        shutil.copy(tmp_path / "inputs/000/source.png", picture)
    bad = mean(run(config, outputs=(f"peer={tmp_path / 'peer'}",)), "peer", "mouth_psnr_db")
    assert bad < good - 1


def test_pictures_that_are_no_numbers_are_refused(config, monkeypatch):
    monkeypatch.setattr(ModelMethods, "driven", lambda self, sample: sample.target.over_grey() * torch.nan)
    with pytest.raises(UserError, match=r"model made pictures of .* no numbers"):
        run(config)


def test_knowing_the_truth_helps(config):
    """Drawn heads move by their landmarks alone, so the warp by true landmarks is the best baseline."""
    found = run(config, protocol="self")
    names = ("source unchanged", "source, similarity", "source, landmark warp")
    psnr = [mean(found, name, "head_psnr_db") for name in names]
    assert psnr == sorted(psnr)


def test_other_systems_stand_in_the_table(config, tmp_path):
    """One that copies the source, by a command; one that knows the driver's frames, by a folder."""
    evaluate(replace(config, protocol="self", inputs=str(tmp_path / "inputs")))
    assert not (tmp_path / "a/scores.json").exists()
    for sample in (tmp_path / "inputs").iterdir():
        shutil.copytree(sample / "driver", tmp_path / "perfect" / sample.name)
    copy = tmp_path / "copy.py"
    copy.write_text(
        "import shutil, sys, pathlib\n"
        "source, frames, output = map(pathlib.Path, sys.argv[1:])\n"
        "for frame in frames.iterdir():\n    shutil.copy(source, output / frame.name)\n"
    )
    command_line = f"copy={sys.executable} {copy} {{source}} {{frames}} {{output}}"
    found = run(config, protocol="self", outputs=(f"perfect={tmp_path / 'perfect'}",), command=(command_line,))
    assert mean(found, "perfect", "head_psnr_db") > 35 > mean(found, "copy", "head_psnr_db")
    inside = "mouth_psnr_db"  # where no background shows
    assert mean(found, "copy", inside) == pytest.approx(mean(found, "source unchanged", inside), abs=0.1)
    assert found.settings["outputs"] == ["perfect"]
    assert found.settings["command"] == ["copy"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": ("nothing",)}, "write NAME=VALUE"),
        ({"outputs": ("model=.",)}, "name of its own"),
        ({"outputs": ("driver=.",)}, "name of its own"),
        ({"outputs": ("peer=absent",)}, "no folder absent"),
        ({"outputs": ("peer=.",)}, "neither a folder 000 nor a video"),
        ({"command": ("peer=false {source}",)}, "does not say where it writes"),
        ({"command": ("peer=echo '{output}",)}, "close its quotes"),
        ({"command": ("peer=bash -c 'echo ${HOME} {x}; exit 1' {output}",)}, "ended with code 1"),
        ({"command": ("peer=touch {output}/a.mp4 {output}/b.mp4",)}, "left 2 videos"),
        ({"command": ("peer=false {output}",)}, "ended with code 1"),
        ({"command": ("peer=true {output}",)}, "holds 0 pictures"),
        ({"command": ("peer=no-such-program {output}",)}, "cannot run 'no-such-program'"),
    ],
)
def test_other_systems_that_fail_say_so(config, changes, message):
    with pytest.raises(UserError, match=message):
        run(config, **changes)


def test_set_distances_are_of_all_pictures_of_a_method(config, monkeypatch, tmp_path):
    """The network is the mean colour, and FID of a shift is its square: what a method adds to every answer."""

    class Colour(torch.nn.Module):
        def forward(self, rgb):
            return rgb.mean((2, 3))

    (tmp_path / "net.pth").write_bytes(b"a network")
    monkeypatch.setattr(command, "load_frozen", lambda name, path: Colour())
    monkeypatch.setattr(ModelMethods, "driven", lambda self, sample: sample.target.over_grey() + 0.1)
    found, again = (run(config, inception=str(tmp_path / "net.pth")).sets for _ in range(2))
    assert found["model"]["fid"] == pytest.approx(3 * 0.1**2, rel=1e-3)
    assert again == found
    assert read_results(config.output).networks["kid"]["file"] == "net.pth"
    assert "FID" not in read_results(config.output).unavailable


def test_the_gaze_net_of_the_package_judges_by_name(config):
    results = run(config, gaze_net="shipped", count=1)
    assert results.networks["gaze_deg"]["file"] == "gaze"
    assert mean(results, "right answer", "eyes_gaze_deg") < 1e-3


def test_missing_weights_are_refused(config, tmp_path):
    with pytest.raises(UserError, match="no weights"):
        run(config, weights=str(tmp_path / "absent"))


def test_unwritable_output_is_found_before_the_work(config, tmp_path):
    """A file stands where the folder should be; nothing is read, not even the missing weights."""
    (tmp_path / "a").write_text("a file")
    with pytest.raises(UserError, match="cannot write"):
        run(config, weights=str(tmp_path / "absent"))


def test_results_of_another_schema_are_refused(config, tmp_path):
    run(config, count=1)
    data = json.loads((tmp_path / "a/scores.json").read_text())
    (tmp_path / "a/scores.json").write_text(json.dumps(data | {"schema_version": 2}))
    with pytest.raises(UserError, match="of schema"):
        read_results(tmp_path / "a")
    with pytest.raises(UserError, match="there is no file"):
        read_results(tmp_path / "absent")
