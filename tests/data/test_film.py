"""Long clips are read piece by piece, and give the pictures of the whole."""

import numpy as np
import pytest

from megaportraits.data import film
from megaportraits.data.clips import ClipInfo, Truth, read_clip, read_pictures, write_clip
from megaportraits.data.pairs import FrameStore
from megaportraits.errors import UserError

COUNT, SIZE = 70, 32


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    numbers = np.random.default_rng(0)
    noise = np.cumsum(numbers.normal(0, 12, (COUNT, SIZE, SIZE, 3)), 0) + 128
    rgb = np.clip(noise, 0, 255).astype(np.uint8)
    eye = np.tile(np.eye(3, dtype=np.float32), (COUNT, 1, 1))
    ones, zeros = np.ones(COUNT, np.float32), np.zeros((COUNT, 2), np.float32)
    theta = np.tile(np.eye(4, dtype=np.float32), (COUNT, 1, 1))
    points = numbers.uniform(-1, 1, (COUNT, 468, 2)).astype(np.float32)
    truth = Truth(eye, ones, np.zeros((COUNT, 3), np.float32), theta, zeros[:, :0], zeros, zeros, points)
    info = ClipInfo("a", "b", 0.04, 25.0, SIZE, {}, "drawn", "CC0-1.0", "train", list(range(468)), [], {})
    path = tmp_path_factory.mktemp("film") / "clip"
    write_clip(path, rgb, rgb[..., 0], truth, info)
    return path


@pytest.mark.parametrize("first", [0, 1, 15, 16, 33, 54])
def test_any_stretch_equals_that_of_the_whole(clip, first):
    whole = read_clip(clip).rgb
    np.testing.assert_array_equal(read_pictures(clip, "rgb.mp4", first, 16), whole[first : first + 16])


def test_a_stretch_beyond_the_end_is_told(clip):
    with pytest.raises(UserError, match=r"fewer than 71 pictures"):
        read_pictures(clip, "rgb.mp4", 60, 11)


def test_film_is_indexed_like_an_array_and_keeps_two_pieces(clip):
    whole, pictures = read_clip(clip), film.LongFilm(clip, "rgb", COUNT, SIZE, 25.0)
    mattes = film.LongFilm(clip, "matte", COUNT, SIZE, 25.0)
    assert len(pictures) == COUNT
    order = [3, 69, 40, 0, 17]
    np.testing.assert_array_equal(pictures[order], whole.rgb[order])
    np.testing.assert_array_equal(mattes[10:40], whole.matte[10:40])
    assert len(pictures._pieces) == 2
    assert pictures.nbytes == sum(piece.nbytes for piece in (pictures[0:16], pictures[16:32]))


def test_a_store_gives_the_same_frames_of_long_clips(clip, monkeypatch):
    pieces = FrameStore([clip], 16, 0.1)
    assert isinstance(pieces[0].rgb, film.LongFilm)
    monkeypatch.setattr("megaportraits.data.pairs.LONG", 1000)
    whole = FrameStore([clip], 16, 0.1)
    for number in (0, 20, 69):
        np.testing.assert_array_equal(pieces.frame(0, number).rgb.numpy(), whole.frame(0, number).rgb.numpy())
        np.testing.assert_array_equal(pieces.frame(0, number).matte.numpy(), whole.frame(0, number).matte.numpy())
    assert len(pieces[0].rgb) == COUNT
