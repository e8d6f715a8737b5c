"""The filter takes tremble out of a still head and leaves movement in."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from megaportraits.animate.animator import Animator
from megaportraits.animate.motion_track import MotionTrack
from megaportraits.animate.smooth import EXPRESSION, PLACE, ROTATION, OneEuro, both_ways, noise, smoothed
from megaportraits.data.track import video_square
from megaportraits.data.video import read_frames
from megaportraits.geometry import angles_from_rotation, rotation_from_angles

COUNT = 150
TIMES = np.arange(COUNT) / 25
VIDEOS = (Path(__file__).parents[2] / "../shared/real/videos").resolve()


def track(yaw: np.ndarray, z: np.ndarray | None = None, shot: np.ndarray | None = None) -> MotionTrack:
    """A head that turns by `yaw` degrees at 25 fps; x goes with it, 0.01 for each degree, and z of 8 numbers."""
    angles = torch.from_numpy(yaw)
    rotation = rotation_from_angles(angles, 0 * angles, 0 * angles).numpy().astype(np.float32)
    x = (yaw / 100).astype(np.float32)
    count = len(yaw)
    return MotionTrack(
        tuple(Fraction(i, 25) for i in range(count)),
        Fraction(25),
        rotation,
        np.exp(x),
        np.stack([x, 0 * x, 0 * x], 1),
        np.zeros((count, 8), np.float32) if z is None else z.astype(np.float32),
        np.ones(count, bool),
        np.zeros(count, np.int64) if shot is None else shot,
        np.full(count, np.nan, np.float32),
        "abc",
    )


def yaw_of(result: MotionTrack) -> np.ndarray:
    return angles_from_rotation(torch.from_numpy(result.rotation))[:, 0].numpy()


def tremble(values: np.ndarray) -> float:
    return float(np.abs(np.diff(values, 2, axis=0)).mean())


def shaken(values: np.ndarray, size: float) -> np.ndarray:
    return values + size * np.random.default_rng(0).standard_normal(values.shape)


def test_a_still_head_stops_trembling():
    shaky = track(shaken(np.zeros(COUNT), 0.2), shaken(np.zeros((COUNT, 8)), 0.1))
    calm = smoothed(shaky)
    assert tremble(yaw_of(calm)) < 0.1 * tremble(yaw_of(shaky))
    assert tremble(calm.translation[:, 0]) < 0.15 * tremble(shaky.translation[:, 0])
    assert tremble(calm.scale) < 0.15 * tremble(shaky.scale)
    assert tremble(calm.expression) < 0.6 * tremble(shaky.expression)


@pytest.mark.parametrize(("degrees", "hz", "kept"), [(10, 0.5, 0.95), (5, 1.5, 0.9), (2, 0.5, 0.9)])
def test_a_head_that_moves_keeps_its_movement(degrees, hz, kept):
    moving = degrees * np.sin(2 * np.pi * hz * TIMES)
    result = yaw_of(smoothed(track(shaken(moving, 0.1))))
    assert result @ moving / (moving @ moving) > kept
    lags = [np.corrcoef(np.roll(moving, lag)[10:-10], result[10:-10])[0, 1] for lag in (-1, 0, 1)]
    assert np.argmax(lags) == 1


def test_blinks_stay():
    closed = np.exp(-(((TIMES[:, None] - np.array([1.0, 2.6, 4.4])) / 0.08) ** 2)).sum(1)
    z = shaken(closed[:, None] * np.linspace(-1, 1, 8), 0.02)
    result = smoothed(track(np.zeros(COUNT), z)).expression
    assert np.ptp(result[:, 0]) > 0.9 * np.ptp(z[:, 0])
    assert tremble(result[30:55]) < 0.6 * tremble(z[30:55])


def test_the_result_does_not_depend_on_the_scale_of_z():
    z = shaken(np.sin(3 * TIMES)[:, None] * np.ones(8), 0.05)
    one, ten = (smoothed(track(np.zeros(COUNT), factor * z)).expression for factor in (1, 10))
    np.testing.assert_allclose(ten, 10 * one, atol=1e-4)


def test_rotations_stay_rotations():
    rotation = smoothed(track(shaken(30 * np.sin(TIMES), 2.0))).rotation
    np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1), np.tile(np.eye(3), (COUNT, 1, 1)), atol=1e-5)
    assert (np.linalg.det(rotation) > 0).all()


def test_strength_nothing_and_more():
    shaky = track(shaken(np.zeros(COUNT), 0.2))
    assert smoothed(shaky, 0.0) is shaky
    left = [tremble(yaw_of(smoothed(shaky, strength))) for strength in (0.01, 0.5, 1.0, 3.0)]
    assert left == sorted(left, reverse=True)
    assert left[0] > 0.7 * tremble(yaw_of(shaky))


def test_nothing_is_smoothed_across_a_cut():
    shot = np.repeat([0, 1], COUNT // 2)
    jump = track(np.where(shot == 0, -10.0, 10.0), np.where(shot == 0, -1.0, 1.0)[:, None] * np.ones(8), shot)
    result = smoothed(jump)
    np.testing.assert_allclose(yaw_of(result), yaw_of(jump), atol=1e-3)
    np.testing.assert_allclose(result.expression, jump.expression, atol=1e-5)


def test_shots_of_a_frame_or_two_are_kept():
    short = track(np.array([0.0, 5.0, 5.1, -3.0]), shot=np.array([0, 1, 1, 2]))
    result = yaw_of(smoothed(short))
    np.testing.assert_allclose(result[[0, 3]], [0, -3], atol=1e-3)
    assert 5 <= result[1] <= result[2] <= 5.1
    assert smoothed(short.taken([0])).rotation.shape == (1, 3, 3)


def test_times_count_not_frames():
    slow = track(shaken(np.zeros(COUNT), 0.2))
    seldom = replace(slow, times_s=tuple(10 * t for t in slow.times_s))
    assert tremble(yaw_of(smoothed(seldom))) > 2 * tremble(yaw_of(smoothed(slow)))


def test_one_direction_follows_late_and_starts_at_once():
    live = OneEuro(ROTATION)
    turn = track(np.concatenate([np.zeros(20), np.linspace(0, 40, 20), np.full(60, 40.0)])).rotation
    shown = np.stack([live.update(i / 25, rotation) for i, rotation in enumerate(turn)])
    yaw = angles_from_rotation(torch.from_numpy(shown))[:, 0].numpy()
    assert yaw[0] == 0
    assert 18 < yaw[30] < angles_from_rotation(torch.from_numpy(turn))[30, 0]
    assert abs(yaw[-1] - 40) < 0.5
    still = OneEuro(PLACE)
    values = shaken(np.zeros((COUNT, 4)), 0.003)
    calm = np.stack([still.update(i / 25, value) for i, value in enumerate(values)])
    assert tremble(calm) < 0.5 * tremble(values)


def test_noise_is_seen_beside_movement():
    shot = np.zeros(COUNT, np.int64)
    z = np.where((TIMES > 3)[:, None], np.sin(25 * TIMES)[:, None], 0) * np.ones(8)
    assert noise(shaken(z, 0.05), shot) == pytest.approx(0.05 * np.sqrt(8), rel=0.3)
    assert noise(np.zeros((COUNT, 8)), shot) > 0


def test_a_smooth_movement_without_noise_is_left_alone():
    z = np.sin(6 * TIMES)[:, None] * np.ones(8)
    np.testing.assert_allclose(smoothed(track(np.zeros(COUNT), z)).expression, z, atol=0.02)


@pytest.mark.skipif(not VIDEOS.is_dir(), reason="the real videos are not beside the checkout (shared/real)")
def test_a_real_talker_trembles_less_and_still_talks():
    video = VIDEOS / "grid_lbbc2a.mpg"
    animator, square = Animator.load(device="cpu"), video_square(video)
    crops = torch.from_numpy(np.stack([square.cut(frame, animator.size_px) for frame in read_frames(video)]))
    with torch.inference_mode():
        motion = animator.model.motion(crops.permute(0, 3, 1, 2).float() / 255)
    before = MotionTrack.from_motions([motion], [Fraction(i, 25) for i in range(len(crops))], Fraction(25), "")
    after = smoothed(before)
    assert tremble(after.rotation) < 0.4 * tremble(before.rotation)
    assert tremble(after.expression) < 0.9 * tremble(before.expression)  # most of it is talking
    assert after.expression.std(0).mean() > 0.93 * before.expression.std(0).mean()


def test_groups_have_one_speed():
    """A number that rests is let through when another one of its group moves."""
    values = np.stack([np.where(TIMES > 3, 100 * (TIMES - 3), 0), shaken(np.zeros(COUNT), 1.0)], 1)
    result = np.stack(both_ways(list(values), [1 / 25] * (COUNT - 1), EXPRESSION))
    assert tremble(result[80:, 1]) > 1.5 * tremble(result[:70, 1])
