"""The two stages: they learn, their terms reach the right weights, their checkpoints start the next stage."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from runs import Repeated, logged, make_stage, make_trainer, read_state

from megaportraits.checkpoint import read_model
from megaportraits.config import MODEL_PRESETS
from megaportraits.data.keypoints import INNER_LIPS, KEYPOINTS, OUTER_LIPS
from megaportraits.errors import UserError
from megaportraits.losses.contrastive import cycle_loss
from megaportraits.losses.correspondence import correspondence_loss
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import folded_state
from megaportraits.models.motion_encoder import HeadPoseNet
from megaportraits.tensors import Pair, over_grey
from megaportraits.training import base


def one_batch(stage) -> None:
    """Make a stage see its first batch only."""
    dataset = stage.dataset
    stage.dataset = lambda length: Repeated(dataset(length), stage.batch, length)


def first_batch(stage):
    dataset = stage.dataset(stage.batch)
    return stage.collate([dataset[i] for i in range(stage.batch)])


def test_pose_stage_overfits_one_batch(pose_config):
    config = replace(pose_config, loop=replace(pose_config.loop, steps=60))
    make_trainer(config, one_batch).run()
    errors = [line["error_deg"] for line in logged(config.output)]
    assert errors[0] > 8
    assert sum(errors[-5:]) / 5 < 0.35 * errors[0]


def test_keypoints_teach_the_pose_nets_trunk_and_unknown_ones_say_nothing(pose_config):
    stage = make_stage(pose_config)
    picture, pose, points = first_batch(stage)
    assert points.isfinite().all()

    def gradients(points):
        stage.generator.zero_grad()
        term = stage.generator_terms((picture, pose, points), 0)["keypoints"][0]
        term.backward()
        return term.item(), {name: p.grad for name, p in stage.generator.named_parameters() if p.grad is not None}

    term, reached = gradients(points)
    assert term > 0
    assert {name for name, grad in reached.items() if grad.abs().sum() > 0} >= {
        "keypoints.weight",
        "pose.trunk.stem.weight",
    }
    assert "pose.head.weight" not in reached
    term, reached = gradients(torch.full_like(points, torch.nan))
    assert term == 0
    assert all(grad.isfinite().all() and grad.abs().sum() == 0 for grad in reached.values())


def test_base_stage_overfits_one_batch(base_config, plain_weights, no_augmentation):
    config = replace(
        base_config, batch=2, drivers_per_source=1, weights=plain_weights, augment=no_augmentation,
        loop=replace(base_config.loop, steps=60),
    )  # fmt: skip
    make_trainer(config, one_batch).run()
    lines = logged(config.output)
    for term in ("reconstruction", "matte"):
        values = [line[term] for line in lines]
        assert sum(values[-5:]) / 5 < 0.4 * values[0], term


GENERATOR = {"volume", "descriptor", "expression", "embedding", "warps", "g3d", "projection", "g2d"}
REACH = {
    "reconstruction": GENERATOR,
    "parts": GENERATOR,
    "matte": GENERATOR,
    "adversarial": GENERATOR | {"D"},
    "feature_matching": GENERATOR | {"D"},
    "cycle": GENERATOR,
}
"""Parts that each term's gradient reaches; D's is thrown away (next test), the pose net is frozen."""


def parts_of(stage) -> dict[str, list[torch.nn.Parameter]]:
    model = stage.generator
    modules = {
        "volume": [model.appearance_encoder.volume], "descriptor": [model.appearance_encoder.descriptor],
        "expression": [model.motion_encoder.expression], "pose": [model.motion_encoder.pose],
        "embedding": [model.embedding], "warps": [model.warp_source, model.warp_driver], "g3d": [model.g3d],
        "projection": [model.projection], "g2d": [model.g2d], "D": [stage.discriminator],
    }  # fmt: skip
    return {name: [p for m in group for p in m.parameters()] for name, group in modules.items()}


def reach(stage, term: torch.Tensor) -> set[str]:
    """Parts that a term's gradient reaches."""
    found = set()
    for name, parameters in parts_of(stage).items():
        trained = [p for p in parameters if p.requires_grad]
        if trained:
            grads = torch.autograd.grad(term, trained, retain_graph=True, allow_unused=True)
            assert all(g is None or torch.isfinite(g).all() for g in grads)
            found |= {name} if any(g is not None and g.any() for g in grads) else set()
    return found


