"""Shared fixtures: one thread, and small drawn clips whose head poses are true by construction."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from consent import CONSENT
from perturbed import perturb_zeros
from PIL import Image, ImageDraw

from megaportraits import geometry
from megaportraits.cli import main
from megaportraits.config import preset, student_preset
from megaportraits.data.clips import ClipInfo, Truth, write_clip
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights
from megaportraits.models.student import Student
from megaportraits.tensors import HeadPose

SIZE_PX = 64
LOWER_LIP = (146, 91, 181, 84, 17, 314, 405, 321, 375, 95, 88, 178, 87, 14, 317, 402, 318, 324)
FRAMES = 6
NOSE, LEFT_EYE, RIGHT_EYE, MOUTH = 1, 159, 386, 13
FRECKLE = 117
"""A landmark on one cheek only, so that a drawn head is not its own mirror image."""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def random_pose(generator: torch.Generator, count: int, reach_deg: float = 30.0) -> HeadPose:
    """Poses with angles within `reach_deg`, scales around 0.9 and small shifts."""
    angles = (torch.rand(3, count, generator=generator) * 2 - 1) * reach_deg
    shift = (torch.rand(count, 3, generator=generator) * 2 - 1) * torch.tensor([0.1, 0.1, 0.0])
    scale = 0.8 + 0.2 * torch.rand(count, generator=generator)
    return HeadPose(geometry.rotation_from_angles(*angles), scale, shift)


def draw_head(landmarks: np.ndarray, mouth: float, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A face as flat shapes at its landmarks (`468 2`, crop coordinates): RGB and matte, uint8."""
    big = 4 * SIZE_PX
    points = (landmarks + 1) / 2 * big
    skin, backdrop, dark = (tuple(int(v) for v in c) for c in colours)
    rgb, matte = Image.new("RGB", (big, big), backdrop), Image.new("L", (big, big), 0)
    oval = [tuple(points[i]) for i in geometry.FACE_OVAL]
    ImageDraw.Draw(matte).polygon(oval, fill=255)
    pen = ImageDraw.Draw(rgb)
    pen.polygon(oval, fill=skin)
    for index, rx, ry in (
        (LEFT_EYE, 9, 5),
        (RIGHT_EYE, 9, 5),
        (NOSE, 6, 6),
        (FRECKLE, 4, 4),
        (MOUTH, 14, 3 + 8 * mouth),
    ):
        x, y = points[index]
        pen.ellipse((x - rx, y - ry, x + rx, y + ry), fill=dark)
    return tuple(np.asarray(p.resize((SIZE_PX, SIZE_PX), Image.Resampling.BOX)) for p in (rgb, matte))


def write_drawn_clip(path: Path, seed: int, split: str = "train") -> None:
    """A clip of `FRAMES` drawn heads of one colour scheme, with their truth."""
    generator, numbers = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    pose = random_pose(generator, FRAMES)
    mouth = numbers.uniform(0, 1, (FRAMES, 1)).astype(np.float32)
    head = torch.from_numpy(geometry.mean_head())[None].repeat(FRAMES, 1, 1)
    head[:, LOWER_LIP, 1] += 0.1 * torch.from_numpy(mouth)
    points = geometry.apply_matrix(geometry.pose_matrix(pose), head).numpy()
    colours = np.stack([numbers.integers(140, 250, 3), numbers.integers(0, 255, 3), numbers.integers(0, 90, 3)])
    frames = [draw_head(p[:, :2], m[0], colours) for p, m in zip(points, mouth, strict=True)]
    zero = np.zeros((FRAMES, 2), np.float32)
    truth = Truth(
        pose.rotation.numpy(), pose.scale.numpy(), pose.translation.numpy(), geometry.theta(pose).numpy(), mouth,
        zero, zero, points[..., :2].copy(), points,
    )  # fmt: skip
    info = ClipInfo(
        f"person{seed}", f"motion{seed}", 0.04, 25.0, SIZE_PX, {}, "drawn", "CC0-1.0", split, list(range(468)),
        ["mouth_open"], {},
    )  # fmt: skip
    write_clip(path, (f[0] for f in frames), (f[1] for f in frames), truth, info)


@pytest.fixture(scope="session")
def drawn_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder: four training clips and one held-out clip."""
    folder = tmp_path_factory.mktemp("clips")
    for seed in range(4):
        write_drawn_clip(folder / f"clip{seed}", seed)
    write_drawn_clip(folder / "other", 9, split="held_out")
    return folder


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder of a random `tiny` base model."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    fold_weights(BaseModel(preset("tiny")).eval()).save(folder)
    return folder


@pytest.fixture(scope="session")
def made(drawn_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a student of two people, a key, and their bundle."""
    folder = tmp_path_factory.mktemp("avatars")
    torch.manual_seed(0)
    student = Student(student_preset("student-tiny"))
    perturb_zeros(student)
    student.eval().save(folder / "student", avatars=["person0", "person1"])
    for number in range(2):
        shutil.copytree(drawn_clips / f"clip{number}", folder / f"people/person{number}")
    (folder / "consent.json").write_text(json.dumps(CONSENT))
    assert main(["avatar", "key", str(folder / "key.pem")]) == 0
    words = ["--student", "student", "--output", "a.mpa", "--consent", "consent.json", "--key", "key.pem"]
    paths = [str(folder / w) if not w.startswith("--") else w for w in words]
    assert main(["avatar", "make", *paths, "--avatars", str(folder / "people")]) == 0
    return folder


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded random generator, for tests that draw numbers."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def poses(generator: torch.Generator) -> HeadPose:
    """Four random head poses."""
    return random_pose(generator, 4)
