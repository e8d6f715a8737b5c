"""Backdrops: each kind of `--background`, and filling behind a person."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from megaportraits.animate.background import (
    background_plate,
    check_backdrop,
    foreground,
    open_backdrop,
    without_specks,
)
from megaportraits.data.video_writer import write_video
from megaportraits.errors import UserError

SIZE = (40, 60)
PLATE = np.full((20, 30, 3), (10, 90, 200), np.uint8)


def shown(spec: str, time_s: Fraction = Fraction(0)) -> np.ndarray | None:
    with open_backdrop(spec, SIZE, PLATE) as backdrop:
        return backdrop.at(time_s)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames of 0.5 s, of rising brightness, wider than the result."""
    path = tmp_path_factory.mktemp("backdrop") / "levels.mp4"
    write_video(path, [np.full((32, 96, 3), level, np.uint8) for level in (40, 90, 140, 190)], 2)
    return path


def test_specks_beside_the_person_are_removed():
    matte = np.zeros((64, 64), np.float32)
    matte[20:60, 20:44] = 1
    matte[8:11, 8:11] = 1
    painted = np.full((64, 64, 3), 0.5, np.float32)
    painted[matte > 0] = (0.9, 0.1, 0.1)
    clean, cut = without_specks(painted, matte)
    assert cut[:16].max() == 0
    assert np.allclose(clean[:16], 0.5)
    assert (cut[20:60, 20:44] == 1).all()
    assert np.allclose(clean[20:60, 20:44], (0.9, 0.1, 0.1))
    whole, same = without_specks(clean, cut)
    assert (same == cut).all()
    assert (whole == clean).all()


def test_source_is_the_plate_at_the_size_of_the_result():
    picture = shown("source")
    assert picture is not None
    assert picture.shape == (*SIZE, 3)
    assert (picture == PLATE[0, 0]).all()


def test_blur_keeps_the_mean_and_loses_the_detail():
    stripes = np.zeros((200, 200, 3), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = stripes[:, 3::8] = 200
    with open_backdrop("blur", (200, 200), stripes) as backdrop:
        picture = backdrop.at(Fraction(0))
    assert picture is not None
    assert abs(picture.mean() - 100) < 2
    assert picture[50:150, 50:150].std() < 5 < stripes.std()


@pytest.mark.parametrize(("spec", "colour"), [("red", (255, 0, 0)), ("#00ff00", (0, 255, 0)), ("#123", (17, 34, 51))])
def test_colours(spec, colour):
    picture = shown(spec)
    assert picture is not None
    assert picture.shape == (*SIZE, 3)
    assert (picture == colour).all()


def test_transparent_shows_nothing():
    assert shown("transparent") is None


def test_a_picture_covers_and_is_cut_evenly(tmp_path):
    wide = np.zeros((40, 240, 3), np.uint8)
    wide[:, 90:150] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    picture = shown(str(tmp_path / "wide.png"))
    assert picture is not None
    assert picture.shape == (*SIZE, 3)
    assert picture[:, 2:-2].min() > 250


def test_a_video_follows_the_time_and_begins_again(video):
    with open_backdrop(str(video), SIZE, PLATE) as backdrop:
        assert not backdrop.still
        seen = []
        for time in (0, 0.4, 0.5, 1.6, 2.0, 2.5, 7.5):
            picture = backdrop.at(Fraction(time))
            assert picture is not None
            assert picture.shape == (*SIZE, 3)
            seen.append(picture.mean())
    assert np.abs(np.array(seen) - [40, 40, 90, 190, 40, 90, 190]).max() < 4


def test_a_video_of_one_frame_is_still(tmp_path):
    write_video(tmp_path / "one.mp4", [np.full((32, 32, 3), 120, np.uint8)], 25)
    with open_backdrop(str(tmp_path / "one.mp4"), SIZE, PLATE) as backdrop:
        for time in (0, 1, 3):
            picture = backdrop.at(Fraction(time))
            assert picture is not None
            assert abs(picture.mean() - 120) < 4


@pytest.mark.parametrize(("levels", "seen"), [((40, 140), [40, 140, 40]), ((90,), [90, 90, 90])])
def test_an_animated_gif_is_a_video(tmp_path, levels, seen):
    pictures = [Image.new("RGB", (60, 40), (level,) * 3) for level in levels]
    pictures[0].save(tmp_path / "loop.gif", save_all=True, append_images=pictures[1:], duration=500, loop=0)
    with open_backdrop(tmp_path / "loop.gif", SIZE, PLATE) as backdrop:
        assert backdrop.still == (len(levels) == 1)
        shown_at = [backdrop.at(Fraction(time)) for time in (0, 0.6, 1.1)]
    assert np.abs(np.array([picture.mean() for picture in shown_at if picture is not None]) - seen).max() < 4


def test_a_path_is_a_backdrop(video, tmp_path):
    check_backdrop(video)
    with open_backdrop(video, SIZE, PLATE) as backdrop:
        assert not backdrop.still
    with pytest.raises(UserError, match=r"there is no file .*missing\.png"):
        check_backdrop(tmp_path / "missing.png")


@pytest.mark.parametrize("spec", ["nonsense", "", "#12345", "notes.txt"])
def test_anything_else_is_a_user_error(spec):
    with pytest.raises(UserError, match="choose one of these"):
        shown(spec)


@pytest.mark.parametrize("spec", ["missing.png", "missing.mp4"])
def test_a_missing_file_is_a_user_error(spec, tmp_path):
    with pytest.raises(UserError, match=r"there is no file .*missing"):
        shown(str(tmp_path / spec))


def test_good_backdrops_pass_the_early_check(video):
    for spec in ("source", "blur", "transparent", "red", "#00ff00", str(video)):
        check_backdrop(spec)
    with pytest.raises(UserError, match="choose one of these"):
        check_backdrop("nonsense")


def test_the_plate_can_be_filled_by_another_method():
    crop = np.full((64, 64, 3), 50, np.uint8)
    matte = np.zeros((64, 64), np.float32)
    matte[20:40, 20:40] = 1
    plate = background_plate(crop, matte, lambda picture, hole: np.where(hole[..., None] > 0, np.float32(1), picture))
    assert plate[30, 30] == pytest.approx(1)
    assert plate[5, 5] == pytest.approx(50 / 255)


def test_a_grey_rim_takes_the_colour_inside():
    """The paint ends a pixel before the matte: that pixel is left grey by the model."""
    matte = np.zeros((64, 64), np.float32)
    matte[:, :40] = 1
    painted = np.full((64, 64, 3), 0.5, np.float32)
    painted[:, :39] = (0.9, 0.2, 0.1)
    colours = foreground(painted, matte)
    assert colours[32, 39] == pytest.approx([0.9, 0.2, 0.1], abs=0.02)
    assert colours[32, 20] == pytest.approx([0.9, 0.2, 0.1], abs=1e-5)
    assert (colours[:, 40:] == 0).all()


def test_thin_things_keep_their_own_colour():
    matte = np.zeros((64, 64), np.float32)
    matte[:, 30] = 0.5
    painted = np.full((64, 64, 3), 0.5, np.float32)
    painted[:, 30] = 0.5 * 0.5 + 0.5 * np.float32([0.9, 0.2, 0.1])
    assert foreground(painted, matte)[32, 30] == pytest.approx([0.45, 0.1, 0.05], abs=1e-5)
