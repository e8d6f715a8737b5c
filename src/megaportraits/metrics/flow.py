"""Steadiness in time: optical flow between frames, and what a frame moved by it leaves unexplained.

A flow says for each pixel of one frame how far away it is in another one: (x, y) in pixels. Pictures are in [0, 1].
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from megaportraits import geometry
from megaportraits.data.flow import flow
from megaportraits.metrics.pictures import masked_mean

_RETURN = (0.01, 0.5)
"""How far from home a way there and back may end: a share of both squared lengths, and squared pixels."""


def optical_flow(here: Float[Tensor, "T 3 H W"], there: Float[Tensor, "T 3 H W"]) -> Float[Tensor, "T H W 2"]:
    """Dense flow of each picture (`data/flow.py`): where the other picture shows the same."""
    pairs = zip(_arrays(here), _arrays(there), strict=True)
    return torch.from_numpy(np.stack([flow(a, b) for a, b in pairs]))


def returning(way: Float[Tensor, "T H W 2"], back: Float[Tensor, "T H W 2"]) -> Bool[Tensor, "T 1 H W"]:
    """Where the flow can be trusted: it stays inside the picture, and the other frame's flow leads home from there.

    |flow + back|^2 <= 0.01 (|flow|^2 + |back|^2) + 0.5 (Sundaram et al., ECCV 2010), without their test for the
    boundaries of moving parts.
    """
    grid = _grid(way)
    height, width = way.shape[1:3]
    inside = (grid.abs() <= 1 - 1 / grid.new_tensor([width, height])).all(-1)
    found = geometry.sample(back.movedim(-1, 1), grid).movedim(1, -1)
    lengths = way.square().sum(-1) + found.square().sum(-1)
    share, least = _RETURN
    return (inside & ((way + found).square().sum(-1) <= share * lengths + least))[:, None]


def warp_error(
    now: Float[Tensor, "T 3 H W"],
    before: Float[Tensor, "T 3 H W"],
    way: Float[Tensor, "T H W 2"],
    mask: Float[Tensor, "T 1 H W"],
) -> Float[Tensor, " T"]:
    """Mean absolute difference between each frame and the one before, moved by the flow from now to before.

    E_warp of Lai et al. (ECCV 2018), who square the difference. NaN where the mask is empty.
    """
    return masked_mean((now - geometry.sample(before, _grid(way))).abs(), mask)


def _grid(way: Float[Tensor, "T H W 2"]) -> Float[Tensor, "T H W 2"]:
    """Where the flow leads, in crop coordinates."""
    height, width = way.shape[1:3]
    return geometry.identity_grid((height, width)) + way * 2 / way.new_tensor([width, height])


def _arrays(pictures: Float[Tensor, "T 3 H W"]) -> list[np.ndarray]:
    return list(pictures.permute(0, 2, 3, 1).float().contiguous().numpy())
