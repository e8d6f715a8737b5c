"""The loop: exact resume, refusal of other settings, signals, averages, skipped steps, schedule, log."""

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from runs import make_stage, make_trainer, read_state

from megaportraits.checkpoint import read_json, read_tensors
from megaportraits.config import OptimiserConfig, preset, to_dict
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights
from megaportraits.training import loop as loop_module
from megaportraits.training.loop import Trainer, checkpoints
from megaportraits.training.optim import learning_rate, update_average


def at_step(number: int, action):
    """A change of a stage: call `action` when the generator's terms of step `number` are wanted."""

    def change(stage):
        terms_of = stage.generator_terms
        stage.generator_terms = lambda batch, step: (step == number and action(stage)) or terms_of(batch, step)

    return change


@pytest.mark.parametrize("which", ["pose_config", "base_config"])
def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one_bit_for_bit(which, request, tmp_path):
    """Stopped by SIGTERM in its third step, with discriminator and L_cos on in the base stage."""
    config = request.getfixturevalue(which)
    whole = make_trainer(replace(config, output=str(tmp_path / "whole"))).run()
    stopped = make_trainer(config, at_step(2, lambda stage: signal.raise_signal(signal.SIGTERM))).run()
    assert stopped.name == "step-3"
    resumed = make_trainer(config).run()
    assert resumed.name == whole.name == "step-6"
    a, b = read_state(whole), read_state(resumed)
    assert a.keys() == b.keys()
    assert [k for k in a if not torch.equal(a[k], b[k])] == []
    assert any("discriminator" in k for k in a) == (which == "base_config")
    changed = read_state(stopped)
    assert [k for k in a if "generator/" in k and "weight" in k and not torch.equal(a[k], changed[k])]


def test_a_finished_run_is_left_as_it_is(pose_config):
    done = make_trainer(pose_config).run()
    before = read_state(done)
    again = make_trainer(pose_config).run()
    assert again == done
    assert all(torch.equal(v, before[k]) for k, v in read_state(again).items())


def test_resume_refuses_other_settings_and_names_them(pose_config):
    make_trainer(pose_config).run()
    other = replace(pose_config, shift=0.3, loop=replace(pose_config.loop, seed=3))
    with pytest.raises(UserError, match=r"other settings \(loop, shift\)"):
        make_trainer(other)


def test_resume_refuses_steps_of_another_number_of_samples(pose_config):
    make_trainer(pose_config).run()
    with pytest.raises(UserError, match="covers 4 samples, with these settings it would cover 6"):
        make_trainer(replace(pose_config, batch=3, loop=replace(pose_config.loop, accumulate=2)))


def test_writing_checkpoints_does_not_disturb_the_run(base_config, tmp_path):
    config = replace(base_config, loop=replace(base_config.loop, steps=3))
    often = replace(config, output=str(tmp_path / "often"), loop=replace(config.loop, checkpoint_every=1))
    a, b = (read_state(make_trainer(c).run()) for c in (config, often))
    assert [k for k in a if not torch.equal(a[k], b[k])] == []


def test_signal_handlers_come_back_after_a_run(pose_config):
    names = (signal.SIGTERM, signal.SIGINT)
    before, during = [signal.getsignal(n) for n in names], []
    look = at_step(1, lambda stage: during.extend(signal.getsignal(n) for n in names))
    make_trainer(pose_config, look).run()
    assert [signal.getsignal(n) for n in names] == before
    assert not set(during) & set(before)


