"""The enhancer: sizes of the paper's drawing, what a result is made of, folding, saving.

Large networks are built on the meta device, as in test_sizes.py. Stored outputs: test_golden_enhancer.py.
"""

import functools
import json
from dataclasses import replace
from importlib import resources

import pytest
import torch
import torch.nn.functional as F
from perturbed import perturb_zeros
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from megaportraits.config import (
    ENHANCER_DISCRIMINATORS,
    ENHANCER_PRESETS,
    EnhancerConfig,
    enhancer_preset,
    from_dict,
    to_dict,
)
from megaportraits.data.pictures import read_picture
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import ResBlock, folded_state
from megaportraits.models.enhancer import Enhancer, doubled
from megaportraits.tensors import Prediction

GMAC = {
    # (preset, side of the picture that comes in): multiply-adds / 1e9, convolutions and matrix products
    ("enhancer-paper", 512): 2791,
    ("enhancer-small", 256): 12.3,
    ("enhancer-small", 512): 49.2,
}
PARAMETERS = {"enhancer-paper": 48_780_963, "enhancer-small": 1_857_328, "enhancer-tiny": 20_688}


@functools.cache
def shapes_of(name: str) -> Enhancer:
    with torch.device("meta"):
        return Enhancer(replace(enhancer_preset(name), spectral_norm=False))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture
def enhancer() -> Enhancer:
    """Tiny, with a perturbed head, in evaluation mode."""
    torch.manual_seed(0)
    network = Enhancer(enhancer_preset("enhancer-tiny"))
    perturb_zeros(network)
    return network.eval()


@pytest.fixture
def low(generator: torch.Generator) -> Prediction:
    """A prediction of the base model, 64 px; half of it is background."""
    matte = torch.ones(2, 1, 64, 64)
    matte[..., :32] = 0
    return Prediction(torch.rand(2, 3, 64, 64, generator=generator), matte)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_exactly_those_of_the_preset(name):
    assert count(shapes_of(name)) == PARAMETERS[name]


@pytest.mark.parametrize(("name", "size"), GMAC)
def test_multiply_adds_and_doubled_size(name, size):
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        result = shapes_of(name)(torch.empty(1, 3, size, size), torch.empty(1, 1, size, size))
    assert result.shape == (1, 3, 2 * size, 2 * size)
    assert counter.get_total_flops() / 2e9 == pytest.approx(GMAC[name, size], rel=0.005)


def test_with_the_3x3_skips_of_the_drawing_the_paper_preset_has_51_6_million():
    """Ours are 1x1 (D6): a ninth of the weights in each block whose channels change."""
    skips = [b.skip for b in shapes_of("enhancer-paper").modules() if isinstance(b, ResBlock)]
    assert count(shapes_of("enhancer-paper")) + 8 * sum(map(count, skips)) == 51_549_859


def test_the_paper_preset_is_the_drawing():
    network = shapes_of("enhancer-paper")
    with torch.device("meta"):
        features = network.encoder(torch.empty(1, 3, 512, 512))
    assert [tuple(f.shape[1:3]) for f in features] == [(128, 1024), (256, 512), (512, 256), (512, 128)]
    assert len(network.volume.blocks_3d) == 3
    assert network.volume.to_volume.weight.shape == (96 * 16, 512, 1, 1)
    assert len(network.decoder.blocks) == 8
    assert [b.conv2.weight.shape[0] for b in network.decoder.up_blocks] == [256, 128, 128]
    assert [b.conv2.weight.shape[0] for b in network.decoder.end_blocks] == [128, 64, 32]


def test_small_weighs_at_most_8_mb_in_half_precision():
    assert 2 * PARAMETERS["enhancer-small"] <= 8e6


def test_every_preset_has_a_discriminator_and_survives_json():
    assert ENHANCER_PRESETS.keys() == ENHANCER_DISCRIMINATORS.keys()
    for config in ENHANCER_PRESETS.values():
        assert from_dict(EnhancerConfig, json.loads(json.dumps(to_dict(config)))) == config


@torch.no_grad()
def test_training_starts_from_bilinear_doubling(low):
    torch.manual_seed(0)
    fresh = Enhancer(enhancer_preset("enhancer-tiny"))
    wanted = F.interpolate(low.rgb, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.equal(fresh(low.rgb, low.matte), wanted)


@torch.no_grad()
def test_the_residual_is_added_inside_the_matte_only(enhancer, low):
    result, everywhere = enhancer(low.rgb, low.matte), enhancer(low.rgb)
    changed = (result - doubled(low.rgb)).abs()
    assert not changed[..., :63].any()
    assert changed[..., 65:].mean() > 1e-3
    torch.testing.assert_close(result[..., 65:], everywhere[..., 65:])
    assert (everywhere - doubled(low.rgb))[..., :63].abs().mean() > 1e-3
    assert enhancer.residual(low.rgb).abs().max() <= 1


@torch.no_grad()
def test_an_enhanced_prediction_is_a_picture_with_its_matte(enhancer, low):
    enhancer.decoder.conv.bias += 3.0
    made = enhancer.enhance(low)
    assert made.rgb.shape == (2, 3, 128, 128)
    assert made.rgb.max() == 1
    assert made.rgb.min() >= 0
    assert torch.equal(made.matte, doubled(low.matte))
    assert enhancer.enhance(Prediction(low.rgb, None)).matte is None


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (128, 128), (64, 96)])
def test_the_same_weights_serve_other_sizes(enhancer, size):
    assert enhancer(torch.rand(1, 3, *size)).shape == (1, 3, 2 * size[0], 2 * size[1])
    assert all(side % enhancer.config.multiple_px == 0 for side in size)


