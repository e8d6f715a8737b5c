"""A driver looked through: faces, shots, light, on the package's own sample and on real clips beside the checkout."""

from fractions import Fraction
from importlib import resources
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from megaportraits.animate.tracking import DriverTrack, FaceTrack, chosen_faces, jump_cuts, look_through
from megaportraits.data.pictures import read_picture
from megaportraits.data.video import read_frames
from megaportraits.errors import UserError

DEMO = Path(str(resources.files("megaportraits.demo")))
REAL = (Path(__file__).parents[2] / "../shared/real").resolve()


def looked(frames: list[np.ndarray]) -> DriverTrack:
    return look_through((Fraction(i, 25), frame) for i, frame in enumerate(frames))


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return list(islice(read_frames(DEMO / "driver.mp4"), 16))


@pytest.fixture(scope="module")
def other() -> np.ndarray:
    return read_picture(DEMO / "source.png")


@pytest.fixture(scope="module")
def pair(frames, other) -> DriverTrack:
    """The driver on the left of another person, then both the other way round."""
    here = [np.hstack([frame, other]) for frame in frames[:8]]
    return looked(here + [np.hstack([other, frame]) for frame in frames[8:]])


def test_one_face_is_seen_in_every_frame(frames):
    track = looked(frames)
    (face,) = track.faces
    assert track.size == (256, 256)
    assert track.times_s == tuple(Fraction(i, 25) for i in range(16))
    assert track.shot.tolist() == [0] * 16
    assert np.isfinite(face.box).all()
    assert ((face.box[:, :2] > 0) & (face.box[:, :2] + face.box[:, 2:] < 256)).all()
    assert np.allclose(face.box[:, 3], 256 / 2.2, rtol=0.2)
    assert (np.abs(face.angles_deg) < 60).all()
    assert 0 <= face.mouth.min() < face.mouth.max() < 0.5
    assert 0 <= face.eyes.min() < face.eyes.max() < 0.6


def test_yaw_has_the_sign_of_the_picture(frames):
    frame = frames[0]
    yaw = [looked([picture]).faces[0].angles_deg[0, 0] for picture in (frame, np.ascontiguousarray(frame[:, ::-1]))]
    assert yaw[0] == pytest.approx(-yaw[1], abs=4)


def test_faces_are_known_again_after_they_changed_places(pair):
    assert pair.shot.tolist() == [0] * 8 + [1] * 8
    assert len(pair.faces) == 2
    for face in pair.faces:
        centre = face.box[:, 0] + face.box[:, 2] / 2
        left = centre < 256
        assert np.isfinite(centre).all()
        assert left[:8].all() == (not left[8:].any())
        assert left[:8].any() == (not left[8:].all())


def walked(x: np.ndarray) -> FaceTrack:
    """A face of 100 px that is at `x`, looking straight ahead."""
    box = np.stack([x, *(np.where(np.isnan(x), np.nan, v) for v in (50.0, 80.0, 100.0))], -1)
    return FaceTrack(box, x, x, np.where(np.isnan(x), np.nan, np.zeros((3, 1))).T)


def test_a_piece_cut_out_of_a_take_is_a_jump():
    swaying = 200 + 30 * np.sin(np.arange(60) / 4)
    assert not jump_cuts(walked(swaying)).any()
    assert np.flatnonzero(jump_cuts(walked(np.delete(swaying, range(20, 30))))).tolist() == [20]


def test_quick_movements_glitches_and_gaps_are_no_jumps():
    x = np.full(40, 200.0)
    x[10:13] += (12, 24, 30)
    x[13:] += 36
    x[20] += 50
    x[30:33] = np.nan
    x[33:] += 80
    assert not jump_cuts(walked(x)).any()


def test_a_jump_cut_begins_a_shot(frames):
    nearer = [np.ascontiguousarray(np.pad(frame, ((0, 0), (0, 60), (0, 0)), mode="edge")[:, 60:]) for frame in frames]
    track = looked([*frames[:8], *nearer[8:]])
    assert track.shot.tolist() == [0] * 8 + [1] * 8
    assert len(track.faces) == 1


def test_frames_without_the_face_are_unknown(frames):
    grey = np.full_like(frames[0], 120)
    track = looked(frames[:4] + [grey] * 3 + frames[4:8])
    (face,) = track.faces
    assert np.isnan(face.box[:, 0]).tolist() == [False] * 4 + [True] * 3 + [False] * 4
    assert np.isnan(face.mouth[4:7]).all()
    assert track.shot.max() == 0


def test_no_face_is_an_empty_track_and_no_frame_an_error():
    track = looked([np.full((90, 120, 3), 40, np.uint8)] * 2)
    assert track.faces == ()
    assert track.brightness == pytest.approx([40, 40])
    with pytest.raises(UserError, match="no frame"):
        look_through([])


def test_light_and_sharpness_are_those_of_the_face(frames):
    import cv2

    dark = [(frame // 2).astype(np.uint8) for frame in frames[:2]]
    blurred = [np.asarray(cv2.GaussianBlur(frame, (0, 0), 3)) for frame in frames[:2]]
    sharp, dim, soft = looked(frames[:2]), looked(dark), looked(blurred)
    assert dim.brightness == pytest.approx(sharp.brightness / 2, rel=0.05)
    assert (soft.sharpness < sharp.sharpness / 3).all()


def test_faces_are_chosen_by_word_or_number(pair):
    assert chosen_faces(pair, "largest") == [0]
    assert chosen_faces(pair, "1") == [1]
    assert chosen_faces(pair, "all") == [0, 1]


@pytest.mark.parametrize(
    ("face", "message"), [("2", "2 faces were found"), ("-1", "a number from 0 to 1"), ("left", "give largest, all")]
)
def test_wrong_choices_are_told(pair, face, message):
    with pytest.raises(UserError, match=message):
        chosen_faces(pair, face)


def test_nobody_can_be_chosen_where_nobody_is():
    track = looked([np.full((90, 120, 3), 40, np.uint8)])
    with pytest.raises(UserError, match="no face was found"):
        chosen_faces(track, "largest")


@pytest.mark.skipif(not REAL.is_dir(), reason="the real clips do not lie beside the checkout (shared/real)")
def test_real_people_are_known_again_after_cuts():
    one, two = (list(islice(read_frames(REAL / "videos" / f"grid_{name}.mpg"), 24)) for name in ("brbk7n", "sbwe5n"))
    track = looked(one[:12] + two[:12] + one[12:])
    assert track.shot.tolist() == [0] * 12 + [1] * 12 + [2] * 12
    assert [np.isfinite(face.box[:, 0]).tolist() for face in track.faces] == [
        [True] * 12 + [False] * 12 + [True] * 12,
        [False] * 12 + [True] * 12 + [False] * 12,
    ]
