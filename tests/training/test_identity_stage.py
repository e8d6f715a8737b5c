"""The identity stage: its loss by hand, what it learns from, that it learns, and that it resumes exactly."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from runs import FAST, LOOP, Repeated, read_state

from megaportraits.checkpoint import read_json, write_json
from megaportraits.config import IDENTITY_PRESETS, IdentityTraining, to_dict
from megaportraits.data import augment
from megaportraits.data.alignment import aligned_face
from megaportraits.data.clips import find_clips, read_info
from megaportraits.errors import UserError
from megaportraits.models.identity import IdentityNet
from megaportraits.training.identity import IdentityStage, margin_softmax, train_identity
from megaportraits.training.loop import Trainer


@pytest.fixture
def config(drawn_clips: Path, tmp_path: Path) -> IdentityTraining:
    return IdentityTraining(
        str(tmp_path / "identity"), (str(drawn_clips),), "tiny", frame_px=64, batch=8, optimiser=FAST, loop=LOOP,
        cache_gb=0.1,
    )  # fmt: skip


@pytest.fixture
def plain(config: IdentityTraining) -> IdentityTraining:
    """Without augmentation."""
    return replace(
        config, shift=0.0, zoom=0.0, roll_deg=0.0, flip=0.0, jitter=0.0, grey=0.0, blur=1.0, backdrop=0.0,
        surroundings=0.0,
    )  # fmt: skip


def trainer(config: IdentityTraining, change: Callable[[IdentityStage], None] = lambda stage: None) -> Trainer:
    stage = IdentityStage(config)
    change(stage)
    return Trainer(stage, config.loop, config.optimiser, Path(config.output), to_dict(config))


def first_batch(stage: IdentityStage):
    dataset = stage.dataset(stage.batch)
    return stage.collate([dataset[i] for i in range(stage.batch)])


def test_margin_is_taken_from_the_right_person_only():
    cosines, person = torch.tensor([[0.5, 0.25]]), torch.tensor([0])
    assert margin_softmax(cosines, person, 4, 0.0).item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert margin_softmax(cosines, person, 4, 0.25).item() == pytest.approx(math.log(2))
    assert margin_softmax(cosines, person, 4, 0.5).item() == pytest.approx(math.log(1 + math.exp(1)))
    other = torch.tensor([1])
    assert margin_softmax(cosines, other, 4, 0.25).item() == pytest.approx(math.log(1 + math.exp(2)))
    both = margin_softmax(cosines.repeat(2, 1), torch.tensor([0, 1]), 4, 0.25).item()
    assert both == pytest.approx((math.log(2) + math.log(1 + math.exp(2))) / 2)  # mean over the batch


def test_stage_overfits_one_batch(plain):
    def one_batch(stage):
        dataset = stage.dataset
        stage.dataset = lambda length: Repeated(dataset(length), stage.batch, length)

    trainer(replace(plain, loop=replace(plain.loop, steps=40)), one_batch).run()
    lines = [json.loads(t) for t in (Path(plain.output) / "log/scalars.jsonl").read_text().splitlines()]
    assert lines[0]["accuracy"] < 0.8
    assert all(line["accuracy"] == 1 for line in lines[-3:])
    assert lines[-1]["margin_softmax"] < 0.1 * lines[0]["margin_softmax"]


def test_a_resumed_run_equals_an_uninterrupted_one(config, tmp_path):
    whole = trainer(replace(config, output=str(tmp_path / "whole"))).run()

    def stop_after_three(stage):
        of_batch, seen = stage.generator_terms, []

        def terms(batch, step):
            seen.append(step)
            halves.stopping = len(seen) == 3
            return of_batch(batch, step)

        stage.generator_terms = terms

    stage = IdentityStage(config)
    halves = Trainer(stage, config.loop, config.optimiser, Path(config.output), to_dict(config))
    stop_after_three(stage)
    assert halves.run().name == "step-3"
    resumed = trainer(config).run()
    a, b = read_state(whole), read_state(resumed)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_the_loss_reaches_every_weight(config):
    stage = IdentityStage(config)
    with torch.no_grad():  # blocks start as identities, which rightly pass no gradient to their inner layers
        for name, parameter in stage.generator.named_parameters():
            if "norms.1.weight" in name:
                parameter.fill_(0.5)
    terms = stage.generator_terms(first_batch(stage), 0)
    assert {name: weight for name, (_, weight) in terms.items()} == {"margin_softmax": 1.0, "accuracy": 0.0}
    names, parameters = zip(*stage.generator.named_parameters(), strict=True)
    gradients = torch.autograd.grad(terms["margin_softmax"][0], parameters)
    assert [n for n, g in zip(names, gradients, strict=True) if not (torch.isfinite(g).all() and g.any())] == []


def test_the_net_is_exported_without_the_classifier(config):
    done = trainer(config).run()
    net = IdentityNet.load(done)
    assert net.config == IDENTITY_PRESETS["tiny"]
    average = read_state(done)["average/net.head.weight"]
    torch.testing.assert_close(net.head.weight, average, atol=1e-3, rtol=1e-3)
    restarted = IdentityStage(replace(config, start_from=str(done)))
    assert torch.equal(restarted.generator.net.head.weight, net.head.weight)


def test_clips_of_one_label_show_one_person(config, drawn_clips, tmp_path):
    other = tmp_path / "more"
    other.mkdir()
    for name, label in (("clip0", "person0"), ("clip1", "stranger")):
        (other / name).mkdir()
        for file in (drawn_clips / name).iterdir():
            (other / name / file.name).write_bytes(file.read_bytes())
        info = read_json(other / name / "clip.json")
        write_json(other / name / "clip.json", info | {"identity": label})
    stage = IdentityStage(replace(config, data=(str(drawn_clips), str(other))))
    labels = [[read_info(stage.store.clips[clip]).identity for clip in clips] for clips in stage.people]
    assert labels == [["person0", "person0"], ["person1"], ["person2"], ["person3"], ["stranger"]]
    assert len(stage.generator.directions) == 5


def test_people_come_evenly_and_samples_repeat(config):
    dataset = IdentityStage(config).dataset(200)
    people = torch.cat([dataset[i].person for i in range(200)])
    assert people.bincount(minlength=4).min() > 30
    faces, again = dataset[7], IdentityStage(config).dataset(200)[7]
    assert torch.equal(faces.rgb, again.rgb)
    assert torch.equal(faces.person, again.person)
    assert faces.rgb.shape == (1, 3, 32, 32)
    assert 0 <= faces.rgb.min() <= faces.rgb.max() <= 1


def test_without_augmentation_a_sample_is_an_upright_face(plain):
    stage = IdentityStage(plain)
    faces = stage.dataset(10)[0]
    clip = stage.people[int(faces.person)][0]
    frames = [stage.store.frame(clip, number) for number in range(len(stage.store[clip].rgb))]
    errors = [(aligned_face(f.rgb, f.pose, 32) - faces.rgb).abs().max().item() for f in frames]
    assert min(errors) < 1e-5


def test_what_surrounds_the_face_is_replaced(plain, monkeypatch):
    """The face's centre stays, its corners become the backdrop; the backdrop alone stays outside the matte."""
    monkeypatch.setattr(augment, "random_backdrop", lambda size, generator: torch.full((1, 3, size, size), 0.123))
    before, within = IdentityStage(plain).dataset(10)[0], slice(10, 22)
    after = IdentityStage(replace(plain, surroundings=1.0)).dataset(10)[0]
    assert torch.equal(after.person, before.person)
    assert torch.equal(after.rgb[..., within, within], before.rgb[..., within, within])
    corner = after.rgb[..., :3, :3]
    torch.testing.assert_close(corner, torch.full_like(corner, 0.123))
    matted = IdentityStage(replace(plain, backdrop=1.0)).dataset(10)[0].rgb
    torch.testing.assert_close(matted[..., 14:18, 14:18], before.rgb[..., 14:18, 14:18], atol=0.05, rtol=0)
    assert ((matted - 0.123).abs().amax(1) < 1e-5).any()


def test_data_of_one_person_are_refused(config, drawn_clips, tmp_path):
    lone = tmp_path / "lone"
    lone.mkdir()
    (lone / "clip").symlink_to(find_clips([drawn_clips], "train")[0])
    with pytest.raises(UserError, match="at least two people"):
        IdentityStage(replace(config, data=(str(lone),)))


def test_weights_of_another_preset_are_refused(config):
    done = trainer(replace(config, loop=replace(config.loop, steps=1))).run()
    with pytest.raises(UserError, match="other shapes"):
        IdentityStage(replace(config, preset="small", start_from=str(done)))


def test_the_command_trains(config):
    train_identity(replace(config, loop=replace(config.loop, steps=2, pictures_every=2)))
    assert (Path(config.output) / "step-2/model.safetensors").is_file()
    assert (Path(config.output) / "log/examples-2.png").is_file()