@torch.no_grad()
def test_samples_of_a_batch_do_not_see_each_other(enhancer, low):
    alone = enhancer(low.rgb[:1], low.matte[:1])
    torch.testing.assert_close(enhancer(low.rgb, low.matte)[:1], alone, atol=1e-5, rtol=0)


@torch.no_grad()
def test_without_norms_a_pixel_depends_on_its_surroundings_only(low):
    """So that tiles with a margin give the whole picture."""
    torch.manual_seed(0)
    network = Enhancer(replace(enhancer_preset("enhancer-small"), width=16, widths=(8, 16), up_widths=(8,), blocks=1))
    perturb_zeros(network)
    changed = low.rgb.clone()
    changed[..., :8] = 0
    difference = (network.eval()(low.rgb) - network(changed)).abs().amax((0, 1, 2))
    assert difference[:16].min() > 0
    assert difference[104:].max() == 0


def test_every_parameter_gets_a_finite_gradient(enhancer, low, generator):
    enhancer.train()
    made = enhancer(low.rgb, low.matte)
    (made * torch.randn(made.shape, generator=generator)).sum().backward()
    for name, parameter in enhancer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_recomputed_activations_give_the_same_gradients(low):
    found = []
    for recompute in (False, True):
        torch.manual_seed(0)
        network = Enhancer(enhancer_preset("enhancer-tiny"))
        perturb_zeros(network)
        if recompute:
            network.checkpoint_activations()
        network(low.rgb).square().mean().backward()
        found.append([p.grad for p in network.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


@torch.no_grad()
def test_save_and_load_round_trip_with_folded_weights(enhancer, low, tmp_path):
    before, state = enhancer(low.rgb, low.matte), folded_state(enhancer)
    enhancer.save(tmp_path, step=7)
    loaded = Enhancer.load(tmp_path)
    assert loaded.state_dict().keys() == state.keys()
    assert not any("parametrizations" in key for key in state)
    assert loaded.config == enhancer.config
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    torch.testing.assert_close(loaded(low.rgb, low.matte), before, atol=5e-3, rtol=0)  # stored in fp16
    facts = json.loads((tmp_path / "config.json").read_text())
    assert (facts["kind"], facts["step"]) == ("enhancer", 7)


@pytest.mark.parametrize("change", ["missing", "extra", "other shapes"])
def test_load_refuses_weights_that_do_not_fit(enhancer, tmp_path, change):
    enhancer.save(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    name = "decoder.surplus" if change == "extra" else "decoder.conv.bias"
    tensors |= {name: torch.zeros(1)}
    if change == "missing":
        del tensors[name]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=rf"{change} \['{name}'\]"):
        Enhancer.load(tmp_path)


def test_load_refuses_another_kind_of_model_and_a_missing_one(enhancer, tmp_path):
    enhancer.save(tmp_path / "model")
    with pytest.raises(UserError, match="holds a 'enhancer' model, but a 'base' model was wanted"):
        BaseModel.load(tmp_path / "model")
    with pytest.raises(UserError, match="no checkpoint in"):
        Enhancer.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"unshuffle": 2}, "a picture 0.5 times as large"),
        ({"shuffle": 2}, "a picture 4 times as large"),
        ({"blocks_3d": 0, "width": 256}, "width is 256; without a volume it must be the encoder's last, 512"),
        (
            {"skips": True, "up_widths": (128, 128, 128)},
            r"the encoder's channels \(512, 256, 128\); width and up_widths say \(512, 128, 128\)",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, sentence):
    with pytest.raises(UserError, match=sentence):
        EnhancerConfig(**change)


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="'huge'; choose one of enhancer-paper, enhancer-small, enhancer-tiny"):
        enhancer_preset("huge")


def test_the_small_preset_overfits_one_square():
    """Of a portrait, 64 -> 128 px: nearer than bicubic doubling. The rate must rise slowly (docs/log.md)."""
    portrait = read_picture(str(resources.files("megaportraits.demo") / "source.png"))[70:198, 64:192]
    truth = torch.from_numpy(portrait.copy()).permute(2, 0, 1)[None].float() / 255
    low = F.avg_pool2d(truth, 2)
    bicubic = F.l1_loss(F.interpolate(low, scale_factor=2.0, mode="bicubic", align_corners=False), truth)
    torch.manual_seed(0)
    network = Enhancer(enhancer_preset("enhancer-small")).train()
    optimiser = torch.optim.Adam(network.parameters())
    for step in range(100):
        optimiser.param_groups[0]["lr"] = 1e-3 * min(1, (step + 1) / 60)
        loss = F.l1_loss(network(low), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.8 * bicubic


@pytest.mark.parametrize("name", sorted(ENHANCER_PRESETS))
def test_the_last_activation_cannot_die(name):
    """Features that have sunk below zero everywhere still teach the head, or a norm brings them back."""
    torch.manual_seed(0)
    config = replace(ENHANCER_PRESETS[name], widths=(8, 16), width=16, up_widths=(8,), end_widths=(8,), volume=(4, 4),
                     unshuffle=2, shuffle=4, blocks=1, blocks_3d=1, skips=False)  # fmt: skip
    decoder = Enhancer(config).decoder

    class Sunk(nn.Module):
        def forward(self, x):
            return x - 100

    decoder.end_blocks.append(Sunk())
    decoder(torch.randn(1, 16, 8, 8), []).sum().backward()
    assert decoder.conv.weight.grad.any()
