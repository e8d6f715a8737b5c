"""The one square: same face, same place, whatever the picture's size and position."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megaportraits.data.crop import RISE, SIDE_PER_OVAL_HEIGHT, SquareCrop, clip_crop
from megaportraits.errors import UserError
from megaportraits.geometry import FACE_OVAL, mean_head


def track(scale: float = 100.0, x: float = 300.0, y: float = 200.0, frames: int = 5) -> np.ndarray:
    """All 468 landmarks of the mean head in pixels, the same in every frame."""
    return np.repeat((mean_head()[None, :, :2] * scale + [x, y]).astype(np.float64), frames, 0)


@given(st.floats(5, 2000), st.floats(-500, 3000), st.floats(-500, 3000))
@settings(max_examples=40, deadline=None)
def test_square_follows_size_and_place(scale, x, y):
    nominal, square = clip_crop(track(1.0, 0.0, 0.0)), clip_crop(track(scale, x, y))
    assert square.side == pytest.approx(nominal.side * scale, rel=1e-6)
    assert square.x == pytest.approx(nominal.x * scale + x, rel=1e-6, abs=1e-3)
    assert square.y == pytest.approx(nominal.y * scale + y, rel=1e-6, abs=1e-3)


def test_nominal_crop_of_the_mean_head_has_unit_scale():
    assert clip_crop(track(1.0, 0.0, 0.0)).side == pytest.approx(2.0, rel=0.02)


def test_face_is_where_the_convention_says():
    points = track()
    inside = clip_crop(points).to_crop_coordinates(points)[0, list(FACE_OVAL)]
    assert np.ptp(inside[:, 1]) == pytest.approx(2 / SIDE_PER_OVAL_HEIGHT)
    assert (inside.min(0) + inside.max(0)) / 2 == pytest.approx([0, 2 * RISE], abs=1e-6)


def test_one_square_for_a_clip_ignores_outliers():
    points = track(frames=9)
    points[4] += 500
    points[7] *= 3
    assert clip_crop(points) == clip_crop(track())


def test_oval_points_alone_or_any_subset_give_the_same():
    whole = clip_crop(track())
    assert clip_crop(track()[:, list(FACE_OVAL)]) == whole
    ids = [1, 4, *FACE_OVAL, 33]
    assert clip_crop(track()[:, ids], ids) == whole
    with pytest.raises(ValueError, match="landmark_ids"):
        clip_crop(track()[:, :10])


def test_no_face_is_a_user_error():
    with pytest.raises(UserError, match="no face"):
        clip_crop(np.zeros((0, 468, 2)))
    with pytest.raises(UserError, match="larger picture"):
        clip_crop(np.zeros((3, 468, 2)))


def test_cut_of_the_whole_frame_is_the_frame():
    frame = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert np.array_equal(SquareCrop(0.0, 0.0, 32.0).cut(frame, 32), frame)
    assert np.array_equal(SquareCrop(8.0, 4.0, 16.0).cut(frame, 16), frame[4:20, 8:24])


def test_cut_does_not_depend_on_resolution():
    y, x = np.mgrid[:400, :400]
    large = np.stack([128 + 100 * np.sin(x / 60), 128 + 100 * np.cos(y / 50), x / 2], -1).astype(np.uint8)
    small = SquareCrop(0.0, 0.0, 400.0).cut(large, 200)
    a = SquareCrop(61.5, 33.25, 250.0).cut(large, 64)
    b = SquareCrop(61.5 / 2, 33.25 / 2, 125.0).cut(small, 64)
    assert np.abs(a.astype(int) - b).max() <= 4


def test_coordinates_round_trip_and_match_the_cut():
    square = SquareCrop(10.5, -7.0, 41.0)
    points = np.array([[10.5, -7.0], [51.5, 34.0], [31.0, 13.5]])
    assert np.allclose(square.to_crop_coordinates(points), [[-1, -1], [1, 1], [0, 0]])
    assert np.allclose(square.to_pixels(square.to_crop_coordinates(points)), points)


def test_outside_is_the_blurred_reflection():
    frame = np.full((40, 40, 3), 90, np.uint8)
    frame[:10] = 200
    crop = SquareCrop(0.0, -20.0, 40.0).cut(frame, 40)
    assert crop.shape == (40, 40, 3)
    assert np.array_equal(crop[20:], frame[:20])
    assert crop[15, 20, 0] > 150
    far = SquareCrop(-200.0, -200.0, 440.0).cut(frame, 32)
    assert far.shape == (32, 32, 3)


def test_mirrored_mask_continues_the_person():
    mask = np.zeros((40, 40))
    mask[22:30] = 1
    both = SquareCrop(0.0, -20.0, 40.0).mirrored(mask, (40, 40))
    assert both[11:18].all()
    assert not both[:9].any()
    assert np.array_equal(both[20:], mask[20:])
