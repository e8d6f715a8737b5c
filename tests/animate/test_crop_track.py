"""Crops of drivers from tracks made of numbers."""

from fractions import Fraction

import numpy as np
import pytest

from megaportraits.animate.crop_track import CropTrack, crop_track
from megaportraits.animate.tracking import DriverTrack, FaceTrack
from megaportraits.data.crop import clip_crop
from megaportraits.errors import UserError
from megaportraits.geometry import FACE_OVAL

HEIGHT = 100.0
SIDE = 2.2 * HEIGHT


def tracked(x: np.ndarray, shot: list[int] | None = None, fps: int = 25) -> DriverTrack:
    """A face of 80 x 100 px that is at `x`, 50; NaN where it is not seen."""
    count, unknown = len(x), np.full(len(x), np.nan)
    box = np.stack([x, *(np.where(np.isnan(x), np.nan, v) for v in (50.0, 80.0, HEIGHT))], -1)
    face = FaceTrack(box, unknown, unknown, np.full((count, 3), np.nan))
    times = tuple(Fraction(i, fps) for i in range(count))
    return DriverTrack((640, 360), times, np.array(shot or [0] * count), (face,), unknown, unknown)


def left_edge(track: CropTrack) -> np.ndarray:
    return np.array([track.at(i).x for i in range(len(track.x))])


def face_off_centre(driver: DriverTrack, crops: CropTrack) -> np.ndarray:
    """Distance of the face's centre from the middle of the crop, in sides."""
    return (driver.faces[0].box[:, 0] + 40 - crops.x) / crops.side - 0.5


def test_a_resting_head_has_the_square_of_all_crops():
    numbers = np.random.default_rng(0)
    driver = tracked(200 + numbers.normal(0, 2, 50))
    crops = crop_track(driver, 0)
    box = driver.faces[0].box
    oval = np.stack([box[:, :2], box[:, :2] + box[:, 2:]], 1)
    assert crops.at(7) == clip_crop(oval, FACE_OVAL[:2])
    assert crops.at(7) == crops.at(49)
    assert crops.at(7).side == pytest.approx(SIDE)
    assert crops.follows == (False,)


def test_a_nodding_or_swaying_head_does_not_move_the_square():
    swaying = 200 + 0.11 * SIDE * np.sin(np.arange(60) / 5)
    crops = crop_track(tracked(swaying), 0)
    assert crops.follows == (False,)
    assert np.ptp(left_edge(crops)) == 0


def test_a_walking_head_is_followed_smoothly_and_without_delay():
    numbers, walk = np.random.default_rng(0), 200 + 1.5 * SIDE * (1 - np.cos(np.arange(200) / 200 * np.pi))
    driver = tracked(walk + numbers.normal(0, 2, 200))
    crops = crop_track(driver, 0)
    assert crops.follows == (True,)
    assert np.ptp(crops.side) == 0
    assert np.abs(face_off_centre(driver, crops)).max() < 0.12
    lag = [np.abs(np.roll(walk, by)[20:-20] + 40 - SIDE / 2 - crops.x[20:-20]).mean() for by in (-8, 0, 8)]
    assert lag[1] < min(lag[0], lag[2])
    assert np.abs(np.diff(crops.x, 2)).mean() < 0.05 * np.abs(np.diff(driver.faces[0].box[:, 0], 2)).mean()


@pytest.mark.parametrize("seconds", [1.5, 4.0, 8.0])
def test_the_square_is_as_slow_as_the_face_allows(seconds):
    driver = tracked(300 + SIDE * 0.3 * np.sin(2 * np.pi * np.arange(250) / 25 / seconds))
    crops = crop_track(driver, 0)
    assert crops.follows == (True,)
    assert np.abs(face_off_centre(driver, crops)).max() <= 0.121
    assert np.abs(np.diff(crops.x)).max() < 0.9 * np.abs(np.diff(driver.faces[0].box[:, 0])).max()


def test_a_gap_is_bridged_without_a_jump():
    x = np.linspace(100, 600, 100)
    x[40:60] = np.nan
    crops = crop_track(tracked(x), 0)
    assert crops.follows == (True,)
    assert np.isfinite(crops.x).all()
    assert np.abs(np.diff(crops.x)).max() < 2 * 500 / 99


def test_each_shot_has_its_own_square():
    x = np.r_[np.full(20, 100.0), np.full(20, 400.0), np.linspace(0, 500, 40)]
    crops = crop_track(tracked(x, [0] * 20 + [1] * 20 + [2] * 40), 0)
    assert crops.follows == (False, False, True)
    assert np.unique(crops.x[:20]).size == np.unique(crops.x[20:40]).size == 1
    assert crops.x[20] - crops.x[19] == pytest.approx(300)


def test_a_shot_without_the_face_takes_the_nearest_square():
    x = np.r_[np.full(5, np.nan), np.full(5, 100.0), np.full(4, np.nan), np.full(5, 400.0)]
    crops = crop_track(tracked(x, [0] * 5 + [1] * 5 + [2] * 4 + [3] * 5), 0)
    assert crops.follows == (False,) * 4
    assert (crops.x[:5] == crops.x[5]).all()
    assert crops.x[10:14].tolist() == [crops.x[9]] * 2 + [crops.x[14]] * 2


def test_an_hour_needs_little_memory():
    hour = 60 * 60 * 30
    crops = crop_track(tracked(np.where(np.arange(hour) < 50, np.nan, 100.0), [0] * 50 + [1] * (hour - 50), 30), 0)
    assert (crops.x == crops.x[-1]).all()


def test_one_frame_is_enough():
    assert crop_track(tracked(np.array([100.0])), 0).at(0).side == pytest.approx(SIDE)


def test_a_face_that_is_not_there_is_told():
    with pytest.raises(UserError, match="no face 1 in the driver, 1 were found"):
        crop_track(tracked(np.full(3, 100.0)), 1)
