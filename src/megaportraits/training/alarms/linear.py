"""Linear probes: what can be read from z by a ridge regression, on people (or clips) that it was not fitted to."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from megaportraits.data.keypoints import positions
from megaportraits.training.alarms.probe import Pool

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Of the ridge, as parts of the number of samples (codes have unit variance); the samples fitted to choose."""
LEAST_DEVIATION = 0.03
"""A target varies if its standard deviation is above."""


def varying(targets: Float[Tensor, "N C"]) -> Bool[Tensor, " C"]:
    """Which targets vary enough to be asked for."""
    return targets.std(0) > LEAST_DEVIATION


def held_out_r2(
    code: Float[Tensor, "N Z"], targets: Float[Tensor, "N C"], group: Int[Tensor, " N"]
) -> Float[Tensor, " C"]:
    """Part of each target's variance that a ridge regression from the code explains, in two folds.

    Groups are dealt to the folds in turn; each fold is predicted from the other one. 1 is perfect, 0 no better than the
    mean, negative worse. NaN where a target is constant, or where there is one group only.
    """
    code, targets = code.double(), targets.double()
    fold = _dealt(group)
    if fold.max() == 0:
        return torch.full_like(targets[0], torch.nan).float()
    predicted = torch.empty_like(targets)
    for side in (0, 1):
        known = fold != side
        strength = _best_strength(code[known], targets[known], group[known])
        predicted[~known] = _ridge(code[known], targets[known], code[~known], strength)
    error = (predicted - targets).square().sum(0)
    total = (targets - targets.mean(0)).square().sum(0)
    return torch.where(total > 0, 1 - error / total, torch.nan).float()


def _dealt(group: Int[Tensor, " N"]) -> Int[Tensor, " N"]:
    """Fold (0 or 1) of each sample; a group stays together."""
    return torch.unique(group, return_inverse=True)[1] % 2


def _best_strength(code: Tensor, targets: Tensor, group: Tensor) -> float:
    """The strength that predicts one half of the samples best from the other one."""
    fold = _dealt(group)
    fold = fold if fold.max() > 0 else torch.arange(len(group)) % 2

    def error(strength: float) -> float:
        halves = ((fold == side, fold != side) for side in (0, 1))
        return sum(
            float((_ridge(code[known], targets[known], code[asked], strength) - targets[asked]).square().sum())
            for known, asked in halves
        )

    return min(STRENGTHS, key=error)


def _ridge(code: Tensor, targets: Tensor, asked: Tensor, strength: float) -> Tensor:
    mean, deviation, offset = code.mean(0), code.std(0).clamp_min(1e-8), targets.mean(0)
    known = (code - mean) / deviation
    gram = known.T @ known + strength * len(known) * torch.eye(known.shape[1], dtype=known.dtype)
    weights = torch.linalg.solve(gram, known.T @ (targets - offset))
    return (asked - mean) / deviation @ weights + offset


def centred(values: Float[Tensor, "N C"], group: Int[Tensor, " N"]) -> Float[Tensor, "N C"]:
    """Each group's mean taken away."""
    index = torch.unique(group, return_inverse=True)[1]
    sums = values.new_zeros(int(index.max()) + 1, values.shape[1]).index_add(0, index, values)
    return values - (sums / torch.bincount(index)[:, None])[index]


def openings(keypoints: Float[Tensor, "N K 2"]) -> Float[Tensor, "N 2"]:
    """(mouth, eyes): gap of the inner lips over the height of the face, gap of the lids over the width of the eye."""

    def distance(a: int, b: int) -> Tensor:
        one, other = positions((a, b))
        return (keypoints[:, one] - keypoints[:, other]).norm(dim=-1)

    eyes = distance(159, 145) / distance(33, 133) + distance(386, 374) / distance(263, 362)
    return torch.stack([distance(13, 14) / distance(10, 152), eyes / 2], -1)


def controls_in_code(code: Float[Tensor, "N Z"], pool: Pool) -> dict[str, float]:
    """Linear probe z -> the renderer's controls on people it was not fitted to: R^2, mean and some by name.

    `controls_within_r2` is the mean where each person's own mean of z and controls is taken away first.
    """
    asked = varying(pool.controls)
    if not bool(asked.any()):
        return {}
    found = held_out_r2(code, pool.controls, pool.person)
    within = held_out_r2(centred(code, pool.person), centred(pool.controls, pool.person), pool.person)
    values = {"controls_r2": float(found[asked].mean()), "controls_within_r2": float(within[asked].mean())}
    for name in ("jaw_open", "blink_left", "blink_right"):
        if name in pool.names and bool(asked[pool.names.index(name)]):
            values[f"controls_{name}_r2"] = float(found[pool.names.index(name)])
    return values


def openings_in_code(code: Float[Tensor, "N Z"], pool: Pool, kind: str) -> dict[str, float]:
    """Linear probe z -> mouth and eye opening within each clip, on clips that it was not fitted to: R^2."""
    wanted = openings(pool.shots.keypoints.cpu())
    known = wanted.isfinite().all(1)
    if len(pool.clip[known].unique()) < 2:
        return {}
    clips = pool.clip[known]
    found = held_out_r2(centred(code[known], clips), centred(wanted[known], clips), clips)
    return {f"motion_mouth_{kind}_r2": float(found[0]), f"motion_eyes_{kind}_r2": float(found[1])}
