"""The square of a live head: still while it may be, and never far behind."""

import numpy as np
import pytest

from megaportraits.animate.crop_track import OFF_CENTRE
from megaportraits.data.crop import clip_crop
from megaportraits.geometry import mean_head
from megaportraits.live.framing import LiveSquare


def face(x: float, y: float, size: float = 100.0) -> np.ndarray:
    """478 landmarks of a face that is centred at a place, in pixels."""
    head = mean_head()
    points = np.zeros((478, 3))
    points[: len(head)] = head * size
    return points + np.array([x, y, 0.0])


def test_the_first_square_is_that_of_photos():
    square = LiveSquare().follow(face(320, 240), 0.0)
    assert square == clip_crop(face(320, 240)[None, :, :2])


def test_it_stands_still_while_the_face_stays_inside():
    live = LiveSquare()
    first = live.follow(face(320, 240), 0.0)
    for i in range(1, 30):
        reach = 0.9 * OFF_CENTRE * first.side
        now = live.follow(face(320 + reach * np.sin(i), 240 + reach * np.cos(i)), i / 30)
    assert (now.x, now.y, now.side) == pytest.approx((first.x, first.y, first.side))


def test_it_follows_a_face_that_leaves_its_room():
    live = LiveSquare()
    live.follow(face(320, 240), 0.0)
    for i in range(1, 90):
        now = live.follow(face(520, 240), i / 30)
    wanted = clip_crop(face(520, 240)[None, :, :2])
    assert abs(now.x - wanted.x) <= 1.01 * OFF_CENTRE * now.side
    assert abs(now.y - wanted.y) < 1


def test_its_side_follows_slowly():
    live = LiveSquare()
    first = live.follow(face(320, 240), 0.0)
    nod = live.follow(face(320, 240, 80.0), 1 / 30)
    for i in range(2, 600):
        later = live.follow(face(320, 240, 80.0), i / 30)
    assert nod.side == pytest.approx(first.side, rel=0.01)
    assert later.side == pytest.approx(0.8 * first.side, rel=0.01)


def test_a_face_that_was_away_is_framed_anew():
    live = LiveSquare()
    live.follow(face(320, 240), 0.0)
    now = live.follow(face(100, 100), 2.0)
    assert now == clip_crop(face(100, 100)[None, :, :2])


def test_a_clock_that_runs_backwards_does_no_harm():
    live = LiveSquare()
    first = live.follow(face(320, 240), 5.0)
    now = live.follow(face(500, 240, 50.0), -5.0)
    assert now.side == pytest.approx(first.side)
