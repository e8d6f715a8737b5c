"""Stage two: what its terms reach, its halves, learning, exact resume, refusals."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from runs import FAST, LOOP, Repeated, logged, read_state

from megaportraits.checkpoint import read_json
from megaportraits.config import EnhanceTraining, EnhanceWeights, ViewConfig, from_dict, preset, to_dict
from megaportraits.errors import UserError
from megaportraits.losses.frozen.squeezenet import squeezenet1_0
from megaportraits.models.base import BaseModel
from megaportraits.models.enhancer import Enhancer
from megaportraits.tensors import Prediction, over_grey
from megaportraits.training import enhance
from megaportraits.training.enhance import EnhanceStage
from megaportraits.training.loop import Trainer, train

ENHANCER = {"encoder", "volume", "decoder"}
REACH = {
    "mae": ENHANCER,
    "perceptual": ENHANCER,
    "adversarial": ENHANCER | {"same"},
    "feature_matching": ENHANCER | {"same"},
    "cross_adversarial": ENHANCER | {"cross"},
    "cycle": ENHANCER,
}
"""Parts that each of the six terms reaches; the discriminators' share is thrown away by the loop."""


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of an untrained tiny base model."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base")
    BaseModel(preset("tiny")).eval().save(folder)
    return folder


@pytest.fixture
def config(drawn_clips: Path, base_folder: Path, tmp_path: Path) -> EnhanceTraining:
    """32 -> 64 px, which is the size of the drawn clips."""
    return EnhanceTraining(
        str(tmp_path / "enhance"), str(base_folder), data=(str(drawn_clips),), preset="enhancer-tiny", size_px=32,
        batch=2, optimiser=FAST, loop=LOOP, cache_gb=0.1,
    )  # fmt: skip


def trainer_of(stage: EnhanceStage) -> Trainer:
    config = stage.config
    return Trainer(stage, config.loop, config.optimiser, Path(config.output), to_dict(config))


def first_batch(stage: EnhanceStage):
    dataset = stage.dataset(stage.batch)
    return stage.to_device(stage.collate([dataset[i] for i in range(stage.batch)]), torch.device("cpu"))


def with_open_head(stage: EnhanceStage) -> EnhanceStage:
    """A head that starts at zero rightly passes no gradient to what lies before it."""
    torch.nn.init.normal_(stage.generator.decoder.conv.weight, std=0.02)
    return stage


def reach(stage: EnhanceStage, term: torch.Tensor) -> set[str]:
    """Parts that a term's gradient reaches."""
    parts = dict(stage.generator.named_children()) | dict(stage.discriminator.named_children())
    found = set()
    for name, part in parts.items():
        grads = torch.autograd.grad(term, list(part.parameters()), retain_graph=True, allow_unused=True)
        assert all(g is None or g.isfinite().all() for g in grads)
        found |= {name} if any(g is not None and g.any() for g in grads) else set()
    return found


def test_each_of_the_six_terms_reaches_the_weights_that_it_should(config, monkeypatch):
    monkeypatch.setattr(enhance, "load_frozen", lambda name, path: squeezenet1_0().eval().requires_grad_(False))
    stage = with_open_head(EnhanceStage(replace(config, weights=EnhanceWeights(perceptual=1.0))))
    batch = first_batch(stage)
    terms = stage.generator_terms(batch, step=0)
    raw, weight = terms.pop("bilinear_mae")
    assert (weight, raw.requires_grad) == (0, False)
    assert {name: reach(stage, raw) for name, (raw, _) in terms.items()} == REACH
    assert {name: weight for name, (_, weight) in terms.items()} == {
        "mae": 100, "perceptual": 1, "adversarial": 1, "feature_matching": 100, "cross_adversarial": 1, "cycle": 10,
    }  # fmt: skip
    judged = stage.discriminator_terms(batch)
    assert {name: reach(stage, raw) for name, (raw, _) in judged.items()} == {
        "same_discriminator": {"same"}, "cross_discriminator": {"cross"},
    }  # fmt: skip


def test_the_base_model_sees_half_size_and_stays_as_it_is(config, base_folder):
    stage = EnhanceStage(config)
    before = {name: tensor.clone() for name, tensor in stage.base.state_dict().items()}
    trainer_of(stage).run()
    assert all(torch.equal(tensor, before[name]) for name, tensor in stage.base.state_dict().items())
    assert not stage.base.training
    assert not any(p.requires_grad for p in stage.base.parameters())
    same, cross = stage._base_pictures(first_batch(stage))
    assert same.rgb.shape == cross.rgb.shape == (2, 3, 32, 32)
    assert not same.rgb.requires_grad
    assert not torch.equal(same.rgb, cross.rgb)


