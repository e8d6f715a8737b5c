"""Many videos from a table, with a random `tiny` model."""

import json
import shutil
from importlib import resources
from pathlib import Path

import pytest

from megaportraits.batch import read_jobs
from megaportraits.cli import main
from megaportraits.config import BatchConfig
from megaportraits.data.video import probe, read_frames
from megaportraits.data.video_writer import write_video
from megaportraits.errors import UserError

DEMO = Path(str(resources.files("megaportraits.demo")))


@pytest.fixture
def place(tmp_path: Path, tiny_weights: Path) -> Path:
    """A folder with weights, two photos and two drivers of three frames."""
    shutil.copytree(tiny_weights, tmp_path / "weights")
    frames = [frame for _, frame in zip(range(3), read_frames(DEMO / "driver.mp4"), strict=False)]
    for name in ("a", "b"):
        shutil.copy(DEMO / "source.png", tmp_path / f"{name}.png")
        write_video(tmp_path / f"{name}.mp4", frames, 25)
    return tmp_path


def run(place: Path, table: str, *words: str) -> int:
    (place / "jobs.csv").write_text(table)
    given = ["--weights", str(place / "weights"), *words]
    return main(["batch", str(place / "jobs.csv"), str(place / "out"), *given])


def jobs(place: Path, table: str, **options):
    (place / "jobs.csv").write_text(table)
    return read_jobs(BatchConfig(jobs=place / "jobs.csv", output=place / "out", **options))


def test_patterns_make_every_pair_and_a_second_run_makes_nothing(place, capsys):
    assert run(place, "source,driver\n*.png,*.mp4\n") == 0
    made = sorted(p.name for p in (place / "out").glob("*.mp4"))
    assert made == ["a--a.mp4", "a--b.mp4", "b--a.mp4", "b--b.mp4"]
    assert all(probe(place / "out" / name).frame_count == 3 for name in made)
    times = {p: p.stat().st_mtime_ns for p in (place / "out").glob("*.mp4")}
    (place / "out" / "b--b.mp4").unlink()
    assert run(place, "source,driver\n*.png,*.mp4\n") == 0
    again = {p: p.stat().st_mtime_ns for p in times}
    assert {p.name for p in times if times[p] != again[p]} == {"b--b.mp4"}
    assert "4 videos are in" in capsys.readouterr().out


def test_a_changed_option_is_made_anew(place):
    assert run(place, "source,driver\na.png,a.mp4\n") == 0
    before = json.loads((place / "out" / "done.json").read_text())
    assert run(place, 'source,driver,rotate\na.png,a.mp4,"20,0,0"\n') == 0
    assert json.loads((place / "out" / "done.json").read_text()) != before


def test_a_failed_row_does_not_stop_the_others(place, capsys):
    table = "source,driver\nnone.png,a.mp4\na.png,a.mp4\n"
    assert run(place, table) == 2
    assert (place / "out" / "a--a.mp4").is_file()
    said = capsys.readouterr().err
    assert "1 rows or videos were not made" in said
    assert "line 2" in said


def test_rows_overrule_the_options_of_the_command(place):
    rows, _ = jobs(place, "source,driver,output,mouth\na.png,a.mp4,x.mp4,2\nb.png,b.mp4,y.mov,\n", eyes=0.5, mouth=1.5)
    assert [(r.config.eyes, r.config.mouth, r.config.output.name) for r in rows] == [
        (0.5, 2.0, "x.mp4"),
        (0.5, 1.5, "y.mov"),
    ]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("", "source and driver are needed"),
        ("photo,driver\na,b\n", "source and driver are needed"),
        ("source,driver\n", "no line"),
        ("source,driver\na.png\n", "not as many cells"),
    ],
)
def test_wrong_tables_teach(place, table, reason):
    with pytest.raises(UserError, match=reason):
        jobs(place, table)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("source,driver\n,a.mp4\n", "no source"),
        ("source,driver\n*.jpg,a.mp4\n", "no file fits"),
        ("source,driver\na\0.png,a.mp4\n", "null byte"),
        ("source,driver,mouth\na.png,a.mp4,wide\n", "mouth"),
        ("source,driver,output\na.png,a.mp4,x.txt\n", "x.txt"),
        ("source,driver,output\n*.png,a.mp4,x.mp4\n", "stands for 2"),
        ("source,driver,output\nb.png,a.mp4,x.mp4\na.png,a.mp4,./x.mp4\n", "another row writes"),
        ("source,driver,output\na.png,a.mp4,../x.mp4\n", "outside"),
        ("source,driver,background\na.png,a.mp4,beach.jpg\n", "beach.jpg"),
    ],
)
def test_wrong_rows_are_named_and_the_others_stay(place, table, reason):
    header = table.split("\n")[0]
    rows, wrong = jobs(place, table + "b.png,b.mp4" + "," * (header.count(",") - 1) + "\n")
    assert len(wrong) == 1
    assert reason in wrong[0]
    assert rows[-1].config.source.name == "b.png"


def test_files_of_options_lie_beside_the_table(place):
    shutil.copy(place / "a.png", place / "beach.png")
    table = "source,driver,background,sweep\na.png,a.mp4,beach.png,yaw:-5..5 pitch:0..3\nb.png,b.mp4,red,\n"
    rows, wrong = jobs(place, table)
    assert wrong == []
    assert [r.config.background for r in rows] == [str(place / "beach.png"), "red"]
    assert rows[0].config.sweep == ("yaw:-5..5", "pitch:0..3")


def test_names_follow_the_options_and_do_not_clash(place):
    shutil.copy(place / "a.png", place / "a.webp")
    rows, wrong = jobs(place, "source,driver\na.*g,a.mp4\na.webp,a.mp4\n", background="transparent")
    assert wrong == []
    assert [r.config.output.name for r in rows] == ["a--a.mov", "a.webp--a.mp4.mov"]
    assert jobs(place, "source,driver\na.png,a.mp4\n", preview=True)[0][0].config.output.name == "a--a.png"


def test_a_table_that_is_no_text(place):
    (place / "jobs.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(UserError, match="not a readable table"):
        read_jobs(BatchConfig(jobs=place / "jobs.csv", output=place / "out"))


def test_no_video_takes_the_place_of_what_drives_another(place):
    shutil.copy(place / "a.mp4", place / "c.mp4")
    table = "source,driver,output\na.png,a.mp4,b.mp4\nb.png,b.mp4,d.mp4\n"
    (place / "jobs.csv").write_text(table)
    rows, wrong = read_jobs(BatchConfig(jobs=place / "jobs.csv", output=place))
    assert [row.config.output.name for row in rows] == ["d.mp4"]
    assert len(wrong) == 1
    assert wrong[0].startswith("line 2: the output")
    assert "is read for a video" in wrong[0]


def test_the_folder_may_be_written_with_dots(place):
    (place / "jobs.csv").write_text("source,driver,output\na.png,a.mp4,anna.mp4\n")
    (place / "sub").mkdir()
    words = [str(place / "jobs.csv"), f"{place}/sub/../out", "--weights", str(place / "weights")]
    assert main(["batch", *words]) == 0
    assert (place / "out/anna.mp4").is_file()
