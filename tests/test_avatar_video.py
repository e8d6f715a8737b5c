"""A video of an avatar: its frames, its sound, its statement, and what is refused."""

from fractions import Fraction
from importlib import resources
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from megaportraits.bundle import read_bundle
from megaportraits.cli import main
from megaportraits.data.provenance import read_statement
from megaportraits.data.video import probe, read_frames, read_timed_frames
from megaportraits.data.video_writer import VideoWriter, write_video
from megaportraits.player import Player, onnx_bytes

DRIVER = Path(str(resources.files("megaportraits.demo"))) / "driver.mp4"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames of a face with two empty ones in the middle."""
    path = tmp_path_factory.mktemp("driver") / "driver.mp4"
    frames = list(islice(read_frames(DRIVER), 10))
    frames[4:4] = [np.full_like(frames[0], 90)] * 2
    write_video(path, frames, Fraction(25))
    return path


def test_an_avatar_follows_a_video(made, driver, tmp_path, capsys):
    output = tmp_path / "out.mp4"
    assert main(["avatar", "animate", str(made / "a.mpa"), str(driver), str(output), "--avatar", "person1"]) == 0
    assert f"wrote {output}: person1, 12 frames" in capsys.readouterr().out
    info = probe(output)
    assert (info.frame_count, info.width, info.fps) == (12, 64, Fraction(25))
    frames = [frame.astype(int) for frame in read_frames(output)]
    assert np.abs(frames[5] - frames[3]).mean() < 2  # no face: the last picture stays
    statement = read_statement(output)
    assert statement is not None
    assert statement.generated


def test_the_avatar_is_the_one_that_was_named(made, driver, tmp_path):
    pictures = {}
    for name in ("person0", "person1"):
        output = tmp_path / f"{name}.png"
        assert main(["avatar", "animate", str(made / "a.mpa"), str(driver), str(output), "--avatar", name]) == 0
        pictures[name] = np.asarray(Image.open(output)).astype(int)
    assert np.abs(pictures["person0"] - pictures["person1"]).mean() > 5


def test_backgrounds(made, driver, tmp_path):
    shown = {}
    for background in ("red", "blue", "transparent"):
        output = tmp_path / f"{background}.png"
        words = ["--background", background, "--no-watermark"]
        assert main(["avatar", "animate", str(made / "a.mpa"), str(driver), str(output), *words]) == 0
        shown[background] = np.asarray(Image.open(output)).astype(int)
    matte = shown["transparent"][..., 3] / 255
    assert shown["transparent"].shape == (64, 64, 4)
    change = shown["red"][..., 0] - shown["blue"][..., 0]
    assert np.median(np.abs(change - 255 * (1 - matte))) < 2  # where nothing is clipped


def test_the_mark_can_be_left_out(made, driver, tmp_path):
    pictures = []
    for words in ([], ["--no-watermark"]):
        output = tmp_path / f"out{len(words)}.png"
        assert main(["avatar", "animate", str(made / "a.mpa"), str(driver), str(output), *words]) == 0
        pictures.append(np.asarray(Image.open(output)).astype(int))
    assert 0 < np.abs(pictures[0] - pictures[1]).mean() < 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--avatar", "nobody"], "there is no avatar 'nobody'"),
        (["--face", "all"], "an avatar follows one face"),
        (["--background", "blur"], "avatars bring no background"),
        (["--background", "nonsense"], "neither source"),
        (["--seconds", "0"], "seconds is 0"),
    ],
)
def test_wrong_options(made, driver, tmp_path, capsys, words, said):
    assert main(["avatar", "animate", str(made / "a.mpa"), str(driver), str(tmp_path / "o.mp4"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_driver_without_a_face_and_an_unsigned_file_are_refused(made, tmp_path, capsys):
    empty = tmp_path / "empty.mp4"
    write_video(empty, [np.full((64, 64, 3), 90, np.uint8)] * 3, 25)
    assert main(["avatar", "animate", str(made / "a.mpa"), str(empty), str(tmp_path / "o.mp4")]) == 2
    assert "no face was found" in capsys.readouterr().err
    (tmp_path / "b.mpa").write_bytes((made / "a.mpa").read_bytes()[:-1])
    assert main(["avatar", "animate", str(tmp_path / "b.mpa"), str(empty), str(tmp_path / "o.mp4")]) == 2
    assert not (tmp_path / "o.mp4").exists()


def test_players_paint_what_the_student_paints(made):
    model = read_bundle(made / "a.mpa").model
    crop = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    with torch.inference_mode():
        wanted = model(torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255, torch.tensor([1]))
    for exported in (False, True):
        rgb, matte = Player(model, "cpu", exported)(crop, 1)
        assert np.abs(rgb - wanted.rgb[0].permute(1, 2, 0).numpy()).max() < 1e-4
        assert wanted.matte is not None
        assert np.abs(matte - wanted.matte[0, 0].numpy()).max() < 1e-4
    assert len(onnx_bytes(model)) > 1000


def test_no_input_is_overwritten(made, driver, tmp_path, capsys):
    mine = tmp_path / "mine.mp4"
    mine.write_bytes(driver.read_bytes())
    assert main(["avatar", "animate", str(made / "a.mpa"), str(mine), str(mine)]) == 2
    assert "is one of the inputs" in capsys.readouterr().err
    assert mine.read_bytes() == driver.read_bytes()


def test_times_are_the_drivers(made, driver, tmp_path):
    """The first picture of a video may come later than its sound."""
    with VideoWriter(tmp_path / "late.mkv", Fraction(25), 256, 256) as writer:
        for number, frame in enumerate(islice(read_frames(DRIVER), 3)):
            writer.write(cv2.resize(frame, (256, 256)), Fraction(1, 2) + Fraction(number, 25))
    assert main(["avatar", "animate", str(made / "a.mpa"), str(tmp_path / "late.mkv"), str(tmp_path / "out.mkv")]) == 0
    times = [float(time_s) for time_s, _ in read_timed_frames(tmp_path / "out.mkv")]
    np.testing.assert_allclose(times, [0.5, 0.54, 0.58], atol=2e-3)
