"""Pairs from photos."""

from importlib import resources

import pytest
import torch

from megaportraits import geometry
from megaportraits.cli import main
from megaportraits.config import AugmentConfig
from megaportraits.data import augment, keypoints
from megaportraits.data.clips import find_clips, read_info
from megaportraits.data.pairs import FrameStore
from megaportraits.data.stills import StillPairs, find_stills, moved_keypoints
from megaportraits.errors import UserError
from megaportraits.tensors import HeadPose

PLAIN = AugmentConfig(flip=0.0, mild_jitter=0.0, shape_sigma=0.0, severe_jitter=0.0, grey=0.0)


def test_views_of_one_photo_differ_by_a_similarity_that_pose_and_keypoints_follow(drawn_clips):
    stills = find_clips([drawn_clips], "train")
    pairs, store = StillPairs(stills, 64, PLAIN, 2, 3, 10, 0.1), FrameStore(stills, 64, 1.0)
    pair = pairs[1]
    photo = store.frame(int(pair.clip), 0)
    rigid = (*keypoints.FACE_OVAL, *keypoints.RIGHT_EYE, *keypoints.LEFT_EYE, *keypoints.NOSE)
    head = torch.from_numpy(geometry.mean_head()[list(rigid)])[None]
    places = []
    for view, row in ((pair.source, 0), (pair.driver, 0), (pair.driver, 1)):
        pose = HeadPose(view.pose.rotation[[row]], view.pose.scale[[row]], view.pose.translation[[row]])
        wanted = geometry.apply_matrix(geometry.pose_matrix(pose), head)[..., :2]
        torch.testing.assert_close(view.keypoints[[row]][:, keypoints.positions(rigid)], wanted, atol=1e-4, rtol=0)
        yaw = geometry.angles_from_rotation(pose.rotation)[0, 0]
        assert geometry.rotation_error_deg(pose.rotation, photo.pose.rotation) < 15.1
        assert torch.isfinite(yaw)
        eye = pose.translation[0, :2]
        assert (eye - photo.pose.translation[0, :2]).norm() > 1e-3
        places.append(eye)
    assert (places[1] - places[2]).norm() > 1e-3
    assert torch.equal(pair.source.rgb, pairs[1].source.rgb)
    assert not torch.equal(pair.source.rgb, pairs[2].source.rgb)


def test_moved_keypoints_undo_with_the_poses_exchanged(poses, generator):
    pose = HeadPose(poses.rotation[:1], poses.scale[:1], poses.translation[:1])
    _, after = augment.random_similarity(torch.zeros(1, 1, 8, 8), pose, generator, 0.1, 0.2, 20.0)
    points = torch.rand(1, 5, 2, generator=generator)
    there = moved_keypoints(points, pose, after)
    assert (there - points).abs().max() > 0.01
    torch.testing.assert_close(moved_keypoints(there, after, pose), points)


def test_photos_become_clips_of_one_frame(tmp_path, capsys):
    photo = str(resources.files("megaportraits.demo") / "source.png")
    out = str(tmp_path / "stills")
    assert main(["prepare", "photos", "--photos", photo, "--out", out, "--size", "128", "--run.workers", "0"]) == 0
    assert "1 frames" in capsys.readouterr().out
    stills = find_stills([out])
    assert read_info(stills[0]).identity == "source.png"
    pair = StillPairs(stills, 64, AugmentConfig(), 3, 0, 4, 0.1)[2]
    assert not pair.moving.any()
    assert pair.driver.rgb.shape == (3, 3, 64, 64)
    assert torch.isfinite(pair.driver.keypoints).all()
    with pytest.raises(UserError, match="megaportraits prepare photos"):
        find_stills([tmp_path / "nothing"])
