"""Recorded clips: round trip, signs of the fitted pose, what is left out."""

import numpy as np
import pytest
import torch

from megaportraits import geometry
from megaportraits.data.recorded import rotation_of_landmarks, truth_of
from megaportraits.tensors import HeadPose

FRAMES = 18


def placed_head(*angles: float, scale: float = 0.9) -> np.ndarray:
    """The mean head's points where a pose puts them, `1 468 3`."""
    rotation = geometry.rotation_from_angles(*(torch.tensor([a]) for a in angles))
    pose = HeadPose(rotation, torch.tensor([scale]), torch.tensor([[0.1, -0.05, 0.0]]))
    return geometry.apply_matrix(geometry.pose_matrix(pose), torch.from_numpy(geometry.mean_head())[None]).numpy()


@pytest.mark.parametrize(
    "angles", [(0.0, 0.0, 0.0), (25.0, 0.0, 0.0), (0.0, -15.0, 0.0), (0.0, 0.0, 20.0), (-30.0, 10.0, 5.0)]
)
def test_fitted_pose_has_the_signs_of_the_angles(angles):
    neutral = geometry.angles_from_rotation(torch.from_numpy(rotation_of_landmarks(placed_head(0.0, 0.0, 0.0))))
    assert neutral[0, [0, 2]].abs().max() < 1e-3
    assert 1 < neutral[0, 1] < 5, "the known bias of the landmarks is taken off"
    found = geometry.angles_from_rotation(torch.from_numpy(rotation_of_landmarks(placed_head(*angles))))
    wanted = torch.tensor([angles]) + neutral
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0)


def test_an_open_jaw_does_not_turn_the_head():
    closed, opened = placed_head(10.0, 5.0, 0.0), placed_head(10.0, 5.0, 0.0)
    jaw = geometry.mean_head()[:, 1] > 0.35
    opened[:, jaw, 1] += 0.1
    np.testing.assert_allclose(rotation_of_landmarks(opened), rotation_of_landmarks(closed), atol=1e-5)


def test_truth_of_landmarks_places_the_head():
    truth = truth_of(placed_head(20.0, -5.0, 8.0, scale=0.8).astype(np.float32))
    assert truth.scale[0] == pytest.approx(0.8, abs=0.02)
    np.testing.assert_allclose(truth.translation[0], [0.1, -0.05, 0.0], atol=0.03)
    pose = HeadPose(*(torch.from_numpy(a) for a in (truth.rotation, truth.scale, truth.translation)))
    np.testing.assert_allclose(truth.theta, geometry.theta(pose).numpy(), atol=1e-6)
    assert truth.controls.shape == (1, 0)
    assert np.isnan(truth.gaze).all()
    assert np.isnan(truth.blink).all()
