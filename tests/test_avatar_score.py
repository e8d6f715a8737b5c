"""Avatars beside their teacher: what is measured, and the report."""

import json

from PIL import Image

from megaportraits.cli import main


def test_students_teachers_and_truths_are_compared(made, drawn_clips, tiny_weights, tmp_path, capsys):
    own = tmp_path / "own"
    for number in range(2):
        (own / f"person{number}").mkdir(parents=True)
        (own / f"person{number}/clip").symlink_to(drawn_clips / f"clip{number}")
    (tmp_path / "drivers").mkdir()
    (tmp_path / "drivers/clip").symlink_to(drawn_clips / "other")
    words = ["--bundle", made / "a.mpa", "--avatars", made / "people", "--data", tmp_path / "drivers"]
    words += ["--own", own, "--teacher", tiny_weights, "--frames", 3, "--output", tmp_path / "report"]
    assert main(["avatar", "score", *map(str, words)]) == 0
    rows = json.loads((tmp_path / "report/scores.json").read_text())["rows"]
    assert len(rows) == 2 * 3 * (1 + 2)
    assert {row["pair"] for row in rows} == {"student, teacher", "student, truth", "teacher, truth"}
    assert all(0 < row["psnr_db"] < 60 for row in rows)
    table = (tmp_path / "report/scores.md").read_text()
    assert "| student, truth | person1 | 3 |" in table
    assert "| student, teacher | all | 6 |" in capsys.readouterr().out
    assert Image.open(tmp_path / "report/contact_sheet.png").size == (3 * 64, 4 * 64)


def test_a_folder_that_is_not_there(made, tiny_weights, tmp_path, capsys):
    words = ["--bundle", made / "a.mpa", "--avatars", made / "people", "--data", tmp_path / "nowhere"]
    words += ["--teacher", tiny_weights]
    assert main(["avatar", "score", *map(str, words), "--output", str(tmp_path / "report")]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
