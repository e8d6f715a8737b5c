"""Alarms on constructed models whose answers are known, and on the tiny base model."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from megaportraits import geometry
from megaportraits.config import AlarmConfig, preset
from megaportraits.data.clips import ClipInfo, Truth, find_clips, write_clip
from megaportraits.data.pairs import FrameStore
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.tensors import Canonical, HeadPose, Motion, Prediction
from megaportraits.training.alarms import Alarms
from megaportraits.training.alarms.linear import centred, held_out_r2
from megaportraits.training.alarms.measures import moved_in_face
from megaportraits.training.alarms.rules import RULES

SIZE_PX, FRAMES, PEOPLE, MOTIONS = 64, 5, 4, 2
SETTINGS = AlarmConfig(groups=2, people=3, frames=3, clips=8, batch=4, quiet_steps=10)
MOUTH_ROWS, MOUTH_COLUMNS = slice(36, 48), slice(26, 38)
DOCS = Path(__file__).parents[2] / "docs" / "alarms.md"


def write_performance(path: Path, person: int, motion: int, split: str = "train") -> None:
    """A disc of the person's colour with a white mouth that opens as the motion says."""
    mouth = np.random.default_rng(motion).uniform(0, 1, FRAMES).astype(np.float32)
    colour = np.random.default_rng(100 + person).integers(40, 160, 3)
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    disc = (x - 31.5) ** 2 + (y - 31.5) ** 2 < 26**2
    pictures = np.tile(np.where(disc[..., None], colour, 90).astype(np.uint8), (FRAMES, 1, 1, 1))
    for picture, opening in zip(pictures, mouth, strict=True):
        picture[MOUTH_ROWS, MOUTH_COLUMNS][: round(float(12 * opening))] = 255
    mattes = np.tile((disc * 255).astype(np.uint8), (FRAMES, 1, 1))
    eye, ones = np.tile(np.eye(3, dtype=np.float32), (FRAMES, 1, 1)), np.ones(FRAMES, np.float32)
    landmarks = np.tile(geometry.mean_head()[:, :2], (FRAMES, 1, 1))
    landmarks[:, 14] = landmarks[:, 13] + np.stack([0 * mouth, 0.3 * mouth], 1)
    landmarks[:, (145, 374)] += 0.1 * np.stack([0 * mouth, mouth], 1)[:, None]
    depth = np.tile(geometry.mean_head()[:, 2:], (FRAMES, 1, 1))
    zero = np.zeros((FRAMES, 2), np.float32)
    truth = Truth(
        eye, ones, np.zeros((FRAMES, 3), np.float32), np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1)),
        np.stack([mouth, 0 * mouth], 1), zero, zero, landmarks, np.concatenate([landmarks, depth], 2),
    )  # fmt: skip
    info = ClipInfo(
        f"person{person}", f"motion{motion}", 0.04, 25.0, SIZE_PX, {}, "drawn", "CC0-1.0", split, list(range(468)),
        ["jaw_open", "cheek_puff"], {},
    )  # fmt: skip
    write_clip(path, pictures, mattes, truth, info)


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people who all perform the same two motions, and a held-out one."""
    folder = tmp_path_factory.mktemp("cast")
    for person in range(PEOPLE):
        for motion in range(MOTIONS):
            write_performance(folder / f"p{person}m{motion}", person, motion)
    write_performance(folder / "other", 9, 9, "held_out")
    return folder


@pytest.fixture(scope="module")
def alarms(cast: Path) -> Alarms:
    return Alarms(SETTINGS, FrameStore(find_clips([cast], "train"), SIZE_PX, 0.1))


def upright(count: int) -> HeadPose:
    return HeadPose(torch.eye(3).expand(count, 3, 3), torch.ones(count), torch.zeros(count, 3))


class Sticker(nn.Module):
    """Paints the source, unmoved, plus 0.2 z over it; z is black on average over these people."""

    def motion(self, image: Tensor) -> Motion:
        return Motion(upright(len(image)), self.code(image))

    def code(self, image: Tensor) -> Tensor:
        return image.mean((2, 3)) - 0.4

    def canonical(self, image: Tensor, matte: Tensor, motion: Motion) -> Canonical:
        return Canonical((image * matte + 0.5 * (1 - matte))[:, :, None], torch.zeros(len(image), 1, 4, 4))

    def driver_offsets(self, canonical: Canonical, motion: Motion) -> Tensor:
        return motion.expression.mean(1)[:, None, None, None, None].expand(-1, 3, 2, 8, 8)

    def render(self, canonical: Canonical, motion: Motion) -> Prediction:
        return Prediction(self.paint(canonical.volume[:, :, 0], motion.expression), None)

    def paint(self, source: Tensor, code: Tensor) -> Tensor:
        return source + 0.2 * code[:, :, None, None]


class Indifferent(Sticker):
    """Sees the driver's colour, paints the source."""

    def paint(self, source: Tensor, code: Tensor) -> Tensor:
        return source


