"""Hinge and feature matching: signs, known answers, and where gradients go."""

import pytest
import torch

from megaportraits.losses.adversarial import discriminator_loss, generator_loss
from megaportraits.losses.feature_matching import feature_matching_loss


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
