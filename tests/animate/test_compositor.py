"""The finished picture, with a drawn person whose parts are known; and the real sample pasted back into itself."""

import time
from dataclasses import replace
from fractions import Fraction
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from megaportraits.animate import Animator
from megaportraits.animate import paste as paste_module
from megaportraits.animate.background import background_plate, composite
from megaportraits.animate.compositor import Compositor
from megaportraits.animate.head_zone import face_points, removed, shown
from megaportraits.animate.paste import colour_match, placed
from megaportraits.animate.source import Source
from megaportraits.config import AnimateOptions, preset
from megaportraits.data.crop import SquareCrop
from megaportraits.data.video_writer import write_video
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights
from megaportraits.tensors import GREY, HeadPose, Motion

SKY, SKIN, SHIRT = (40, 90, 200), (220, 170, 140), (30, 120, 40)
S = 64
NOW = Fraction(0)
SQUARE = SquareCrop(40.0, 20.0, 128.0)


def drawn(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A head with a neck and shoulders, framed by SQUARE: the picture and where the person is."""
    y, x = np.mgrid[:height, :width] + 0.5
    u, v = (x - SQUARE.x) / SQUARE.side, (y - SQUARE.y) / SQUARE.side
    head = ((u - 0.5) / 0.2) ** 2 + ((v - 0.52) / 0.3) ** 2 < 1
    neck = (np.abs(u - 0.5) < 0.1) & (v > 0.6) & (v < 0.95)
    body = (np.abs(u - 0.5) < 0.45) & (v > 0.9)
    picture = np.full((height, width, 3), SKY, np.uint8)
    picture[body], picture[neck | head] = SHIRT, SKIN
    return picture, (head | neck | body).astype(np.float32)


@pytest.fixture(scope="module")
def source() -> Source:
    photo, person = drawn(200, 220)
    crop = SQUARE.cut(photo, S)
    matte = SQUARE.cut((person * 255).astype(np.uint8)[..., None].repeat(3, -1), S)[..., 0].astype(np.float32) / 255
    pose = HeadPose(torch.eye(3)[None], torch.ones(1), torch.tensor([[0.0, 0.0, 0.0]]))
    canonical = fold_weights(BaseModel(preset("tiny")).eval())
    with torch.inference_mode():
        image, mask = torch.zeros(1, 3, S, S), torch.zeros(1, 1, S, S)
        motion = Motion(pose, canonical.motion(image).expression)
        return Source(
            photo, SQUARE, crop, matte, background_plate(crop, matte), canonical.canonical(image, mask, motion), motion
        )


@pytest.fixture(autouse=True)
def known_person(monkeypatch):
    """The drawing is no photo: its matte is known, not looked for."""
    monkeypatch.setattr(paste_module, "person_of", lambda photo, net: drawn(*photo.shape[:2])[1])


def painted_self(source: Source) -> tuple[np.ndarray, np.ndarray]:
    alpha = source.matte[..., None]
    return (source.crop / 255 * alpha + GREY * (1 - alpha)).astype(np.float32), source.matte


def nobody() -> tuple[np.ndarray, np.ndarray]:
    return np.full((S, S, 3), GREY, np.float32), np.zeros((S, S), np.float32)


def made(source: Source, painted: tuple, **options) -> np.ndarray:
    with Compositor(source, AnimateOptions(**options), painted_self(source)) as compositor:
        frame = compositor(*painted, NOW)
        assert frame.shape == (*compositor.size, 4 if compositor.alpha else 3)
    return frame


def test_crop_mode_is_the_plain_composite_but_for_the_rim(source):
    painted = painted_self(source)
    off = np.abs(made(source, painted).astype(int) - composite(*painted, source.plate)).max(-1)
    rim = cv2.dilate(source.matte, np.ones((5, 5))) - cv2.erode(source.matte, np.ones((5, 5))) > 0.01
    assert off[~rim].max() <= 2
    assert off.mean() < 2


def test_crop_mode_over_a_colour_and_over_nothing(source):
    painted = painted_self(source)
    red = made(source, painted, background="red")
    assert (red[2, 2] == (255, 0, 0)).all()
    assert np.abs(red[32, 32].astype(int) - SKIN).max() <= 2
    clear = made(source, painted, background="transparent")
    assert clear[2, 2, 3] == 0
    assert np.abs(clear[32, 32].astype(int) - (*SKIN, 255)).max() <= 2


def test_transparent_colours_are_not_premultiplied(source):
    alpha = np.full((S, S), 0.5, np.float32)
    painted = np.full((S, S, 3), 0.5 * 0.8 + 0.5 * GREY, np.float32)
    clear = made(source, (painted, alpha), background="transparent")
    assert np.abs(clear[30, 30].astype(int) - (204, 204, 204, 128)).max() <= 2


def test_paste_back_is_the_photo_outside_the_square(source):
    frame = made(source, nobody(), paste_back=True)
    region = placed(SQUARE, *source.photo.shape[:2]).region
    outside = np.ones(source.photo.shape[:2], bool)
    outside[region] = False
    assert (frame[outside] == source.photo[outside]).all()


def test_paste_back_of_the_source_itself_is_the_photo(source):
    frame = made(source, painted_self(source), paste_back=True)
    assert np.abs(frame.astype(int) - source.photo).mean() < 1.5


def test_the_old_head_is_gone_and_the_body_stays(source):
    frame = made(source, nobody(), paste_back=True)
    nose = int(SQUARE.y + 0.4 * SQUARE.side), int(SQUARE.x + 0.5 * SQUARE.side)
    assert np.abs(frame[nose].astype(int) - SKY).max() < 12
    chest = int(SQUARE.y + 0.97 * SQUARE.side)
    columns = slice(int(SQUARE.x + 0.1 * SQUARE.side), int(SQUARE.x + 0.9 * SQUARE.side))
    assert (frame[chest, columns] == source.photo[chest, columns]).all()


def test_nothing_shows_the_border_of_the_square(source):
    """Even if the model paints a person up to it, the border itself stays the photo's."""
    full = np.zeros((S, S, 3), np.float32), np.ones((S, S), np.float32)
    frame = made(source, full, paste_back=True).astype(int)
    rows, columns = placed(SQUARE, *source.photo.shape[:2]).region
    for line in (np.s_[rows.start, columns], np.s_[rows.stop - 1, columns], np.s_[rows, columns.start]):
        assert np.abs(frame[line] - source.photo[line]).max() <= 12
    assert frame[rows, columns].min() == 0


def test_widening_a_region_is_fast_however_wide():
    there = np.zeros((2400, 2400), bool)
    there[1200, 1200] = True
    begin = time.process_time()
    wide = paste_module._widened(there, 100)
    assert time.process_time() - begin < 1.5
    y, x = np.mgrid[:2400, :2400] - 1200
    assert (wide != (np.hypot(x, y) <= 100)).mean() < 1e-4
    assert paste_module._widened(there & False, 100).max() == 0


def test_a_lower_chin_takes_the_painted_neck_with_it(source):
    low = HeadPose(torch.eye(3)[None], torch.ones(1), torch.tensor([[0.0, 0.15, 0.0]]))
    own, now = face_points(source.motion.pose), face_points(low)
    assert now[:, 1].max() - own[:, 1].max() == pytest.approx(0.075, abs=1e-4)
    row = int((own[:, 1].max() + 0.1) * S)
    assert shown(own, now, S)[row, S // 2] > 0.9 > 0.3 > shown(own, own, S)[row, S // 2]
    full = np.zeros((S, S, 3), np.float32), np.ones((S, S), np.float32)
    with Compositor(source, AnimateOptions(paste_back=True), painted_self(source)) as compositor:
        at = int(SQUARE.y + (own[:, 1].max() + 0.1) * SQUARE.side), int(SQUARE.x + 64)
        assert compositor(*full, NOW, low)[at].max() < compositor(*full, NOW)[at].max() - 40


def test_the_photo_goes_only_where_the_painted_head_is_shown_fully(source):
    own = face_points(source.motion.pose)
    gone, seen = removed(own, 128), shown(own, own, 128)
    assert gone.max() == 1
    assert seen[gone > 0.05].min() > 0.75
    assert gone[-8:].max() == 0


def test_paste_back_before_a_colour_keeps_the_body_and_nothing_else(source):
    frame = made(source, painted_self(source), paste_back=True, background="#ff00ff")
    assert (frame[3, 3] == (255, 0, 255)).all()
    chest = int(SQUARE.y + 0.97 * SQUARE.side), int(SQUARE.x + 0.2 * SQUARE.side)
    assert np.abs(frame[chest].astype(int) - SHIRT).max() <= 1
    nose = int(SQUARE.y + 0.4 * SQUARE.side), int(SQUARE.x + 0.5 * SQUARE.side)
    assert np.abs(frame[nose].astype(int) - SKIN).max() <= 3
    clear = made(source, painted_self(source), paste_back=True, background="transparent")
    assert clear[3, 3, 3] == 0
    assert clear[chest][3] == 255


def test_a_video_behind_a_pasted_head_moves(source, tmp_path):
    write_video(tmp_path / "levels.mp4", [np.full((64, 64, 3), level, np.uint8) for level in (60, 180)], 1)
    options = AnimateOptions(paste_back=True, background=str(tmp_path / "levels.mp4"))
    with Compositor(source, options, painted_self(source)) as compositor:
        levels = [compositor(*painted_self(source), Fraction(t))[3, 3].mean() for t in (0, 1, 2)]
    assert np.abs(np.array(levels) - [60, 180, 60]).max() < 4


def test_a_small_face_is_brought_down_evenly(source):
    """A square of a third of the crop's size: every third stripe of pixels would be lost without averaging."""
    small = replace(source, square=SquareCrop(40.0, 20.0, S / 4))
    stripes = np.zeros((S, S, 3), np.float32)
    stripes[:, ::2] = 1
    with Compositor(small, AnimateOptions(paste_back=True), nobody()) as compositor:
        frame = compositor(stripes, np.ones((S, S), np.float32), NOW)
    assert np.abs(frame[27:30, 46:50].astype(int) - 128).max() < 12


def test_colours_are_matched(source):
    painted, matte = painted_self(source)
    wrong = painted * np.float32([0.8, 1.1, 0.9]) + np.float32([0.05, -0.04, 0.02])
    gain, bias = colour_match(wrong, matte, source)
    sure = matte > 0.95
    assert np.abs(wrong * gain + bias - painted)[sure].max() < 0.02 < np.abs(wrong - painted)[sure].max()
    gain, bias = colour_match(*nobody(), source)
    assert (gain == 1).all()
    assert (bias == 0).all()


def test_no_such_background_is_a_user_error(source):
    with pytest.raises(UserError, match="background"):
        Compositor(source, AnimateOptions(background="nonsense"), painted_self(source))


def test_a_missing_network_is_a_user_error(source, tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        Compositor(source, AnimateOptions(plate_net=tmp_path / "lama.onnx"), painted_self(source))
    with pytest.raises(UserError, match="there is no file"):
        Compositor(source, AnimateOptions(plate_net=tmp_path / "lama.onnx", paste_back=True), painted_self(source))


def test_the_sample_pasted_back_is_the_sample(monkeypatch):
    """A real matte of a whole photo: what the photo shows is painted where it was."""
    monkeypatch.undo()
    torch.manual_seed(0)
    animator = Animator(fold_weights(BaseModel(preset("tiny")).eval()), torch.device("cpu"))
    real = animator.set_source(Path(str(resources.files("megaportraits.demo"))) / "source.png")
    pose = HeadPose(torch.eye(3)[None], torch.ones(1), torch.zeros(1, 3))
    real = replace(real, motion=Motion(pose, real.motion.expression))
    frame = made(real, painted_self(real), paste_back=True)
    assert np.abs(frame.astype(int) - real.photo).mean() < 6
