"""Optical flow: known shifts are found, and pictures are moved by them."""

import cv2
import numpy as np
import pytest

from megaportraits.data.flow import enlarged, flow, moved

SIDE = 64


def texture(side: int = 3 * SIDE) -> np.ndarray:
    draw = np.random.default_rng(0).random((side, side, 3)).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(draw, (0, 0), 2.5), None, 0, 1, cv2.NORM_MINMAX)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (3, 0), (-2, 4)])
def test_a_shift_is_found_and_undone(x, y):
    """The second picture shows everything farther to the right by x and farther down by y."""
    wide = texture()
    here, there = wide[SIDE : 2 * SIDE, SIDE : 2 * SIDE], wide[SIDE - y : 2 * SIDE - y, SIDE - x : 2 * SIDE - x]
    way = flow(here, there)
    inner = (slice(10, -10), slice(10, -10))
    assert np.abs(np.median(way[inner], (0, 1)) - (x, y)).max() < 0.2
    assert np.abs(moved(there, way) - here)[inner].mean() < 0.01


def test_one_channel_moves_as_three_do():
    wide, way = texture(SIDE), np.full((SIDE, SIDE, 2), 1.5, np.float32)
    np.testing.assert_allclose(moved(wide[..., :1], way), moved(wide, way)[..., :1], atol=1e-6)
    assert moved(wide[..., :1], way).shape == (SIDE, SIDE, 1)


def test_a_larger_picture_moves_farther():
    assert enlarged(np.full((8, 8, 2), 1.5, np.float32), 32) == pytest.approx(6.0)
