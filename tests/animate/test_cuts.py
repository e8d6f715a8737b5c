"""Scene cuts in streams of drawn pictures and of the package's own sample."""

from collections.abc import Iterable
from importlib import resources
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from megaportraits.animate.cuts import ShotFinder
from megaportraits.data.video import read_frames

DRIVER = Path(str(resources.files("megaportraits.demo"))) / "driver.mp4"


def scene(seed: int, count: int = 30, speed: float = 0.0) -> list[np.ndarray]:
    """A camera that pans over a coloured picture, `speed` pixels in each frame, with the noise of a coder."""
    numbers = np.random.default_rng(seed)
    rough = numbers.integers(20, 235, (5, 12, 3)).astype(np.uint8)
    wide = cv2.resize(rough, (600, 120), interpolation=cv2.INTER_CUBIC)
    starts = np.round(speed * np.arange(count)).astype(int)
    frames = [wide[:, x : x + 160].astype(int) + numbers.integers(-6, 7, (120, 160, 3)) for x in starts]
    return [np.clip(frame, 0, 255).astype(np.uint8) for frame in frames]


def starts(frames: Iterable[np.ndarray]) -> list[int]:
    finder = ShotFinder()
    for frame in frames:
        finder.look(frame)
    return (np.flatnonzero(np.diff(finder.shots())) + 1).tolist()


def mixed(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    return np.round(a * (1 - share) + b * share).astype(np.uint8)


def test_hard_cuts_are_found_at_their_frame():
    frames = scene(0) + scene(1) + scene(2)
    assert starts(frames) == [30, 60]
    finder = ShotFinder()
    assert [i for i, frame in enumerate(frames) if finder.look(frame)] == [30, 60]
    assert finder.shots().tolist() == [0] * 30 + [1] * 30 + [2] * 30


@pytest.mark.parametrize("speed", [1.0, 8.0])
def test_a_pan_is_no_cut(speed):
    assert starts(scene(0, 40, speed)) == []


def test_moving_people_are_no_cut_even_at_a_third_of_the_rate():
    frames = list(read_frames(DRIVER))
    assert starts(frames) == []
    assert starts(frames[::3]) == []


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("gain", [0.3, 2.0, 9.0])
def test_a_flash_is_no_cut(length, gain):
    frames = scene(0)
    for i in range(10, 10 + length):
        frames[i] = np.clip(frames[i] * gain + 20 * gain, 0, 255).astype(np.uint8)
    assert starts(frames) == []


def test_another_picture_for_a_moment_is_no_cut():
    frames = scene(0)
    frames[10:12] = scene(1, 2)
    assert starts(frames) == []


@pytest.mark.parametrize("end", [0, 255])
@pytest.mark.parametrize("length", [2, 6, 15])
def test_a_fade_is_a_cut_only_where_the_scene_is_another_one(end, length):
    blank = np.full((120, 160, 3), end, np.uint8)

    def faded(picture: list[np.ndarray]) -> list[np.ndarray]:
        out = [mixed(frame, blank, (i + 1) / length) for i, frame in enumerate(picture[-length:])]
        return picture[:-length] + out

    one, same, other = scene(0), scene(0), scene(1)
    back = [frames[::-1] for frames in (faded(same[::-1]), faded(other[::-1]))]
    assert starts(faded(one) + [blank] * 3 + back[0]) == []
    (found,) = starts(faded(one) + [blank] * 3 + back[1])
    assert 30 - length <= found <= 34 + length


@pytest.mark.parametrize("length", [3, 12, 24, 36])
def test_a_dissolve_is_one_cut_near_its_middle(length):
    before, after = scene(0, 60), scene(1, 60)
    between = [mixed(before[-length + i], after[i], (i + 1) / (length + 1)) for i in range(length)]
    (found,) = starts(before[:-length] + between + after[length:])
    assert abs(found - (60 - length / 2)) <= length / 4 + 2


def test_empty_and_single_streams_have_their_shots():
    assert ShotFinder().shots().tolist() == []
    finder = ShotFinder()
    assert not finder.look(np.full((20, 30, 3), 7, np.uint8))
    assert finder.shots().tolist() == [0]


def test_a_cut_between_two_people_in_the_same_studio(tmp_path):
    sample = list(islice(read_frames(DRIVER), 12))
    mirrored = [np.ascontiguousarray(frame[:, ::-1, ::-1]) for frame in sample]
    assert starts(sample + mirrored) == [12]