def test_every_term_reaches_the_weights_that_it_should(base_config):
    stage = make_stage(base_config)
    with torch.no_grad():  # offsets start at zero, which rightly passes no gradient to what lies before them
        for warp in (stage.generator.warp_source, stage.generator.warp_driver):
            warp.to_offsets.weight.normal_(std=0.02)
    batch = first_batch(stage)
    terms = stage.generator_terms(batch, step=6)
    assert {k: reach(stage, raw) for k, (raw, _) in terms.items()} == REACH
    weights = base_config.weights
    assert {k: w for k, (_, w) in terms.items()} == {k: getattr(weights, k) for k in REACH}
    judged = stage.discriminator_terms(batch)
    assert reach(stage, judged["discriminator"][0]) == {"D"}


def test_each_network_steps_by_its_own_terms_only(base_config):
    """Both step after both backward passes: D's gradient holds nothing of the generator's terms, nor G's of D's."""
    seen: list = []

    def watch(stage):
        of_generator, of_judge = stage.generator_terms, stage.discriminator_terms

        def note(when):
            networks = {"G": stage.generator, "D": stage.discriminator}
            seen.append((when, {k: [p.grad is not None for p in n.parameters()] for k, n in networks.items()}))

        stage.generator_terms = lambda batch, step: note("before G") or of_generator(batch, step)
        stage.discriminator_terms = lambda batch: note("before D") or of_judge(batch)

    trainer = make_trainer(replace(base_config, loop=replace(base_config.loop, steps=2)), watch)
    networks = {"G": trainer.stage.generator, "D": trainer.stage.discriminator}
    before = {name: [p.detach().clone() for p in n.parameters()] for name, n in networks.items()}
    trainer.run()
    assert [when for when, _ in seen] == ["before G", "before D", "before G", "before D"]
    for when, has in seen:
        assert not any(has["D"]), f"D holds a gradient {when}'s terms"
        assert any(has["G"]) == (when == "before D")
    for name, network in networks.items():
        assert not all(map(torch.equal, before[name], network.parameters())), f"{name} did not move"


def test_the_pose_net_stays_frozen(base_config, pose_net):
    done = make_trainer(base_config).run()
    _, wanted = read_model(pose_net, "pose")
    found = read_state(done)
    for name, tensor in wanted.items():
        assert torch.equal(found[f"generator/motion_encoder.pose.{name}"], tensor.float()), name


def test_cycle_starts_late_and_compares_with_the_right_clips(base_config, monkeypatch):
    """Positives are the drivers' own z, in the order of the predictions; negatives come from other clips only."""
    calls = []
    monkeypatch.setattr(base, "cycle_loss", lambda *tensors: calls.append(tensors) or cycle_loss(*tensors))
    stage = make_stage(base_config)
    pair = first_batch(stage)
    batch = replace(pair, clip=torch.tensor([5, 7, 5]))
    stage.generator_terms(batch, step=1)  # 1 < 0.2 * 6
    assert not calls
    stage.generator_terms(batch, step=2)
    z, z_s = (stage._motion(view).expression for view in (pair.driver, pair.source))
    candidates = torch.tensor([5, 5, 7, 7, 5, 5])
    wanted = (
        (z, z_s[[0, 0, 1, 1, 2, 2]], [5, 5, 7, 7, 5, 5]),  # six drivers
        (z[[4, 0, 2]], z_s[[2, 0, 1]], [5, 5, 7]),  # three crossed sources
    )
    for call, (own, source, clips) in zip(calls, wanted, strict=True):
        predicted, positive, negatives, is_negative, same_clip = call
        assert predicted.shape == own.shape
        for found, expected in ((positive, own), (negatives, z), (same_clip, source)):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
        assert torch.equal(is_negative, torch.tensor(clips)[:, None] != candidates[None])


