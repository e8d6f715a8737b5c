"""Batches: order, nested tensors, errors."""

import multiprocessing
import subprocess
from dataclasses import dataclass

import pytest
import torch

from megaportraits.errors import UserError
from megaportraits.training.batches import Order, load_batches, map_tensors


@dataclass(frozen=True)
class Item:
    number: torch.Tensor
    names: tuple[str, ...]


class Numbers(torch.utils.data.Dataset):
    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 13:
            raise UserError("thirteen is missing; count on")
        return torch.tensor(float(index))


def _load(order: Order, steps: tuple[int, int]) -> list[torch.Tensor]:
    return list(load_batches(Numbers(), torch.stack, order, steps, 0, torch.device("cpu"), torch.float64))


def test_a_process_gets_its_samples_of_the_steps_that_are_left():
    found = _load(Order(batch=2, accumulate=2, rank=1, count=2), (2, 3))
    assert [batch.tolist() for batch in found] == [[18, 19], [22, 23]]
    assert found[0].dtype == torch.float64


def test_an_error_comes_when_its_batch_is_due():
    order = Order(batch=4, accumulate=1, rank=0, count=1)
    with pytest.raises(UserError, match=r"^thirteen is missing; count on$"):
        _load(order, (0, 4))
    assert len(_load(order, (0, 3))) == 3


def test_tensors_are_found_in_nested_bundles():
    thing = (Item(torch.ones(2), ("a",)), [torch.zeros(1)], {"x": torch.ones(1), "y": 3})
    found = map_tensors(thing, lambda tensor: tensor + 1)
    assert isinstance(found[0], Item)
    assert found[0].number.tolist() == [2, 2]
    assert found[0].names == ("a",)
    assert (found[1][0].item(), found[2]["x"].item(), found[2]["y"]) == (1, 2, 3)


def test_loading_processes_outlive_the_signal_that_ends_a_run():
    """It is sent to whole process groups; the run writes a checkpoint and needs its batches until then."""
    order = Order(batch=1, accumulate=1, rank=0, count=1)
    batches = load_batches(Numbers(), torch.stack, order, (0, 12), 1, torch.device("cpu"))
    first = next(batches)
    loader = multiprocessing.active_children()[0]
    subprocess.run(["kill", "-TERM", str(loader.pid)], check=True)
    assert [first.item(), *(batch.item() for batch in batches)] == list(range(12))
