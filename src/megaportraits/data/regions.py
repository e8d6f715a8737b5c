"""Regions of a face that are scored and that losses weigh: masks from the true landmarks, never from a result.

Landmarks are in crop coordinates (`geometry.py`), numbered by MediaPipe.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from megaportraits import geometry
from megaportraits.errors import UserError

TOP, CHIN = 10, 152
"""Upper and lower end of the face oval."""
MOUTH = (61, 291, 0, 17)
"""Corners, upper and lower edge of the lips."""
EYES = ((33, 133, 159, 145), (362, 263, 386, 374))
"""Corners, upper and lower lid of the person's right and left eye."""
NEEDED = (TOP, CHIN, *MOUTH, *EYES[0], *EYES[1])
_DILATION = 1.2
_HAIR = 0.45
_BOX_MARGIN = 0.07
_DIRECTIONS = 32


def check_landmarks(landmark_ids: Sequence[int], name: str) -> None:
    """Refuse landmarks from which the regions cannot be made.

    Raises:
        UserError: a needed landmark is missing.
    """
    missing = sorted(set(NEEDED) - set(landmark_ids))
    if missing:
        raise UserError(
            f"{name} lacks the landmarks {', '.join(map(str, missing))} of MediaPipe's numbering, from which the "
            "scored regions are made; evaluate on clips that have them, such as those of `megaportraits synth`"
        )


def regions(
    landmarks: Float[Tensor, "T L 2"], landmark_ids: Sequence[int], matte: Float[Tensor, "T 1 S S"] | None, size: int
) -> dict[str, Float[Tensor, "T 1 S S"]]:
    """The masks of frames by name: "mouth", "eyes", and "head" where a matte is given, else "face"."""
    face = hull_mask(landmarks, size) if matte is None else head_region(landmarks, landmark_ids, matte)
    return {"face" if matte is None else "head": face, **boxes(landmarks, landmark_ids, size)}


def boxes(
    landmarks: Float[Tensor, "T L 2"], landmark_ids: Sequence[int], size: int
) -> dict[str, Float[Tensor, "T 1 S S"]]:
    """The masks "mouth" and "eyes"; empty where a landmark that they need is NaN."""
    rows = {number: i for i, number in enumerate(landmark_ids)}
    margin = _BOX_MARGIN * (landmarks[:, rows[TOP]] - landmarks[:, rows[CHIN]]).norm(dim=-1)

    def box(ids: Sequence[int]) -> Tensor:
        return box_mask(landmarks[:, [rows[i] for i in ids]], margin, size)

    return {"mouth": box(MOUTH), "eyes": torch.maximum(box(EYES[0]), box(EYES[1]))}


def head_region(
    landmarks: Float[Tensor, "T L 2"], landmark_ids: Sequence[int], matte: Float[Tensor, "T 1 S S"]
) -> Float[Tensor, "T 1 S S"]:
    """Face, ears and the hair around them, without background: 0 or 1.

    The landmarks are moved 1.2 times as far from the middle of the face (between the ends of its oval); the hull of
    these points and of the same points moved up the head by 0.45 oval heights is kept where the matte is above 0.5.
    """
    rows = {number: i for i, number in enumerate(landmark_ids)}
    top, chin = landmarks[:, rows[TOP], None], landmarks[:, rows[CHIN], None]
    middle = (top + chin) / 2
    wide = middle + _DILATION * (landmarks - middle)
    hull = hull_mask(torch.cat([wide, wide + _HAIR * (top - chin)], 1), matte.shape[-1])
    return hull * (matte > 0.5)


def hull_mask(points: Float[Tensor, "T L 2"], size: int) -> Float[Tensor, "T 1 S S"]:
    """1 inside the convex hull of the points, else 0.

    A pixel is inside if it lies no further out than the outermost point in each of 32 directions; the true hull is
    smaller by less than 0.5 % of its radius.
    """
    angles = torch.arange(_DIRECTIONS, device=points.device) * (2 * math.pi / _DIRECTIONS)
    directions = torch.stack([angles.cos(), angles.sin()])
    furthest = (points @ directions).amax(1)
    pixels = geometry.identity_grid((size, size), points.device).view(-1, 2) @ directions
    inside = (pixels[None] <= furthest[:, None]).all(-1)
    return inside.view(-1, 1, size, size).float()


def box_mask(points: Float[Tensor, "T L 2"], margin: Float[Tensor, " T"], size: int) -> Float[Tensor, "T 1 S S"]:
    """1 inside the upright box around the points, widened by the margin on each side, else 0."""
    low, high = points.amin(1) - margin[:, None], points.amax(1) + margin[:, None]
    pixels = geometry.identity_grid((size, size), points.device)[None]
    inside = ((pixels >= low[:, None, None]) & (pixels <= high[:, None, None])).all(-1)
    return inside[:, None].float()