def test_cycle_sums_over_both_positives(base_config, monkeypatch):
    """Eq. 7: the driven and the crossed picture count in full, however many drivers a source has."""
    values = iter([torch.tensor(0.5), torch.tensor(2.0)])
    monkeypatch.setattr(base, "cycle_loss", lambda *_: next(values))
    stage = make_stage(base_config)
    assert stage.generator_terms(first_batch(stage), step=6)["cycle"][0] == 2.5


def test_views_of_one_photo_are_not_pushed_apart(base_config, monkeypatch):
    """Source and drivers of a still have one expression: the term within a clip must not count there."""
    calls = []
    monkeypatch.setattr(base, "cycle_loss", lambda *tensors: calls.append(tensors) or cycle_loss(*tensors))
    stage = make_stage(base_config)
    stage.generator_terms(replace(first_batch(stage), moving=torch.tensor([True, False, True])), step=2)
    for call, owners in zip(calls, ([0, 0, 1, 1, 2, 2], [2, 0, 1]), strict=True):
        assert (call[4].abs().sum(1) == 0).tolist() == [owner == 1 for owner in owners]


def test_cross_pass_takes_expression_and_pose_of_other_clips(base_config):
    stage = make_stage(base_config)
    motion = stage._motion(first_batch(stage).driver)
    sources = set()
    for first in range(0, 24, 3):
        crossed = stage._cross_motion(motion, torch.arange(first, first + 3))
        assert torch.equal(crossed.expression, motion.expression[[4, 0, 2]])
        assert not crossed.expression.requires_grad
        for sample, rotation in enumerate(crossed.pose.rotation):
            (index,) = [i for i, r in enumerate(motion.pose.rotation[::2]) if torch.equal(r, rotation)]
            sources.add((sample - index) % 3)
    assert sources == {1, 2}  # the clip before, and yet another one


def test_in_a_group_of_two_the_cross_pass_takes_all_of_the_other_clip(base_config):
    """x_s*->d of Eq. 6: never the source's own head pose."""
    stage = make_stage(replace(base_config, batch=4, cycle_group=2))
    motion = stage._motion(first_batch(stage).driver)
    for first in range(0, 24, 4):
        crossed = stage._cross_motion(motion, torch.arange(first, first + 4))
        assert torch.equal(crossed.pose.rotation, motion.pose.rotation[[2, 0, 6, 4]])


def test_groups_keep_to_themselves(base_config, monkeypatch):
    """With groups of two, a pair's terms do not depend on who else is in the batch: L_cos splits over processes."""
    calls = []
    monkeypatch.setattr(base, "cycle_loss", lambda *tensors: calls.append(tensors) or cycle_loss(*tensors))
    stage = make_stage(replace(base_config, batch=4, cycle_group=2))
    stage.generator.eval()  # spectral norms stand still
    pair = replace(first_batch(stage), clip=torch.tensor([0, 1, 2, 2]))
    whole = stage.generator_terms(pair, step=6)["cycle"][0]
    driven, crossed = (call[3] for call in calls)
    assert driven.shape == (8, 8)
    assert crossed.shape == (4, 8)
    assert driven[0].nonzero().flatten().tolist() == [2, 3]
    assert crossed[0].nonzero().flatten().tolist() == [0, 1], "source 0 is crossed with source 1's clip"
    assert not driven[4:].any(), "both sources of the second group are of one clip"
    assert not crossed[2:].any()
    halves = []
    for rows in (slice(0, 2), slice(2, 4)):
        drivers = slice(2 * rows.start, 2 * rows.stop)
        half = Pair(
            cut(pair.source, rows), cut(pair.driver, drivers), pair.clip[rows], pair.sample[rows], pair.moving[rows]
        )
        halves.append(stage.generator_terms(half, step=6)["cycle"][0])
    torch.testing.assert_close(torch.stack(halves).mean(), whole, atol=1e-4, rtol=1e-3)


