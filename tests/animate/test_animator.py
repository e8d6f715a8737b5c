"""Animator on pictures in memory, with a random `tiny` model on the package's own sample."""

import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from megaportraits.animate import Animator, RegionGains, Source
from megaportraits.animate.background import background_plate, composite
from megaportraits.animate.regions import region_gain_field
from megaportraits.config import preset
from megaportraits.data.pictures import read_picture
from megaportraits.data.video import read_frames
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights
from megaportraits.models.network import shipped_weights
from megaportraits.tensors import Motion, Prediction, mapped

DEMO = Path(str(resources.files("megaportraits.demo")))
SOURCE = DEMO / "source.png"


@pytest.fixture(scope="module")
def crops() -> list[np.ndarray]:
    """Three square crops of the sample's driver, larger than the model's picture."""
    return [frame[:200, :200] for frame in islice(read_frames(DEMO / "driver.mp4"), 0, 30, 10)]


@pytest.fixture(scope="module")
def source(animator: Animator) -> Source:
    return animator.set_source(SOURCE)


def test_batches_change_nothing(animator, source, crops):
    together = animator.drive_batch(crops, source)
    alone = [animator.drive(crop, source) for crop in crops]
    for a, b in zip(together, alone, strict=True):
        assert np.abs(a.rgb.astype(int) - b.rgb).max() <= 1
        assert np.abs(a.matte.astype(int) - b.matte).max() <= 1
    assert alone[0].rgb.shape == (64, 64, 3)
    assert alone[0].matte.shape == (64, 64)


def test_exif_orientation_is_respected(animator, source, tmp_path):
    upright = read_picture(SOURCE)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    assert np.abs(read_picture(tmp_path / "phone.jpg").astype(int) - upright).mean() < 3
    assert np.abs(animator.set_source(tmp_path / "phone.jpg").crop.astype(int) - source.crop).mean() < 6


def test_models_without_a_matte_channel_get_one(animator, source, monkeypatch):
    painted = torch.tensor(source.crop).permute(2, 0, 1)[None].float() / 255
    monkeypatch.setattr(animator.model, "render", lambda canonical, motion, offsets: Prediction(painted, None))
    frame = animator.drive(source.crop, source)
    assert frame.matte[28:36, 28:36].min() > 200
    assert frame.matte[:4, :4].max() < 50


def test_driving_needs_a_source():
    fresh = Animator(fold_weights(BaseModel(preset("tiny")).eval()), torch.device("cpu"))
    with pytest.raises(UserError, match="set_source"):
        fresh.drive(np.zeros((64, 64, 3), np.uint8))


def test_driver_crops_must_be_square(animator):
    with pytest.raises(UserError, match="square"):
        animator.drive(np.zeros((64, 48, 3), np.uint8))


def test_a_source_without_a_face_is_a_user_error(animator):
    with pytest.raises(UserError, match="no face was found in the source picture"):
        animator.set_source(np.full((96, 96, 3), 128, np.uint8))


@pytest.mark.parametrize(
    ("picture", "came"),
    [
        (np.zeros((64, 64), np.uint8), r"uint8 \(64, 64\)"),
        (np.zeros((64, 64, 4), np.uint8), r"uint8 \(64, 64, 4\)"),
        (np.zeros((64, 64, 3), np.float32), r"float32 \(64, 64, 3\)"),
        (np.zeros((0, 64, 3), np.uint8), r"uint8 \(0, 64, 3\)"),
    ],
)
def test_arrays_that_are_no_rgb_are_user_errors(animator, picture, came):
    with pytest.raises(UserError, match=rf"{came} came; give RGB as uint8 \(height, width, 3\)"):
        animator.set_source(picture)


def test_preparing_does_not_change_the_current_source(animator, source, crops):
    animator.set_source(source.photo)
    before = animator.source
    other = animator.prepare(source.photo[:, ::-1])
    assert animator.source is before
    assert not np.array_equal(other.crop, before.crop)
    assert not np.array_equal(animator.drive(crops[0], other).rgb, animator.drive(crops[0]).rgb)


def test_motions_drive_as_their_crops_do(animator, source, crops):
    motion = animator.motion_of(crops)
    rows = [mapped(motion, lambda tensor, i=i: tensor[i : i + 1]) for i in range(3)]
    mixed = animator.drive_batch([crops[0], rows[1], crops[2]], source)
    for frame, crop in zip(mixed, crops, strict=True):
        assert np.abs(frame.rgb.astype(int) - animator.drive(crop, source).rgb).max() <= 1
    assert np.abs(animator.drive(rows[1], source).rgb.astype(int) - mixed[1].rgb).max() <= 1
    assert animator.drive_batch([], source) == []


def test_paint_is_over_grey_and_in_range(animator, source, crops):
    motion = animator.motion_of(crops)
    assert motion.expression.device.type == motion.pose.scale.device.type == "cpu"
    rgb, matte = animator.paint(motion, source)
    assert rgb.shape == (3, 64, 64, 3)
    assert matte.shape == (3, 64, 64)
    assert 0 <= min(rgb.min(), matte.min()) <= max(rgb.max(), matte.max()) <= 1
    frame = animator.drive(crops[0], source)
    assert np.abs(composite(rgb[0], matte[0], source.plate).astype(int) - frame.rgb).max() <= 1


