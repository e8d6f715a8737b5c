"""Outputs: a video, a folder of pictures, or a picture; refused early, and whole or not there at all."""

import resource
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from megaportraits.animate.outputs import check_output, is_picture, open_output
from megaportraits.data.pictures import read_picture
from megaportraits.data.video import probe, read_timed_frames
from megaportraits.errors import UserError


def frames(alpha: bool, count: int = 3) -> list[np.ndarray]:
    """Grey frames, each one brighter than the one before; half transparent with alpha."""
    grey = [np.full((32, 48, 3), 40 + 60 * i, np.uint8) for i in range(count)]
    return [np.dstack([frame, np.full((32, 48), 128, np.uint8)]) for frame in grey] if alpha else grey


def write(path: Path | str, alpha: bool = False, count: int = 3, fail: bool = False) -> None:
    with open_output(path, Fraction(25), 48, 32, alpha) as output:
        for i, frame in enumerate(frames(alpha, count)):
            output.write(frame, Fraction(i, 10))
        if fail:
            raise RuntimeError("the painter fails")


@pytest.mark.parametrize(("name", "alpha"), [("a.mp4", False), ("new/a.mkv", False), ("a.webm", True), ("a.mov", True)])
def test_a_video_has_the_given_times(tmp_path, name, alpha):
    write(tmp_path / name, alpha)
    times, pictures = zip(*read_timed_frames(tmp_path / name), strict=True)
    assert times == pytest.approx([0, 0.1, 0.2], abs=0.002)
    assert pictures[0].shape == (32, 48, 3)
    assert not probe(tmp_path / name).has_audio


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("name", ["frames", "frames.v2/", "new/frames/"])
def test_a_folder_holds_numbered_pictures(tmp_path, name, alpha):
    write(f"{tmp_path}/{name}", alpha)
    paths = sorted((tmp_path / name).iterdir())
    assert [path.name for path in paths] == ["000000.png", "000001.png", "000002.png"]
    for path, wanted in zip(paths, frames(alpha), strict=True):
        with Image.open(path) as picture:
            assert np.array_equal(np.array(picture), wanted)


def test_a_folder_of_an_earlier_run_is_replaced_as_a_whole(tmp_path):
    write(tmp_path / "frames", count=4)
    write(tmp_path / "frames", count=2)
    assert len(list((tmp_path / "frames").iterdir())) == 2


@pytest.mark.parametrize("name", ["a.png", "a.JPG", "new/a.webp"])
def test_a_picture_is_the_first_frame(tmp_path, name):
    write(tmp_path / name)
    assert np.abs(read_picture(tmp_path / name).astype(int) - frames(False)[0]).max() <= 2


def test_a_picture_may_be_transparent(tmp_path):
    write(tmp_path / "a.png", alpha=True)
    with Image.open(tmp_path / "a.png") as picture:
        assert np.array_equal(np.array(picture), frames(True)[0])


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "frames", "a.png"])
def test_nothing_appears_unless_all_goes_well(tmp_path, name):
    with pytest.raises(RuntimeError, match="the painter fails"):
        write(tmp_path / name, fail=True)
    with pytest.raises(UserError, match="no frame was made for"):
        write(tmp_path / name, count=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["frames", "a.png", "a.webp"])
def test_a_full_disk_is_one_sentence(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with (
            pytest.raises(UserError, match=rf"cannot write .*{name}.* \(File too large\); make room"),
            open_output(tmp_path / name, Fraction(25), 48, 32) as output,
        ):
            output.write(noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "alpha", "sentence"),
    [
        ("a.mp4", True, r"transparent; choose an output that ends in \.mov or \.webm, or a folder"),
        ("a.mkv", True, r"transparent; choose an output that ends in \.mov or \.webm, or a folder"),
        ("a.jpg", True, r"transparent; choose an output that ends in \.png or \.webp"),
        ("a.avi", False, r"no kind of output; choose a video \(\.mp4, .*\), a picture \(\.png, .*\), or a folder"),
        ("folder.mp4", False, "is a folder"),
        ("folder.png", False, "is a folder"),
        ("a_file", False, "is a file, not a folder"),
        ("precious", False, r"holds other files \(letter\.txt\)"),
        ("holiday", False, r"holds pictures of another program"),
        ("a_file/a.mp4", False, "a_file is not a writable folder"),
        ("a_file/new/frames", False, "a_file is not a writable folder"),
    ],
)
def test_what_cannot_be_written_is_refused_early(tmp_path, name, alpha, sentence):
    for folder in ("folder.mp4", "folder.png", "precious", "holiday"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "holiday" / "000000.png")
    (tmp_path / "a_file").write_text("x")
    (tmp_path / "precious" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match=sentence) as caught:
        check_output(tmp_path / name, alpha)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "precious" / "letter.txt").exists()


@pytest.mark.parametrize(
    "name", ["a.mp4", "a.mov", "a.MKV", "a.webm", "a.png", "a.jpg", "frames", "empty", "new/a.mp4"]
)
def test_what_can_be_written_passes(tmp_path, name):
    (tmp_path / "empty").mkdir()
    check_output(tmp_path / name, alpha=False)
    assert is_picture(tmp_path / name) == name.endswith(("png", "jpg"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


def test_a_link_to_a_folder_stays_one(tmp_path):
    write(tmp_path / "frames", count=4)
    (tmp_path / "link").symlink_to(tmp_path / "frames")
    write(tmp_path / "link", count=2)
    assert (tmp_path / "link").is_symlink()
    assert len(list((tmp_path / "frames").iterdir())) == 2
