"""The loss around mouth and eyes: looks nowhere else, weighs both alike, leaves unknown landmarks out."""

import pytest
import torch
from torch import Tensor

from megaportraits import geometry
from megaportraits.data.keypoints import KEYPOINTS, LEFT_EYE, NOSE, OUTER_LIPS, positions
from megaportraits.losses.parts import parts_loss

SIZE = 64
POINTS = torch.from_numpy(geometry.mean_head()[list(KEYPOINTS), :2].copy()).float()[None]


def changed_at(landmark: int) -> Tensor:
    """`1 3 S S`: grey, but for one pixel at a landmark."""
    picture = torch.full((1, 3, SIZE, SIZE), 0.5)
    column, row = ((POINTS[0, positions([landmark])[0]] + 1) / 2 * SIZE).long().tolist()
    picture[..., row, column] = 1.0
    return picture


@pytest.mark.parametrize(
    ("landmark", "counts"), [(OUTER_LIPS[5], True), (LEFT_EYE[4], True), (NOSE[4], False), (10, False)]
)
def test_it_looks_at_mouth_and_eyes_only(landmark, counts):
    assert (parts_loss(changed_at(landmark), torch.full((1, 3, SIZE, SIZE), 0.5), POINTS) > 0) == counts


def test_a_constant_difference_is_its_size_and_gradient_reaches_the_prediction():
    prediction, truth = torch.full((2, 3, SIZE, SIZE), 0.75, requires_grad=True), torch.full((2, 3, SIZE, SIZE), 0.5)
    loss = parts_loss(prediction, truth, POINTS.expand(2, -1, -1))
    assert float(loss.detach()) == pytest.approx(0.25)
    loss.backward()
    assert prediction.grad is not None
    assert 0 < float((prediction.grad != 0).float().mean()) < 0.5


def test_samples_without_landmarks_count_nothing():
    prediction, truth = torch.full((2, 3, SIZE, SIZE), 0.75), torch.full((2, 3, SIZE, SIZE), 0.5)
    unknown = torch.cat([POINTS, torch.full_like(POINTS, torch.nan)])
    assert float(parts_loss(prediction, truth, unknown)) == pytest.approx(0.125)
