"""Means of what is logged, and the share of the time spent waiting."""

import time

import pytest
import torch

from megaportraits.training.meter import Meter, Stopwatch


def _values(**numbers: float) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(number) for name, number in numbers.items()}


def test_means_known_values():
    """Names may come and go; what is not finite does not count."""
    meter = Meter()
    meter.add(_values(a=1.0, b=float("nan")))
    meter.add(_values(a=3.0, b=5.0))
    meter.add(_values(a=8.0, c=float("inf")))
    assert meter.take() == pytest.approx({"a": 4.0, "b": 5.0})
    assert meter.take() == {}


def test_means_over_processes():
    meter = Meter()
    meter.add(_values(a=1.0))
    assert meter.take(lambda sums: sums + torch.tensor([[5.0, 2.0]])) == pytest.approx(
        {"a": 2.0}
    )  # 1; 2 and 3 elsewhere


def test_waiting_share_known_value():
    watch = Stopwatch(torch.device("cpu"))
    with watch.waiting():
        time.sleep(0.2)
    time.sleep(0.2)
    watch.count(8)
    values = watch.take()
    assert 0.2 < values["waiting_share"] < 0.8
    assert 2 < values["samples_per_s"] < 20.1
    assert watch.take()["samples_per_s"] == 0
