"""Where in a crop the head is, by its pose: what is taken out of a photo, and what of a painted person is put there.

Shoulders, collar and the ends of long hair stay the photo's. Lengths are in sides of the crop, from its upper left
corner.
"""

import cv2
import numpy as np
from jaxtyping import Float

from megaportraits.geometry import mean_head
from megaportraits.tensors import HeadPose

_EDGE = 0.04
"""Width of the ramp at the left, right and upper border of the crop."""
_NECK, _FADE = 0.04, 0.07
"""The painted neck is shown fully so far below the chin; then it fades into the photo's over this length."""
_NECK_HALF_WIDTH, _SLOPE, _SHOULDER = 0.10, 0.18, 0.12
"""Beside the neck the painted person ends higher, by `_SHOULDER`; the change is `_SLOPE` wide."""
_JAW, _JAW_WIDTH = 0.04, 0.85
"""The photo's face goes so far below its jaw, over this part of the face's width; beside it hair goes to `_HAIR`."""
_HAIR, _HAIR_FADE = 0.07, 0.12
"""Lower than so far above the chin the photo's hair stays; it comes in over this length above."""
_SOFT = 0.02


def face_points(pose: HeadPose) -> Float[np.ndarray, "468 2"]:
    """The mean head's face in the crop (its first sample's pose)."""
    rotation, place = pose.rotation[0].cpu().numpy(), pose.translation[0].cpu().numpy()
    return ((float(pose.scale[0]) * mean_head() @ rotation.T + place)[:, :2] + 1) / 2


def shown(own: Float[np.ndarray, "468 2"], now: Float[np.ndarray, "468 2"], size_px: int) -> Float[np.ndarray, "S S"]:
    """How much of the painted person is shown: 1 on the head, 0 at the crop's border and on the shoulders.

    Args:
        own: the photo's face, which must be covered.
        now: the painted face.
        size_px: the result's S.
    """
    centres = _centres(size_px)
    chin = now[now[:, 1].argmax()]
    lowest = max(chin[1], own[:, 1].max())
    beside = smooth_step((np.abs(centres - chin[0]) - _NECK_HALF_WIDTH) / _SLOPE)
    end = lowest + _NECK + _FADE - _SHOULDER * beside
    down = smooth_step((end[None] - centres[:, None]) / _FADE)
    border = smooth_step(np.minimum(centres, 1 - centres) / _EDGE)
    top = smooth_step(centres / _EDGE)
    bottom = smooth_step((1 - centres) / _SOFT)
    return down * (top * bottom)[:, None] * border[None]


def removed(own: Float[np.ndarray, "468 2"], size_px: int) -> Float[np.ndarray, "S S"]:
    """Where the photo's own person is taken out: 1 over face and hair, 0 below the jaw and beside the neck."""
    centres = _centres(size_px)
    hull = cv2.convexHull(own.astype(np.float32))[:, 0]
    mask = np.zeros((size_px, size_px), np.uint8)
    cv2.fillConvexPoly(mask, np.round(hull * size_px).astype(np.int32), (1,))
    jaw = (mask * np.arange(1, size_px + 1)[:, None]).max(0) / size_px
    left, right = hull[:, 0].min(), hull[:, 0].max()
    under_face = np.abs(centres - (left + right) / 2) < _JAW_WIDTH * (right - left) / 2
    limit = np.where(under_face, jaw + _JAW, own[:, 1].max() - _HAIR)
    fade = np.where(under_face, _SOFT, _HAIR_FADE)
    limit, fade = cv2.GaussianBlur(np.stack([limit, fade], -1)[None], (0, 0), _SOFT * size_px)[0].T
    above = smooth_step((limit[None] - centres[:, None]) / fade[None])
    return above * np.clip(4 * shown(own, own, size_px) - 3, 0, 1)


def smooth_step(x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """0 below 0, 1 above 1, smooth between."""
    x = np.clip(x, 0, 1)
    return (x * x * (3 - 2 * x)).astype(np.float32)


def _centres(size_px: int) -> Float[np.ndarray, " S"]:
    return (np.arange(size_px, dtype=np.float32) + 0.5) / size_px
