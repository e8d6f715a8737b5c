"""The truth of a rendered clip: signs, crop, fit, determinism. Nothing is drawn here."""

import dataclasses

import numpy as np
import pytest
import torch

from megaportraits.data.crop import clip_crop
from megaportraits.geometry import (
    angles_from_rotation,
    apply_matrix,
    fit_rotation,
    mean_head,
    rigid_landmarks,
    rotation_error_deg,
)
from megaportraits.synth.assets import AssetLibrary
from megaportraits.synth.clips import make_person, make_track, planned
from megaportraits.synth.controls import CONTROLS
from megaportraits.synth.motion import MotionTrack, sample_motion
from megaportraits.synth.person import face_frame
from megaportraits.synth.rotations import world_rotation
from megaportraits.synth.scene import neutral_camera, place_camera
from megaportraits.synth.settings import SynthConfig
from megaportraits.synth.track import perform

NOSE_TIP, CHIN, FOREHEAD, UPPER_LID_LEFT, LOWER_LID_LEFT = 1, 152, 10, 386, 374
PIXEL = 2 / 256


@pytest.fixture(scope="module")
def person(mini_library, tmp_path_factory):
    config = SynthConfig(assets=mini_library.folder, out=tmp_path_factory.mktemp("unused"), size=64)
    return dataclasses.replace(make_person(config, mini_library, 0))


def still(frames: int = 1) -> MotionTrack:
    zeros = np.zeros((frames, 3))
    return MotionTrack(zeros, zeros, zeros, np.zeros((frames, 2)), np.zeros((frames, len(CONTROLS)), np.float32))


def turned(library, person, yaw=0.0, pitch=0.0, roll=0.0):
    """Truth of a frame at rest and a turned one, in one clip."""
    motion = dataclasses.replace(still(2), head_deg=np.array([[0, 0, 0], [yaw, pitch, roll]], float))
    return perform(library.rig, person, motion, neutral_camera(person)).truth


@pytest.mark.parametrize(("axis", "angle"), [(0, 25.0), (0, -40.0), (1, 15.0), (2, 20.0)])
def test_angles_come_out_as_they_went_in(mini_library, person, axis, angle):
    truth = turned(mini_library, person, *np.eye(3)[axis] * angle)
    measured = angles_from_rotation(torch.from_numpy(truth.rotation)).numpy()
    assert abs(measured[1, axis] - measured[0, axis] - angle) < 4.5  # the head also moves off the camera's axis


def test_the_head_frame_is_the_faces_own(mini_library, person):
    """However a skull sits on its bone: the truth is how the mean head lies on the face, and a motion turns that."""
    tilt = world_rotation(0.0, 9.0)
    points = (person.landmarks.rest - person.neck_joints[3]) @ tilt.T + person.neck_joints[3]
    landmarks = dataclasses.replace(person.landmarks, rest=points.astype(np.float32))
    fitted, origin = face_frame(points)
    tilted = dataclasses.replace(person, landmarks=landmarks, head_rotation=fitted, head_origin=origin)
    np.testing.assert_allclose(tilted.head_rotation, tilt @ person.head_rotation, atol=1e-4)
    far = place_camera(person, 150.0, azimuth_deg=0.0)  # without perspective
    usual, other = (perform(mini_library.rig, p, still(), far).truth for p in (person, tilted))
    assert rotation_error_deg(*(torch.from_numpy(t.rotation) for t in (usual, other))).item() < 0.1
    assert np.abs(usual.landmarks - other.landmarks).mean() < 2 * PIXEL
    canonical = apply_matrix(torch.from_numpy(other.theta), torch.from_numpy(other.landmarks_3d)).numpy()
    rigid = rigid_landmarks()
    again = angles_from_rotation(torch.from_numpy(fit_rotation(canonical[:, rigid], rigid)).float())
    assert again.abs().max() < 0.5


def test_signs_are_those_of_the_picture(mini_library, person):
    x, y = 0, 1
    nose = turned(mini_library, person, yaw=20).landmarks[:, NOSE_TIP] - turned(mini_library, person).landmarks[:, CHIN]
    assert nose[1, x] > nose[0, x] + 0.05
    raised = turned(mini_library, person, pitch=15).landmarks
    lift = (raised[:, NOSE_TIP] - (raised[:, CHIN] + raised[:, FOREHEAD]) / 2)[:, y]
    assert lift[1] < lift[0] - 0.02
    rolled = turned(mini_library, person, roll=20).landmarks
    up = rolled[:, FOREHEAD] - rolled[:, CHIN]
    assert up[1, x] > up[0, x] + 0.1