def test_an_output_that_cannot_be_written_is_a_user_error(pose_config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        make_trainer(replace(pose_config, output=str(tmp_path / "file" / "run"))).run()


def test_only_the_newest_checkpoints_are_kept(pose_config):
    config = replace(pose_config, loop=replace(pose_config.loop, checkpoint_every=1, keep=2))
    make_trainer(config).run()
    assert [c.name for c in checkpoints(Path(config.output))] == ["step-5", "step-6"]


def test_the_exported_model_is_the_folded_average(base_config):
    done = make_trainer(base_config).run()
    average = BaseModel(preset("tiny"))
    average.load_state_dict(read_tensors(done / "state/average.safetensors"))
    fold_weights(average.eval())
    exported, raw = BaseModel.load(done).state_dict(), read_tensors(done / "state/generator.safetensors")
    assert exported.keys() == average.state_dict().keys()
    for name, tensor in average.state_dict().items():
        assert torch.equal(exported[name], tensor.half().float()), name
    name = "warp_driver.to_offsets.weight"
    assert (exported[name] - raw[name]).abs().max() > 0.05 * raw[name].abs().max()
    assert read_json(done / "config.json")["step"] == 6


def test_the_average_follows_the_weights(pose_config):
    network, average = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    network.weight.data.fill_(3.0)
    network.running_mean.fill_(5.0)
    update_average(average, network, 0.9, step=10_000)
    torch.testing.assert_close(average.weight.data, torch.full((2,), 1.2))  # 0.9 * 1 + 0.1 * 3
    assert torch.equal(average.running_mean, network.running_mean)
    update_average(average, network, 0.999, step=0)  # early: decay 1 / 10
    torch.testing.assert_close(average.weight.data, torch.full((2,), 2.82))


def test_a_step_that_is_not_finite_is_skipped_and_counted(pose_config):
    kept = []

    def spoil(stage):
        kept.append([p.detach().clone() for p in stage.generator.parameters()])
        loss = next(stage.generator.parameters()).sum() * float("nan")
        return {"rotation": (loss, 1.0)}

    def watch(stage):
        at_step(2, spoil)(stage)
        at_step(3, lambda stage: kept.append([p.detach().clone() for p in stage.generator.parameters()]))(stage)

    # the list's append returns None, so step 3 goes on with its own terms
    done = make_trainer(pose_config, watch).run()
    assert all(torch.equal(a, b) for a, b in zip(*kept, strict=True))
    assert read_json(done / "state/loop.json")["skipped"] == 1
    assert all(torch.isfinite(v).all() for v in read_state(done).values())


def test_a_run_that_diverges_ends_with_advice(pose_config, monkeypatch):
    monkeypatch.setattr(loop_module, "BAD_STEPS_IN_A_ROW", 3)

    def change(stage):
        stage.generator_terms = lambda batch, step: {
            "broken": (next(stage.generator.parameters()).sum() * (float("inf") if step in (0, 2, 3, 4) else 1.0), 1.0)
        }

    with pytest.raises(UserError, match="not finite in the last 3 steps"):
        make_trainer(pose_config, change).run()
    log = Path(pose_config.output) / "log/scalars.jsonl"
    lines = [json.loads(text) for text in log.read_text().splitlines()]
    assert [line["skipped_steps"] for line in lines] == [1, 1, 2, 3, 4]
    assert ["generator_total" in line for line in lines] == [False, True, False, False, False]


def test_a_loss_that_is_not_finite_is_skipped_although_its_gradient_is(pose_config):
    def spoil(stage):
        terms_of = stage.generator_terms
        stage.generator_terms = lambda batch, step: (
            terms_of(batch, step) | ({"infinite": (torch.tensor(float("inf")), 1.0)} if step == 0 else {})
        )

    done = make_trainer(pose_config, spoil).run()
    assert read_json(done / "state/loop.json")["skipped"] == 1


def test_a_resumed_run_with_accumulation_and_channels_last_is_exact(pose_config, tmp_path):
    loop = replace(pose_config.loop, steps=4, accumulate=2, channels_last=True)
    config = replace(pose_config, batch=2, loop=loop)
    whole = make_trainer(replace(config, output=str(tmp_path / "whole"))).run()
    stopped = make_trainer(config, at_step(1, lambda stage: signal.raise_signal(signal.SIGTERM))).run()
    a, b = read_state(whole), read_state(make_trainer(config).run())
    assert stopped.name == "step-2"
    assert [k for k in a if not torch.equal(a[k], b[k])] == []


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_trains_and_keeps_its_scale(pose_config, precision):
    """fp16 skips its first steps until the scale of the loss fits."""
    trainer = make_trainer(replace(pose_config, loop=replace(pose_config.loop, steps=12, precision=precision)))
    before = [p.detach().clone() for p in trainer.stage.generator.parameters()]
    state = trainer.run() / "state"
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.stage.generator.parameters(), strict=True))
    assert all(p.dtype == torch.float32 for p in trainer.stage.generator.parameters())
    scaler = read_json(state / "loop.json")["scaler"]
    assert (scaler.get("scale", 0) > 1) == (precision == "16-mixed")
    assert read_json(state / "loop.json")["skipped"] <= (8 if precision == "16-mixed" else 0)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_the_data_reaches_the_user_as_one_sentence(pose_config, workers):
    class Broken(torch.utils.data.Dataset):
        def __getitem__(self, index):
            raise UserError("clip 7 has no frames; leave it out")

    def change(stage):
        stage.dataset = lambda length: Broken()

    config = replace(pose_config, loop=replace(pose_config.loop, workers=workers))
    with pytest.raises(UserError) as caught:
        make_trainer(config, change).run()
    assert str(caught.value) == "clip 7 has no frames; leave it out"


def test_a_line_of_the_log_is_the_mean_since_the_line_before_with_speed(pose_config, tmp_path):
    often = replace(pose_config, output=str(tmp_path / "often"))
    seldom = replace(pose_config, loop=replace(pose_config.loop, log_every=3))
    lines = []
    for config in (often, seldom):
        make_trainer(config).run()
        text = (Path(config.output) / "log/scalars.jsonl").read_text()
        lines.append([json.loads(line) for line in text.splitlines()])
    assert [line["step"] for line in lines[1]] == [3, 6]
    for name in ("rotation", "generator_total", "generator_gradient_norm"):
        values = [line[name] for line in lines[0]]
        wanted = [sum(values[:3]) / 3, sum(values[3:]) / 3]
        assert [line[name] for line in lines[1]] == pytest.approx(wanted, abs=1e-5)
    assert all(line["samples_per_s"] > 0 and 0 <= line["waiting_share"] <= 1 for line in lines[0] + lines[1])