def mouth_opening(image: Tensor) -> Tensor:
    """Part of the mouth's box that is white."""
    return (image[:, :, MOUTH_ROWS, MOUTH_COLUMNS].amin(1) > 0.8).float().mean((1, 2))


class Actor(Sticker):
    """z is how far the mouth is open and nothing else; paints the mouth so."""

    def code(self, image: Tensor) -> Tensor:
        return (mouth_opening(image)[:, None] - 0.5) * torch.tensor([1.0, -2.0])

    def paint(self, source: Tensor, code: Tensor) -> Tensor:
        painted, skin = source.clone(), source[:, :, 32:33, 10:11]
        mouth = painted[:, :, MOUTH_ROWS, MOUTH_COLUMNS]
        rows = torch.arange(12).view(1, 1, 12, 1)
        mouth.copy_(torch.where(rows < (12 * (code[:, 0] + 0.5)).round().view(-1, 1, 1, 1), torch.ones(1), skin))
        return painted


class Whisperer(Sticker):
    """Hides z in a faint chequerboard that only its own encoder notices."""

    pattern = ((torch.arange(SIZE_PX)[:, None] + torch.arange(SIZE_PX)) % 2) * 2.0 - 1

    def code(self, image: Tensor) -> Tensor:
        hidden = (image * self.pattern).mean((1, 2, 3))
        return torch.stack([torch.full_like(hidden, 0.1), 100 * hidden], 1)

    def paint(self, source: Tensor, code: Tensor) -> Tensor:
        return source + 0.02 * self.pattern


def test_a_model_that_ignores_z_neither_leaks_nor_gains_from_it(alarms):
    values = alarms.measure(Indifferent())
    assert values["leak_look"] == values["leak_ratio"] == 0
    assert values["collapse_zero_db"] == values["collapse_shuffled_db"] == 0
    assert values["cross_driver_db"] == values["cross_constant_db"] == values["cross_answer_db"]
    rung = alarms.ringing(values, 10)
    assert [sentence.split(":")[0] for sentence in rung[:2]] == ["Expression collapse"] * 2


def test_a_model_that_paints_the_drivers_mean_colour_leaks(alarms):
    values = alarms.measure(Sticker())
    assert values["leak_look"] > 0.01
    assert values["leak_ratio"] > 1
    assert values["leak_offsets_ratio"] > 1
    assert any(sentence.startswith("Leakage") for sentence in alarms.ringing(values, 10))


def test_a_model_that_only_acts_passes(alarms):
    values = alarms.measure(Actor())
    assert values["leak_look"] < 0.1 * values["leak_motion"]
    assert values["leak_offsets_ratio"] < 0.1
    assert values["collapse_zero_db"] > 1
    assert values["collapse_shuffled_db"] > 1
    assert values["cross_driver_db"] > values["cross_constant_db"] + 1
    assert values["cross_driver_db"] == pytest.approx(values["cross_answer_db"], abs=0.5)
    assert values["controls_r2"] > 0.95
    assert values["controls_jaw_open_r2"] == values["controls_r2"]
    assert values["motion_mouth_rendered_r2"] > 0.95
    assert alarms.ringing(values, 10) == []


