"""Stage three: what its terms reach, learning, exact resume, more avatars without forgetting, refusals."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from perturbed import perturb_zeros
from runs import FAST, LOOP, Repeated, logged, read_state

from megaportraits.checkpoint import read_json, read_tensors
from megaportraits.config import DistillTraining, DistillWeights, EnhancerConfig, enhancer_preset, preset, to_dict
from megaportraits.errors import UserError
from megaportraits.losses.frozen.squeezenet import squeezenet1_0
from megaportraits.models.base import BaseModel
from megaportraits.models.enhancer import Enhancer
from megaportraits.models.student import Student
from megaportraits.training import critics
from megaportraits.training.distill import DistillStage, MotionReading, Teacher
from megaportraits.training.loop import Trainer, train

PLAIN = DistillWeights(perceptual=0.0, face=0.0, gaze=0.0, adversarial=0.0, reconstruction=20.0)


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained tiny base model, whose pictures depend on person and motion."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("teacher")
    model = BaseModel(preset("tiny"))
    perturb_zeros(model)
    model.eval().save(folder)
    return folder


@pytest.fixture(scope="module")
def people(drawn_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of one avatar each."""
    folders = []
    for number in range(3):
        folders.append(tmp_path_factory.mktemp(f"people{number}"))
        shutil.copytree(drawn_clips / f"clip{number}", folders[-1] / f"person{number}")
    return folders


@pytest.fixture
def config(drawn_clips: Path, people, teacher_folder: Path, tmp_path: Path) -> DistillTraining:
    return DistillTraining(
        str(tmp_path / "distill"), tuple(map(str, people[:2])), (str(drawn_clips),), str(teacher_folder),
        preset="student-tiny", batch=2, weights=PLAIN, optimiser=FAST, loop=LOOP, cache_gb=0.1,
    )  # fmt: skip


def trainer_of(stage: DistillStage) -> Trainer:
    config = stage.config
    return Trainer(stage, config.loop, config.optimiser, Path(config.output), to_dict(config))


def first_batch(stage: DistillStage):
    dataset = stage.dataset(stage.batch)
    return stage.to_device(stage.collate([dataset[i] for i in range(stage.batch)]), torch.device("cpu"))


def test_every_term_reaches_every_part_of_the_student(config, monkeypatch):
    monkeypatch.setattr(critics, "load_frozen", lambda name, path: squeezenet1_0().eval().requires_grad_(False))
    weights = DistillWeights(reconstruction=1.0, parts=3.0, motion=2.0, face=0.0)
    stage = DistillStage(replace(config, weights=weights))
    perturb_zeros(stage.generator)
    terms = stage.generator_terms(first_batch(stage), step=0)
    assert {name: weight for name, (_, weight) in terms.items()} == {
        "perceptual": 20, "gaze": 5, "reconstruction": 1, "parts": 3, "motion": 2, "matte": 5, "adversarial": 1,
        "feature_matching": 40,
    }  # fmt: skip
    for name, (raw, _) in terms.items():
        for part, module in stage.generator.named_children():
            parameters = list(module.parameters())
            if not parameters or ((name == "motion") != (part in ("encoder", "reading")) and part != "encoder"):
                continue
            grads = torch.autograd.grad(raw, parameters, retain_graph=True, allow_unused=True)
            assert any(g is not None and g.any() for g in grads), (name, part)
    judged = stage.discriminator_terms(first_batch(stage))
    assert judged["discriminator"][0].requires_grad


def test_the_teacher_shows_each_avatar_with_its_driver(config):
    stage = DistillStage(config)
    batch = first_batch(stage)
    picture, motion = stage.teacher.show(batch)
    for i, number in enumerate(batch.avatar.tolist()):
        person = stage.avatars.rgb[[number]], stage.avatars.matte[[number]]
        alone = stage.teacher.base(*person, batch.driver[[i]])
        torch.testing.assert_close(picture.rgb[[i]], alone.rgb, atol=1e-3, rtol=0)
    assert not picture.rgb.requires_grad
    assert motion.pose.rotation.shape == (2, 3, 3)


def test_all_of_the_teacher_follows_the_batch(config):
    """To another number type as to another device: nothing that is computed once stays behind."""
    stage = DistillStage(config)
    batch = first_batch(stage)
    batch = replace(batch, driver=batch.driver.double(), seen=batch.seen.double())
    stage.generator.double()
    terms = stage.generator_terms(stage.to_device(batch, torch.device("cpu")), step=0)
    assert {raw.dtype for raw, _ in terms.values()} == {torch.float64}


def test_the_encoder_learns_to_tell_the_teachers_expression(config):
    """What reads z off the features is trained with the student, and no part of its weights for use."""
    weights = replace(PLAIN, reconstruction=0.0, matte=0.0, motion=1.0)
    stage = DistillStage(replace(config, weights=weights, loop=replace(LOOP, steps=60), jitter=0.0, flip=0.0))
    samples = stage.dataset(2)
    stage.dataset = lambda length: Repeated(samples, 2, length)
    last = trainer_of(stage).run()
    lines = logged(config.output)
    assert lines[-1]["motion"] < 0.2 * lines[0]["motion"]
    assert not any(name.startswith("reading") for name in read_tensors(last / "model.safetensors"))
    assert any(name.startswith("reading") for name in read_tensors(last / "state/generator.safetensors"))
    again = DistillStage(replace(stage.config, output=config.output + "2", start_from=str(last)))
    assert isinstance(again.generator.reading, MotionReading)


