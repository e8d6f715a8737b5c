"""Animator from files to files, with a random `tiny` model on the package's own sample."""

from fractions import Fraction
from importlib import resources
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from megaportraits.animate import Animator
from megaportraits.animate.background import background_plate, composite
from megaportraits.config import preset
from megaportraits.data.pictures import read_picture
from megaportraits.data.track import video_square
from megaportraits.data.video import probe, read_frames, write_video
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights
from megaportraits.tensors import Prediction

DEMO = Path(str(resources.files("megaportraits.demo")))
SOURCE = DEMO / "source.png"


@pytest.fixture(scope="module")
def animator() -> Animator:
    torch.manual_seed(0)
    return Animator(fold_weights(BaseModel(preset("tiny")).eval()), torch.device("cpu"))


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine frames of the sample's driver at a rate with a denominator."""
    path = tmp_path_factory.mktemp("driver") / "driver.mp4"
    write_video(path, islice(read_frames(DEMO / "driver.mp4"), 9), Fraction(30000, 1001))
    return path


def test_result_has_the_drivers_count_rate_and_size(animator, driver, tmp_path):
    animator.animate(SOURCE, driver, tmp_path / "new" / "out.mp4", progress=False)
    info, wanted = probe(tmp_path / "new" / "out.mp4"), probe(driver)
    assert (info.fps, info.frame_count, info.duration_s) == (wanted.fps, wanted.frame_count, wanted.duration_s)
    assert (info.width, info.height) == (64, 64)


def test_side_by_side_shows_source_driver_result(animator, driver, tmp_path):
    animator.animate(read_picture(SOURCE), driver, tmp_path / "out.mp4", side_by_side=True, progress=False)
    shown = next(read_frames(tmp_path / "out.mp4"))
    assert shown.shape == (64, 192, 3)
    source = animator.set_source(SOURCE)
    assert np.abs(shown[:, :64].astype(int) - source.crop).mean() < 6
    cut = video_square(driver).cut(next(read_frames(driver)), 64)
    assert np.abs(shown[:, 64:128].astype(int) - cut).mean() < 6


def test_batches_change_nothing(animator, driver):
    animator.set_source(SOURCE)
    crops = [frame[:200, :200] for frame in islice(read_frames(driver), 3)]
    together = animator.drive_batch(crops)
    alone = [animator.drive(crop) for crop in crops]
    for a, b in zip(together, alone, strict=True):
        assert np.abs(a.rgb.astype(int) - b.rgb).max() <= 1
        assert np.abs(a.matte.astype(int) - b.matte).max() <= 1
    assert alone[0].rgb.shape == (64, 64, 3)
    assert alone[0].matte.shape == (64, 64)


def test_exif_orientation_is_respected(animator, tmp_path):
    upright = read_picture(SOURCE)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    assert np.abs(read_picture(tmp_path / "phone.jpg").astype(int) - upright).mean() < 3
    expected = animator.set_source(SOURCE).crop.astype(int)
    assert np.abs(animator.set_source(tmp_path / "phone.jpg").crop - expected).mean() < 6


def test_models_without_a_matte_channel_get_one(animator, monkeypatch):
    source = animator.set_source(SOURCE)
    painted = torch.tensor(source.crop).permute(2, 0, 1)[None].float() / 255
    monkeypatch.setattr(animator.model, "render", lambda canonical, motion: Prediction(painted, None))
    frame = animator.drive(source.crop)
    assert frame.matte[28:36, 28:36].min() > 200
    assert frame.matte[:4, :4].max() < 50


def test_driving_needs_a_source(driver):
    fresh = Animator(fold_weights(BaseModel(preset("tiny")).eval()), torch.device("cpu"))
    with pytest.raises(UserError, match="set_source"):
        fresh.drive(np.zeros((64, 64, 3), np.uint8))


def test_driver_crops_must_be_square(animator):
    animator.set_source(SOURCE)
    with pytest.raises(UserError, match="square"):
        animator.drive(np.zeros((64, 48, 3), np.uint8))


def test_no_face_is_a_user_error(animator, driver, tmp_path):
    grey = np.full((96, 96, 3), 128, np.uint8)
    write_video(tmp_path / "grey.mp4", [grey] * 4, 25)
    with pytest.raises(UserError, match="no face was found in the source picture"):
        animator.set_source(grey)
    with pytest.raises(UserError, match=r"no face was found in .*grey\.mp4"):
        animator.animate(SOURCE, tmp_path / "grey.mp4", tmp_path / "out.mp4", progress=False)
    assert not (tmp_path / "out.mp4").exists()


def test_inputs_are_never_overwritten(animator, driver):
    before = driver.read_bytes()
    with pytest.raises(UserError, match="one of the inputs"):
        animator.animate(SOURCE, driver, driver, progress=False)
    assert driver.read_bytes() == before


def test_painting_the_source_over_its_plate_gives_the_source(animator):
    source = animator.set_source(SOURCE)
    alpha = source.matte[..., None]
    painted = (source.crop / 255 * alpha + 0.5 * (1 - alpha)).astype(np.float32)
    again = composite(painted, source.matte, source.plate)
    assert np.abs(again.astype(int) - source.crop).mean() < 4


def test_plate_hides_the_person():
    crop = np.full((64, 64, 3), (30, 60, 200), np.uint8)
    crop[20:64, 20:44] = (250, 10, 10)
    matte = np.zeros((64, 64), np.float32)
    matte[20:64, 20:44] = 1
    assert np.allclose(background_plate(crop, matte), np.array([30, 60, 200]) / 255, atol=0.02)
    assert np.allclose(background_plate(crop, np.ones((64, 64), np.float32)), 0.5)
