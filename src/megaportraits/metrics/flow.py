"""Steadiness in time: optical flow between frames, and what a frame moved by it leaves unexplained.

A flow says for each pixel of one frame how far away it is in another one: (x, y) in pixels. Pictures are in [0, 1].
"""

from typing import Any, cast

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from megaportraits import geometry
from megaportraits.metrics.pictures import masked_mean

_RETURN = (0.01, 0.5)
"""How far from home a way there and back may end: a share of both squared lengths, and squared pixels."""


def optical_flow(here: Float[Tensor, "T 3 H W"], there: Float[Tensor, "T 3 H W"]) -> Float[Tensor, "T H W 2"]:
    """DIS flow (Kroeger et al., ECCV 2016) of the luminance in 256 steps, OpenCV's preset "medium"."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    pairs = zip(_luminance(here), _luminance(there), strict=True)
    nothing = cast(Any, None)  # no flow to start from
    return torch.from_numpy(np.stack([search.calc(a, b, nothing) for a, b in pairs]))


def returning(flow: Float[Tensor, "T H W 2"], back: Float[Tensor, "T H W 2"]) -> Bool[Tensor, "T 1 H W"]:
    """Where the flow can be trusted: it stays inside the picture, and the other frame's flow leads home from there.

    |flow + back|^2 <= 0.01 (|flow|^2 + |back|^2) + 0.5 (Sundaram et al., ECCV 2010), without their test for the
    boundaries of moving parts.
    """
    grid = _grid(flow)
    height, width = flow.shape[1:3]
    inside = (grid.abs() <= 1 - 1 / grid.new_tensor([width, height])).all(-1)
    found = geometry.sample(back.movedim(-1, 1), grid).movedim(1, -1)
    lengths = flow.square().sum(-1) + found.square().sum(-1)
    share, least = _RETURN
    return (inside & ((flow + found).square().sum(-1) <= share * lengths + least))[:, None]


def warp_error(
    now: Float[Tensor, "T 3 H W"],
    before: Float[Tensor, "T 3 H W"],
    flow: Float[Tensor, "T H W 2"],
    mask: Float[Tensor, "T 1 H W"],
) -> Float[Tensor, " T"]:
    """Mean absolute difference between each frame and the one before, moved by the flow from now to before.

    E_warp of Lai et al. (ECCV 2018), who square the difference. NaN where the mask is empty.
    """
    return masked_mean((now - geometry.sample(before, _grid(flow))).abs(), mask)


def _grid(flow: Float[Tensor, "T H W 2"]) -> Float[Tensor, "T H W 2"]:
    """Where the flow leads, in crop coordinates."""
    height, width = flow.shape[1:3]
    return geometry.identity_grid((height, width)) + flow * 2 / flow.new_tensor([width, height])


def _luminance(pictures: Float[Tensor, "T 3 H W"]) -> list[np.ndarray]:
    rgb = (pictures.clamp(0, 1) * 255 + 0.5).byte().permute(0, 2, 3, 1).contiguous().numpy()
    return [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in rgb]
