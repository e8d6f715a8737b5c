"""The invisible mark: hardly there, found again after compression, resizing and cropping, and not where it is not."""

import itertools
from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from megaportraits.cli import main
from megaportraits.data import watermark
from megaportraits.data.pictures import write_picture
from megaportraits.data.video import read_frames
from megaportraits.data.video_writer import write_video

DRIVER = Path(str(resources.files("megaportraits.demo") / "driver.mp4"))
PX = 512


def resized(picture: np.ndarray, px: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((px, px), Image.Resampling.LANCZOS))


@pytest.fixture(scope="module")
def clean() -> list[np.ndarray]:
    """A head that moves, 512 px."""
    return [resized(frame, PX) for frame in itertools.islice(read_frames(DRIVER), 0, 60, 3)]


@pytest.fixture(scope="module")
def marked(clean) -> list[np.ndarray]:
    return [watermark.mark(frame) for frame in clean]


@pytest.fixture(scope="module")
def compressed(marked, tmp_path_factory) -> list[np.ndarray]:
    """The marked frames after H.264 with CRF 23."""
    path = tmp_path_factory.mktemp("mark") / "a.mp4"
    write_video(path, marked, Fraction(25), crf=23)
    return list(read_frames(path))


def test_the_mark_is_hardly_there(clean, marked):
    difference = np.subtract(clean, marked, dtype=float)
    assert 10 * np.log10(255**2 / np.mean(difference**2)) > 45
    assert np.abs(difference).max() < 12
    assert abs(difference.mean()) < 0.1


def test_it_is_found_again(clean, compressed, marked):
    found = {
        "lossless": watermark.score(marked),
        "CRF 23": watermark.score(compressed),
        "half the size": watermark.score(resized(frame, PX // 2) for frame in compressed),
        "10 % cut off": watermark.score(frame[20:-31, 30:-21] for frame in compressed),
        "one frame": watermark.score(marked[:1]),
        "beside others": watermark.score(np.hstack([c, c[::-1], m]) for c, m in zip(clean, compressed, strict=True)),
        "pasted into a photo": watermark.score(pasted(frame) for frame in compressed),
    }
    assert {name: score for name, score in found.items() if score < watermark.FOUND} == {}


def pasted(frame: np.ndarray) -> np.ndarray:
    """In a large picture with texture of its own."""
    photo = np.random.default_rng(1).normal(120, 20, (300, 240, 3)).clip(0, 255).astype(np.uint8)
    photo = np.array(Image.fromarray(photo).resize((960, 1200), Image.Resampling.BICUBIC))
    photo[100 : 100 + PX, 350 : 350 + PX] = frame
    return photo


def test_it_is_not_found_where_it_is_not(clean):
    noise = [np.random.default_rng(i).integers(0, 256, (300, 400, 3), np.uint8) for i in range(3)]
    flat = [np.full((128, 128, 3), 90, np.uint8)]
    stripes = [np.tile((np.arange(256) // 8 % 2 * 200).astype(np.uint8)[:, None], (256, 1, 3)).reshape(256, 256, 3)]
    rows = np.arange(256) // 12
    large = [np.tile(stripes[0], (2, 2, 1))]
    checks = [np.repeat(((rows[:, None] + rows) % 2 * 200).astype(np.uint8)[..., None], 3, 2)]
    beside = [np.hstack([frame, frame[::-1], frame[:, ::-1]]) for frame in clean]
    for frames in (clean, clean[:1], noise, flat, stripes, large, checks, beside, [pasted(frame) for frame in clean]):
        assert watermark.score(frames) < watermark.FOUND


def test_transparency_and_tiny_pictures_are_left_alone(clean):
    alpha = np.arange(PX * PX, dtype=np.uint32).reshape(PX, PX, 1).astype(np.uint8)
    marked = watermark.mark(np.concatenate([clean[0], alpha], 2))
    assert np.array_equal(marked[..., 3:], alpha)
    assert np.array_equal(marked[..., :3], watermark.mark(clean[0]))
    assert watermark.score([]) == 0
    assert watermark.score([np.zeros((8, 8, 3), np.uint8)]) == 0


def test_it_is_the_same_in_every_release():
    grey = np.full((256, 256, 3), 128, np.uint8)
    pattern = watermark.mark(grey)[..., 0].astype(int) - 128
    assert pattern.std() == pytest.approx(0.665, abs=0.01)
    assert pattern[:4, :6].tolist() == [[0, 0, 1, 1, 1, 1], [0] * 6, [-1, -1, 0, 0, 0, 0], [-1, -1, -1, -1, 0, 0]]


def test_the_command_finds_it(marked, clean, tmp_path, capsys):
    write_picture(tmp_path / "marked.png", marked[0])
    write_picture(tmp_path / "clean.png", clean[0])
    write_video(tmp_path / "marked.mp4", marked, Fraction(25))
    for name, verdict in (("marked.png", "found"), ("marked.mp4", "found"), ("clean.png", "not found")):
        assert main(["provenance", "check", str(tmp_path / name)]) == 0
        assert f"mark: {verdict} (score" in capsys.readouterr().out