def test_the_halves_are_driven_by_the_right_pictures(config):
    """Supervised: the source's other view, which is the truth. Unsupervised: the other person; real ones are photos."""
    stage = EnhanceStage(config)
    batch = first_batch(stage)
    small = [F.avg_pool2d(picture, 2) for picture in (batch.source, batch.driver)]
    matte = F.avg_pool2d(batch.source_matte, 2)
    same, cross = stage._base_pictures(batch)
    torch.testing.assert_close(same.rgb, stage.base(small[0], matte, small[1]).rgb)
    torch.testing.assert_close(cross.rgb, stage.base(small[0], matte, batch.other).rgb)
    stage.generator_terms(batch, step=0)
    assert (stage._last["same"][1][batch.driver_matte.expand_as(batch.driver) == 0] == 0.5).all()
    inside = batch.source_matte.expand_as(batch.source) == 1
    assert torch.equal(stage._last["cross"][1][inside], batch.source[inside])


@pytest.mark.parametrize(
    ("halves", "terms", "judges"),
    [
        ("supervised", {"mae", "adversarial", "feature_matching", "bilinear_mae"}, {"same"}),
        ("unsupervised", {"cross_adversarial", "cycle"}, {"cross"}),
    ],
)
def test_each_half_trains_alone(config, halves, terms, judges):
    stage = EnhanceStage(replace(config, halves=halves, loop=replace(LOOP, steps=2)))
    trainer_of(stage).run()
    lines = logged(config.output)
    found = {name for name in lines[-1] if name in REACH or name == "bilinear_mae"}
    assert found == terms
    assert set(stage.discriminator) == judges
    assert {name for name in lines[-1] if name.endswith("_discriminator")} == {f"{j}_discriminator" for j in judges}
    assert lines[-1]["skipped_steps"] == 0


def test_the_truth_can_be_made_blurred_in_the_place_of_the_base_picture(config):
    stage = EnhanceStage(replace(config, halves="supervised", blurred_truth=1.0, blur_px=2.0))
    batch = first_batch(stage)
    truth = F.avg_pool2d(over_grey(batch.driver, batch.driver_matte), 2)
    sharp = enhance._blurred(batch, 0.0)
    torch.testing.assert_close(sharp.rgb, truth)
    soft = enhance._blurred(batch, 2.0)
    assert soft.rgb.shape == truth.shape
    torch.testing.assert_close(soft.rgb.mean(), truth.mean(), atol=0.01, rtol=0)
    gradients = [picture.diff(dim=-1).abs().mean() for picture in (soft.rgb, truth)]
    assert gradients[0] < 0.6 * gradients[1]
    stage.base = None
    chance = torch.Generator().manual_seed(0)
    first, second = (stage._low_pictures(batch, chance)[0] for _ in range(2))
    assert not torch.equal(first.rgb, second.rgb), "another blur in each step"
    assert stage.generator_terms(batch, 0).keys() >= {"mae", "adversarial"}
    with pytest.raises(UserError, match=r"blurred_truth is 1\.5; give a number from 0 to 1"):
        replace(config, blurred_truth=1.5)


def test_patches_are_the_same_square_of_the_base_picture_and_of_the_truth(config):
    """Where half of the truth is the base picture, it is so in the patch, wherever that lies."""
    stage = EnhanceStage(replace(config, patch_px=32))
    chance = torch.Generator().manual_seed(0)
    assert stage._window(chance).side == 32
    stage.result_px = 128
    ramp = torch.linspace(0, 1, 128).expand(1, 3, 128, 128)
    both = 0.5 * (ramp + ramp.transpose(2, 3))
    low = Prediction(F.avg_pool2d(both, 2), torch.ones(1, 1, 64, 64))
    places = set()
    for _ in range(6):
        window = stage._window(chance)
        small, large = window.of_low(low), window.of_high(both)
        assert small.rgb.shape == (1, 3, 32, 32)
        assert small.matte.shape == (1, 1, 32, 32)
        torch.testing.assert_close(F.avg_pool2d(large, 2), small.rgb)
        places.add((window.top, window.left))
    assert len(places) > 1


def test_a_run_on_patches_trains_and_refuses_patches_beyond_the_picture(config):
    small = replace(config, preset="enhancer-tiny", size_px=32, patch_px=32, loop=replace(LOOP, steps=1))
    trainer_of(EnhanceStage(small)).run()
    assert logged(config.output)[-1]["skipped_steps"] == 0
    with pytest.raises(UserError, match="patch_px is 64, but the base model's pictures have 32 px"):
        EnhanceStage(replace(config, patch_px=64))
    with pytest.raises(UserError, match="multiple of 32"):
        replace(config, patch_px=48)