def test_keypoints_of_an_avatar_are_where_its_head_is(config, drawn_clips):
    """Placed by the pose that the teacher sees in the picture they are of, they lie where its landmarks are."""
    stage = DistillStage(config)
    store, avatar = stage.store, torch.tensor([0])
    frame = store.frame(next(i for i, clip in enumerate(store.clips) if clip.name == "clip0"), 0)
    placed = stage.avatars.placed(avatar, stage.teacher.base.motion(frame.rgb).pose)
    torch.testing.assert_close(placed, frame.keypoints, atol=1e-4, rtol=0)


def test_it_overfits_one_batch(config):
    stage = DistillStage(replace(config, loop=replace(LOOP, steps=120), jitter=0.0, flip=0.0))
    samples = stage.dataset(2)
    stage.dataset = lambda length: Repeated(samples, 2, length)
    trainer_of(stage).run()
    lines = logged(config.output)
    assert lines[-1]["reconstruction"] < 0.35 * lines[0]["reconstruction"]


def test_resumed_training_equals_uninterrupted_training(config, tmp_path):
    config = replace(config, weights=replace(PLAIN, adversarial=1.0, feature_matching=1.0))
    whole = trainer_of(DistillStage(config)).run()
    parts = replace(config, output=str(tmp_path / "parts"))
    stage = DistillStage(parts)
    first = trainer_of(stage)
    ask = stage.discriminator_terms

    def stop_after_three(batch):
        first.stopping = first.step == 2
        return ask(batch)

    stage.discriminator_terms = stop_after_three
    assert first.run().name == "step-3"
    resumed = trainer_of(DistillStage(parts)).run()
    a, b = read_state(whole), read_state(resumed)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_added_avatars_are_learnt_and_the_others_stay_bit_for_bit(config, people, tmp_path):
    before = trainer_of(DistillStage(config)).run()
    assert read_json(before / "config.json")["avatars"] == ["person0", "person1"]
    more = replace(
        config, output=str(tmp_path / "more"), avatars=tuple(map(str, people[::-1])), start_from=str(before), add=True
    )
    stage = DistillStage(more)
    assert stage.avatars.names == ("person0", "person1", "person2")
    assert {int(stage.dataset(9)[i].avatar) for i in range(9)} == {2}
    after = trainer_of(stage).run()
    assert read_json(after / "config.json")["avatars"] == ["person0", "person1", "person2"]
    old, new = (read_tensors(folder / "model.safetensors") for folder in (before, after))
    assert old.keys() == new.keys()
    for name, tensor in old.items():
        kept = new[name][:2] if name.endswith(".identity") else new[name]
        assert torch.equal(kept, tensor), name
    mean = {name: tensor.float().mean(0) for name, tensor in old.items() if name.endswith(".identity")}
    assert any((new[name][2].float() - tensor).abs().max() > 1e-3 for name, tensor in mean.items())
    drivers = torch.rand(1, 3, 64, 64)
    one, other = Student.load(before), Student.load(after)
    assert torch.equal(one(drivers, torch.tensor([1])).rgb, other(drivers, torch.tensor([1])).rgb)


def test_a_larger_student_learns_from_the_enhanced_teacher(config, tmp_path):
    torch.manual_seed(0)
    sizes: EnhancerConfig = enhancer_preset("enhancer-tiny")
    Enhancer(sizes).eval().save(tmp_path / "enhancer")
    stage = DistillStage(replace(config, enhancer=str(tmp_path / "enhancer")))
    stage.teacher.doublings, stage.teacher.enhancer = 1, Enhancer.load(tmp_path / "enhancer")
    assert stage.teacher.show(first_batch(stage))[0].rgb.shape == (2, 3, 128, 128)


def test_refusals(config, people, tmp_path):
    with pytest.raises(UserError, match="no avatars or no drivers came"):
        DistillStage(replace(config, avatars=()))
    with pytest.raises(UserError, match="name it with --start-from"):
        replace(config, add=True)
    with pytest.raises(UserError, match="the teacher paints 64 px and the student 96 px"):
        Teacher(config.teacher, "", 96)
    shutil.copytree(people[0] / "person0", tmp_path / "again/person0")
    with pytest.raises(UserError, match="two avatars are called person0"):
        DistillStage(replace(config, avatars=(*config.avatars, str(tmp_path / "again"))))
    before = trainer_of(DistillStage(replace(config, loop=replace(LOOP, steps=1)))).run()
    lacking = replace(config, output=str(tmp_path / "x"), start_from=str(before), avatars=(str(people[0]),))
    with pytest.raises(UserError, match="lack the avatars person1"):
        DistillStage(lacking)
    with pytest.raises(UserError, match="the student knows all of person0, person1"):
        DistillStage(replace(config, output=str(tmp_path / "y"), start_from=str(before), add=True))
    (tmp_path / "other").mkdir()
    shutil.copytree(people[2] / "person2", tmp_path / "other/person0a")
    with pytest.raises(UserError, match="has the avatars person0, person1, the folders hold person0, person0a"):
        DistillStage(replace(config, avatars=(str(people[0]), str(tmp_path / "other"))))


def test_the_command_trains(config):
    train(DistillStage(replace(config, loop=replace(LOOP, steps=1))), config)
    assert logged(config.output)[-1]["skipped_steps"] == 0