def cut(bundle, rows: slice):
    """Some rows of a bundle."""
    if isinstance(bundle, torch.Tensor):
        return bundle[rows]
    return type(bundle)(**{name: cut(value, rows) for name, value in vars(bundle).items()})


def test_groups_that_do_not_divide_the_batch_are_refused(base_config):
    with pytest.raises(UserError, match="groups of at least 2 that divide the batch"):
        replace(base_config, batch=3, cycle_group=2)
    with pytest.raises(UserError, match="batch 1"):
        replace(base_config, batch=1)
    replace(base_config, batch=1, weights=replace(base_config.weights, cycle=0.0))


@pytest.mark.parametrize("foreground", ["grey", "masked", "all"])
def test_losses_see_the_foreground_over_grey(base_config, plain_weights, foreground):
    stage = make_stage(replace(base_config, foreground=foreground, weights=plain_weights))
    pair = first_batch(stage)
    done = stage._self_driving(pair)
    outside = (pair.driver.matte == 0).expand_as(done.wanted)
    assert (done.wanted[outside] == 0.5).all() == (foreground != "all")
    inside = (pair.driver.matte == 1).expand_as(done.wanted)
    assert torch.equal(done.wanted[inside], pair.driver.rgb[inside])
    assert (done.painted[outside] == 0.5).all() == (foreground == "masked")


@pytest.mark.parametrize("foreground", ["grey", "masked", "all"])
def test_a_trained_model_shows_what_its_losses_saw(base_config, foreground):
    """The checkpoint knows how its source is masked, and puts a picture that is free outside its matte over grey."""
    model = BaseModel.load(make_trainer(replace(base_config, foreground=foreground)).run())
    stage = make_stage(replace(base_config, foreground=foreground))
    pair = first_batch(stage)
    matte = torch.zeros_like(pair.source.matte)
    volumes = [model.appearance(pair.source.rgb, m).volume for m in (matte, 1 - matte)]
    assert torch.equal(*volumes) == (foreground == "all")
    motion = model.motion(pair.source.rgb)
    canonical = model.canonical(pair.source.rgb, pair.source.matte, motion)
    shown = model.render(canonical, motion)
    model.config = replace(model.config, foreground="grey")
    free = model.render(canonical, motion)
    wanted = over_grey(free.rgb, free.matte) if foreground == "masked" else free.rgb
    assert torch.equal(shown.rgb, wanted)


def test_pictures_are_written(base_config):
    config = replace(base_config, loop=replace(base_config.loop, steps=2, pictures_every=2))
    base.train_base(config)
    with Image.open(Path(config.output) / "log/examples-2.png") as picture:
        assert picture.size == (5 * 64, 3 * 64)


def test_a_warm_restart_takes_weights_but_not_the_step(base_config, pose_config, tmp_path):
    first = make_trainer(base_config).run()
    restarted = make_stage(replace(base_config, pose="", start_from=str(first), output=str(tmp_path / "second")))
    state = read_state(first)
    for kind, network in (("generator", restarted.generator), ("discriminator", restarted.discriminator)):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, state[f"{kind}/{name}"]), name


def test_the_pose_net_goes_on_from_weights_for_use(base_config, pose_net, pose_config):
    """Its own or those in a base model."""
    wanted = HeadPoseNet.load(pose_net).state_dict()
    for known in (pose_net, make_trainer(base_config).run()):
        again = make_stage(replace(pose_config, start_from=str(known))).generator.pose.state_dict()
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in again.items())


@pytest.mark.parametrize("spectral", [False, True])
def test_a_run_starts_from_weights_for_use(base_config, tmp_path, spectral, monkeypatch):
    """Folded weights become raw ones that mean the same; spectral norms are estimated anew.

    The six steps before leave estimates of random starts that have not settled: 0.165 away was seen.
    """
    monkeypatch.setitem(MODEL_PRESETS, "tiny", replace(MODEL_PRESETS["tiny"], spectral_norm=spectral))
    done = make_trainer(base_config).run()
    shutil.rmtree(done / "state")
    again = make_stage(replace(base_config, pose="", start_from=str(done), output=str(tmp_path / "second")))
    wanted, found = read_model(done, "base")[1], folded_state(again.generator.eval())
    assert wanted.keys() == found.keys()
    for name, tensor in wanted.items():
        away = (found[name] - tensor).norm() / tensor.float().norm().clamp(min=1e-6)
        assert away < (0.3 if spectral else 2e-3), name


