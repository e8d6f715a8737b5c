"""A small dataset of drawn heads: the same motions on several identities, and a random model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from megaportraits import geometry
from megaportraits.config import preset
from megaportraits.data.clips import ClipInfo, Truth, write_clip
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights
from megaportraits.tensors import HeadPose

SIZE_PX = 96
FRAMES = 4
IDENTITIES = 3
MOTIONS = 2


def write_person(folder: Path, identity: int, motion: int, frames: int = FRAMES, size_px: int = SIZE_PX) -> None:
    """A clip of a drawn head whose poses depend on the motion alone and whose colours on the identity alone."""
    angles = (torch.rand(3, frames, generator=torch.Generator().manual_seed(motion)) - 0.5) * 40
    pose = HeadPose(geometry.rotation_from_angles(*angles), torch.full((frames,), 0.8), torch.zeros(frames, 3))
    head = torch.from_numpy(geometry.mean_head())[None].expand(frames, -1, -1)
    points = geometry.apply_matrix(geometry.pose_matrix(pose), head).numpy()[..., :2]
    skin = (200, 120 + 40 * identity, 100)
    pictures = [_drawn((p + 1) / 2 * size_px, skin, size_px) for p in points]
    zero = np.zeros((frames, 2), np.float32)
    truth = Truth(
        pose.rotation.numpy(), pose.scale.numpy(), pose.translation.numpy(), geometry.theta(pose).numpy(),
        zero[:, :1], zero, zero, points.copy(),
    )  # fmt: skip
    info = ClipInfo(
        str(identity), str(motion), 0.04, 25.0, size_px, {}, "drawn", "CC0-1.0", "held_out", list(range(468)), [""], {}
    )
    write_clip(folder / f"id{identity}_motion{motion}", (p[0] for p in pictures), (p[1] for p in pictures), truth, info)


def _drawn(points: np.ndarray, skin: tuple[int, int, int], size_px: int) -> tuple[np.ndarray, np.ndarray]:
    rgb, matte = Image.new("RGB", (size_px, size_px), (40, 90, 160)), Image.new("L", (size_px, size_px))
    oval = [tuple(points[i]) for i in geometry.FACE_OVAL]
    pen = ImageDraw.Draw(rgb)
    pen.polygon(oval, fill=skin)
    ImageDraw.Draw(matte).polygon(oval, fill=255)
    for index in (159, 386, 1, 13):
        x, y = points[index]
        pen.ellipse((x - 4, y - 3, x + 4, y + 3), fill=(30, 20, 20))
    return np.asarray(rgb), np.asarray(matte)


@pytest.fixture(scope="session")
def crossed_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder: 3 identities x 2 motions x 4 frames."""
    folder = tmp_path_factory.mktemp("crossed")
    for identity in range(IDENTITIES):
        for motion in range(MOTIONS):
            write_person(folder, identity, motion)
    return folder


@pytest.fixture(scope="session")
def large_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of 128 px, twice the smallest model's pictures, and one of 96 px."""
    folder = tmp_path_factory.mktemp("large")
    for identity, size_px in enumerate((128, 128, SIZE_PX)):
        write_person(folder, identity, 0, size_px=size_px)
    return folder


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder of the smallest model with random weights."""
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    torch.manual_seed(0)
    fold_weights(BaseModel(preset("tiny"))).save(folder)
    return folder
