"""Landmarks and mattes on the package's own rendered sample."""

import os
from importlib import resources

import cv2
import numpy as np
import pytest

import megaportraits.data.faces as faces
from megaportraits.data.faces import FaceTracker, PersonMatte
from megaportraits.data.pictures import read_picture
from megaportraits.errors import UserError
from megaportraits.geometry import FACE_OVAL


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return read_picture(str(resources.files("megaportraits.demo") / "source.png"))


def oval_box(landmarks: np.ndarray) -> np.ndarray:
    oval = landmarks[list(FACE_OVAL), :2]
    return np.concatenate([oval.min(0), oval.max(0)])


def test_landmarks_are_pixels_of_the_frame(picture):
    wide = np.pad(picture, ((0, 0), (200, 0), (0, 0)), mode="edge")
    with FaceTracker(video=False) as tracker:
        here, moved = tracker.landmarks(picture), tracker.landmarks(wide)
    assert here is not None
    assert moved is not None
    assert here.shape == (478, 3)
    assert np.allclose(oval_box(moved) - [200, 0, 200, 0], oval_box(here), atol=6)


def test_larger_face_wins_and_small_faces_are_found(picture):
    small = picture[::3, ::3]
    both = np.full((256, 400, 3), 90, np.uint8)
    both[:, :256] = picture
    both[100 : 100 + len(small), 300 : 300 + len(small)] = small
    far = np.full((480, 640, 3), 90, np.uint8)
    far[300:428, 450:578] = picture[::2, ::2]
    with FaceTracker(video=False) as tracker:
        larger, distant = tracker.landmarks(both), tracker.landmarks(far)
    assert larger is not None
    assert oval_box(larger)[2] < 256
    assert distant is not None
    assert oval_box(distant)[0] > 450


def test_no_face_is_none():
    with FaceTracker(video=True) as tracker:
        assert tracker.landmarks(np.full((120, 160, 3), 128, np.uint8)) is None


def test_matte_separates_person_from_background(picture):
    with PersonMatte() as person:
        matte = person.matte(picture)
    assert matte.shape == picture.shape[:2]
    assert matte.dtype == np.float32
    assert 0 <= matte.min() <= matte.max() <= 1
    assert matte[110:150, 110:150].min() > 0.95
    assert matte[:20, :20].max() < 0.05


def test_nothing_is_said_on_standard_error(picture, capfd):
    with FaceTracker(video=True) as tracker, PersonMatte() as person:
        tracker.landmarks(picture[:200])
        tracker.landmarks(picture)
        person.matte(picture)
        tracker.forget()
        tracker.landmarks(picture)
    assert capfd.readouterr().err == ""


def test_each_net_is_silent_at_its_own_first_face(picture, capfd):
    far = np.full((480, 640, 3), 90, np.uint8)
    far[300:428, 450:578] = picture[::2, ::2]
    with FaceTracker(video=True) as tracker:
        said = []
        for mesh, frame in ((tracker._still, far[250:450, 420:600]), (tracker._mesh, picture)):
            assert not mesh._spoke
            assert mesh(np.ascontiguousarray(frame))
            said.append(mesh._spoke)
    assert said == [True, True]
    assert capfd.readouterr().err == ""


def test_overlapping_silences_end_together(capfd):
    with faces._QUIET:
        faces._QUIET.__enter__()
    os.write(2, b"inside\n")
    faces._QUIET.__exit__(None, None, None)
    os.write(2, b"outside\n")
    assert capfd.readouterr().err == "outside\n"


def test_missing_system_library_names_the_cure(monkeypatch):
    def fail(name):
        raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(faces.importlib, "import_module", fail)
    with pytest.raises(UserError, match=r"apt install libgl1 libglib2\.0-0"):
        FaceTracker(video=False)


def test_all_faces_come_highest_first_and_no_more_than_asked(picture):
    both = np.full((256, 460, 3), 90, np.uint8)
    both[:, 204:] = picture
    both[60:188, 30:158] = picture[::2, ::2]
    with FaceTracker(video=True, most=4) as four, FaceTracker(video=True, most=1) as one:
        found = four.all_landmarks(both)
        assert len(one.all_landmarks(both)) == 1
    lefts = [oval_box(points)[0] for points in found]
    assert len(found) == 2
    assert lefts[0] > 204 > lefts[1]


@pytest.mark.parametrize("begin", ["at once", "after an empty frame", "after a cut"])
def test_a_video_begins_with_the_largest_face_not_the_clearest(picture, begin):
    both = np.full((400, 760, 3), 90, np.uint8)
    both[:, 360:] = cv2.GaussianBlur(cv2.resize(picture, (400, 400)), (0, 0), 12)
    both[:256, :256] = picture
    with FaceTracker(video=True) as tracker:
        if begin == "after a cut":
            tracker.landmarks(picture)
            tracker.forget()
        elif begin == "after an empty frame":
            assert tracker.landmarks(np.full_like(both, 90)) is None
        lefts = [oval_box(points)[0] for points in map(tracker.landmarks, [both] * 3) if points is not None]
    assert len(lefts) == 3
    assert min(lefts) > 360


def test_one_face_is_not_found_twice(picture):
    with FaceTracker(video=False, most=4) as tracker:
        (points,) = tracker.all_landmarks(picture)
        away = points + np.array([200, 0, 0])
        assert [len(tracker._different(meshes)) for meshes in ([points, points + 3], [points, away])] == [1, 2]


def test_a_forgetful_tracker_sees_the_next_scene_at_once(picture):
    left, right = (np.full((256, 900, 3), 90, np.uint8) for _ in range(2))
    left[:, :256], right[:, -256:] = picture, picture
    with FaceTracker(video=True, most=2) as tracker:
        tracker.all_landmarks(left)
        tracker.forget()
        (found,) = tracker.all_landmarks(right)
    assert oval_box(found)[0] > 644
