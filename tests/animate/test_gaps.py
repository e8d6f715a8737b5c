"""Frames without a face: held, put between both ends, or taken out."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from megaportraits.animate.gaps import filled, reference_after, removed_intervals
from megaportraits.animate.motion_track import MotionTrack
from megaportraits.errors import UserError
from megaportraits.geometry import angles_from_rotation, rotation_from_angles


def track(seen: str, shot: str | None = None) -> MotionTrack:
    """Frame i (25 fps) has yaw 10 i, scale 1 + i / 10, x and z of i; `seen` has a 1 for each frame with a face."""
    present = np.array([c == "1" for c in seen])
    i = torch.arange(float(len(seen)))
    rotation = rotation_from_angles(10 * i, 0 * i, 0 * i).numpy()
    rotation[~present] = np.nan
    x = np.where(present, i.numpy(), np.nan).astype(np.float32)
    return MotionTrack(
        tuple(Fraction(n, 25) for n in range(len(seen))),
        Fraction(25),
        rotation,
        1 + x / 10,
        np.stack([x, 0 * x, 0 * x], 1),
        np.stack([x, -x], 1),
        present,
        np.array([int(c) for c in shot]) if shot else np.zeros(len(seen), np.int64),
        x,
        "abc",
    )


def shown(result: MotionTrack) -> list[float]:
    """Which frame's motion each frame has (a fraction between two), the same by every number of it."""
    yaw = angles_from_rotation(torch.from_numpy(result.rotation))[:, 0].numpy() / 10
    for other in (10 * (result.scale - 1), result.translation[:, 0], -result.expression[:, 1]):
        np.testing.assert_allclose(yaw, other, atol=1e-3)
    return [round(float(y), 2) for y in yaw]


def test_a_gap_is_interpolated():
    result = filled(track("11000110"), "interpolate")
    assert shown(result) == [0, 1, 2, 3, 4, 5, 6, 6]
    assert result.present.all()
    np.testing.assert_array_equal(np.isnan(result.calm), [0, 0, 1, 1, 1, 0, 0, 1])


def test_interpolation_goes_by_time():
    uneven = replace(track("101"), times_s=(Fraction(0), Fraction(3, 100), Fraction(4, 100)))
    assert shown(filled(uneven, "interpolate")) == [0, 1.5, 2]


def test_a_gap_is_held():
    assert shown(filled(track("0011001"), "hold")) == [2, 2, 2, 3, 3, 3, 6]


def test_a_filled_rotation_is_a_rotation():
    rotation = filled(track("1000001"), "interpolate").rotation
    np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1), np.tile(np.eye(3), (7, 1, 1)), atol=1e-6)


@pytest.mark.parametrize("policy", ["hold", "interpolate"])
def test_nothing_moves_across_a_cut(policy):
    assert shown(filled(track("110011", "000111"), policy)) == [0, 1, 1, 4, 4, 5]


@pytest.mark.parametrize("policy", ["hold", "interpolate"])
def test_a_shot_without_a_face_shows_what_was_before(policy):
    assert shown(filled(track("11000011", "00111222"), policy)) == [0, 1, 1, 1, 1, 6, 6, 7]
    assert shown(filled(track("0001", "0111"), policy)) == [3, 3, 3, 3]


def test_skip_takes_frames_out_and_moves_the_rest_up():
    gappy = track("0110011")
    result = filled(gappy, "skip")
    assert shown(result) == [1, 2, 5, 6]
    assert result.times_s == tuple(Fraction(n, 25) for n in range(4))
    np.testing.assert_array_equal(result.shot, [0, 0, 1, 1])
    assert removed_intervals(gappy) == [(Fraction(0), Fraction(1, 25)), (Fraction(3, 25), Fraction(5, 25))]


def test_skip_keeps_the_cuts():
    np.testing.assert_array_equal(filled(track("111011", "001111"), "skip").shot, [0, 0, 1, 2, 2])


def test_what_is_removed_is_as_long_as_what_is_missing():
    gappy = replace(track("1100100"), times_s=tuple(Fraction(n * n, 50) for n in range(7)))
    result = filled(gappy, "skip")
    removed = sum(end - start for start, end in removed_intervals(gappy))
    assert removed == Fraction(16 - 4, 50) + Fraction(36 - 25, 50) + Fraction(1, 25)
    assert result.times_s == (0, Fraction(1, 50), Fraction(4, 50))
    assert removed_intervals(track("111")) == []


@pytest.mark.parametrize("policy", ["hold", "interpolate", "skip"])
def test_a_whole_track_stays_and_an_empty_one_is_refused(policy):
    whole = track("111")
    assert filled(whole, policy) is whole
    with pytest.raises(UserError, match="no face was found"):
        filled(track("000"), policy)


def test_the_reference_frame_keeps_its_motion():
    gappy = track("01101")
    for policy in ("hold", "interpolate", "skip"):
        number = reference_after(gappy, policy, 4)
        assert number is not None
        assert shown(filled(gappy, policy))[number] == 4
    assert reference_after(gappy, "skip", None) is None
    with pytest.raises(UserError, match="frame 3"):
        reference_after(gappy, "hold", 3)
    with pytest.raises(UserError, match="0 to 4"):
        reference_after(gappy, "hold", 5)
