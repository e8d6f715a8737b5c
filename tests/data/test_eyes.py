"""Eye pictures and keypoints: where they are cut, how they turn, what augmentation leaves alone."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from megaportraits import geometry
from megaportraits.config import EyeAugmentConfig, GazeTraining
from megaportraits.data import keypoints
from megaportraits.data.clips import find_clips
from megaportraits.data.eyes import (
    SIDE_PER_EYE_WIDTH,
    EyeDataset,
    EyeState,
    degrade,
    eye_crops,
    eyes_known,
    jitter_keypoints,
    relative_keypoints,
)
from megaportraits.data.keypoints import KEYPOINTS, LEFT_EYE, RIGHT_EYE, positions
from megaportraits.data.pairs import FrameStore
from megaportraits.data.teachers import true_states
from megaportraits.errors import UserError

POINTS = torch.from_numpy(geometry.mean_head()[list(KEYPOINTS), :2].copy()).float()[None]
STILL = EyeAugmentConfig(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def coordinates(size: int) -> Tensor:
    """A picture whose red and green are x and y, and whose blue is 1."""
    grid = geometry.identity_grid((size, size)).movedim(-1, 0)
    return torch.cat([grid, torch.ones(1, size, size)])[None]


def turned(points: Tensor, degrees: float) -> Tensor:
    """Keypoints of a face that rolls clockwise."""
    zero = torch.zeros(1)
    return points @ geometry.rotation_from_angles(zero, zero, torch.tensor([degrees]))[0, :2, :2].T


@pytest.mark.parametrize("roll_deg", [0.0, 30.0])
@pytest.mark.parametrize("size", [16, 48])
def test_pictures_are_centred_upright_and_as_wide_as_said(roll_deg, size):
    points = turned(POINTS * 0.8, roll_deg)
    left, right = eye_crops(coordinates(256), points, size)[0]
    widths = []
    for picture, eye in ((left, LEFT_EYE), (right, RIGHT_EYE)):
        corners = points[0, positions([eye[0], eye[8]])]
        widths.append((corners[0] - corners[1]).norm())
        torch.testing.assert_close(picture[:2].mean((1, 2)), corners.mean(0), atol=2e-3, rtol=0)
    across = left[:2, size // 2, -1] - left[:2, size // 2, 0]
    side = across.norm() * size / (size - 1)
    torch.testing.assert_close(side, SIDE_PER_EYE_WIDTH * max(widths), atol=5e-3, rtol=0)
    torch.testing.assert_close(
        torch.rad2deg(torch.atan2(across[1], across[0])), torch.tensor(roll_deg), atol=1.0, rtol=0
    )


def test_outside_is_black():
    pictures = eye_crops(coordinates(64), POINTS + 5, 16)
    assert pictures.eq(0).all()


def test_mirrored_face_swaps_and_mirrors_the_eyes(generator):
    image = torch.rand(1, 3, 64, 64, generator=generator)
    straight = eye_crops(image, POINTS, 16)
    mirrored = eye_crops(image.flip(-1), keypoints.flip(POINTS), 16)
    torch.testing.assert_close(mirrored, straight.flip(1).flip(-1), atol=1e-5, rtol=0)


def test_gradient_of_the_picture_is_exact(generator):
    image = torch.rand(1, 3, 24, 24, generator=generator).requires_grad_()
    weight = torch.rand(1, 2, 3, 8, 8, generator=generator)
    (eye_crops(image, POINTS, 8) * weight).sum().backward()
    step = torch.rand(image.shape, generator=generator)
    moved = (eye_crops(image + step, POINTS, 8) - eye_crops(image, POINTS, 8)).mul(weight).sum()
    torch.testing.assert_close(moved, (image.grad * step).sum(), atol=1e-3, rtol=1e-3)


def test_relative_keypoints_do_not_depend_on_place_size_and_roll():
    moved = turned(POINTS, 25.0) * 0.6 + torch.tensor([0.2, -0.1])
    torch.testing.assert_close(relative_keypoints(moved), relative_keypoints(POINTS), atol=1e-4, rtol=0)
    eyes = relative_keypoints(POINTS)[0, positions([RIGHT_EYE[0], LEFT_EYE[0]])]
    assert eyes[0, 0] < 0 < eyes[1, 0]


def test_unknown_points_are_zero_unknown_corners_are_told():
    points = POINTS.repeat(2, 1, 1)
    points[0, positions([1])] = float("nan")
    points[1, positions([RIGHT_EYE[8]])] = float("nan")
    assert eyes_known(points).tolist() == [True, False]
    assert relative_keypoints(points)[0, positions([1])].eq(0).all()
    assert eye_crops(coordinates(32).repeat(2, 1, 1, 1), points, 8).isfinite().all()


def test_jitter_moves_points_by_parts_of_an_eye(generator):
    width = float((POINTS[0, positions([33])] - POINTS[0, positions([133])]).norm())
    assert jitter_keypoints(POINTS, generator, STILL).equal(POINTS)
    noise = torch.cat([jitter_keypoints(POINTS, generator, replace(STILL, keypoint_noise=0.1)) for _ in range(50)])
    assert float((noise - POINTS).std()) == pytest.approx(0.1 * width, rel=0.05)
    shifted = jitter_keypoints(POINTS, generator, replace(STILL, shift=0.1)) - POINTS
    left, right = shifted[0, positions(LEFT_EYE)], shifted[0, positions(RIGHT_EYE)]
    torch.testing.assert_close(left, left[:1].expand_as(left), atol=1e-6, rtol=0)
    assert (left[0] - right[0]).norm() > 1e-3
    assert shifted[0, positions([1])].eq(0).all()


def test_degrading_keeps_both_eyes_alike_and_in_range(generator):
    eyes = torch.rand(1, 3, 16, 16, generator=generator).repeat(2, 1, 1, 1)
    harsh = degrade(eyes, generator, EyeAugmentConfig(noise=0.0))
    assert harsh[0].equal(harsh[1])
    assert not harsh.equal(eyes)
    noisy = degrade(eyes, generator, EyeAugmentConfig(noise=0.5))
    assert 0 <= float(noisy.min()) <= float(noisy.max()) <= 1


@pytest.fixture
def store(drawn_clips) -> FrameStore:
    return FrameStore(find_clips([drawn_clips], "train"), 64, 1.0)


def dataset(store: FrameStore, states: list[EyeState], augment: EyeAugmentConfig) -> EyeDataset:
    return EyeDataset(store, states, GazeTraining("run", augment=augment), 32, 100)


def test_samples_are_functions_of_seed_and_index(store):
    samples = dataset(store, true_states(store.clips), EyeAugmentConfig())
    first, again, other = samples[3], samples[3], samples[4]
    assert first.eyes.equal(again.eyes)
    assert first.keypoints.equal(again.keypoints)
    assert not first.eyes.equal(other.eyes)


def test_a_mirrored_sample_has_the_mirrored_truth(store):
    known = EyeState(torch.tensor([[10.0, 5.0]]).repeat(6, 1), torch.tensor([[0.1, 0.9]]).repeat(6, 1))
    plain, mirrored = (dataset(store, [known] * 4, replace(STILL, flip=p))[0] for p in (0.0, 1.0))
    torch.testing.assert_close(mirrored.eyes, plain.eyes.flip(1).flip(-1), atol=1e-5, rtol=0)
    assert mirrored.truth.gaze_deg.tolist() == [[-10.0, 5.0]]
    torch.testing.assert_close(mirrored.truth.blink, torch.tensor([[0.9, 0.1]]))


def test_only_frames_with_a_known_state_are_drawn(store):
    states = [EyeState(torch.full((6, 2), float("nan")), torch.zeros(6, 2)) for _ in store.clips]
    with pytest.raises(UserError, match="no frame of the clips has a known gaze"):
        dataset(store, states, STILL)
    states[2].gaze_deg[4] = torch.tensor([3.0, 4.0])
    samples = dataset(store, states, STILL)
    assert all(samples[i].truth.gaze_deg.tolist() == [[3.0, 4.0]] for i in range(5))


def test_blinks_are_drawn_more_often_than_they_happen(store):
    states = [EyeState(torch.zeros(6, 2), torch.zeros(6, 2)) for _ in store.clips]
    states[1].blink[3, 0] = 0.9
    for part in (0.0, 0.5, 1.0):
        samples = EyeDataset(store, states, GazeTraining("run", augment=STILL, blinks=part), 32, 40)
        drawn = sum(float(samples[i].truth.blink.max()) > 0.5 for i in range(40)) / 40
        assert drawn == pytest.approx(part, abs=0.2)
