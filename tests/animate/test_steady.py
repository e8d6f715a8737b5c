"""The filter against flicker: what it removes, what it leaves."""

import cv2
import numpy as np
import pytest

from megaportraits.animate.steady import SteadyDetail
from megaportraits.config import AnimateOptions
from megaportraits.errors import UserError

BASE = 64


def scene(side: int, seed: int = 0) -> np.ndarray:
    """A smooth picture with fine texture, three times as wide as it is shown."""
    draw = np.random.default_rng(seed)
    coarse = cv2.resize(draw.random((12, 36, 3)).astype(np.float32), (3 * side, side), interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(draw.standard_normal((side, 3 * side, 3)).astype(np.float32), (0, 0), 0.8)
    return np.clip(0.5 + 0.5 * (coarse - 0.5) + 0.05 * fine, 0, 1)


def panned(side: int, count: int, speed: float) -> list[np.ndarray]:
    wide = scene(side)
    moves = (np.float32([[1, 0, -speed * i], [0, 1, 0]]) for i in range(count))
    return [cv2.warpAffine(wide, move, (side, side), flags=cv2.INTER_CUBIC) for move in moves]


def noisy(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Detail that is another one in every frame; the mean of each 2 x 2 pixels is zero, so the base sees none of it."""
    draw = np.random.default_rng(1)
    made = []
    for frame in frames:
        noise = 0.03 * draw.standard_normal(frame.shape).astype(np.float32)
        low = cv2.resize(noise, (BASE, BASE), interpolation=cv2.INTER_AREA)
        made.append(frame + noise - cv2.resize(low, noise.shape[1::-1], interpolation=cv2.INTER_NEAREST))
    return made


def filtered(frames: list[np.ndarray], strength: float = 0.7) -> list[np.ndarray]:
    steady = SteadyDetail(strength, BASE)
    return [steady(frame) for frame in frames]


def distance(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    inside = (slice(12, -12), slice(12, -12))
    return float(np.mean([np.abs(x - y)[inside].mean() for x, y in zip(a, b, strict=True)]))


def unsteadiness(frames: list[np.ndarray], speed: float) -> float:
    """Mean difference of each frame from the one before, moved by the true motion."""
    back = [cv2.warpAffine(f, np.float32([[1, 0, -speed], [0, 1, 0]]), f.shape[1::-1], flags=cv2.INTER_CUBIC)
            for f in frames]  # fmt: skip
    return distance(frames[1:], back[:-1])


def strength(frames: list[np.ndarray]) -> float:
    """What the frames have beyond the base model's size."""
    low = [cv2.resize(f, (BASE, BASE), interpolation=cv2.INTER_AREA) for f in frames]
    return distance(frames, [cv2.resize(f, (2 * BASE, 2 * BASE)) for f in low])


@pytest.mark.parametrize("speed", [0.0, 1.7])
def test_detail_gets_steadier_along_the_motion_and_stays_as_strong(speed):
    shown = noisy(panned(2 * BASE, 10, speed))
    steady = filtered(shown)
    assert unsteadiness(steady[4:], speed) < 0.75 * unsteadiness(shown[4:], speed)
    assert strength(steady[4:]) == pytest.approx(strength(shown[4:]), rel=0.15)


def test_moving_texture_without_flicker_stays():
    true = panned(2 * BASE, 10, 1.7)
    assert distance(filtered(true)[5:], true[5:]) < 0.4 * strength(true[5:])


def test_a_still_picture_stays_as_it_is():
    still = [scene(2 * BASE)[:, : 2 * BASE]] * 4
    assert max(np.abs(a - b).max() for a, b in zip(filtered(still), still, strict=True)) < 0.02


def test_nothing_comes_over_a_cut():
    before, after = (scene(2 * BASE, seed)[:, : 2 * BASE] for seed in (0, 5))
    steady = filtered([before, before, after])
    assert np.abs(steady[2] - after).mean() < 0.1 * np.abs(before - after).mean()


def test_the_coarse_picture_is_left_to_the_base_model():
    shown = noisy(panned(2 * BASE, 5, 1.0))
    for before, after in zip(shown, filtered(shown), strict=True):
        small = [cv2.resize(p, (BASE // 4, BASE // 4), interpolation=cv2.INTER_AREA) for p in (before, after)]
        assert np.abs(small[0] - small[1]).max() < 0.02


def test_strengths_of_one_and_more_would_never_forget():
    with pytest.raises(UserError, match=r"steady is 1\.0; give a number from 0 to below 1"):
        AnimateOptions(steady=1.0)
