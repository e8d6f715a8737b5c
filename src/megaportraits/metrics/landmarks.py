"""Measures of face landmarks: errors in eye distances, openings of mouth and eyes, how far a face moved.

Landmarks are MediaPipe's 468 by their numbers, `T 468 2`, in any one unit (crop coordinates, pixels).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits.data.keypoints import INNER_LIPS, LEFT_BROW, LEFT_EYE, OUTER_LIPS, RIGHT_BROW, RIGHT_EYE

MOUTH = (*OUTER_LIPS, *INNER_LIPS)
EYES = (*RIGHT_EYE, *LEFT_EYE)
_TOP, _CHIN = 10, 152
_ACTING = (*MOUTH, *EYES, *RIGHT_BROW, *LEFT_BROW)
_EYE_CORNERS = (33, 263)
"""Outer corners of the person's right and left eye."""


def eye_distance(landmarks: Float[Tensor, "T L 2"]) -> Float[Tensor, " T"]:
    """Distance between the middles of both eyes' outlines."""
    return (landmarks[:, RIGHT_EYE].mean(1) - landmarks[:, LEFT_EYE].mean(1)).norm(dim=-1)


def face_height(landmarks: Float[Tensor, "T L 2"]) -> Float[Tensor, " T"]:
    """Distance between the upper and the lower end of the face oval."""
    return (landmarks[:, _TOP] - landmarks[:, _CHIN]).norm(dim=-1)


def landmark_error(
    found: Float[Tensor, "T L 2"], truth: Float[Tensor, "T L 2"], numbers: Sequence[int]
) -> Float[Tensor, " T"]:
    """Mean distance of the numbered landmarks from the truth, in the truth's eye distances."""
    index = list(numbers)
    return (found[:, index] - truth[:, index]).norm(dim=-1).mean(1) / eye_distance(truth)


def mouth_opening(landmarks: Float[Tensor, "T L 2"]) -> Float[Tensor, " T"]:
    """Mean gap between the inner lips in their middle third, in face heights: 0 closed, about 0.2 wide open."""
    return _gap(landmarks, INNER_LIPS, 3) / face_height(landmarks)


def eye_opening(landmarks: Float[Tensor, "T L 2"]) -> Float[Tensor, " T"]:
    """Mean gap between the lids over the eye's width, mean of both eyes: 0 closed, about 0.3 open.

    After the eye aspect ratio of Soukupova and Cech (2016), with five pairs of points instead of two.
    """
    ratios = [_gap(landmarks, ring, 2) / _width(landmarks, ring) for ring in (RIGHT_EYE, LEFT_EYE)]
    return torch.stack(ratios).mean(0)


def movement(
    before: Float[Tensor, "#T L 2"], after: Float[Tensor, "T L 2"], ends: tuple[int, int] = (_TOP, _CHIN)
) -> Float[Tensor, " T"]:
    """Mean distance that landmarks moved, in face heights before.

    Any set of landmarks will do; `ends` are the rows of the upper and the lower end of the face oval.
    """
    return (after - before).norm(dim=-1).mean(1) / (before[:, ends[0]] - before[:, ends[1]]).norm(dim=-1)


def expression_movement(
    before: Float[Tensor, "#T L 2"], after: Float[Tensor, "T L 2"], landmark_ids: Sequence[int]
) -> Float[Tensor, " T"]:
    """Mean distance that mouth, eyes and brows moved besides the head, in distances of the outer eye corners before.

    The head's movement is the affine map of the plane that best takes these points from before to after.
    """
    rows = {number: i for i, number in enumerate(landmark_ids)}
    known = [rows[number] for number in _ACTING if number in rows]
    here, there = before[:, known].expand(len(after), -1, -1), after[:, known]
    here = torch.cat([here, torch.ones_like(here[..., :1])], -1)
    moved = here @ torch.linalg.solve(here.mT @ here, here.mT @ there)
    right, left = (before[:, rows[number]] for number in _EYE_CORNERS)
    return (there - moved).norm(dim=-1).mean(1) / (right - left).norm(dim=-1)


def _gap(landmarks: Float[Tensor, "T L 2"], ring: Sequence[int], skipped: int) -> Float[Tensor, " T"]:
    """Mean distance of opposite points of a ring that begins at one corner, without those next to the corners."""
    half = len(ring) // 2
    lower = [ring[i] for i in range(skipped, half - skipped + 1)]
    upper = [ring[-i] for i in range(skipped, half - skipped + 1)]
    return (landmarks[:, lower] - landmarks[:, upper]).norm(dim=-1).mean(1)


def _width(landmarks: Float[Tensor, "T L 2"], ring: Sequence[int]) -> Float[Tensor, " T"]:
    return (landmarks[:, ring[0]] - landmarks[:, ring[len(ring) // 2]]).norm(dim=-1)


def expression_measures(landmarks: Float[Tensor, "T L 2"]) -> Float[Tensor, "T 6"]:
    """Mouth opening, mouth width, height of its corners over the lips' middle, eye opening, heights of the right and
    the left brow over their eyes; all in units of the face itself (face heights, eye distances, eye widths)."""
    unit = eye_distance(landmarks)[:, None]
    up = landmarks[:, _TOP] - landmarks[:, _CHIN]
    up = up / up.norm(dim=-1, keepdim=True)

    def height(ids: Sequence[int]) -> Tensor:
        return (landmarks[:, list(ids)].mean(1) * up).sum(-1, keepdim=True)

    corners = landmarks[:, [OUTER_LIPS[0], OUTER_LIPS[10]]]
    brows = [(height(brow) - height(eye)) / unit for brow, eye in ((RIGHT_BROW, RIGHT_EYE), (LEFT_BROW, LEFT_EYE))]
    return torch.cat(
        [
            mouth_opening(landmarks)[:, None],
            (corners[:, 0] - corners[:, 1]).norm(dim=-1, keepdim=True) / unit,
            (height([OUTER_LIPS[0], OUTER_LIPS[10]]) - height(OUTER_LIPS)) / unit,
            eye_opening(landmarks)[:, None],
            *brows,
        ],
        1,
    )
