"""The student: sizes of the paper's drawing, what an avatar changes, more avatars, folding, saving.

Large networks are built on the meta device, as in test_sizes.py.
"""

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from perturbed import perturb_zeros
from safetensors.torch import load_file, save_file
from test_golden import fill
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from megaportraits.config import STUDENT_DISCRIMINATORS, STUDENT_PRESETS, StudentConfig, student_preset
from megaportraits.errors import UserError
from megaportraits.models.resnet import ResNetTrunk
from megaportraits.models.student import BakedStudent, Identities, Student, normalised

GOLDEN = Path(__file__).resolve().parents[1] / "golden/student.safetensors"
COUNTS = {
    # preset: parameters without identity tensors, those of an avatar; GMAC with baked modulation, and without
    "student-paper": (22_572_459, 5_038_080, 70.12, 84.56),
    "student-paper-512": (22_572_459, 3_471_360, 17.53, 26.55),
    "student-small": (1_907_840, 98_816, 0.497, 0.590),
    "student-tiny": (65_364, 3_392, None, None),
}


@functools.cache
def shapes_of(name: str) -> Student:
    with torch.device("meta"):
        return Student(student_preset(name))


def own(student: Student) -> int:
    return sum(p.numel() for name, p in student.named_parameters() if name.endswith(".identity"))


@pytest.fixture
def student() -> Student:
    """Tiny, with modulations that depend on the avatar, in evaluation mode."""
    torch.manual_seed(0)
    network = Student(student_preset("student-tiny"))
    perturb_zeros(network)
    return network.eval()


@pytest.fixture
def drivers(generator) -> Tensor:
    return torch.rand(3, 3, 64, 64, generator=generator)


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_multiply_adds_are_exactly_those_of_the_preset(name):
    network, (shared, each, baked, whole) = shapes_of(name), COUNTS[name]
    config = network.config
    assert own(network) == each * config.avatars
    assert sum(p.numel() for p in network.parameters()) == shared + each * config.avatars
    if baked is None:
        return
    with torch.device("meta"):
        driver, avatar = torch.empty(1, 3, config.input_px, config.input_px), torch.zeros(1, dtype=torch.long)
        modulation = network.modulation(avatar)
    with FlopCounterMode(display=False) as counter:
        result = network.decode(network.encode(driver), modulation)
    assert result.rgb.shape == (1, 3, config.size_px, config.size_px)
    assert counter.get_total_flops() / 2e9 == pytest.approx(baked, rel=0.005)
    with FlopCounterMode(display=False) as counter:
        network(driver, avatar)
    assert counter.get_total_flops() / 2e9 == pytest.approx(whole, rel=0.005)


def test_a_hundred_avatars_take_about_what_the_paper_says():
    """800 MB for 100 avatars (3.3); the same drawing in fp16, at 512 and at 1024 px, brackets it."""
    sizes = [shapes_of(name).size_mb(100) for name in ("student-paper-512", "student-paper")]
    assert sizes == pytest.approx([739.4, 1052.8], abs=0.1)
    assert sizes[0] < 800 < sizes[1]


def test_sides_of_the_presets():
    assert {name: config.size_px for name, config in STUDENT_PRESETS.items()} == {
        "student-paper": 1024, "student-paper-512": 512, "student-small": 256, "student-tiny": 64,
    }  # fmt: skip
    assert STUDENT_PRESETS["student-paper"].sides_px == (8, 16, 32, 64, 128, 256, 512, 1024)
    assert STUDENT_DISCRIMINATORS["student-paper"].scales == 4
    with pytest.raises(UserError, match="no student is called 'student-big'"):
        student_preset("student-big")
    with pytest.raises(UserError, match="multiple of 32"):
        StudentConfig(input_px=100)


def test_no_pixel_carries_more_than_a_few_deviations():
    picture = torch.zeros(1, 1, 32, 32)
    picture[..., 5, 7] = 1.0
    assert normalised(picture).max() == 4.0
    waves = torch.rand(1, 2, 32, 32)
    torch.testing.assert_close(normalised(waves), F.instance_norm(waves))


def test_the_encoder_begins_with_another_nets_features_where_sizes_fit():
    student = Student(student_preset("student-tiny"))
    trunk = ResNetTrunk(18, student.config.encoder_base)
    assert student.start_encoder(trunk)
    for name, tensor in trunk.state_dict().items():
        assert torch.equal(student.encoder.state_dict()[name], tensor)
    before = {name: tensor.clone() for name, tensor in student.encoder.state_dict().items()}
    assert not student.start_encoder(ResNetTrunk(18, 2 * student.config.encoder_base))
    assert all(torch.equal(before[name], tensor) for name, tensor in student.encoder.state_dict().items())


def test_spade_starts_as_a_plain_norm():
    torch.manual_seed(0)
    fresh = Student(student_preset("student-tiny")).eval()
    for weight, bias in fresh.modulation(torch.tensor([0, 1])):
        assert (weight == 1).all()
        assert (bias == 0).all()


