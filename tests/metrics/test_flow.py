"""Optical flow and warp error of pictures that move by whole pixels."""

import pytest
import torch

from megaportraits.metrics import optical_flow, returning, warp_error

SIZE, SHIFT = 64, 3
FULL = torch.ones(1, 1, SIZE, SIZE)
LEFT = torch.zeros(1, SIZE, SIZE, 2)
LEFT[..., 0] = -SHIFT
"""What is here was three pixels further left before."""


@pytest.fixture
def before(generator) -> torch.Tensor:
    """Soft spots of all sizes, which a flow can follow."""
    levels = [torch.rand(1, 3, side, side, generator=generator) for side in (8, 16, 32)]
    return sum(torch.nn.functional.interpolate(level, SIZE, mode="bicubic") for level in levels).clamp(0, 3) / 3


@pytest.fixture
def now(before) -> torch.Tensor:
    return before.roll(SHIFT, -1)


def inner(values: torch.Tensor) -> torch.Tensor:
    """Without what came into the picture."""
    return values[..., 8:-8, 8:-8]


def test_flow_follows_a_shift(before, now):
    flow = optical_flow(now, before)
    assert flow.shape == (1, SIZE, SIZE, 2)
    assert (flow - LEFT)[:, 8:-8, 8:-8].norm(dim=-1).mean() < 0.2


def test_the_exact_flow_leaves_nothing_and_flicker_raises_it(before, now):
    mask = FULL.clone()
    mask[..., :SHIFT] = 0
    assert warp_error(now, before, LEFT, mask).item() == pytest.approx(0.0, abs=1e-6)
    assert warp_error(now + 0.1, before, LEFT, mask).item() == pytest.approx(0.1, abs=1e-6)
    assert warp_error(now, before, 0 * LEFT, mask).item() > 0.02
    assert warp_error(now, before, LEFT, 0 * mask).isnan().all()


def test_found_flow_leaves_little_and_noise_raises_it(before, now, generator):
    flow, back = optical_flow(now, before), optical_flow(before, now)
    mask = returning(flow, back).float()
    steady = warp_error(now, before, flow, mask)
    noisy = warp_error(now + 0.05 * torch.randn(now.shape, generator=generator), before, flow, mask)
    assert steady < 0.3 * warp_error(now, before, 0 * flow, mask)
    assert noisy > steady + 0.02


def test_ways_that_lead_home_inside_the_picture_can_be_trusted():
    known = returning(LEFT, -LEFT)
    assert known[..., SHIFT:].all()
    assert not known[..., :SHIFT].any(), "from outside"
    back = -LEFT
    back[:, :, 20:30] += 2.0
    known = returning(LEFT, back)
    assert not known[..., 20 + SHIFT : 30 + SHIFT].any()
    assert known[..., 30 + SHIFT :].all()


def test_a_way_may_end_half_a_squared_pixel_and_a_hundredth_from_home():
    """|flow| = |back| = 3: the square of the distance from home may be 0.5 + 0.18."""
    off = torch.zeros(1, SIZE, SIZE, 2)
    off[..., 1] = 0.82
    assert inner(returning(LEFT, -LEFT + off)).all()
    off[..., 1] = 0.84
    assert not inner(returning(LEFT, -LEFT + off)).any()
