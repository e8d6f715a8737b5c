"""Known correlations, pooled and not, and offsets that do not count."""

import math

import pytest
import torch

from megaportraits.metrics import mean_difference_without_offset, pearson, pooled_pearson


def test_known_correlations():
    a = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert pearson(a, 3 * a + 7) == pytest.approx(1.0)
    assert pearson(a, -a) == pytest.approx(-1.0)
    assert pearson(a, torch.tensor([1.0, -1.0, -1.0, 1.0])) == pytest.approx(0.0, abs=1e-12)
    assert pearson(a, torch.tensor([1.0, 3.0, 2.0, 4.0])) == pytest.approx(0.8)


def test_what_does_not_vary_has_no_correlation():
    a = torch.tensor([1.0, 2.0, 3.0])
    assert math.isnan(pearson(a, torch.full((3,), 0.1)))
    assert math.isnan(pearson(a[:1], a[:1]))
    assert math.isnan(pooled_pearson([], centred=True))


def test_pooling_counts_differences_between_groups_unless_centred():
    """Within both groups the series run against each other; between them they agree."""
    a = torch.tensor([0.0, 1.0])
    groups = [(a, 1 - a), (a + 10, 11 - a)]
    assert pooled_pearson(groups, centred=False) > 0.9
    assert pooled_pearson(groups, centred=True) == pytest.approx(-1.0)


def test_groups_that_never_vary_have_no_correlation_when_centred():
    """0.1 thrice has a mean that differs from it by rounding."""
    groups = [(torch.tensor([0.1, 0.4, 0.2]), torch.full((3,), 0.1)), (torch.tensor([0.3, 0.1]), torch.full((2,), 0.7))]
    assert math.isnan(pooled_pearson(groups, centred=True))
    assert not math.isnan(pooled_pearson(groups, centred=False))


def test_constant_offsets_do_not_count():
    a = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    b = a + torch.tensor([[5.0, 1.0], [5.0, -1.0]])
    torch.testing.assert_close(mean_difference_without_offset(a, b), torch.tensor([0.0, 1.0]))