def test_networks_that_begin_anew_are_not_taken_over(base_config, tmp_path):
    first = make_trainer(base_config).run()
    again = replace(base_config, start_from=str(first), output=str(tmp_path / "second"), anew=("warp_driver",))
    model, state = make_stage(again).generator, read_state(first)
    assert not model.warp_driver.to_offsets.weight.any()
    assert state["generator/warp_driver.to_offsets.weight"].any()
    assert torch.equal(model.warp_source.to_offsets.weight, state["generator/warp_source.to_offsets.weight"])


def test_the_offset_penalty_reaches_the_driver_warp(base_config):
    stage = make_stage(replace(base_config, weights=replace(base_config.weights, offsets=1.0)))
    with torch.no_grad():
        stage.generator.warp_driver.to_offsets.weight.normal_(std=0.02)
    raw, weight = stage.generator_terms(first_batch(stage), step=0)["offsets"]
    assert weight == 1
    assert raw > 0
    assert {"warps", "embedding", "expression"} <= reach(stage, raw)


def test_correspondence_reaches_what_makes_the_warps_and_nothing_else(base_config):
    stage = make_stage(replace(base_config, weights=replace(base_config.weights, correspondence=1.0)))
    with torch.no_grad():
        for warp in (stage.generator.warp_source, stage.generator.warp_driver):
            warp.to_offsets.weight.normal_(std=0.02)
    raw, weight = stage.generator_terms(first_batch(stage), step=0)["correspondence"]
    assert weight == 1
    assert reach(stage, raw) == {"warps", "embedding", "expression", "descriptor"}


def test_rigid_warps_with_the_true_poses_miss_what_the_mouth_does_only(base_config, monkeypatch):
    """The drawn heads move their lower lips and nothing else; warps that are bent miss everything."""
    stage = make_stage(replace(base_config, weights=replace(base_config.weights, correspondence=1.0)))
    batch, seen = first_batch(stage), []
    monkeypatch.setattr(
        base, "correspondence_loss", lambda *points: seen.append(points) or correspondence_loss(*points)
    )
    true = stage._motion
    monkeypatch.setattr(stage, "_motion", lambda view: replace(true(view), pose=view.pose))
    stage.generator_terms(batch, step=0)
    lips = {*OUTER_LIPS[1:10], *INNER_LIPS[1:10]}
    still = [position for position, number in enumerate(KEYPOINTS) if number not in lips]
    (found, wanted), *_ = seen
    miss = (found - wanted).abs()
    assert miss[:, still].max() < 1e-4
    assert miss.max() > 0.01


def test_unknown_depth_leaves_correspondence_out(base_config):
    stage = make_stage(replace(base_config, weights=replace(base_config.weights, correspondence=1.0)))
    batch = first_batch(stage)
    nowhere = replace(batch, driver=replace(batch.driver, depth=torch.full_like(batch.driver.depth, torch.nan)))
    raw, _ = stage.generator_terms(nowhere, step=0)["correspondence"]
    raw.backward()
    assert raw == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in stage.generator.parameters())


def test_base_stage_without_a_pose_net_is_a_user_error(base_config):
    with pytest.raises(UserError, match="--pose"):
        make_stage(replace(base_config, pose=""))


def test_weights_of_another_preset_are_refused(base_config, pose_config):
    with pytest.raises(UserError, match=r"of other shapes .*'head.weight'"):
        make_stage(replace(base_config, preset="live"))
    done = make_trainer(pose_config).run()
    with pytest.raises(UserError, match="other shapes"):
        make_stage(replace(pose_config, preset="live", start_from=str(done)))