def test_theta_maps_landmarks_to_the_template(mini_library, person):
    truth = turned(mini_library, person, yaw=30, pitch=10, roll=-10)
    points = np.concatenate([truth.landmarks_3d, np.ones((2, 468, 1), np.float32)], 2)
    canonical = np.einsum("tij,tlj->tli", truth.theta, points)[..., :3]
    residual = np.linalg.norm(canonical - mean_head(), axis=2)
    assert residual.mean() < 0.05
    placed = truth.scale[:, None, None] * np.einsum("tij,lj->tli", truth.rotation, mean_head())
    assert np.abs(placed[..., :2] + truth.translation[:, None, :2] - truth.landmarks).mean() < 5 * PIXEL
    assert (truth.translation[:, 2] == 0).all()


def test_rotation_is_relative_to_the_viewing_ray(mini_library, person):
    aside = perform(mini_library.rig, person, still(), place_camera(person, 12.0, azimuth_deg=15.0)).truth
    yaw = angles_from_rotation(torch.from_numpy(aside.rotation))[0, 0].item()
    assert yaw == pytest.approx(-15, abs=2)


def test_the_picture_is_the_one_square_crop(mini_config, mini_library):
    person = make_person(mini_config, mini_library, 1)
    track = make_track(mini_config, mini_library, person, 1, 1)
    crop = clip_crop(track.truth.landmarks)
    assert crop.side == pytest.approx(2, abs=1e-4)
    assert (crop.x, crop.y) == pytest.approx((-1, -1), abs=1e-4)


def test_blink_closes_the_lid_and_is_recorded(mini_library, person):
    motion = still(2)
    motion.controls[1, CONTROLS.index("blink_left")] = 1
    truth = perform(mini_library.rig, person, motion, neutral_camera(person)).truth
    gap = truth.landmarks[:, LOWER_LID_LEFT, 1] - truth.landmarks[:, UPPER_LID_LEFT, 1]
    assert gap[1] < 0.3 * gap[0]
    np.testing.assert_array_equal(truth.blink, [[0, 0], [1, 0]])


def test_truth_is_a_function_of_the_seed(mini_config, mini_folder):
    def truths(config):
        library = AssetLibrary(mini_folder)
        return make_track(config, library, make_person(config, library, 1), 1, 1).truth

    first, again, other = truths(mini_config), truths(mini_config), truths(dataclasses.replace(mini_config, seed=1))
    for name, values in vars(first).items():
        np.testing.assert_array_equal(values, getattr(again, name))
    assert np.abs(first.rotation - other.rotation).max() > 1e-3


def test_one_motion_on_two_people_has_one_truth_of_motion(mini_config, mini_library):
    config = dataclasses.replace(mini_config, motion_of="5")
    assert planned(config) == {0: [5], 1: [5]}
    a, b = (make_track(config, mini_library, make_person(config, mini_library, i), i, 5).truth for i in (0, 1))
    np.testing.assert_array_equal(a.controls, b.controls)
    np.testing.assert_array_equal(a.gaze, b.gaze)
    assert np.abs(a.rotation - b.rotation).max() < 0.05


def test_heads_turn_as_far_as_promised():
    yaw = np.concatenate([sample_motion(np.random.default_rng(i), 200).head_deg[:, 0] for i in range(40)])
    assert np.abs(yaw).max() > 45
    assert np.abs(yaw).max() <= 52


def test_a_gain_makes_expressions_stronger_and_leaves_the_rest():
    calm, vivid = ([sample_motion(np.random.default_rng(i), 100, gain) for i in range(10)] for gain in (1.0, 3.0))
    for a, b in zip(calm, vivid, strict=True):
        for name in ("head_deg", "torso_deg", "torso_shift_dm", "gaze_deg"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert (b.controls >= a.controls).all()
        assert b.controls.max() <= 1
    assert sum(b.controls.mean() for b in vivid) > 1.3 * sum(a.controls.mean() for a in calm)
