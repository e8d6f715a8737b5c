"""Hinge and feature matching: signs, known answers, and where gradients go."""

import pytest
import torch

from megaportraits.config import DISCRIMINATOR_PRESETS
from megaportraits.losses.adversarial import discriminator_loss, generator_loss
from megaportraits.losses.feature_matching import feature_matching_loss
from megaportraits.models.discriminator import Discriminator


def test_hinge_known_answers():
    real, fake = [torch.tensor([2.0, 0.0]), torch.tensor([1.0])], [torch.tensor([-2.0, 0.5]), torch.tensor([0.0])]
    # scale 1: mean(0, 1) + mean(0, 1.5) = 1.25; scale 2: 0 + 1 = 1
    assert discriminator_loss(real, fake).item() == pytest.approx(1.125)
    assert generator_loss(fake).item() == pytest.approx((0.75 - 0.0) / 2)


def test_each_side_wants_the_opposite_of_the_fake_score():
    fake = torch.zeros(3, requires_grad=True)
    (to_discriminator,) = torch.autograd.grad(discriminator_loss([torch.zeros(3)], [fake]), fake)
    (to_generator,) = torch.autograd.grad(generator_loss([fake]), fake)
    assert (to_discriminator > 0).all()  # descent lowers the fake's score
    assert (to_generator < 0).all()  # descent raises it


def test_certain_scores_give_the_discriminator_no_gradient():
    real, fake = torch.tensor([1.5], requires_grad=True), torch.tensor([-1.5], requires_grad=True)
    grads = torch.autograd.grad(discriminator_loss([real], [fake]), (real, fake))
    assert all(g.item() == 0 for g in grads)


def test_feature_matching_ignores_patch_scores_and_the_truth(generator):
    real = [[torch.rand(1, 2, 4, 4, generator=generator).requires_grad_() for _ in range(3)] for _ in range(2)]
    fake = [[f.detach().clone() for f in scale] for scale in real]
    for scale in fake:
        scale[-1] += 7.0
    assert feature_matching_loss(real, fake).item() == 0
    fake = [[(f + 1).requires_grad_() for f in scale] for scale in fake]
    loss = feature_matching_loss(real, fake)
    assert loss.item() == pytest.approx(1.0)
    loss.backward()
    assert all(f.grad is None for scale in real for f in scale)
    assert all((f.grad is None) == (i == 2) for scale in fake for i, f in enumerate(scale))


def scores(found: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    return [scale[-1] for scale in found]


def test_both_generator_terms_reach_the_painted_picture_through_the_discriminator(generator):
    """Neither is detached, and a step along each gradient does what its name says."""
    torch.manual_seed(0)
    network = Discriminator(DISCRIMINATOR_PRESETS["tiny"]).eval()
    painted, truth = torch.rand(2, 2, 3, 64, 64, generator=generator).unbind(0)
    painted = painted.clone().requires_grad_()
    for term in (
        lambda p: generator_loss(scores(network(p))),
        lambda p: feature_matching_loss(network(truth), network(p)),
    ):
        value = term(painted)
        (gradient,) = torch.autograd.grad(value, painted)
        assert (gradient.abs().sum((1, 2, 3)) > 0).all()
        assert term(painted - 0.05 * gradient / gradient.norm()) < value


def test_features_that_are_matched_are_neither_the_picture_nor_scores(generator):
    network = Discriminator(DISCRIMINATOR_PRESETS["tiny"])
    picture = torch.rand(1, 3, 64, 64, generator=generator)
    for scale in network(picture):
        assert len(scale) > 2
        assert all(f.shape[1] > 3 for f in scale[:-1])
        assert scale[-1].shape[1] == 1


def test_layers_and_scales_count_alike_whatever_their_size():
    real = [[torch.zeros(1, 2, 8, 8), torch.zeros(1, 9, 2, 2), torch.zeros(1, 1, 2, 2)]] * 2
    off = [[real[0][0] + 1, real[0][1], real[0][2]], [real[1][0], real[1][1] + 3, real[1][2]]]
    assert feature_matching_loss(real, off).item() == pytest.approx((1 + 0 + 0 + 3) / 4)


def test_values_of_a_batch_are_the_mean_over_its_halves_in_double_precision(generator):
    real, fake = torch.randn(2, 4, 1, 5, 5, generator=generator, dtype=torch.float64).unbind(0)
    halves = (slice(0, 2), slice(2, 4))
    for loss in (
        lambda s: discriminator_loss([real[s]], [fake[s]]),
        lambda s: generator_loss([fake[s]]),
        lambda s: feature_matching_loss([[real[s], real[s]]], [[fake[s], fake[s]]]),
    ):
        whole = loss(slice(0, 4))
        assert whole.dtype == torch.float64
        torch.testing.assert_close(whole, sum(loss(s) for s in halves) / 2, rtol=1e-12, atol=0)
