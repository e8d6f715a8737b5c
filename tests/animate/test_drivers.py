"""Everything that may drive a picture is read as timed frames of one size."""

import tempfile
import time
import wave
from fractions import Fraction
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from megaportraits.animate.drivers import open_driver
from megaportraits.data.pictures import natural_order, read_picture, write_picture
from megaportraits.data.video_writer import VideoWriter, write_video
from megaportraits.errors import UserError

DEMO = Path(str(resources.files("megaportraits.demo")))


def grey(level: int, height: int = 32, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def levels(driver) -> list[int]:
    """Brightness of the middle of each frame."""
    return [int(frame[frame.shape[0] // 2, frame.shape[1] // 2].mean()) for _, frame in driver.frames()]


def test_a_video(tmp_path):
    with open_driver(DEMO / "driver.mp4") as driver:
        assert (driver.fps, driver.frame_count, driver.still, driver.audio) == (25, 75, False, None)
        assert driver.name == str(DEMO / "driver.mp4")
        times = [time_s for time_s, _ in driver.frames()]
        assert times == [Fraction(n, 25) for n in range(75)]
        assert next(driver.frames())[0] == 0


def test_a_video_with_sound_names_its_sound(tmp_path):
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    with VideoWriter(tmp_path / "clip.mp4", Fraction(25), 48, 32, audio_from=tmp_path / "sound.wav") as writer:
        writer.write(grey(9))
        writer.write(grey(9))
    with open_driver(str(tmp_path / "clip.mp4")) as driver:
        assert driver.audio == tmp_path / "clip.mp4"


def test_a_video_of_one_frame_is_still(tmp_path):
    write_video(tmp_path / "one.mp4", [grey(9)], 25)
    with open_driver(tmp_path / "one.mp4") as driver:
        assert (driver.still, driver.frame_count) == (True, 1)


@pytest.mark.parametrize("name", ["photo.png", "PHOTO.JPG", "photo.webp"])
def test_a_picture(tmp_path, name):
    write_picture(tmp_path / name, read_picture(DEMO / "source.png"))
    with open_driver(tmp_path / name) as driver:
        assert (driver.fps, driver.frame_count, driver.still, driver.audio) == (25, 1, True, None)
        for _ in range(2):
            (time_s, frame), *more = driver.frames()
            assert time_s == 0
            assert np.array_equal(frame, read_picture(tmp_path / name))
            assert more == []


def test_a_folder_is_read_in_natural_order(tmp_path):
    for number in (10, 2, 1, 33):
        write_picture(tmp_path / f"frame{number}.png", grey(number))
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / "._frame1.png").write_bytes(b"what a Mac leaves")
    with open_driver(tmp_path) as driver:
        assert (driver.fps, driver.frame_count, driver.still) == (25, 4, False)
        assert levels(driver) == levels(driver) == [1, 2, 10, 33]
        assert [time_s for time_s, _ in driver.frames()] == [Fraction(n, 25) for n in range(4)]


def test_natural_order_of_mixed_names():
    names = ["b1.png", "10.png", "a.png", "2.png", "a10b2.png", "a10b1.png", "a2.png"]
    found = [path.name for path in sorted(map(Path, names), key=natural_order)]
    assert found.index("2.png") < found.index("10.png")
    assert found.index("a2.png") < found.index("a10b1.png") < found.index("a10b2.png") < found.index("b1.png")


def test_natural_order_of_digits_that_are_no_numbers():
    names = ["m10.png", "m².png", "m2.png", "m2²1.png", "②.png"]
    found = [path.name for path in sorted(map(Path, names), key=natural_order)]
    assert found.index("m2.png") < found.index("m2²1.png") < found.index("m10.png")


def test_a_driver_with_a_colon_in_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video("12:30.mp4", [grey(9)] * 3, 25)
    with open_driver("12:30.mp4") as driver:
        assert (driver.name, driver.frame_count) == ("12:30.mp4", 3)


def test_a_folder_gets_the_size_of_its_first_picture_without_stretching(tmp_path):
    write_picture(tmp_path / "1.png", grey(50, 40, 60))
    write_picture(tmp_path / "2.png", grey(200, 80, 80))
    with open_driver(tmp_path) as driver:
        _, second = (frame for _, frame in driver.frames())
    assert second.shape == (40, 60, 3)
    assert second[20].max(1).tolist() == [0] * 10 + [200] * 40 + [0] * 10


def test_an_animated_gif_moves(tmp_path):
    frames = [Image.fromarray(grey(level)) for level in (20, 120, 220)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=100)
    with open_driver(tmp_path / "moving.gif") as driver:
        assert not driver.still
        assert np.abs(np.array(levels(driver)) - [20, 120, 220]).max() < 5
        assert [time_s for time_s, _ in driver.frames()] == [0, Fraction(1, 10), Fraction(1, 5)]


def test_bad_drivers_are_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("x")
    (tmp_path / "text.mp4").write_text("x")
    for name in ("empty", "text.png", "text.mp4", "missing.png", "missing.mp4", "missing"):
        with pytest.raises(UserError) as caught, open_driver(tmp_path / name):
            pass
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_unreadable_file_in_a_folder_is_named(tmp_path):
    write_picture(tmp_path / "1.png", grey(50))
    (tmp_path / "2.png").write_text("x")
    with open_driver(tmp_path) as driver, pytest.raises(UserError, match=r"2\.png"):
        list(driver.frames())


class Camera:
    """Sends a picture each 20 ms, each brighter than the one before, until it is pulled out or Ctrl-C is pressed."""

    opened = 0

    def __init__(self, number: int, pulled_out_after: int = 10_000, stopped_after: int = 10_000):
        self._pulled_out_after, self._stopped_after = pulled_out_after, stopped_after
        self._count = 0
        Camera.opened += 1

    def read(self):
        time.sleep(0.02)
        self._count += 1
        if self._count > self._stopped_after:
            raise KeyboardInterrupt
        seen = self._count <= self._pulled_out_after
        return seen, np.full((48, 64, 3), (0, 0, min(255, 10 * self._count)), np.uint8) if seen else None

    def release(self):
        Camera.opened -= 1


def test_a_camera_is_recorded_for_its_seconds_and_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    with open_driver("0", 0.4) as driver:
        frames = list(driver.frames())
        assert driver.name == "camera 0"
        assert not driver.still
        assert driver.audio is None
        assert len(frames) == driver.frame_count
        assert len(list(tmp_path.glob("*/*.mp4"))) == 1
    assert Camera.opened == 0
    assert list(tmp_path.iterdir()) == []
    times = [float(time_s) for time_s, _ in frames]
    assert 5 < len(times) <= 20
    assert times[0] == 0
    assert (np.diff(times) > 0.015).all()
    assert 0.3 < times[-1] < 0.4
    red = [int(frame[20, 30, 0]) for _, frame in frames]
    assert red == sorted(red)
    assert all(frame[20, 30, 2] < 20 for _, frame in frames)


@pytest.mark.parametrize("ending", ["pulled_out_after", "stopped_after"])
def test_what_a_camera_has_sent_is_kept(monkeypatch, ending):
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: Camera(number, **{ending: 4}))
    with open_driver("1", 60.0) as driver:
        assert len(list(driver.frames())) == 4
    assert Camera.opened == 0


def test_no_camera_is_one_sentence(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: Camera(number, pulled_out_after=0))
    with pytest.raises(UserError, match="camera 3 sends no picture"), open_driver("3", 1.0):
        pass


def test_a_file_named_like_a_camera_is_a_file(tmp_path, monkeypatch):
    write_video(tmp_path / "clip.mp4", [grey(9)] * 3, 25)
    (tmp_path / "clip.mp4").rename(tmp_path / "0")
    monkeypatch.chdir(tmp_path)
    with open_driver("0", 1.0) as driver:
        assert driver.frame_count == 3


def test_first_seconds_count_from_the_first_frame(tmp_path):
    with VideoWriter(tmp_path / "late.mkv", Fraction(25), 48, 32) as writer:
        for number in range(10):
            writer.write(grey(20 * number), Fraction(1, 2) + Fraction(number, 25))
    with open_driver(tmp_path / "late.mkv", 0.2) as driver:
        assert len(levels(driver)) == 5
    with open_driver(tmp_path / "late.mkv", 0.01) as driver:
        assert len(levels(driver)) == 1


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_seconds_that_are_no_length_are_refused(seconds):
    with pytest.raises(UserError, match="give a time above 0"), open_driver(DEMO / "driver.mp4", seconds):
        pass
