"""Shared by the tests of animation: a random `tiny` model and short drivers cut from the package's own sample."""

from fractions import Fraction
from importlib import resources
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from megaportraits.animate import Animator
from megaportraits.config import preset
from megaportraits.data.video import read_frames
from megaportraits.data.video_writer import write_video
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights

DEMO = Path(str(resources.files("megaportraits.demo")))
SOURCE = DEMO / "source.png"


@pytest.fixture(scope="session")
def animator() -> Animator:
    torch.manual_seed(0)
    return Animator(fold_weights(BaseModel(preset("tiny")).eval()), torch.device("cpu"))


@pytest.fixture(scope="session")
def frames() -> list[np.ndarray]:
    """The first twelve frames of the sample's driver."""
    return list(islice(read_frames(DEMO / "driver.mp4"), 12))


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory, frames) -> Path:
    """Nine frames at a rate with a denominator."""
    path = tmp_path_factory.mktemp("driver") / "driver.mp4"
    write_video(path, frames[:9], Fraction(30000, 1001))
    return path


@pytest.fixture(scope="session")
def real_media() -> Path:
    """Folder with `photos` and `videos` of real people, beside the checkout."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "real"
    if not folder.is_dir():
        pytest.skip(f"no real photos and videos at {folder}")
    return folder
