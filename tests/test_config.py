"""Settings: presets, JSON round trips, refusals."""

import dataclasses
import json

import pytest

from megaportraits.config import (
    DISCRIMINATOR_PRESETS,
    MODEL_PRESETS,
    BaseTraining,
    EvaluateConfig,
    G2DConfig,
    LoopConfig,
    LossWeights,
    ModelConfig,
    OptimiserConfig,
    PoseTraining,
    WarpConfig,
    from_dict,
    preset,
    to_dict,
)
from megaportraits.errors import UserError


@pytest.mark.parametrize("config", [*MODEL_PRESETS.values(), BaseTraining("run"), PoseTraining("run")])
def test_json_round_trip(config):
    data = to_dict(config)
    assert json.loads(json.dumps(data)) == data
    assert from_dict(type(config), data) == config


def test_unknown_fields_are_refused_at_any_depth_with_the_known_ones():
    with pytest.raises(UserError, match=r"ModelConfig has no field size; known fields: .*size_px"):
        from_dict(ModelConfig, {"size": 512})
    with pytest.raises(
        UserError, match="LossWeights has no field cos; known fields: adversarial, correspondence, cycle"
    ):
        from_dict(BaseTraining, {"output": "run", "weights": {"cos": 1.0}})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size_px": 100}, "size_px is 100; it must be a multiple of 32"),
        ({"warp": WarpConfig((8, 8), ((2, 2, 2), (2, 2, 2)))}, "warp.widths has 2 entries"),
        ({"g2d": G2DConfig(up_widths=(8, 8))}, "three doublings"),
        ({"g2d": G2DConfig(pixel_shuffle=True)}, "three doublings"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, sentence):
    with pytest.raises(UserError, match=sentence):
        ModelConfig(**change)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (LoopConfig, "steps", 0),
        (LoopConfig, "keep", 0),
        (LoopConfig, "pictures_every", 0),
        (LoopConfig, "workers", -1),
        (BaseTraining, "batch", 0),
        (BaseTraining, "drivers_per_source", 0),
        (BaseTraining, "size_px", -32),
        (PoseTraining, "batch", 0),
        (EvaluateConfig, "count", 0),
    ],
)
def test_numbers_that_are_too_small_are_refused_by_name(kind, name, value):
    needed = {LoopConfig: (), EvaluateConfig: ("data", "output")}.get(kind, ("run",))
    with pytest.raises(UserError, match=f"{name} is {value}; give at least"):
        kind(*needed, **{name: value})


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="'huge'; choose one of paper-512, paper-256, small, live, tiny"):
        preset("huge")


def test_every_preset_has_a_discriminator():
    assert MODEL_PRESETS.keys() == DISCRIMINATOR_PRESETS.keys()


def test_paper_256_differs_from_paper_512_in_size_and_last_up_sampling_only():
    large, small = to_dict(preset("paper-512")), to_dict(preset("paper-256"))
    assert small["warp"].pop("upsample")[:3] == large["warp"].pop("upsample")[:3]
    assert (small.pop("size_px"), large.pop("size_px")) == (256, 512)
    assert small == large


def test_defaults_are_the_papers():
    """Eq. 4, 5, 8 and B.1."""
    weights, training = LossWeights(), BaseTraining("run")
    assert (weights.perceptual, weights.adversarial, weights.feature_matching, weights.cycle) == (20, 1, 40, 2)
    optimiser = training.optimiser
    assert (optimiser.learning_rate, optimiser.final_learning_rate) == (2e-4, 1e-6)
    assert (optimiser.betas, optimiser.weight_decay) == ((0.5, 0.999), 1e-2)
    assert (training.loop.steps, training.batch) == (200_000, 24)
    with pytest.raises(dataclasses.FrozenInstanceError):
        training.batch = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": -1.0}, {"betas": (1.0, 0.9)}, {"betas": (0.9, -0.1)}, {"weight_decay": -1.0},
        {"clip_norm": 0.0}, {"ema": 1.5},
    ],
)  # fmt: skip
def test_optimisers_that_cannot_be_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        OptimiserConfig(**wrong)
