"""Self-driving on videos of people: frames, mattes and landmarks come from MediaPipe."""

import shutil
from importlib import resources
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from megaportraits.animate import Animator
from megaportraits.config import EvaluateConfig
from megaportraits.data.video import read_frames
from megaportraits.data.video_writer import write_video
from megaportraits.errors import UserError
from megaportraits.evaluate.judges import open_judges
from megaportraits.evaluate.methods import all_methods
from megaportraits.evaluate.protocols import load_samples
from megaportraits.evaluate.scores import score, score_wanted


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with half a second of the package's own sample driver."""
    whole = Path(str(resources.files("megaportraits"))) / "demo" / "driver.mp4"
    write_video(tmp_path / "person.mp4", islice(read_frames(whole), 12), 25)
    return tmp_path


def test_video_samples_and_scores(videos, random_weights):
    samples = load_samples(EvaluateConfig(str(videos), "out", frames=2), "self", 64).samples
    assert [s.name for s in samples] == ["person.mp4"]
    source, target = samples[0].source, samples[0].target
    assert source.numbers == (0,)
    assert len(target.numbers) == 2
    assert not target.rendered
    assert target.landmarks.abs().max() < 1
    assert 0.1 < target.foreground().mean() < 0.9
    animator = Animator.load(random_weights, "cpu")
    for name, method in all_methods(animator, samples, EvaluateConfig(str(videos), "out")).items():
        rows = score(samples[0], name, method(samples[0]))
        assert [row.frame for row in rows] == list(target.numbers)
        assert "face_psnr_db" in rows[0].scores


def test_videos_are_read_at_the_size_that_the_enhancer_reaches(videos):
    config = EvaluateConfig(str(videos), "out", "enhance", enhancer="any", frames=1)
    sample = load_samples(config, "enhance", 512).samples[0]
    assert sample.source.rgb.shape == sample.wanted.rgb.shape == (1, 3, 512, 512)
    assert sample.source.halved().matte.shape == (1, 1, 256, 256)


def test_landmarks_of_the_answer_are_right_and_of_no_face_unknown(videos, random_weights):
    config = EvaluateConfig(str(videos), "out", frames=2)
    samples = load_samples(config, "self", 128).samples
    net = Animator.load(random_weights, "cpu").model.motion_encoder.pose
    with open_judges(config, net) as judges:
        answer = score_wanted(samples[0], judges)
        wall = score(samples[0], "wall", torch.full((2, 3, 128, 128), 0.5), judges)
    for row in answer:
        assert row.scores["mouth_landmarks"] == row.scores["eyes_landmarks"] == row.scores["face_expression"] == 0
        assert 0.0 <= row.scores["mouth_opening"] < 0.3
    for name in ("eyes_opening", "mouth_landmarks", "face_expression"):
        assert all(row.scores[name] is None for row in wall)
    assert all(row.scores["face_psnr_db"] is not None for row in wall)


def test_video_without_a_face_is_refused(tmp_path):
    write_video(tmp_path / "wall.mp4", [np.full((64, 64, 3), 120, np.uint8)] * 3, 25)
    with pytest.raises(UserError, match="no face"):
        load_samples(EvaluateConfig(str(tmp_path), "out"), "self", 64)


def test_videos_have_no_cross_truth(videos):
    with pytest.raises(UserError, match=r"no .*clips"):
        load_samples(EvaluateConfig(str(videos), "out"), "truth", 64)


def test_broken_video_is_left_out_and_named(videos):
    shutil.copy(Path(__file__), videos / "text.mp4")
    found = load_samples(EvaluateConfig(str(videos), "out"), "self", 64)
    assert [sample.name for sample in found.samples] == ["person.mp4"]
    assert "text.mp4 is not a video" in found.left_out[0]


def test_the_source_of_a_crossed_video_is_its_first_frame_with_a_face(videos):
    """A video that ends in black can be a source; one frame of a driver is enough."""
    frames = list(read_frames(videos / "person.mp4"))
    write_video(videos / "ending.mp4", frames[:4] + [np.zeros_like(frames[0])] * 12, 25)
    found = load_samples(EvaluateConfig(str(videos), "out", frames=1), "cross", 64)
    assert {sample.name for sample in found.samples} == {"person.mp4 by ending.mp4", "ending.mp4 by person.mp4"}
    assert all(sample.source.numbers == (0,) and sample.driver.numbers == (0,) for sample in found.samples)
