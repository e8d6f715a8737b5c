"""What is behind the person: the source crop with the person filled in, and putting a result in front of it."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from megaportraits.tensors import GREY

_PERSON = 0.02
_MARGIN = 1 / 32
"""Width of the strip around the person that is filled too, in sides: hair and soft edges reach beyond the matte."""


def background_plate(crop: UInt8[np.ndarray, "S S 3"], matte: Float[np.ndarray, "S S"]) -> Float[np.ndarray, "S S 3"]:
    """The crop in [0, 1] with the person filled smoothly from what is around: push and pull over a pyramid.

    Where nothing of the background is seen, the plate is the constant grey.
    """
    reach = 2 * max(1, round(_MARGIN * len(crop))) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    known = 1 - cv2.dilate((matte > _PERSON).astype(np.float32), kernel)
    picture = crop.astype(np.float32) / 255
    filled = _filled(picture * known[..., None], known)
    soft = cv2.GaussianBlur(known, (0, 0), reach / 8)[..., None] * known[..., None]
    return picture * soft + filled * (1 - soft)


def _filled(weighted: Float[np.ndarray, "h w 3"], weight: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Colours where `weight` is 0 from ever coarser levels; `weighted` is colour times weight."""
    height, width = weight.shape
    sure = np.clip(4 * weight, 0, 1)[..., None]
    colour = weighted / np.maximum(weight, 1e-6)[..., None]
    if min(height, width) <= 2:
        mean = weighted.sum((0, 1)) / weight.sum() if weight.sum() > 1e-6 else np.full(3, GREY, np.float32)
        return np.where(sure > 0, colour, mean).astype(np.float32)
    coarse = _filled(cv2.pyrDown(weighted), cv2.pyrDown(weight))
    behind = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(colour * sure + behind * (1 - sure), 0, 1)


def composite(
    painted: Float[np.ndarray, "S S 3"], matte: Float[np.ndarray, "S S"], plate: Float[np.ndarray, "S S 3"]
) -> UInt8[np.ndarray, "S S 3"]:
    """A picture that a model painted over grey, over `plate` instead: painted + (1 - matte) (plate - grey)."""
    over = painted + (1 - matte[..., None]) * (plate - GREY)
    return (np.clip(over, 0, 1) * 255 + 0.5).astype(np.uint8)
