"""Motion tracks and their files: what comes back is what was written, and nonsense is refused in one sentence."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from megaportraits.animate.motion_file import FORMAT
from megaportraits.animate.motion_track import MotionTrack
from megaportraits.errors import UserError
from megaportraits.geometry import rotation_from_angles
from megaportraits.tensors import HeadPose, Motion

FPS = Fraction(30000, 1001)


def motion(count: int, seed: int = 0) -> Motion:
    g = torch.Generator().manual_seed(seed)
    angles = 40 * torch.rand(3, count, generator=g) - 20
    place = torch.cat([torch.rand(count, 2, generator=g), torch.zeros(count, 1)], 1)
    scale = 0.9 + 0.2 * torch.rand(count, generator=g)
    return Motion(HeadPose(rotation_from_angles(*angles), scale, place), torch.randn(count, 4, generator=g))


def times(count: int) -> tuple[Fraction, ...]:
    return tuple(i / FPS for i in range(count))


@pytest.fixture
def track() -> MotionTrack:
    present = np.array([1, 1, 0, 1, 1, 1], bool)
    calm = np.array([0.5, 0.1, np.nan, 0.2, 0.3, 0.9], np.float32)
    shot = np.array([0, 0, 0, 1, 1, 1])
    return MotionTrack.from_motions([motion(3), motion(2, 1)], times(6), FPS, "abc", present, shot, calm)


@pytest.fixture
def parts() -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """What the smallest file of three frames holds."""
    tensors = {
        "rotation": np.tile(np.eye(3, dtype=np.float32), (3, 1, 1)),
        "scale": np.ones(3, np.float32),
        "translation": np.zeros((3, 3), np.float32),
        "expression": np.zeros((3, 5), np.float32),
        "timestamps": np.array([[0, 1], [1, 25], [1, 20]]),
    }
    return tensors, {"format": FORMAT, "version": "1", "fps": "25", "model": "abc"}


def test_a_full_disk_is_one_sentence(track, tmp_path, monkeypatch):
    def fail(*given):
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr("megaportraits.animate.motion_file.save_file", fail)
    with pytest.raises(UserError, match=r"cannot write .*nod\.mpmotion \(I/O error: No space left on device\)"):
        track.save(tmp_path / "nod.mpmotion")
    assert list(tmp_path.iterdir()) == []


def same(a: MotionTrack, b: MotionTrack) -> None:
    for name, value in vars(a).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(b, name), err_msg=name)
        else:
            assert value == getattr(b, name), name


def test_a_saved_track_comes_back_exactly(track, tmp_path):
    track.save(tmp_path / "new" / "a.mpmotion")
    same(MotionTrack.load(tmp_path / "new" / "a.mpmotion"), track)


def test_the_file_is_what_the_format_says(track, tmp_path):
    track.save(tmp_path / "a.mpmotion")
    with safe_open(tmp_path / "a.mpmotion", "numpy") as file:
        assert file.metadata() == {"format": "mpmotion", "version": "1", "fps": "30000/1001", "model": "abc"}
        kinds = {name: (file.get_slice(name).get_dtype(), file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        np.testing.assert_array_equal(file.get_tensor("timestamps")[1], [1001, 30000])
    assert kinds == {
        "rotation": ("F32", [6, 3, 3]),
        "scale": ("F32", [6]),
        "translation": ("F32", [6, 3]),
        "expression": ("F32", [6, 4]),
        "timestamps": ("I64", [6, 2]),
        "present": ("U8", [6]),
        "shot": ("I64", [6]),
        "calm": ("F32", [6]),
    }


def test_a_file_by_others_needs_the_five_tensors_only(parts, tmp_path):
    save_file(parts[0], tmp_path / "a.mpmotion", parts[1])
    track = MotionTrack.load(tmp_path / "a.mpmotion")
    assert track.present.all()
    assert (track.shot == 0).all()
    assert np.isnan(track.calm).all()
    assert track.times_s == (Fraction(0), Fraction(1, 25), Fraction(1, 20))
    assert (track.fps, track.model) == (Fraction(25), "abc")


def test_numbers_of_frames_without_a_face_do_not_matter(parts, tmp_path):
    tensors, facts = parts
    tensors["rotation"][1] = np.nan
    tensors["scale"][1] = -1
    save_file({**tensors, "present": np.array([1, 0, 1], np.uint8)}, tmp_path / "a.mpmotion", facts)
    track = MotionTrack.load(tmp_path / "a.mpmotion")
    assert np.isfinite(track.rotation).all()
    assert track.scale[1] == 1


def put(tensors: dict, name: str, place: tuple | int, value: float) -> None:
    tensors[name][place] = value


WRONG_TENSORS = {
    "lacks the tensor 'scale'": lambda t: t.pop("scale"),
    "lacks the tensor 'rotation'": lambda t: t.pop("rotation"),
    "unknown tensor 'colour'": lambda t: t.update(colour=np.zeros(3, np.float32)),
    r"'scale' of .* is F64 \[3\], F32 \[T\] was wanted": lambda t: t.update(scale=np.ones(3)),
    r"'scale' of .* is F32 \[2\]": lambda t: t.update(scale=np.ones(2, np.float32)),
    r"'translation' of .* \[3, 2\], F32 \[T, 3\]": lambda t: t.update(translation=np.zeros((3, 2), np.float32)),
    r"'expression' of .* \[3, 0\], F32 \[T, Z\]": lambda t: t.update(expression=np.zeros((3, 0), np.float32)),
    r"'rotation' of .* \[\]": lambda t: t.update(rotation=np.array(1.0, np.float32)),
    r"'rotation' of .* \[0, 3, 3\]": lambda t: t.update({k: v[:0] for k, v in t.items()}),
    "'expression' of .* NaN or infinity": lambda t: put(t, "expression", (1, 2), np.nan),
    "'scale' of .* NaN or infinity": lambda t: put(t, "scale", 0, np.inf),
    "no rotation": lambda t: put(t, "rotation", (2, 0, 0), 1.01),
    "is no rotation; write": lambda t: put(t, "rotation", (2, 0, 0), -1),
    "not above 0": lambda t: put(t, "scale", 0, 0),
    "'timestamps' of .* does not ascend": lambda t: put(t, "timestamps", 2, 0.0),
    "denominator": lambda t: put(t, "timestamps", (1, 1), 0),
    "a time below 0": lambda t: put(t, "timestamps", (0, 0), -1),
    "'shot' of .* does not ascend": lambda t: t.update(shot=np.array([0, 1, 0])),
    "'calm' of .* infinity": lambda t: t.update(calm=np.full(3, np.inf, np.float32)),
}


@pytest.mark.parametrize("message", WRONG_TENSORS)
def test_wrong_tensors_are_refused(parts, tmp_path, message):
    tensors, facts = parts
    WRONG_TENSORS[message](tensors)
    if "ascend" in message and "timestamps" in message:
        tensors["timestamps"][2] = (1, 25)
    save_file(tensors, tmp_path / "a.mpmotion", facts)
    with pytest.raises(UserError, match=message) as caught:
        MotionTrack.load(tmp_path / "a.mpmotion")
    assert str(tmp_path / "a.mpmotion") in str(caught.value)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"format": "pt"}, "of another kind"),
        ({"version": "2"}, "of version 2, this program reads version 1"),
        ({"model": ""}, "does not name the motion encoder"),
        *(({"fps": fps}, "frame rate") for fps in ("", "0", "25/0", "1/00", "-25", "25.0", "nan", "9" * 5000, "1001")),
    ],
)
def test_wrong_metadata_is_refused(parts, tmp_path, facts, message):
    save_file(parts[0], tmp_path / "a.mpmotion", parts[1] | facts)
    with pytest.raises(UserError, match=message):
        MotionTrack.load(tmp_path / "a.mpmotion")


@pytest.mark.parametrize(
    "content", [b"", b"no motion at all", (2**40).to_bytes(8, "little") + b"{}", (4).to_bytes(8, "little") + b"{}  "]
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.mpmotion").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.mpmotion"):
        MotionTrack.load(tmp_path / "a.mpmotion")


def test_truncated_missing_and_folder_are_refused(track, tmp_path):
    track.save(tmp_path / "a.mpmotion")
    whole = (tmp_path / "a.mpmotion").read_bytes()
    (tmp_path / "short.mpmotion").write_bytes(whole[:-9])
    for path in (tmp_path / "short.mpmotion", tmp_path / "absent.mpmotion", tmp_path):
        with pytest.raises(UserError, match="is not a readable motion file"):
            MotionTrack.load(path)


def test_nothing_half_written_is_left(track, tmp_path):
    track.save(tmp_path / "a.mpmotion")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        track.save(tmp_path / "file" / "a.mpmotion")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mpmotion", "file"]


def test_motion_of_a_range_as_tensors(track):
    part = track.motion(3, 5)
    wanted = motion(3).pose.rotation[2]
    assert torch.equal(part.pose.rotation[0], wanted)
    assert torch.equal(part.expression[1], motion(2, 1).expression[0])
    assert part.pose.scale.dtype == torch.float32
    part.pose.scale.zero_()
    assert (track.scale > 0).all()


def test_unseen_frames_of_a_new_track_are_blank(track):
    np.testing.assert_array_equal(track.rotation[2], np.eye(3))
    assert (track.scale[2], track.expression[2].any()) == (1, False)


def test_taken_keeps_rows_together(track):
    part = track.taken([5, 1])
    assert part.times_s == (track.times_s[5], track.times_s[1])
    np.testing.assert_array_equal(part.expression, track.expression[[5, 1]])
    np.testing.assert_array_equal(part.shot, [1, 0])
    assert len(part) == 2


def test_a_still_is_held(track):
    still = track.taken([4]).held(0.5, Fraction(25))
    assert len(still) == 12
    assert still.times_s[-1] == Fraction(11, 25)
    assert (still.rotation == track.rotation[4]).all()
    assert still.fps == 25
    assert len(track.taken([4]).held(0.001, Fraction(25))) == 1
    with pytest.raises(ValueError, match="6 frames"):
        track.held(1.0, Fraction(25))


def test_model_and_rate_survive_changes(track, tmp_path):
    replace(track, fps=Fraction(25)).taken([0]).save(tmp_path / "a.mpmotion")
    assert MotionTrack.load(Path(tmp_path / "a.mpmotion")).fps == 25