def test_a_code_hidden_in_a_fine_pattern_is_found(alarms):
    hidden, plain = alarms.measure(Whisperer()), alarms.measure(Indifferent())
    assert hidden["hidden_cos"] < 0.5
    assert plain["hidden_cos"] > 0.99
    assert any(sentence.startswith("Hidden code") for sentence in alarms.ringing(hidden, 10))
    assert not any(sentence.startswith("Hidden code") for sentence in alarms.ringing(plain, 10))


def test_a_warp_that_moves_only_beside_the_face_is_found():
    offsets = torch.zeros(4, 3, 4, 16, 16)
    offsets[..., :2] = torch.linspace(-1, 1, 4)[:, None, None, None, None]
    assert moved_in_face(offsets) == 0
    offsets[..., 6:10] = offsets[..., :1] / 8
    assert moved_in_face(offsets) > 0.1


def test_no_alarm_rings_in_the_first_steps(alarms):
    assert alarms.ringing({"collapse_zero_db": 0.0}, 9) == []
    assert len(alarms.ringing({"collapse_zero_db": 0.0}, 10)) == 1


def test_linear_probe_knows_what_is_in_the_code(generator):
    code, noise = torch.randn(200, 6, generator=generator), torch.randn(200, 1, generator=generator)
    targets = torch.cat([code[:, :2] @ torch.tensor([[1.0], [-2.0]]), noise, torch.ones(200, 1)], 1)
    linear, other, constant = held_out_r2(code, targets, torch.arange(200) // 10)
    assert linear > 0.99
    assert -0.3 < other < 0.2
    assert constant.isnan()
    assert held_out_r2(code, targets, torch.zeros(200, dtype=torch.long)).isnan().all()


def test_linear_probe_is_asked_about_people_it_was_not_fitted_to(generator):
    """A code that is a person's name explains nothing of other people, and nothing within a person."""
    person = torch.arange(200) // 10
    code = torch.nn.functional.one_hot(person).float()
    targets = torch.randn(20, 1, generator=generator)[person] + 0.1 * torch.randn(200, 1, generator=generator)
    assert held_out_r2(code, targets, person).item() < 0.1
    assert centred(code, person).abs().max() < 1e-6


def test_the_probe_outlives_its_clips_and_is_chosen_without_chance(cast, tmp_path):
    folder = tmp_path / "vanishing"
    shutil.copytree(cast, folder)
    kept, gone = (Alarms(SETTINGS, FrameStore(find_clips([f], "train"), SIZE_PX, 0.1)) for f in (cast, folder))
    shutil.rmtree(folder)
    assert gone.measure(Actor()) == kept.measure(Actor())


class Renderers(FrameStore):
    """A store whose first clip goes while it is read, and whose next listing is without it."""

    asked = 0

    def __len__(self) -> int:
        if self.asked == 1:
            self.clips = self.clips[1:]
        self.asked += 1
        return len(self.clips)


def test_other_clips_are_chosen_where_one_goes_while_it_is_read(cast, tmp_path):
    folder = tmp_path / "ring"
    shutil.copytree(cast, folder)
    store = Renderers(find_clips([folder], "train"), SIZE_PX, 0.1)
    (store.clips[0] / "rgb.mp4").unlink()
    with pytest.raises(UserError):
        Alarms(SETTINGS, FrameStore(find_clips([folder], "train"), SIZE_PX, 0.1))
    (store.clips[0] / "clip.json").unlink()
    assert len(Alarms(SETTINGS, store).seen.clip.unique()) == PEOPLE * MOTIONS - 1


def test_the_probe_may_come_from_other_folders_than_the_training_data(cast, drawn_clips):
    elsewhere = Alarms(replace(SETTINGS, data=(str(cast),)), FrameStore(find_clips([drawn_clips]), SIZE_PX, 0.1))
    assert elsewhere.measure(Sticker())["leak_look"] > 0.01


def test_the_probe_pairs_the_same_frames_of_different_people(alarms):
    mouths = mouth_opening(alarms.scenes.actors.rgb).unflatten(0, (2, -1))
    assert torch.allclose(mouths, mouth_opening(alarms.scenes.answers.rgb).expand_as(mouths), atol=0.1)
    colours = alarms.scenes.actors.rgb[:, :, 32, 10].unflatten(0, (2, -1))
    assert (colours - alarms.scenes.answers.rgb[:, :, 32, 10]).abs().amax(-1).min() > 0.02


def test_clips_without_a_common_motion_leave_out_what_they_cannot_tell(drawn_clips):
    alarms = Alarms(SETTINGS, FrameStore(find_clips([drawn_clips], "train"), SIZE_PX, 0.1))
    values = alarms.measure(Indifferent())
    assert "collapse_zero_db" in values
    assert not any(name.startswith(("leak_", "cross_")) for name in values)


@pytest.fixture(scope="module")
def everything(cast) -> Alarms:
    """All alarms; drawn clips stand in for recorded ones."""
    settings = replace(SETTINGS, held_out=(str(cast),), recorded=(str(cast),))
    return Alarms(settings, FrameStore(find_clips([cast], "train"), SIZE_PX, 0.1))


def test_gaps_between_data_that_do_not_differ_are_small(everything):
    values = everything.measure(Actor())
    assert abs(values["appearance_gap_db"]) < 2
    assert values["motion_mouth_recorded_r2"] > 0.95
    assert values["driven_seen_db"] - values["driven_recorded_db"] == pytest.approx(0, abs=2)
    assert values["seen_gap_db"] == values["driven_seen_db"] - values["driven_held_out_db"]


@pytest.mark.parametrize("autocast", [False, True])
def test_base_model_gives_every_value_that_the_docs_explain(everything, autocast):
    torch.manual_seed(0)
    model = BaseModel(preset("tiny")).eval()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        values = everything.measure(model)
    assert all(np.isfinite(value) for value in values.values())
    explained = set(re.findall(r"`([a-z_0-9]+)`", DOCS.read_text()))
    drawn = {"controls_blink_left_r2", "controls_blink_right_r2"}
    assert values.keys() | drawn <= explained
    assert {name for rule in RULES for name in rule.needs} <= values.keys()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_warps_that_are_bent_anyhow_miss_more_than_rigid_ones(alarms, monkeypatch):
    """The heads of the cast never turn: rigid warps with the true pose miss what eyes and mouths do only."""
    torch.manual_seed(0)
    model = BaseModel(preset("tiny")).eval()
    see = model.motion
    monkeypatch.setattr(model, "motion", lambda image: Motion(upright(len(image)), see(image).expression))
    still = alarms.measure(model)
    assert 0 < still["missed_percent"] == still["missed_rigid_percent"] < 0.5
    with torch.no_grad():
        model.warp_driver.to_offsets.weight.normal_(std=0.2)
    bent = alarms.measure(model)
    assert bent["missed_rigid_percent"] == still["missed_rigid_percent"]
    assert bent["missed_percent"] > 2 * bent["missed_rigid_percent"]
    assert any("Warps mislead" in sentence for sentence in alarms.ringing(bent, 10))
    assert not any("Warps mislead" in sentence for sentence in alarms.ringing(still, 10))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.needs[0])
def test_every_alarm_can_ring_and_be_silent(rule):
    worst = [0.0, 9.0] if len(rule.needs) == 2 else [0.0]
    best = worst[::-1]
    assert rule.rings(*worst) != rule.rings(*(best if len(best) == 2 else [9.0]))
    assert rule.sentence.format(**dict.fromkeys(rule.needs, 1.0)).endswith(".")


def test_settings():
    assert AlarmConfig(every=5).due(10)
    assert not AlarmConfig(every=5).due(11)
    assert not AlarmConfig(every=0).due(10)
    with pytest.raises(UserError, match="frames is 1; give at least 2"):
        AlarmConfig(frames=1)
    with pytest.raises(UserError, match="portraits is 0; give at least 1"):
        AlarmConfig(portraits=0)
