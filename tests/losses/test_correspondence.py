"""The loss of landmarks that both warps carry: known values, unknown landmarks, gradient."""

import pytest
import torch

from megaportraits.losses.correspondence import correspondence_loss


def test_it_is_the_mean_distance_along_the_axes():
    wanted = torch.zeros(2, 4, 3)
    found = wanted + torch.tensor([0.3, -0.6, 0.0])
    assert float(correspondence_loss(found, wanted)) == pytest.approx(0.3)
    assert float(correspondence_loss(wanted, wanted)) == 0


def test_unknown_landmarks_neither_count_nor_spoil_the_gradient():
    wanted = torch.zeros(2, 4, 3)
    wanted[0, 1, 2] = wanted[1] = torch.nan
    found = torch.full((2, 4, 3), 0.5, requires_grad=True)
    loss = correspondence_loss(found, wanted)
    assert float(loss.detach()) == pytest.approx((0.5 + 0) / 2)
    loss.backward()
    assert found.grad is not None
    assert found.grad.isfinite().all()
    assert (found.grad != 0).all(-1).tolist() == [[True, False, True, True], [False] * 4]


def test_without_any_landmark_it_is_zero():
    found = torch.ones(1, 4, 3, requires_grad=True)
    loss = correspondence_loss(found, torch.full((1, 4, 3), torch.nan))
    loss.backward()
    assert float(loss.detach()) == 0
