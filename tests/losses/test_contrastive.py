"""L_cos: Eq. 6 and 7 with the deviations named in its module."""

import math

import pytest
import torch
from torch import Tensor

from megaportraits.losses.contrastive import cycle_loss


def at(*degrees: float) -> Tensor:
    """Unit vectors in the plane, `N 2`."""
    angles = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angles.cos(), angles.sin()], 1)


def loss(predicted: Tensor, positive: Tensor, negatives: Tensor, is_negative=None, same_clip=None) -> float:
    everything = torch.ones(len(predicted), len(negatives), dtype=torch.bool)
    far = -positive if same_clip is None else same_clip
    return cycle_loss(predicted, positive, negatives, everything if is_negative is None else is_negative, far).item()


def test_known_value_by_hand():
    """cos 60 = 0.5 to the positive, cos 90 = 0 to the negative, cos 180 = -1 to the other frame of the clip."""
    positive = math.exp(5 * (0.5 - 0.2))  # the margin stands here only; -log(e^1.5 / (e^1.5 + e^0 + e^0))
    wanted = -math.log(positive / (positive + math.exp(5 * 0.0) + math.exp(5 * max(0.0, -1.0 - 0.5))))
    assert loss(3.0 * at(0), 2.0 * at(60), 7.0 * at(90)) == pytest.approx(wanted, rel=1e-5)
    assert loss(at(0, 0), at(60, 60), at(90)) == pytest.approx(wanted, rel=1e-5)  # the mean over predictions


def test_the_margin_acts_on_the_positive_only(monkeypatch):
    with_margin = loss(at(0), at(60), at(90))
    monkeypatch.setattr("megaportraits.losses.contrastive.MARGIN", 0.0)
    assert with_margin > loss(at(0), at(60), at(90)) + 0.15


def test_falls_towards_the_positive_and_rises_towards_a_negative():
    values = [loss(at(a), at(0), at(90)) for a in (0, 30, 60, 90)]
    assert values == sorted(values)
    assert values[-1] > values[0] + 3
    nearer = [loss(at(0), at(10), at(a)) for a in (180, 90, 40, 10)]
    assert nearer == sorted(nearer)
    assert nearer[-1] > nearer[0] + 0.3


def test_only_marked_candidates_repel():
    mask = torch.tensor([[True, False]])
    assert loss(at(0), at(10), at(120, 5), mask) == pytest.approx(loss(at(0), at(10), at(120)), rel=1e-5)


def test_a_consistent_permutation_of_the_batch_changes_nothing_an_inconsistent_one_does():
    predicted, positive, negatives = at(0, 80, 200), at(10, 95, 170), at(40, 150, 300)
    mask = torch.tensor([[True, True, False], [False, True, True], [True, False, True]])
    other, order = at(15, 100, 180), torch.tensor([2, 0, 1])
    value = loss(predicted, positive, negatives, mask, other)
    permuted = loss(predicted[order], positive[order], negatives, mask[order], other[order])
    assert permuted == pytest.approx(value, rel=1e-5)
    assert loss(predicted, positive[order], negatives, mask, other) > value + 1
    assert loss(predicted, positive, negatives, mask.T.contiguous(), other) != pytest.approx(value, rel=1e-3)


def test_other_frames_of_the_clip_count_only_above_one_half():
    values = [loss(at(0), at(10), at(120), same_clip=at(10 + a)) for a in (180, 61, 30, 0)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    assert values[1] < values[2] < values[3]


def test_gradients_reach_predicted_positive_and_negatives_but_not_the_other_frame():
    predicted, positive, negatives, other = (at(a).requires_grad_() for a in (0, 20, 70, 30))
    cycle_loss(predicted, positive, negatives, torch.ones(1, 1, dtype=torch.bool), other).backward()
    assert all(z.grad.abs().sum() > 1e-3 for z in (predicted, positive, negatives))
    assert other.grad is None


def test_length_of_a_descriptor_does_not_matter_and_precision_is_kept(generator):
    """Cosines run along one descriptor: scaling a sample's z changes nothing, scaling one of its numbers does."""
    z = [torch.randn(3, 5, generator=generator, dtype=torch.float64) for _ in range(4)]
    mask = ~torch.eye(3, dtype=torch.bool)
    value = cycle_loss(z[0], z[1], z[2], mask, z[3])
    assert value.dtype == torch.float64
    lengths = torch.tensor([0.1, 1.0, 30.0], dtype=torch.float64)[:, None]
    torch.testing.assert_close(cycle_loss(*(v * lengths for v in z[:3]), mask, z[3] * lengths), value)
    stretched = torch.tensor([9.0, 1, 1, 1, 1], dtype=torch.float64)
    assert (cycle_loss(*(v * stretched for v in z[:3]), mask, z[3] * stretched) - value).abs() > 1e-3
