"""The losses of stage two: down-sampling is exact on known pictures, the cycle looks at low resolution only."""

import pytest
import torch

from megaportraits.losses.cycle import low_resolution_cycle_loss, mae_loss, reduced


@pytest.mark.parametrize("factor", [4, 8])
def test_down_sampling_takes_the_mean_of_each_square(factor):
    """Square (i, j) holds the number 10 i + j plus a pattern of mean 0."""
    numbers = torch.tensor([[[[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]]])
    pattern = (torch.arange(factor**2).view(factor, factor) - (factor**2 - 1) / 2).repeat(2, 3)
    picture = numbers.repeat_interleave(factor, -1).repeat_interleave(factor, -2) + pattern
    assert torch.equal(reduced(picture, factor), numbers)


def test_down_sampling_keeps_constants_and_the_mean(generator):
    assert torch.equal(reduced(torch.full((1, 3, 16, 16), 0.25), 8), torch.full((1, 3, 2, 2), 0.25))
    picture = torch.rand(2, 3, 32, 32, generator=generator)
    torch.testing.assert_close(reduced(picture, 8).mean(), picture.mean())
    torch.testing.assert_close(reduced(reduced(picture, 2), 4), reduced(picture, 8))


def test_cycle_is_zero_for_a_doubled_picture_and_what_it_hides(generator):
    low = torch.rand(1, 3, 16, 16, generator=generator)
    high = low.repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert low_resolution_cycle_loss(low, high) == pytest.approx(0, abs=1e-6)
    checks = 0.1 * (torch.arange(32)[:, None] + torch.arange(32)[None]).fmod(2).mul(2).sub(1)
    assert low_resolution_cycle_loss(low, high + checks) == pytest.approx(0, abs=1e-6), "detail is free"
    assert low_resolution_cycle_loss(low, high + 0.1) == pytest.approx(0.1), "colour is not"
    half = torch.cat([torch.zeros(16), torch.ones(16)]) * 0.2
    assert low_resolution_cycle_loss(low, high + half) == pytest.approx(0.1)


def test_cycle_reaches_the_enhanced_picture_only(generator):
    low, high = (torch.rand(1, 3, s, s, generator=generator).requires_grad_() for s in (16, 32))
    low_resolution_cycle_loss(low, high).backward()
    assert low.grad is None
    assert high.grad.all()


def test_mae_of_known_pictures_in_full_precision():
    truth = torch.zeros(1, 3, 2, 2)
    prediction = torch.tensor([0.5, -0.5]).repeat(1, 3, 2, 1)
    assert mae_loss(prediction, truth) == 0.5
    assert mae_loss(prediction.half(), truth.half()).dtype == torch.float32