def test_recomputing_activations_is_asked_of_the_generator(pose_config):
    config = replace(pose_config, loop=replace(pose_config.loop, gradient_checkpointing=True))
    with pytest.raises(UserError, match="cannot compute activations again"):
        make_trainer(config)
    asked = []
    make_trainer(config, lambda stage: setattr(stage.generator, "checkpoint_activations", lambda: asked.append(1)))
    assert asked == [1]


def test_compiling_takes_the_parts_of_the_generator(pose_config, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    trainer = make_trainer(replace(pose_config, loop=replace(pose_config.loop, compile=True)))
    assert compiled == list(trainer.stage.generator.children())


def test_an_absent_wandb_is_a_user_error(pose_config, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    config = replace(pose_config, loop=replace(pose_config.loop, logger="wandb"))
    with pytest.raises(UserError, match="wandb"):
        make_trainer(config).run()


def test_wandb_gets_the_scalars(pose_config, monkeypatch):
    logged = []
    run = SimpleNamespace(log=lambda values, step: logged.append((step, *values)), finish=lambda: logged.append("end"))
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **settings: run))
    make_trainer(replace(pose_config, loop=replace(pose_config.loop, logger="wandb", steps=1))).run()
    assert (1, "rotation") in logged
    assert logged[-1] == "end"


def test_learning_rate_known_values():
    config = OptimiserConfig(learning_rate=2e-4, final_learning_rate=1e-6, warmup_steps=100)
    rate = [learning_rate(config, s, 1100) for s in (0, 49, 99, 100, 600, 1100, 5000)]
    assert rate == pytest.approx([2e-6, 1e-4, 2e-4, 2e-4, 1.005e-4, 1e-6, 1e-6])


def test_the_optimiser_gets_the_schedule_and_the_gradient_is_clipped(pose_config):
    rates, trainer = [], make_trainer(replace(pose_config, optimiser=OptimiserConfig(1e-3, 1e-4, warmup_steps=3)))
    step = trainer.players["generator"].optimiser.step

    def recorded():
        group = trainer.players["generator"].optimiser.param_groups[0]
        norm = torch.stack([p.grad.norm() for p in group["params"]]).norm().item()
        rates.append((group["lr"], norm, group["betas"], group["weight_decay"]))
        step()

    trainer.players["generator"].optimiser.step = recorded
    trainer.run()
    wanted = [learning_rate(trainer.settings, s, 6) for s in range(6)]
    assert [r[0] for r in rates] == pytest.approx(wanted)
    assert max(r[1] for r in rates) <= 1.001
    assert {r[2:] for r in rates} == {((0.5, 0.999), 0.01)}


def test_the_log_holds_raw_values_of_every_step(pose_config):
    make_trainer(pose_config).run()
    lines = [json.loads(t) for t in (Path(pose_config.output) / "log/scalars.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    one = lines[0]
    total = 10 * (one["rotation"] + one["translation"] + one["keypoints"]) + 5 * one["scale"]
    assert one["generator_total"] == pytest.approx(total, abs=1e-4)
    assert one["error_deg"] > 1


def test_steps_that_are_made_again_are_logged_once(pose_config):
    """A run that is killed has logged steps after its last checkpoint, perhaps half a line."""

    class Killed(Exception):
        pass

    def kill(stage):
        raise Killed

    config = replace(pose_config, loop=replace(pose_config.loop, checkpoint_every=2))
    with pytest.raises(Killed):
        make_trainer(config, at_step(5, kill)).run()
    log = Path(config.output) / "log/scalars.jsonl"
    assert [json.loads(t)["step"] for t in log.read_text().splitlines()] == [1, 2, 3, 4, 5]
    log.write_text(log.read_text() + '{"step": 6, "sca')
    make_trainer(config).run()
    assert [json.loads(t)["step"] for t in log.read_text().splitlines()] == [1, 2, 3, 4, 5, 6]


def test_workers_do_not_change_the_run(pose_config, tmp_path):
    config = replace(pose_config, loop=replace(pose_config.loop, steps=2))
    alone = make_trainer(config).run()
    helped = replace(config, output=str(tmp_path / "helped"), loop=replace(config.loop, workers=2))
    a, b = read_state(alone), read_state(make_trainer(helped).run())
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_an_absent_gpu_is_a_user_error(pose_config):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    config = replace(pose_config, loop=replace(pose_config.loop, device="cuda"))
    with pytest.raises(UserError, match="no GPU"):
        Trainer(make_stage(config), config.loop, config.optimiser, Path(config.output), to_dict(config))
