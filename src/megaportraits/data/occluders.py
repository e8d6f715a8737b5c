"""Things before the face: a hand, a microphone, a cup (ours, docs/data.md).

They are drawn flat with a little shading, at random places around mouth and cheeks, in the size of the head. What hides
a face must not be learned as its motion, so only nets that look at a frame see them, never a target.
"""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from megaportraits import geometry
from megaportraits.data.augment import uniform
from megaportraits.data.ink import Ink, mix, shade
from megaportraits.tensors import HeadPose

_SKINS = ((0.96, 0.82, 0.72), (0.88, 0.67, 0.53), (0.72, 0.5, 0.36), (0.5, 0.33, 0.23), (0.31, 0.2, 0.14))
_PALM_HEIGHT = 0.16
"""Half length of a palm in the head frame, in which a face is 0.9 high."""


def _direction(angle: float) -> Float[Tensor, " 2"]:
    """Unit vector; 0 is to the right of the picture, a quarter turn is down."""
    return torch.tensor([math.cos(angle), math.sin(angle)])


def _paint(rgb: Tensor, ink: Ink, colour: Tensor, generator: Generator) -> Tensor:
    light = shade(rgb.shape[-1], torch.randn(2, generator=generator), uniform(generator, 0.0, 0.5))
    return mix(rgb, ink.coverage(), (colour * light).clamp(0, 1))


def hand(rgb: Tensor, mouth: Tensor, unit: float, generator: Generator) -> Tensor:
    """A forearm from below, a palm, four fingers and a thumb towards the face."""
    size_px, side = rgb.shape[-1], 1 if uniform(generator, 0.0, 1.0) < 0.5 else -1
    reach = uniform(generator, 0.2, 0.5) * unit
    palm = mouth + torch.tensor([side * reach, uniform(generator, 0.0, 0.35) * unit])
    pointing = -math.pi / 2 - side * uniform(generator, -0.3, 1.3)
    along, across = _direction(pointing), _direction(pointing + math.pi / 2)
    half = _PALM_HEIGHT * unit * uniform(generator, 0.85, 1.15)
    skin = torch.tensor(_SKINS[int(torch.randint(len(_SKINS), (), generator=generator))]).view(1, 3, 1, 1)
    skin = skin * uniform(generator, 0.7, 1.0)
    arm = Ink(size_px)
    arm.line(torch.stack([palm - along * 3.0 * unit, palm - along * half]), 1.1 * half)
    arm.line(torch.stack([palm - along * 0.5 * half, palm + along * 0.5 * half]), 1.7 * half)
    rgb = _paint(rgb, arm, skin * 0.95, generator)
    folded, spread = uniform(generator, 0.5, 1.0), uniform(generator, -0.05, 0.2)
    for finger in range(4):
        ink, offset = Ink(size_px), finger - 1.5
        base = palm + along * half + across * offset * 0.45 * half
        towards = _direction(pointing + spread * offset)
        tip = base + towards * half * folded * (1.25 - 0.1 * abs(offset - 0.3))
        ink.line(torch.stack([base - along * 0.4 * half, tip]), 0.4 * half)
        rgb = _paint(rgb, ink, skin * uniform(generator, 0.88, 1.03), generator)
    thumb = Ink(size_px)
    base = palm + across * side * -0.7 * half
    thumb.line(torch.stack([base, base + _direction(pointing - side * 0.7) * half * 1.1]), 0.45 * half)
    return _paint(rgb, thumb, skin, generator)


def microphone(rgb: Tensor, mouth: Tensor, unit: float, generator: Generator) -> Tensor:
    """A rod from the lower edge to a round head near the mouth."""
    size_px, angle = rgb.shape[-1], uniform(generator, 0.25, 0.75) * math.pi
    radius = uniform(generator, 0.05, 0.11) * unit
    tip = mouth + _direction(angle) * uniform(generator, 0.05, 0.3) * unit
    rod, head = Ink(size_px), Ink(size_px)
    rod.line(torch.stack([tip, tip + _direction(angle) * 3.0]), radius * uniform(generator, 0.5, 1.4))
    head.disc(tip, radius)
    if uniform(generator, 0.0, 1.0) < 0.5:  # a foam cover is longer than wide
        head.line(torch.stack([tip, tip + _direction(angle) * radius]), 2 * radius)
    dark = torch.full((1, 3, 1, 1), uniform(generator, 0.02, 0.3))
    foam = dark if uniform(generator, 0.0, 1.0) < 0.6 else torch.rand(1, 3, 1, 1, generator=generator)
    return _paint(_paint(rgb, rod, dark, generator), head, foam, generator)


def cup(rgb: Tensor, mouth: Tensor, unit: float, generator: Generator) -> Tensor:
    """A tilted, tapered cup at the lips, sometimes with a handle."""
    tilt, width = uniform(generator, -0.5, 0.5), uniform(generator, 0.13, 0.2) * unit
    down, right = _direction(math.pi / 2 + tilt), _direction(tilt)
    rim = mouth + torch.tensor([uniform(generator, -0.15, 0.15), uniform(generator, -0.05, 0.2)]) * unit
    bottom, narrow = rim + down * uniform(generator, 0.3, 0.5) * unit, uniform(generator, 0.6, 1.0) * width
    body, top = Ink(rgb.shape[-1]), Ink(rgb.shape[-1])
    corners = [rim - right * width, rim + right * width, bottom + right * narrow, bottom - right * narrow]
    body.polygon(torch.stack(corners))
    body.line(torch.stack(corners[2:]), 0.06 * unit)
    if uniform(generator, 0.0, 1.0) < 0.5:
        side = 1 if uniform(generator, 0.0, 1.0) < 0.5 else -1
        angles = torch.linspace(-math.pi / 2, math.pi / 2, 9)
        centre = (rim + bottom) / 2 + side * right * 0.9 * width
        ring = angles.cos()[:, None] * side * right * 0.12 * unit + angles.sin()[:, None] * down * 0.11 * unit
        body.line(centre + ring, 0.05 * unit)
    top.line(torch.stack(corners[:2]), 0.05 * unit)
    colour = torch.rand(1, 3, 1, 1, generator=generator)
    return _paint(_paint(rgb, body, colour, generator), top, (colour * 0.6 + 0.3), generator)


_THINGS = (hand, microphone, cup)


def occlude(rgb: Float[Tensor, "1 3 S S"], pose: HeadPose, generator: Generator) -> Float[Tensor, "1 3 S S"]:
    """The picture with one random thing before the face."""
    mouth = geometry.apply_matrix(geometry.pose_matrix(pose), torch.tensor([[[0.0, 0.37, -0.48]]]))[0, 0, :2]
    thing = _THINGS[int(torch.randint(len(_THINGS), (), generator=generator))]
    return thing(rgb, mouth, float(pose.scale[0]), generator)
