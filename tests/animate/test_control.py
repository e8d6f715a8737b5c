"""Controls of a motion: relative motion, size and place, turns, gains."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from megaportraits.animate.control import check_controls, controlled, reference_frame
from megaportraits.animate.motion_track import MotionTrack
from megaportraits.animate.turning import rotation_angles, sweep_from, swept
from megaportraits.config import AnimateOptions
from megaportraits.errors import UserError
from megaportraits.geometry import angles_from_rotation, mean_head, rotation_from_angles
from megaportraits.tensors import HeadPose, Motion


def motion(angles: list[list[float]], scale: list[float], place: list[list[float]], z: list[list[float]]) -> Motion:
    rotation = rotation_from_angles(*torch.tensor(angles, dtype=torch.float64).T).float()
    return Motion(HeadPose(rotation, torch.tensor(scale), torch.tensor(place)), torch.tensor(z))


@pytest.fixture
def source() -> Motion:
    return motion([[-5, 3, 2]], [1.1], [[0.05, 0.02, 0]], [[1.0, 2.0]])


@pytest.fixture
def track() -> MotionTrack:
    moved = motion(
        [[20, 0, 0], [2, 1, 0], [-30, 10, 5]],
        [1.0, 0.9, 1.2],
        [[0, 0, 0], [0.1, 0, 0], [0, 0.2, 0]],
        [[0.0, 1.0], [0.5, 0.0], [3.0, -1.0]],
    )
    times = [Fraction(0), Fraction(1, 25), Fraction(2, 25)]
    return MotionTrack.from_motions([moved], times, Fraction(25), "abc")


def angles(track: MotionTrack) -> np.ndarray:
    return angles_from_rotation(torch.from_numpy(track.rotation)).numpy()


def close(a: object, b: object) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=2e-5)


def test_without_options_nothing_changes(track, source):
    result = controlled(track, source, AnimateOptions())
    for name in ("rotation", "scale", "translation", "expression"):
        np.testing.assert_array_equal(getattr(result, name), getattr(track, name))


def test_relative_motion_begins_at_the_sources(track, source):
    result = controlled(track, source, AnimateOptions(motion="relative", reference=1))
    close(result.rotation[1], source.pose.rotation[0])
    close(result.scale, [1.1 * 1.0 / 0.9, 1.1, 1.1 * 1.2 / 0.9])
    close(result.translation, [[-0.05, 0.02, 0], [0.05, 0.02, 0], [-0.05, 0.22, 0]])
    close(result.expression, [[0.5, 3.0], [1.0, 2.0], [3.5, 1.0]])


def test_relative_rotation_is_the_drivers_turn_seen_by_the_camera(track, source):
    result = controlled(track, source, AnimateOptions(motion="relative", reference=1))
    turn = track.rotation[2] @ track.rotation[1].T
    close(result.rotation[2], turn @ source.pose.rotation[0].numpy())


def test_size_and_place_may_be_the_sources(track, source):
    result = controlled(track, source, AnimateOptions(scale="source", translation="source"))
    close(result.scale, [1.1] * 3)
    close(result.translation, [[0.05, 0.02, 0]] * 3)
    close(result.rotation, track.rotation)
    kept = controlled(track, source, AnimateOptions(scale="source"))
    close(kept.translation, track.translation)


def test_frontalized_heads_look_ahead_and_then_turn(track, source):
    close(angles(controlled(track, source, AnimateOptions(frontalize=True))), np.zeros((3, 3)))
    turned = controlled(track, source, AnimateOptions(frontalize=True, rotate="20,-5,3"))
    close(angles(turned), [[20, -5, 3]] * 3)


def test_rotate_turns_further_on_the_cameras_side(track, source):
    rolled = controlled(track, source, AnimateOptions(rotate="0,0,30"))
    close(angles(rolled), angles(track) + np.array([0, 0, 30]))
    turned = controlled(track, source, AnimateOptions(rotate="15,0,0"))
    extra = rotation_from_angles(*torch.tensor([[15.0], [0.0], [0.0]])).numpy()[0]
    close(turned.rotation, extra @ track.rotation)


@pytest.mark.parametrize("rotate", ["30,0,0", "0,20,0", "0,0,30", "-30,15,10"])
def test_the_head_turns_in_its_place(rotate):
    ahead = MotionTrack.from_motions(
        [motion([[0, 0, 0]], [1.0], [[0.1, 0.0, 0.0]], [[0.0]])], [Fraction(0)], Fraction(25), ""
    )
    turned = controlled(ahead, motion([[0, 0, 0]], [1.0], [[0.0, 0.0, 0.0]], [[0.0]]), AnimateOptions(rotate=rotate))
    close(turned.translation[:, 2], 0)
    head = mean_head()
    seen = [(t.scale[0] * head @ t.rotation[0].T + t.translation[0])[:, :2] for t in (ahead, turned)]
    middle = [(points.min(0) + points.max(0)) / 2 for points in seen]
    assert np.linalg.norm(middle[1] - middle[0]) < 0.15
    assert np.abs(seen[1]).max() < 1


def test_sweep_goes_smoothly_from_end_to_end():
    times = [Fraction(i, 100) for i in range(101)]
    yaw = swept(times, sweep_from("yaw:-30..30"))
    close(yaw[:, 1:], 0)
    close(yaw[[0, 50, 100], 0], [-30, 0, 30])
    assert (np.diff(yaw[:, 0]) > 0).all()
    assert abs(yaw[1, 0] - yaw[0, 0]) < 0.05
    there_and_back = swept(times, sweep_from("pitch:0..10..0"))[:, 1]
    close(there_and_back[[0, 50, 100]], [0, 10, 0])
    assert there_and_back.max() <= 10
    through = swept(times, sweep_from("roll:-20..0..20"))[:, 2]
    assert np.abs(np.diff(through, 2)).max() < 0.2
    assert through[51] - through[49] > 0.5


def test_sweep_goes_by_time_and_a_single_frame_shows_its_start():
    uneven = [Fraction(0), Fraction(9), Fraction(10)]
    assert swept(uneven, sweep_from("yaw:0..10"))[1, 0] > 9
    close(swept([Fraction(0)], sweep_from("yaw:-30..30")), [[-30, 0, 0]])


def test_sweeps_and_rotate_add(track, source):
    options = AnimateOptions(frontalize=True, rotate="5,0,0", sweep=("yaw:-10..10", "yaw:0..6", "pitch:2..2"))
    close(angles(controlled(track, source, options)), [[-5, 2, 0], [8, 2, 0], [21, 2, 0]])


def test_expression_gain_is_about_the_reference(track, source):
    result = controlled(track, source, AnimateOptions(expression_gain=2.0, reference=1))
    close(result.expression, [[-0.5, 2.0], [0.5, 0.0], [5.5, -2.0]])
    flat = controlled(track, source, AnimateOptions(expression_gain=0.0, reference=1, motion="relative"))
    close(flat.expression, [[1.0, 2.0]] * 3)


def test_the_reference_is_the_calmest_seen_frame(track):
    known = replace(track, calm=np.array([0.3, np.nan, 0.2], np.float32))
    assert reference_frame(known) == 2
    assert reference_frame(replace(known, present=np.array([True, True, False]))) == 0
    assert reference_frame(known, 1) == 1
    assert reference_frame(track) == 1


def test_a_reference_that_is_not_there_is_refused(track):
    with pytest.raises(UserError, match=r"reference frame 3 .* 0 to 2"):
        reference_frame(track, 3)
    with pytest.raises(UserError, match="no face"):
        reference_frame(replace(track, present=np.zeros(3, bool)))


@pytest.mark.parametrize("text", ["1", "1,2", "1,2,3,4", "a,b,c", "1;2;3", "nan,0,0", "91,0,0", "1e1,0,0", "0,,0"])
def test_wrong_angles_are_refused(text):
    with pytest.raises(UserError, match=r"--rotate .* YAW,PITCH,ROLL"):
        check_controls(AnimateOptions(rotate=text))


@pytest.mark.parametrize(
    "text", ["yaw", "yaw:10", "yaw:..", "turn:0..10", "yaw:0..a", "yaw:0..91", "yaw:0...", ":0..1"]
)
def test_wrong_sweeps_are_refused(text):
    with pytest.raises(UserError, match=r"--sweep .* yaw:-30\.\.30"):
        check_controls(AnimateOptions(sweep=("yaw:0..1", text)))


def test_angles_are_read():
    assert rotation_angles(" 10, -2.5,+.5 ") == (10, -2.5, 0.5)
    assert rotation_angles("") == (0, 0, 0)
    assert sweep_from("roll:-1.5..2...5").angles_deg == (-1.5, 2, 0.5)
