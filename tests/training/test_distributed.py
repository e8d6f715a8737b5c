"""Two processes, or accumulated batches, equal one process with the double batch; what processes agree on."""

import json
import multiprocessing
import os
import signal
import socket
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from runs import Config, make_trainer, read_state
from torch import nn

from megaportraits.checkpoint import read_json
from megaportraits.config import LoopConfig
from megaportraits.errors import UserError
from megaportraits.training.batches import Order
from megaportraits.training.distributed import Processes, launched

pytest.importorskip("lightning_fabric")  # imported before the processes fork, so that they need not
pytest.importorskip("torch.utils.tensorboard")

DEADLINE_S = 200
DIGITS = 1e-9
"""Difference of weights that different orders of summation leave in float64."""


def in_processes(count: int, function, *arguments) -> None:
    """Call function(rank, *arguments) in `count` processes that see themselves started by torchrun (gloo)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    errors = context.SimpleQueue()
    children = [
        context.Process(target=_child, args=(r, count, port, errors, function, arguments)) for r in range(count)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(DEADLINE_S)
    alive = [child for child in children if child.is_alive()]
    for child in alive:
        child.kill()
    assert errors.empty(), errors.get()
    assert not alive
    assert [child.exitcode for child in children] == [0] * count


def _child(rank: int, count: int, port: int, errors, function, arguments) -> None:
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    try:
        function(rank, *arguments)
    except BaseException:
        errors.put(traceback.format_exc())
        raise


def exact(config: Config, **loop) -> Config:
    """Two steps in float64 on drawn clips, without augmentation noise that would hide a wrong sample."""
    return replace(config, loop=replace(config.loop, steps=2, precision="64-true", **loop))


def run(rank: int, config: Config) -> None:
    make_trainer(config).run()


def state_of(config: Config) -> dict[str, torch.Tensor]:
    return {k: v for k, v in read_state(Path(config.output) / "step-2").items() if not k.startswith("model/")}


def assert_equal_runs(one: Config, other: Config) -> None:
    a, b = state_of(one), state_of(other)
    assert a.keys() == b.keys()
    different = {k: (a[k] - b[k]).abs().max().item() for k in a if not torch.allclose(a[k], b[k], rtol=0, atol=DIGITS)}
    assert different == {}
    assert any("exp_avg" in k for k in a)


@pytest.fixture
def gan_config(base_config):
    """The base stage with discriminator and L_cos, whose groups of two stay together in a process."""
    weights = replace(base_config.weights, adversarial=1.0, feature_matching=10.0, cycle=2.0)
    return replace(base_config, batch=4, drivers_per_source=1, cycle_group=2, cycle_start=0.0, weights=weights)


@pytest.mark.parametrize("which", ["pose_config", "gan_config"])
def test_two_processes_equal_one_with_the_double_batch(which, request, tmp_path):
    """Gradients (Adam's first moments), weights, averages and the discriminator, after two steps in float64."""
    config = request.getfixturevalue(which)
    one = exact(replace(config, output=str(tmp_path / "one")))
    two = exact(replace(config, output=str(tmp_path / "two"), batch=config.batch // 2))
    in_processes(2, run, two)
    run(0, one)
    assert_equal_runs(one, two)
    assert {k.split("/")[0] for k in state_of(one)} >= {"average", "generator", "generator_optimiser"}
    logs = [json.loads((Path(c.output) / "log/scalars.jsonl").read_text().splitlines()[-1]) for c in (one, two)]
    assert logs[0]["generator_total"] == pytest.approx(logs[1]["generator_total"], abs=2e-5)


@pytest.mark.parametrize("which", ["pose_config", "gan_config"])
def test_accumulated_batches_equal_one_big_batch(which, request, tmp_path):
    config = request.getfixturevalue(which)
    one = exact(replace(config, output=str(tmp_path / "one")))
    two = exact(replace(config, output=str(tmp_path / "two"), batch=config.batch // 2), accumulate=2)
    run(0, one)
    run(0, two)
    assert_equal_runs(one, two)


def test_a_run_goes_on_with_another_split_of_its_steps(pose_config, tmp_path):
    """One step of batch 4, then one step in two processes of batch 2: equal to two steps of batch 4."""
    whole, split = (exact(replace(pose_config, output=str(tmp_path / name))) for name in ("whole", "split"))
    run(0, whole)
    make_trainer(split, stop_in_step(0)).run()
    assert (tmp_path / "split/step-1").is_dir()
    in_processes(2, run, replace(split, batch=2))
    assert_equal_runs(whole, split)


def stop_in_step(number: int):
    def change(stage):
        terms_of = stage.generator_terms

        def terms(batch, step):
            if step == number:
                signal.raise_signal(signal.SIGTERM)
            return terms_of(batch, step)

        stage.generator_terms = terms

    return change


def _stop_in_second(rank: int, config: Config) -> None:
    done = make_trainer(config, stop_in_step(3) if rank == 1 else lambda stage: None).run()
    assert done.name == "step-10"


def test_a_signal_to_one_process_stops_all_at_the_same_step(pose_config):
    config = replace(pose_config, batch=1, loop=replace(pose_config.loop, steps=30))
    in_processes(2, _stop_in_second, config)
    assert (Path(config.output) / "step-10/state/loop.json").is_file()


def _spoil_second(rank: int, config: Config) -> None:
    def change(stage):
        terms_of = stage.generator_terms

        def terms(batch, step):
            found = terms_of(batch, step)
            if rank == 1 and step == 1:
                found["rotation"] = (found["rotation"][0] * float("nan"), 1.0)
            return found

        stage.generator_terms = terms

    trainer = make_trainer(config, change)
    trainer.run()
    assert int(trainer.skipped) == 1
    digest = torch.stack([p.double().sum() for p in trainer.stage.generator.parameters()]).sum()
    total = trainer.processes.sum(digest.clone())
    assert total == 2 * digest


def test_a_bad_gradient_in_one_process_skips_the_step_in_all(pose_config):
    config = replace(pose_config, batch=2, loop=replace(pose_config.loop, steps=3))
    in_processes(2, _spoil_second, config)
    assert read_json(Path(config.output) / "step-3/state/loop.json")["skipped"] == 1


def _average(rank: int) -> None:
    processes = Processes(LoopConfig(device="cpu"))
    layer, unused = nn.Linear(2, 1, bias=False), nn.Linear(3, 3)
    layer.weight.data.fill_(float(rank))
    processes.share_weights(layer)
    assert torch.equal(layer.weight.data, torch.zeros(1, 2))
    parameters = [*layer.parameters(), *unused.parameters()]
    layer.weight.grad = torch.tensor([[1.0, 10.0]]) * (rank + 1)
    loss = processes.average_gradients(parameters, torch.tensor(float(rank)))
    assert torch.equal(layer.weight.grad, torch.tensor([[1.5, 15.0]]))
    assert unused.weight.grad is None
    assert loss == 0.5
    if rank == 0:
        unused.weight.grad = torch.ones(3, 3)
    assert processes.average_gradients(parameters, torch.tensor(1.0)).isnan()
    assert processes.any(rank == 1)
    assert processes.of_first(f"rank {rank}") == "rank 0"


def test_averages_known_values():
    """Mean of gradients; unused parameters stay without; processes that disagree on them get a NaN loss."""
    in_processes(2, _average)


def test_every_sample_of_a_step_is_taken_once():
    orders = [Order(batch=2, accumulate=3, rank=rank, count=4) for rank in range(4)]
    assert orders[0].samples_per_step == 24
    assert orders[1].numbers(5) == [42, 43]  # micro-batch 5 covers 40..47
    step = [n for order in orders for micro_batch in (3, 4, 5) for n in order.numbers(micro_batch)]
    assert sorted(step) == list(range(24, 48))


def test_launchers_are_found_by_their_variables():
    assert launched({}) is None
    torchrun = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"}
    assert launched(torchrun) == (8, 2)
    assert launched({"SLURM_NTASKS": "16", "SLURM_STEP_NUM_TASKS": "16", "SLURM_STEP_NUM_NODES": "4"}) == (4, 4)
    assert launched({"SLURM_NTASKS": "16", "SLURM_JOB_NUM_NODES": "4"}) is None  # sbatch's script, before srun


def test_more_processes_than_gpus_is_a_user_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="PyTorch sees 1"):
        Processes(LoopConfig(devices=8, device="cuda"))
