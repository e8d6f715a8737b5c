"""`megaportraits evaluate` from data to files."""

import json
from pathlib import Path

import pytest
from PIL import Image

from megaportraits.config import EvaluateConfig
from megaportraits.errors import UserError
from megaportraits.evaluate.command import evaluate, weights_hash
from megaportraits.evaluate.report import score_tables
from megaportraits.evaluate.scores import Row, faceless, means


def run(data: Path, weights: Path, output: Path, protocol: str) -> dict:
    evaluate(EvaluateConfig(str(data), str(output), protocol, str(weights), count=3, frames=2, device="cpu"))
    return json.loads((output / "scores.json").read_text())


def test_truth_protocol(crossed_clips, random_weights, tmp_path, capsys):
    scores = run(crossed_clips, random_weights, tmp_path / "a", "truth")
    assert scores["counts"] == {"samples": 3, "frames": 6, "rows": 6 * 7}
    assert len(scores["rows"]) == 42
    assert scores["weights_sha256"] == weights_hash(random_weights)
    assert scores["settings"] | {"protocol": "truth", "data": crossed_clips.name, "output": "a"} == scores["settings"]
    pictures = {f"{region}_{metric}" for region in ("head", "mouth", "eyes") for metric in ("psnr_db", "ssim", "l1")}
    assert set(scores["rows"][0]["scores"]) == pictures | {"head_pose_deg"}
    assert str(tmp_path) not in (tmp_path / "a" / "scores.json").read_text()
    table = (tmp_path / "a" / "scores.md").read_text()
    assert capsys.readouterr().out in table
    for method, row in scores["means"].items():
        assert f"| {method} | {row['head_pose_deg']:.2f} |" in table
        assert method == "right answer" or f"| {method} | {row['head_psnr_db']:.2f} |" in table
    with Image.open(tmp_path / "a" / "contact_sheet.png") as sheet:
        assert sheet.width == 9 * 160
        assert sheet.height == 40 + 3 * 160


def test_truth_protocol_is_deterministic(crossed_clips, random_weights, tmp_path):
    first = run(crossed_clips, random_weights, tmp_path / "a", "truth")
    second = run(crossed_clips, random_weights, tmp_path / "b", "truth")
    assert first["rows"] == second["rows"]


def test_self_protocol(crossed_clips, random_weights, tmp_path):
    scores = run(crossed_clips, random_weights, tmp_path / "a", "self")
    assert scores["counts"] == {"samples": 3, "frames": 6, "rows": 6 * 6}
    assert "model, driven by the answer" not in scores["means"]
    with Image.open(tmp_path / "a" / "contact_sheet.png") as sheet:
        assert sheet.width == 7 * 160


def test_knowing_the_truth_helps(crossed_clips, random_weights, tmp_path):
    """Drawn heads move by their landmarks alone, so the warp by true landmarks is the best baseline."""
    found = run(crossed_clips, random_weights, tmp_path / "a", "self")["means"]
    psnr = [found[name]["head_psnr_db"] for name in ("source unchanged", "source, similarity", "source, landmark warp")]
    assert psnr == sorted(psnr)


def test_missing_weights_are_refused(crossed_clips, tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        run(crossed_clips, tmp_path / "absent", tmp_path / "a", "truth")


def test_unwritable_output_is_found_before_the_work(crossed_clips, tmp_path):
    """A file stands where the folder should be; nothing is read, not even the missing weights."""
    (tmp_path / "a").write_text("a file")
    with pytest.raises(UserError, match="cannot write"):
        run(crossed_clips, tmp_path / "absent", tmp_path / "a", "truth")


def row(frame: int, moved: float = 0.0, method: str = "model", **scores: float | None) -> Row:
    return Row("a", frame, method, moved, scores)


def test_unknown_values_are_left_out_of_means():
    rows = [row(i, head_l1=value, eyes_l1=None) for i, value in enumerate((0.25, 0.75))]
    assert means(rows) == {"model": {"head_l1": 0.5, "eyes_l1": None}}
    assert score_tables(means(rows), {}).splitlines()[-1] == "| model | 0.5000 |  |"


def test_frames_without_a_face_are_counted_and_left_out():
    rows = [row(0, mouth_landmarks=0.1), row(1, mouth_landmarks=None), row(2, mouth_landmarks=0.3)]
    assert faceless(rows) == {"model": (1, 3)}
    assert score_tables(means(rows), faceless(rows)).splitlines()[-1] == "| model | 0.2000 | 1 of 3 |"