def test_baked_tables_give_the_same_pictures(student, drivers):
    baked, avatar = student.baked(), torch.tensor([1, 0, 1])
    assert not any(isinstance(m, Identities) for m in baked.modules())
    assert not any(p.requires_grad for p in baked.parameters())
    torch.testing.assert_close(baked(drivers, avatar).rgb, student(drivers, avatar).rgb)
    alone = student.modulation(avatar[:1])
    features = student.encode(drivers[:1])
    torch.testing.assert_close(student.decode(features, alone).rgb, student(drivers[:1], avatar[:1]).rgb)


def test_a_removed_avatar_is_gone_and_the_others_stay(student, drivers, tmp_path):
    three = student.with_avatars(3).baked()
    two = three.without(0)
    assert torch.equal(two(drivers, torch.tensor([0, 1, 1])).rgb, three(drivers, torch.tensor([1, 2, 2])).rgb)
    two.save(tmp_path)
    assert BakedStudent.load(tmp_path).config.avatars == 2
    with pytest.raises(UserError, match="holds a 'avatars' model, but a 'student' model was wanted"):
        Student.load(tmp_path)


def test_pictures_depend_on_avatar_and_driver_and_on_no_neighbour(student, drivers):
    both = student(drivers[:2], torch.tensor([0, 1]))
    assert both.rgb.shape == (2, 3, 64, 64)
    assert both.matte is not None
    assert both.matte.shape == (2, 1, 64, 64)
    assert (student(drivers[:1], torch.tensor([1])).rgb - both.rgb[:1]).abs().max() > 1e-3
    assert (student(drivers[1:2], torch.tensor([0])).rgb - both.rgb[:1]).abs().max() > 1e-4
    torch.testing.assert_close(student(drivers[:1], torch.tensor([0])).rgb, both.rgb[:1])


def test_every_parameter_gets_a_gradient(student, drivers):
    student.train().requires_grad_(True)
    made = student(drivers[:2], torch.tensor([0, 1]))
    (made.rgb.square().mean() + made.matte.square().mean()).backward()
    assert all(p.grad is not None and p.grad.any() for p in student.parameters())


def test_new_avatars_leave_the_old_ones_alone(student, drivers):
    grown = student.with_avatars(4, settled=2)
    for number in range(2):
        avatar = torch.tensor([number])
        assert torch.equal(grown(drivers[:1], avatar).rgb, student(drivers[:1], avatar).rgb)
    trained = {name for name, p in grown.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in grown.named_parameters() if name.endswith(".identity")}
    grown(drivers, torch.tensor([2, 3, 3])).rgb.square().mean().backward()
    assert own(grown) == own(student)
    whole = grown.with_avatars(4)
    assert own(whole) == 2 * own(student)
    assert torch.equal(whole(drivers, torch.tensor([0, 3, 1])).rgb, grown(drivers, torch.tensor([0, 3, 1])).rgb)
    assert replace(whole.config, avatars=2) == student.config


def test_saved_and_loaded_again(student, drivers, tmp_path):
    student.save(tmp_path, avatars=["a", "b"])
    loaded = Student.load(tmp_path)
    assert loaded.config == student.config
    avatar = torch.tensor([1, 0, 1])
    torch.testing.assert_close(loaded(drivers, avatar).rgb, student(drivers, avatar).rgb, atol=1e-2, rtol=0)
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="does not fit the model"):
        Student.load(tmp_path)


@torch.no_grad()
def outputs() -> dict[str, Tensor]:
    network = Student(student_preset("student-tiny")).eval()
    fill(network)
    picture = torch.from_numpy(np.random.default_rng(1).random((1, 3, 16, 16))).float()
    driver = F.interpolate(picture, size=(64, 64), mode="bilinear")
    made = network(driver, torch.tensor([1]))
    assert made.matte is not None
    return {
        "features": network.encoder(driver),
        "weight": F.avg_pool2d(network.modulation(torch.tensor([1]))[-1][0], 4),
        "rgb": F.avg_pool2d(made.rgb, 8),
        "matte": F.avg_pool2d(made.matte, 8),
    }


@pytest.mark.parametrize("name", sorted(load_file(GOLDEN)) if GOLDEN.is_file() else ["missing"])
def test_the_tiny_student_gives_the_stored_outputs(name):
    """After an intended change `python tests/models/test_student.py` writes them anew; say why in the commit."""
    torch.testing.assert_close(outputs()[name], load_file(GOLDEN)[name], atol=1e-4, rtol=1e-4)


def test_it_is_made_of_plain_layers():
    """Nothing that exporters do not know."""
    known = (nn.Conv2d, nn.GroupNorm, nn.Upsample, nn.PixelShuffle, nn.Identity)
    leaves = [m for m in shapes_of("student-tiny").modules() if not list(m.children())]
    assert all(isinstance(m, known) for m in leaves)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save_file(outputs(), GOLDEN)
