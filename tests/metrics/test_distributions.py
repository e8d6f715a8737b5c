"""Known distances of sets: Gaussians with closed forms, kernels by hand, batches that must not matter."""

import math

import pytest
import torch
from torch import Tensor

from megaportraits.errors import UserError
from megaportraits.metrics import frechet_distance, kernel_distance


def features(mean: list[float], covariance: list[list[float]], generator: torch.Generator, count: int = 50) -> Tensor:
    """Rows with exactly this mean and (unbiased) covariance."""
    rows = torch.randn(count, len(mean), generator=generator, dtype=torch.float64)
    rows = rows - rows.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(rows.T.cov()), rows.T, upper=False)
    factor = torch.linalg.cholesky(torch.tensor(covariance, dtype=torch.float64))
    return (factor @ white).T + torch.tensor(mean, dtype=torch.float64)


def test_frechet_distance_of_gaussians_with_common_axes(generator):
    """Of diagonal covariances: squared distance of the means and of the deviations."""
    a = features([0, 0, 1], [[1, 0, 0], [0, 4, 0], [0, 0, 9]], generator)
    b = features([3, 4, 1], [[9, 0, 0], [0, 16, 0], [0, 0, 1]], generator, count=80)
    assert frechet_distance(a, b) == pytest.approx(25 + 4 + 4 + 4, abs=1e-9)
    assert frechet_distance(b, a) == pytest.approx(37, abs=1e-9)
    assert frechet_distance(a.float(), b.float()) == pytest.approx(37, rel=1e-5)


def test_frechet_distance_of_gaussians_with_other_axes(generator):
    """In the plane, trace (A B)^(1/2) = (trace A B + 2 (det A det B)^(1/2))^(1/2)."""
    first, second = [[2.0, 1.0], [1.0, 3.0]], [[5.0, -2.0], [-2.0, 1.0]]
    a, b = features([0, 0], first, generator), features([0, 0], second, generator)
    trace_of_product = 2 * 5 + 2 * (1 * -2) + 3 * 1
    root = math.sqrt(trace_of_product + 2 * math.sqrt(5 * 1))
    assert frechet_distance(a, b) == pytest.approx(5 + 6 - 2 * root, abs=1e-9)


@pytest.mark.parametrize("count", [20, 200])
def test_a_set_is_0_from_itself_and_a_shift_counts_squared(count, generator):
    """Also of fewer rows than features."""
    a = torch.rand(count, 64, generator=generator)
    assert 0 <= frechet_distance(a, a) < 1e-5
    assert frechet_distance(a, a.roll(1, 0)) < 1e-5
    assert frechet_distance(a, a + 0.5) == pytest.approx(64 * 0.25, abs=1e-4)


def test_kernel_distance_by_hand():
    """k(x, y) = (x.y / D + 1)^3; pairs of a set leave out those of a row with itself."""
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])
    assert kernel_distance(a, b) == pytest.approx((1 + 27 - 2 * (1 + 1 + 8 + 27) / 4, 0))
    a, b = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[2.0, 2.0], [0.0, 2.0]])
    assert kernel_distance(a, b) == pytest.approx((1 + 27 - 2 * (1 + 1 + 27 + 1) / 4, 0))


def test_subsets_are_drawn_from_a_seed_of_their_own(generator):
    a, b = torch.rand(5, 4, generator=generator), torch.rand(9, 4, generator=generator)
    torch.manual_seed(1)
    first, undisturbed = kernel_distance(a, b), torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), undisturbed)
    assert kernel_distance(a, b) == first
    assert kernel_distance(a, b, seed=1) != first
    assert first[1] > 0


def test_equal_distributions_are_0_on_average(generator):
    """Sets drawn alike: unbiased, so small and of either sign; another distribution is far beyond the deviation."""
    a, b = torch.randn(2, 1500, 8, generator=generator)
    mean, deviation = kernel_distance(a, b, subsets=10)
    assert abs(mean) < 0.01
    assert kernel_distance(a, b + 1, subsets=10)[0] > 20 * deviation


def test_less_than_two_pictures_are_no_set():
    for real, fake in ((1, 2), (2, 0), (0, 0)):
        for distance in (frechet_distance, kernel_distance):
            with pytest.raises(UserError, match=r"a set has [01] pictures, .*need 2"):
                distance(torch.rand(real, 4), torch.rand(fake, 4))
