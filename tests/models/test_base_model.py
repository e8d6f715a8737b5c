"""The base model as a whole: what depends on what, zero start, gradients, folding, saving."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from perturbed import perturb_zeros
from safetensors.torch import load_file, save_file

from megaportraits import geometry
from megaportraits.config import preset
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights, folded_state
from megaportraits.tensors import Canonical, HeadPose, Motion, Prediction


def difference(a: Prediction, b: Prediction) -> float:
    return (a.rgb - b.rgb).abs().max().item()


def repose(motion: Motion, yaw_deg: float) -> Motion:
    turn = geometry.rotation_from_angles(torch.full((2,), yaw_deg), torch.zeros(2), torch.zeros(2))
    return Motion(HeadPose(turn, motion.pose.scale, motion.pose.translation), motion.expression)


def test_both_warps_start_rigid(fresh, pictures):
    source, matte, driver = pictures
    motion, appearance = fresh.motion(driver), fresh.appearance(source, matte)
    embedding = fresh.embedding(motion.expression, appearance.descriptor)
    assert not fresh.warp_source(embedding).any()
    assert not fresh.warp_driver(embedding).any()


def test_a_warp_cannot_die(model, pictures):
    """Biases that would keep every last ReLU at zero leave offsets that follow z, and gradients."""
    source, matte, driver = pictures
    warp = copy.deepcopy(model.warp_driver)
    with torch.no_grad():
        warp.norm.bias.fill_(-100.0)
    descriptor = model.appearance(source, matte).descriptor
    offsets = warp(model.embedding(model.motion(driver).expression, descriptor))
    assert (offsets[0] - offsets[1]).abs().mean() > 1e-4
    reached = torch.autograd.grad(offsets.sum(), [p for p in warp.entry.parameters()])
    assert all(gradient.any() for gradient in reached)


def test_forward_is_canonical_then_render_and_stays_in_range(model, pictures):
    source, matte, driver = pictures
    with torch.no_grad():
        whole = model(source, matte, driver)
        parts = model.render(model.canonical(source, matte, model.motion(source)), model.motion(driver))
    assert difference(whole, parts) == 0
    for picture in (whole.rgb, whole.matte):
        assert picture.min() >= 0
        assert picture.max() <= 1
        assert picture.std() > 1e-3


def test_warps_are_applied_where_figure_2_says(model, pictures, monkeypatch):
    """Source: inverse pose, W_s-> with z_s. Driver: pose, W_->d with z_d. Both with e_s of the source."""
    source, matte, driver = pictures
    calls, seen = [], []
    for name in ("compose_source_grid", "compose_driver_grid"):
        real = getattr(geometry, name)
        monkeypatch.setattr(
            geometry, name, lambda p, o, s, real=real, name=name: calls.append((name, p, o)) or real(p, o, s)
        )
    hook = model.embedding.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    model(source, matte, driver)
    hook.remove()
    of_source, of_driver = model.motion(source), model.motion(driver)
    e_s = model.appearance(source, matte).descriptor
    for call, inputs, name, motion, warp in zip(
        calls, seen, ("compose_source_grid", "compose_driver_grid"), (of_source, of_driver),
        (model.warp_source, model.warp_driver), strict=True,
    ):  # fmt: skip
        assert call[0] == name
        torch.testing.assert_close(call[1].rotation, motion.pose.rotation)
        torch.testing.assert_close(call[2], warp(model.embedding(motion.expression, e_s)))
        torch.testing.assert_close(inputs[0], motion.expression)
        torch.testing.assert_close(inputs[1], e_s)


@torch.no_grad()
def test_result_follows_expression_and_pose_and_source(model, pictures):
    source, matte, driver = pictures
    canonical, motion = model.canonical(source, matte, model.motion(source)), model.motion(driver)
    picture = model.render(canonical, motion)
    assert difference(picture, model.render(canonical, Motion(motion.pose, motion.expression + 3))) > 1e-4
    assert difference(picture, model.render(canonical, repose(motion, 30.0))) > 1e-3
    other = Canonical(canonical.volume, canonical.descriptor + 3)
    assert difference(picture, model.render(other, motion)) > 1e-4
    assert difference(picture, model.render(model.canonical(driver, matte, motion), motion)) > 1e-3


@torch.no_grad()
def test_nothing_outside_the_matte_is_seen(model, pictures):
    source, matte, _ = pictures
    motion = model.motion(source)
    a, b = (model.canonical(s, matte, motion) for s in (source, source * matte + 0.7 * (1 - matte)))
    assert torch.equal(a.volume, b.volume)
    assert torch.equal(a.descriptor, b.descriptor)
    inside = model.canonical(source * (1 - 0.5 * matte), matte, motion)
    assert not torch.equal(a.volume, inside.volume)


@torch.no_grad()
def test_samples_of_a_batch_do_not_see_each_other(model, pictures):
    source, matte, driver = pictures
    changed = [torch.cat([t[:1], t[1:].flip(-1) * 0.5]) for t in (source, matte, driver)]
    one, two = model(source, matte, driver), model(*changed)
    torch.testing.assert_close(one.rgb[0], two.rgb[0], atol=1e-6, rtol=0)
    assert (one.rgb[1] - two.rgb[1]).abs().max() > 1e-3


def test_every_parameter_gets_a_finite_gradient_from_the_picture(model, pictures, generator):
    source, matte, driver = pictures
    model.train()
    motion = Motion(repose(model.motion(source), 20.0).pose, model.motion(source).expression)  # poses as if frozen
    driven = Motion(motion.pose, model.motion(driver).expression)
    prediction = model.render(model.canonical(source, matte, motion), driven)
    weights = torch.randn(2, 4, 64, 64, generator=generator)
    (torch.cat([prediction.rgb, prediction.matte], 1) * weights).sum().backward()
    for name, parameter in model.named_parameters():
        if name.startswith("motion_encoder.pose"):
            continue
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_every_parameter_of_the_pose_net_gets_a_gradient_from_a_pose_loss(model, pictures):
    pose = model.motion_encoder.pose(pictures[2])
    (
        pose.rotation[:, 0].sum() + pose.rotation[:, 2, 1].sum() + pose.scale.log().sum() + pose.translation.sum()
    ).backward()
    for name, parameter in model.motion_encoder.pose.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


@torch.no_grad()
def test_folding_weights_leaves_the_outputs_unchanged(model, pictures):
    before = model(*pictures)
    names = {n for n, _ in model.named_parameters()}
    assert any("parametrizations" in n for n in names)
    state = folded_state(model)
    fold_weights(model)
    after = model(*pictures)
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    torch.testing.assert_close(after.rgb, before.rgb, atol=1e-6, rtol=0)
    torch.testing.assert_close(after.matte, before.matte, atol=1e-6, rtol=0)
    assert not any("parametrizations" in n for n in model.state_dict())


@torch.no_grad()
def test_save_and_load_round_trip(model, pictures, tmp_path):
    fold_weights(model).save(tmp_path / "model", step=7)
    for tensor in model.state_dict().values():
        tensor.copy_(tensor.half())  # stored in fp16
    loaded = BaseModel.load(tmp_path / "model")
    assert loaded.config == model.config
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert difference(loaded(*pictures), model(*pictures)) < 1e-4
    assert json.loads((tmp_path / "model/config.json").read_text())["step"] == 7


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_load_refuses_missing_and_extra_keys(model, tmp_path, change):
    fold_weights(model).save(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    name = "g3d.conv.weight" if change == "missing" else "g3d.surplus"
    if change == "missing":
        del tensors[name]
    else:
        tensors[name] = torch.zeros(1)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=rf"{change} \['{name}'\]"):
        BaseModel.load(tmp_path)


def test_without_e_s_the_warps_know_nothing_of_the_source(pictures):
    source, matte, driver = pictures
    model = BaseModel(replace(preset("tiny"), descriptor=False)).eval()
    perturb_zeros(model)
    motion = model.motion(driver)
    offsets = [model.driver_offsets(model.canonical(picture, matte, motion), motion) for picture in (source, driver)]
    assert torch.equal(*offsets)
    assert offsets[0].any()
    assert not list(model.appearance_encoder.descriptor.parameters())


def test_without_the_source_warp_the_volume_goes_straight_to_g3d(pictures):
    source, matte, driver = pictures
    model = BaseModel(replace(preset("tiny"), source_warp=False)).eval()
    perturb_zeros(model)
    canonical = model.canonical(source, matte, model.motion(source))
    assert torch.equal(canonical.volume, model.g3d(model.appearance(source, matte).volume))
    assert torch.equal(canonical.volume, model.canonical(source, matte, model.motion(driver)).volume)
    assert not any("warp_source" in name for name, _ in model.named_parameters())


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_recomputed_activations_give_the_same_gradients_with_less_memory(pictures, spectral_norm):
    def gradients(recompute: bool) -> tuple[list[torch.Tensor], int]:
        torch.manual_seed(0)
        model = BaseModel(replace(preset("tiny"), spectral_norm=spectral_norm))
        perturb_zeros(model)
        if recompute:
            model.checkpoint_activations()
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
            first = model(*pictures)
            second = model(pictures[2], pictures[1], pictures[0])  # the same blocks once more, as in training
        (first.rgb.square().mean() + second.rgb.mean()).backward()
        return [p.grad for p in model.parameters() if p.grad is not None], sum(kept)

    (plain, much), (again, little) = gradients(False), gradients(True)
    assert len(plain) == len(again)
    for a, b in zip(plain, again, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)
    assert little < 0.7 * much
