"""Recorded clips: round trip, signs of the fitted pose, what is left out."""

from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from megaportraits import geometry
from megaportraits.cli import main
from megaportraits.config import PrepareVideos
from megaportraits.data.clips import find_clips, read_clip
from megaportraits.data.pairs import FrameStore
from megaportraits.data.pictures import read_picture
from megaportraits.data.recorded import find_files, fit_rotation, prepare_videos, truth_of
from megaportraits.data.video_writer import write_video
from megaportraits.errors import UserError
from megaportraits.tensors import HeadPose

FRAMES = 18


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """A face that moves to the right, a broken file, a video without a face."""
    folder = tmp_path_factory.mktemp("videos")
    face = read_picture(str(resources.files("megaportraits.demo") / "source.png"))
    wide = np.pad(face, ((0, 0), (60, 60), (0, 0)), mode="edge")
    write_video(folder / "moving.mp4", (np.roll(wide, 2 * i, 1) for i in range(FRAMES)), 25)
    write_video(folder / "wall.mp4", (np.full((96, 96, 3), 120, np.uint8) for _ in range(4)), Fraction(25))
    (folder / "broken.mov").write_bytes(b"not a video")
    return folder


def placed_head(*angles: float, scale: float = 0.9) -> np.ndarray:
    """The mean head's points where a pose puts them, `1 468 3`."""
    rotation = geometry.rotation_from_angles(*(torch.tensor([a]) for a in angles))
    pose = HeadPose(rotation, torch.tensor([scale]), torch.tensor([[0.1, -0.05, 0.0]]))
    return geometry.apply_matrix(geometry.pose_matrix(pose), torch.from_numpy(geometry.mean_head())[None]).numpy()


@pytest.mark.parametrize(
    "angles", [(0.0, 0.0, 0.0), (25.0, 0.0, 0.0), (0.0, -15.0, 0.0), (0.0, 0.0, 20.0), (-30.0, 10.0, 5.0)]
)
def test_fitted_pose_has_the_signs_of_the_angles(angles):
    neutral = geometry.angles_from_rotation(torch.from_numpy(fit_rotation(placed_head(0.0, 0.0, 0.0))))
    assert neutral[0, [0, 2]].abs().max() < 1e-3
    assert 1 < neutral[0, 1] < 5, "the known bias of the landmarks is taken off"
    found = geometry.angles_from_rotation(torch.from_numpy(fit_rotation(placed_head(*angles))))
    wanted = torch.tensor([angles]) + neutral
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0)


def test_an_open_jaw_does_not_turn_the_head():
    closed, opened = placed_head(10.0, 5.0, 0.0), placed_head(10.0, 5.0, 0.0)
    jaw = geometry.mean_head()[:, 1] > 0.35
    opened[:, jaw, 1] += 0.1
    np.testing.assert_allclose(fit_rotation(opened), fit_rotation(closed), atol=1e-5)


def test_truth_of_landmarks_places_the_head():
    truth = truth_of(placed_head(20.0, -5.0, 8.0, scale=0.8).astype(np.float32))
    assert truth.scale[0] == pytest.approx(0.8, abs=0.02)
    np.testing.assert_allclose(truth.translation[0], [0.1, -0.05, 0.0], atol=0.03)
    pose = HeadPose(*(torch.from_numpy(a) for a in (truth.rotation, truth.scale, truth.translation)))
    np.testing.assert_allclose(truth.theta, geometry.theta(pose).numpy(), atol=1e-6)
    assert truth.controls.shape == (1, 0)
    assert np.isnan(truth.gaze).all()
    assert np.isnan(truth.blink).all()


def test_videos_become_clips_and_unusable_ones_are_named(videos, tmp_path, capsys):
    config = PrepareVideos((str(videos),), str(tmp_path / "clips"), size=128, most_frames=8, licence="CC0-1.0")
    prepare_videos(config)
    said = capsys.readouterr().out
    assert "moving: 8 frames" in said
    assert "left out: " in said
    assert "broken.mov" in said
    assert "no face was found" in said
    (folder,) = find_clips([config.out], "train")
    clip = read_clip(folder)
    assert clip.rgb.shape == (8, 128, 128, 3)
    assert (clip.info.source, clip.info.identity, clip.info.licence) == ("recorded", "moving.mp4", "CC0-1.0")
    assert clip.info.frame_step_s == pytest.approx(0.08)
    assert clip.truth.controls.shape == (8, 0)
    assert clip.matte[:, 60:70, 60:70].min() > 200
    moved = clip.truth.translation[-1, 0] - clip.truth.translation[0, 0]
    side = clip.info.crop["side"]
    assert moved == pytest.approx(2 * 7 * 4 / side, rel=0.25)  # 7 kept frames of step 2, 2 px a frame
    frame = FrameStore([folder], 64, 0.1).frame(0, 3)
    assert torch.isfinite(frame.keypoints).all()
    assert frame.keypoints.abs().max() < 1
    prepare_videos(config)
    assert "already there" in capsys.readouterr().out


def test_nothing_usable_is_an_error(videos, tmp_path, capsys):
    words = ["prepare", "videos", "--videos", str(videos / "broken.mov"), "--out", str(tmp_path / "clips")]
    assert main(words) == 2
    assert "none of the files could be used" in capsys.readouterr().err
    with pytest.raises(UserError, match="give files, or folders"):
        find_files([str(tmp_path)], (".mp4",))
    (tmp_path / "a.mov").touch()
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UserError, match="several files are called a"):
        find_files([str(tmp_path)], (".mp4", ".mov"))
