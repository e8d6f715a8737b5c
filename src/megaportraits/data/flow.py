"""Optical flow between two pictures, and pictures moved along it."""

import cv2
import numpy as np
from jaxtyping import Float

Flow = Float[np.ndarray, "h w 2"]
"""For each pixel of one picture, how far away (x, y), in pixels, the other picture shows the same."""


def flow(here: Float[np.ndarray, "h w 3"], there: Float[np.ndarray, "h w 3"]) -> Flow:
    """Where the second picture shows what the first one shows. RGB in [0, 1], sides of at least 16 px.

    DIS flow (Kroeger et al., ECCV 2016) of the luma in 256 steps, OpenCV's preset "medium".
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    greys = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).clip(0, 1) * 255 + 0.5 for picture in (here, there))
    one, other = (grey.astype(np.uint8) for grey in greys)
    return search.calc(one, other, np.zeros((*one.shape, 2), np.float32))


def moved(there: Float[np.ndarray, "h w c"], way: Flow) -> Float[np.ndarray, "h w c"]:
    """The second picture of `flow` as the first one sees it; its border is repeated."""
    rows, columns = np.mgrid[: len(way), : way.shape[1]].astype(np.float32)
    return cv2.remap(
        there, columns + way[..., 0], rows + way[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    ).reshape(there.shape)


def enlarged(way: Flow, side_px: int) -> Float[np.ndarray, "S S 2"]:
    """The flow between square pictures of another side."""
    return cv2.resize(way, (side_px, side_px), interpolation=cv2.INTER_LINEAR) * (side_px / len(way))
