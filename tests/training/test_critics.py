"""The frozen networks of stage one: loaded where they are wanted, looked through, never trained."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from runs import PLAIN, make_stage, make_trainer
from test_stages import first_batch

from megaportraits.checkpoint import write_model
from megaportraits.config import CriticsConfig, LossWeights, to_dict
from megaportraits.config.gaze import GAZE_PRESETS
from megaportraits.config.identity import IDENTITY_PRESETS
from megaportraits.losses.frozen.squeezenet import squeezenet1_0
from megaportraits.models.gaze import GazeNet
from megaportraits.models.identity import IdentityNet
from megaportraits.training import critics as module

ALL = LossWeights(identity=35.0)


@pytest.fixture
def critics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CriticsConfig:
    """Tiny gaze and identity nets on disk, and an untrained SqueezeNet in the place of the downloaded one."""
    torch.manual_seed(3)
    for kind, sizes, network in (
        ("gaze", GAZE_PRESETS["tiny"], GazeNet),
        ("identity", IDENTITY_PRESETS["tiny"], IdentityNet),
    ):
        write_model(tmp_path / kind, kind, to_dict(sizes), network(sizes).state_dict(), {})
    monkeypatch.setattr(module, "load_frozen", lambda name, path: squeezenet1_0().eval().requires_grad_(False))
    identity = str(tmp_path / "identity")
    return CriticsConfig("squeezenet1_0", "", 2, "identity", identity, str(tmp_path / "gaze"), identity)


def test_every_term_of_the_paper_is_there_with_its_weight(base_config, critics):
    stage = make_stage(replace(base_config, weights=ALL, critics=critics))
    batch = stage.to_device(first_batch(stage), torch.device("cpu"))
    terms = stage.generator_terms(batch, step=6)
    weights = {name: weight for name, (_, weight) in terms.items()}
    assert weights == {
        "perceptual": 20, "face": 4, "gaze": 5, "adversarial": 1, "feature_matching": 40, "cycle": 2, "matte": 5,
        "identity": 35,
    }  # fmt: skip
    assert all(raw.requires_grad and raw.isfinite() for raw, _ in terms.values())
    assert not any(p.requires_grad for p in stage.critics.parameters())
    assert not stage.critics.gaze.training
    assert not stage.critics.face.training


@pytest.mark.parametrize("term", ["perceptual", "face", "gaze", "identity"])
def test_each_frozen_network_teaches_the_whole_generator(base_config, critics, term):
    weights = replace(PLAIN, reconstruction=0.0, adversarial=0.0, cycle=0.0, **{term: 1.0})
    stage = make_stage(replace(base_config, weights=weights, critics=critics))
    for parameter in stage.generator.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    batch = stage.to_device(first_batch(stage), torch.device("cpu"))
    stage.generator_terms(batch, step=6)[term][0].backward()
    model = stage.generator
    for part in (model.appearance_encoder.volume, model.embedding, model.warp_driver, model.g3d, model.g2d):
        gradients = [p.grad for p in part.parameters()]
        assert all(g is not None and g.isfinite().all() for g in gradients)
        assert any(g.abs().max() > 0 for g in gradients)
    assert all(p.grad is None for p in model.motion_encoder.pose.parameters())


def test_networks_of_terms_without_weight_are_not_loaded(base_config, monkeypatch):
    monkeypatch.setattr(module, "load_frozen", lambda *_: pytest.fail("a network was loaded"))
    stage = make_stage(replace(base_config, weights=PLAIN))
    assert list(stage.critics.parameters()) == []


def test_frozen_networks_are_no_part_of_the_checkpoint(base_config, critics):
    config = replace(base_config, weights=ALL, critics=critics, loop=replace(base_config.loop, steps=2))
    trainer = make_trainer(config)
    before = {k: v.clone() for k, v in trainer.stage.critics.state_dict().items()}
    done = trainer.run()
    assert all(torch.equal(v, before[k]) for k, v in trainer.stage.critics.state_dict().items())
    assert not any("critics" in f.name for f in (done / "state").iterdir())
