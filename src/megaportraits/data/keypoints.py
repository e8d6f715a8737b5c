"""The face landmarks that training uses: a fixed choice of MediaPipe's 468, in crop coordinates.

`KEYPOINTS[k]` is MediaPipe's number of keypoint k. Left and right are the person's: the left eye is on the right of the
picture. Keypoints that a clip does not know are NaN.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits.data.clips import Truth
from megaportraits.geometry import FACE_OVAL

RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
"""Around each eye, beginning at the outer corner, over the lower lid."""
RIGHT_BROW = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55)
LEFT_BROW = (300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
NOSE = (168, 6, 197, 195, 5, 4, 1, 2)
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
KEYPOINTS = (*FACE_OVAL, *RIGHT_EYE, *LEFT_EYE, *RIGHT_BROW, *LEFT_BROW, *NOSE, *OUTER_LIPS, *INNER_LIPS)


def positions(landmark_ids: Sequence[int]) -> list[int]:
    """Where landmarks, by MediaPipe's numbers, stand in `KEYPOINTS`."""
    return [KEYPOINTS.index(number) for number in landmark_ids]


def select(landmarks: Float[np.ndarray, "T L n"], landmark_ids: Sequence[int]) -> Float[np.ndarray, "T K n"]:
    """The keypoints among landmarks with the given MediaPipe numbers; unknown ones are NaN."""
    row = {number: i for i, number in enumerate(landmark_ids)}
    chosen = np.full((len(landmarks), len(KEYPOINTS), landmarks.shape[-1]), np.nan, np.float32)
    known = [k for k, number in enumerate(KEYPOINTS) if number in row]
    chosen[:, known] = landmarks[:, [row[KEYPOINTS[k]] for k in known]]
    return chosen


def depth(truth: Truth, landmark_ids: Sequence[int]) -> Float[np.ndarray, "T K"]:
    """z of the keypoints in crop coordinates, relative to the head's origin; unknown ones are NaN."""
    if truth.landmarks_3d is None:
        return np.full((len(truth.scale), len(KEYPOINTS)), np.nan, np.float32)
    return select(truth.landmarks_3d[..., 2:], landmark_ids)[..., 0]


def _mirrored() -> list[int]:
    """For each keypoint, the position of the one on the other side of the face."""
    other = dict(zip((*RIGHT_EYE, *RIGHT_BROW), (*LEFT_EYE, *LEFT_BROW), strict=True))
    for ring, across in ((FACE_OVAL, 0), (OUTER_LIPS, 10), (INNER_LIPS, 10)):
        other |= {number: ring[(across - i) % len(ring)] for i, number in enumerate(ring)}
    other |= {b: a for a, b in other.items()}
    return positions([other.get(number, number) for number in KEYPOINTS])


_MIRRORED = _mirrored()


def flip(keypoints: Float[Tensor, "B K n"]) -> Float[Tensor, "B K n"]:
    """The keypoints of the mirrored picture; x stands first."""
    x, rest = keypoints[:, _MIRRORED].split([1, keypoints.shape[-1] - 1], -1)
    return torch.cat([-x, rest], -1)


def flip_depth(depth: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
    """Their depth in the mirrored picture."""
    return depth[:, _MIRRORED]


def in_space(keypoints: Float[Tensor, "B K 2"], depth: Float[Tensor, "B K"]) -> Float[Tensor, "B K 3"]:
    """Keypoints with their depth as points of the crop."""
    return torch.cat([keypoints, depth[..., None]], -1)
