"""Glasses drawn onto a head picture where its keypoints and head pose put them (ours, docs/data.md).

Rims lie in a plane before the eyes and turn with the head; lengths are in units of the head frame (`geometry.py`).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from megaportraits.data import keypoints as kp
from megaportraits.data.augment import uniform
from megaportraits.data.ink import Ink, mix
from megaportraits.tensors import HeadPose

_EYES = (
    (-1, kp.positions(kp.RIGHT_EYE), kp.positions([127])[0]),
    (1, kp.positions(kp.LEFT_EYE), kp.positions([356])[0]),
)
"""Of each eye: the side (x) it is on in the head frame, its keypoints, the keypoint of its temple."""
_PLANE_Z = -0.06
"""The rims' plane, before the eyes."""


@dataclass(frozen=True)
class Glasses:
    """A pair of glasses."""

    half_width: float
    half_height: float
    corner: float
    """Exponent of the rim's superellipse: 2 is round, 6 nearly a rectangle."""
    thickness: float
    colour: Float[Tensor, "1 3 1 1"]
    tint: Float[Tensor, "1 3 1 1"]
    opacity: float
    """How much the lenses hide; 0 is clear."""
    glare: float
    """Brightness of a reflection in the lenses; 0 is none."""


def draw_glasses(generator: Generator) -> Glasses:
    """A random pair: round to square, wire to thick, dark or coloured; most have clear lenses, a few are sunglasses."""
    width, flatness = uniform(generator, 0.125, 0.155), uniform(generator, 0.65, 1.0)
    corner, thickness = uniform(generator, 2.0, 5.0), 0.01 + 0.03 * uniform(generator, 0.0, 1.0) ** 2
    brightest = 0.25 if uniform(generator, 0.0, 1.0) < 0.8 else 0.7
    colour, tint = (torch.rand(1, 3, 1, 1, generator=generator) * most for most in (brightest, 0.3))
    kind = uniform(generator, 0.0, 1.0)
    opacity = uniform(generator, 0.1, 0.45) if kind > 0.8 else 0.0
    opacity = uniform(generator, 0.6, 0.9) if kind > 0.95 else opacity
    glare = uniform(generator, 0.05, 0.25) if uniform(generator, 0.0, 1.0) < 0.3 else 0.0
    return Glasses(width, width * flatness, corner, thickness, colour, tint, opacity, glare)


def wear(
    rgb: Float[Tensor, "1 3 S S"],
    matte: Float[Tensor, "1 1 S S"],
    pose: HeadPose,
    keypoints: Float[Tensor, "1 K 2"],
    glasses: Glasses,
) -> tuple[Float[Tensor, "1 3 S S"], Float[Tensor, "1 1 S S"]]:
    """Picture and matte with glasses on; unchanged where the eyes' keypoints are unknown."""
    rims = [_rim(pose, keypoints[0, eye].mean(0), side, glasses) for side, eye, _ in _EYES]
    if not torch.isfinite(torch.cat(rims)).all():
        return rgb, matte
    size_px, unit = rgb.shape[-1], float(pose.scale[0])
    lenses, frame = Ink(size_px), Ink(size_px)
    for rim in rims:
        lenses.polygon(rim)
        frame.line(torch.cat([rim, rim[:2]]), glasses.thickness * unit)
    for part in (_bridge(rims), *_arms(pose, keypoints[0], rims)):
        frame.line(part, 1.1 * glasses.thickness * unit)
    lens, solid = lenses.coverage(), frame.coverage()
    rgb = mix(rgb, lens * glasses.opacity, glasses.tint)
    if glasses.glare:
        streaks = Ink(size_px)
        for rim in rims:
            streaks.line(_streak(rim), 0.6 * glasses.half_width * unit)
        rgb = mix(rgb, lens * streaks.coverage() * glasses.glare, rgb.new_ones(1, 3, 1, 1))
    return mix(rgb, solid, glasses.colour), torch.maximum(matte, torch.maximum(solid, lens * glasses.opacity))


def _seen(pose: HeadPose, offsets: Float[Tensor, "N 3"]) -> Float[Tensor, "N 2"]:
    """Offsets in the head frame as offsets in the crop."""
    return pose.scale[0] * offsets @ pose.rotation[0, :2].T


def _rim(pose: HeadPose, eye: Float[Tensor, " 2"], side: int, glasses: Glasses) -> Float[Tensor, "N 2"]:
    """A superellipse around an eye; point 0 is the outer one, then down and around."""
    angle = torch.linspace(0, 2 * math.pi, 41)[:-1]
    x, y = (f.sign() * f.abs() ** (2 / glasses.corner) for f in (angle.cos(), angle.sin()))
    offsets = torch.stack(
        [side * (glasses.half_width * x + 0.012), glasses.half_height * y + 0.025, torch.full_like(x, _PLANE_Z)], -1
    )
    return eye + _seen(pose, offsets)


def _bridge(rims: list[Tensor]) -> Float[Tensor, "3 2"]:
    """From one rim's inner upper part to the other's, bent a little upwards."""
    left, right = (rim[23] for rim in rims)
    up = torch.stack([(right - left)[1], -(right - left)[0]])
    return torch.stack([left, (left + right) / 2 + 0.12 * up, right])


def _arms(pose: HeadPose, keypoints: Float[Tensor, "K 2"], rims: list[Tensor]) -> list[Tensor]:
    """From the outer rims back over the temples; an arm on the far side of a turned head is hidden."""
    arms = []
    for (side, _, temple), rim in zip(_EYES, rims, strict=True):
        away = side * float(pose.rotation[0, 2, 0])
        if away < 0.1 and torch.isfinite(keypoints[temple]).all():
            behind = _seen(pose, torch.tensor([[0.0, -0.02, max(0.0, -0.4 * away)]]))[0]
            hinge = rim[37]
            arms.append(torch.stack([hinge, keypoints[temple] + behind]))
    return arms


def _streak(rim: Float[Tensor, "N 2"]) -> Float[Tensor, "2 2"]:
    """A diagonal over a lens."""
    centre = rim.mean(0)
    return torch.stack([centre + 1.2 * (rim[i] - centre) for i in (16, 36)])