def test_another_source_is_driven_without_becoming_the_current_one(animator, source, crops):
    mirrored = animator.set_source(np.ascontiguousarray(source.photo[:, ::-1]))
    assert animator.source is mirrored
    expected = animator.drive(crops[0]).rgb
    other = animator.drive(crops[0], source).rgb
    assert not np.array_equal(other, expected)
    assert animator.source is mirrored
    assert np.array_equal(animator.drive(crops[0]).rgb, expected)


def test_the_source_may_change_while_another_thread_drives(animator, source, crops):
    mirrored = animator.set_source(np.ascontiguousarray(source.photo[:, ::-1]))
    right = [animator.drive(crops[0], one).rgb.astype(int) for one in (source, mirrored)]
    stop, seen = threading.Event(), []

    def drive() -> None:
        while not stop.is_set():
            seen.append(animator.drive(crops[0]).rgb)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(drive)
        animator.set_source(source.photo)
        stop.set()
        done.result()
    seen.append(animator.drive(crops[0]).rgb)
    near = [[np.abs(rgb - wanted).max() <= 1 for wanted in right] for rgb in seen]
    assert [sum(one) for one in near] == [1] * len(seen)
    assert near[-1] == [True, False]


def test_a_given_matting_is_used(animator):
    source = animator.set_source(SOURCE, lambda picture: np.full(picture.shape[:2], 0.25, np.float32))
    assert np.allclose(source.matte, 0.25)


def test_gains_change_only_what_the_field_covers(animator, source, crops, monkeypatch):
    torch.manual_seed(1)
    for parameter in animator.model.warp_driver.to_offsets.parameters():
        monkeypatch.setattr(parameter, "data", torch.randn_like(parameter) * 0.1)
    motion = animator.motion_of(crops)
    neutral = source.motion.expression
    asked = []
    render = animator.model.render
    monkeypatch.setattr(animator.model, "render", lambda *given: asked.append(given[2]) or render(*given))
    plain, _ = animator.paint(motion, source)
    same, _ = animator.paint(motion, source, gains=RegionGains(1.0, 1.0, neutral))
    assert np.allclose(plain, same, atol=1e-5)
    more, _ = animator.paint(motion, source, gains=RegionGains(1.0, 3.0, neutral))
    assert np.abs(more - plain).max() > 1e-3
    assert asked[0] is None
    still, _ = animator.paint(Motion(motion.pose, neutral.expand(3, -1)), source, gains=RegionGains(2.0, 3.0, neutral))
    unmoved, _ = animator.paint(Motion(motion.pose, neutral.expand(3, -1)), source)
    assert np.allclose(still, unmoved, atol=1e-5)
    field = region_gain_field(1.0, 3.0, asked[1].shape[2:])
    with torch.inference_mode():
        offsets = animator.model.driver_offsets(source.canonical, source.motion)
    assert torch.allclose(asked[2], offsets + field * (asked[1] - offsets), atol=1e-5)


def test_a_picture_that_is_not_finite_is_painted_again(animator, source, crops, monkeypatch, capsys):
    render, kinds = animator.model.render, []

    def fails_in_halves(*given) -> Prediction:
        kinds.append(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32)
        prediction = render(*given)
        return prediction if kinds[-1] == torch.float32 else Prediction(prediction.rgb / 0, prediction.matte)

    expected = animator.drive(crops[0], source).rgb
    other = Animator(animator.model, torch.device("cpu"), "bf16")
    monkeypatch.setattr(animator.model, "render", fails_in_halves)
    assert np.abs(other.drive(crops[0], source).rgb.astype(int) - expected).mean() < 2
    assert other.precision == "fp32"
    assert kinds == [torch.bfloat16, torch.float32]
    assert "bf16 gave numbers that are not finite" in capsys.readouterr().err


def test_short_memory_makes_batches_smaller(animator, source, crops, monkeypatch, capsys):
    expected = animator.drive_batch(crops, source)
    render = animator.model.render

    def fails_for_many(canonical, motion, offsets) -> Prediction:
        if len(motion.expression) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return render(canonical, motion, offsets)

    other = Animator(animator.model, torch.device("cpu"))
    monkeypatch.setattr(animator.model, "render", fails_for_many)
    frames = other.drive_batch(crops, source)
    assert other.batch_size == 1
    for frame, wanted in zip(frames, expected, strict=True):
        assert np.abs(frame.rgb.astype(int) - wanted.rgb).max() <= 1


def test_motions_of_other_lengths_and_no_crops_are_user_errors(animator, source):
    with pytest.raises(UserError, match="17 expression numbers came, but the model has 16"):
        animator.drive(Motion(source.motion.pose, torch.zeros(1, 17)), source)
    with pytest.raises(UserError, match="no driver crop"):
        animator.motion_of([])


def test_weights_are_loaded_by_name_and_say_what_they_compute_with():
    animator = Animator.load("live", "cpu")
    assert (animator.size_px, animator.precision, animator.device.type) == (256, "fp32", "cpu")
    assert animator.model_hash == Animator.load(shipped_weights(), "cpu", "fp32").model_hash
    assert len(animator.model_hash) == 64


def test_painting_the_source_over_its_plate_gives_the_source(source):
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