def test_terms_without_weight_are_not_computed(config):
    stage = EnhanceStage(replace(config, weights=EnhanceWeights(adversarial=0.0, cross_adversarial=0.0)))
    assert stage.discriminator is None
    assert stage.generator_terms(first_batch(stage), 0).keys() == {"mae", "cycle", "bilinear_mae"}
    with pytest.raises(UserError, match="all weights of the unsupervised half are 0"):
        replace(config, weights=EnhanceWeights(cross_adversarial=0.0, cycle=0.0))


class _PerfectBase(torch.nn.Module):
    """A base model whose picture is the driver itself, at its size."""

    def motion(self, picture: torch.Tensor) -> torch.Tensor:
        return picture

    def canonical(self, *parts: torch.Tensor) -> None: ...

    def render(self, canonical: None, driver: torch.Tensor) -> Prediction:
        return Prediction(driver, torch.ones_like(driver[:, :1]))


def test_it_overfits_one_photo(config):
    """Behind a base model without faults, the enhancer restores the detail that half the size lacks."""
    config = replace(
        config, batch=1, halves="supervised", weights=EnhanceWeights(adversarial=0.0), loop=replace(LOOP, steps=200),
        views=ViewConfig(0.0, 1.0, hue=0.0, flip=0.0),
    )  # fmt: skip
    stage = EnhanceStage(config)
    stage.base = _PerfectBase()
    dataset = stage.dataset

    def photo(length):
        samples = dataset(1)
        seen = replace(samples[0], driver_matte=torch.ones(1, 1, 64, 64))
        return Repeated([seen], 1, length)

    stage.dataset = photo
    trainer_of(stage).run()
    lines = logged(config.output)
    assert lines[0]["mae"] == pytest.approx(lines[0]["bilinear_mae"], rel=1e-5)
    assert sum(line["mae"] for line in lines[-5:]) / 5 < 0.4 * lines[-1]["bilinear_mae"]


def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one_bit_for_bit(config, tmp_path):
    config = replace(config, blurred_truth=0.5)
    whole = trainer_of(EnhanceStage(replace(config, output=str(tmp_path / "whole")))).run()
    stopping = trainer_of(EnhanceStage(config))
    terms_of = stopping.stage.generator_terms

    def stop(batch, step):
        stopping.stopping = step == 2
        return terms_of(batch, step)

    stopping.stage.generator_terms = stop
    assert stopping.run().name == "step-3"
    resumed = trainer_of(EnhanceStage(config)).run()
    a, b = read_state(whole), read_state(resumed)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
    assert {name.split(".")[0] for name in a if name.startswith("discriminator/")} == {
        "discriminator/same", "discriminator/cross",
    }  # fmt: skip


def test_a_checkpoint_is_an_enhancer_for_use_and_starts_another_run(config, tmp_path):
    done = trainer_of(EnhanceStage(config)).run()
    facts = read_json(done / "config.json")
    assert (facts["kind"], facts["step"], facts["base_px"]) == ("enhancer", 6, 32)
    assert from_dict(EnhanceTraining, facts["training"]) == config
    assert Enhancer.load(done)(torch.rand(1, 3, 64, 64)).shape == (1, 3, 128, 128)
    again = EnhanceStage(replace(config, start_from=str(done), output=str(tmp_path / "second")))
    state = read_state(done)
    for kind, network in (("generator", again.generator), ("discriminator", again.discriminator)):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, state[f"{kind}/{name}"]), name


def test_pictures_and_a_dry_run(config, capsys, tmp_path):
    trainer_of(EnhanceStage(replace(config, loop=replace(LOOP, steps=1, pictures_every=1)))).run()
    with Image.open(Path(config.output) / "log/examples-1.png") as picture:
        assert picture.size == (6 * 64, 2 * 64)
    dry = replace(config, dry_run=True, output=str(tmp_path / "dry"))
    train(EnhanceStage(dry), dry)
    assert "encoder" in capsys.readouterr().out
    assert not (tmp_path / "dry").exists()


def test_a_base_model_must_come_and_be_one(config, tmp_path):
    with pytest.raises(UserError, match="give --base"):
        EnhanceStage(replace(config, base=""))
    with pytest.raises(UserError, match="no checkpoint in"):
        EnhanceStage(replace(config, base=str(tmp_path)))
    done = trainer_of(EnhanceStage(replace(config, loop=replace(LOOP, steps=1)))).run()
    with pytest.raises(UserError, match="holds a 'enhancer' model, but a 'base' model was wanted"):
        EnhanceStage(replace(config, base=str(done)))


def test_defaults_are_the_papers():
    """Eq. 10, B.1."""
    config = EnhanceTraining("run")
    weights = config.weights
    assert (weights.mae, weights.adversarial, weights.feature_matching, weights.cycle) == (100, 1, 100, 10)
    assert (weights.cross_adversarial, weights.perceptual) == (1, 0)
    assert (config.loop.steps, config.batch, config.halves) == (50_000, 16, "both")
    assert from_dict(EnhanceTraining, to_dict(config)) == config
