"""Augmentation: pure functions of a picture and a random generator.

Paper: 4.1, B.1. The driver as E_mtn sees it: a random thin-plate-spline warp that degrades the face's shape, then
severe colour jitter; strengths in `config.AugmentConfig`. Conventions: `geometry.py`.
"""

import functools
import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from megaportraits import geometry
from megaportraits.tensors import HeadPose

_LUMA = (0.299, 0.587, 0.114)
_SPLINE_PX = 32
"""Side of the grid on which a spline is evaluated; between, its offsets are interpolated."""


def uniform(generator: Generator, low: float | int, high: float | int) -> float:
    """One draw from [low, high)."""
    return low + (high - low) * torch.rand((), generator=generator).item()


def flip(image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Mirror left and right."""
    return image.flip(-1)


def flip_pose(pose: HeadPose) -> HeadPose:
    """The pose of the mirrored picture: yaw and roll change sign, and x."""
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    return HeadPose(mirror @ pose.rotation @ mirror, pose.scale, pose.translation @ mirror)


def colour_jitter(
    image: Float[Tensor, "B 3 H W"], generator: Generator, strength: float, grey_probability: float = 0.0
) -> Float[Tensor, "B 3 H W"]:
    """Brightness, contrast, saturation (factors in 1 +- strength) and hue (channel gains in 1 +- strength / 4)."""
    brightness, contrast = (uniform(generator, 1 - strength, 1 + strength) for _ in range(2))
    saturation = (
        0.0 if uniform(generator, 0.0, 1.0) < grey_probability else uniform(generator, 1 - strength, 1 + strength)
    )
    gains = image.new_tensor([uniform(generator, 1 - strength / 4, 1 + strength / 4) for _ in range(3)])
    luma = image.new_tensor(_LUMA)
    mean = brightness * (image.mean((2, 3)) @ luma)
    mixing = gains[:, None] * (saturation * torch.eye(3) + (1 - saturation) * luma)  # all of it is affine in the colour
    offset = (1 - contrast) * mean[:, None, None] * gains[:, None]
    colours = torch.baddbmm(offset, (brightness * contrast * mixing).expand(len(image), 3, 3), image.flatten(2))
    return colours.clamp_(0, 1).view(image.shape)


def thin_plate_spline_grid(
    control: Float[Tensor, "K 2"], displaced: Float[Tensor, "K 2"], size: int
) -> Float[Tensor, "1 S S 2"]:
    """The sampling grid of the thin-plate spline that reads at `displaced` what is painted at `control` (Bookstein)."""
    return (_spline_matrix(control, size) @ displaced).view(1, size, size, 2)


def _spline_matrix(control: Float[Tensor, "K 2"], size: int) -> Float[Tensor, "P K"]:
    """A spline's value at the centres of size x size pixels is this matrix times its values at the control points."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        squared = torch.cdist(a, b).square()
        return squared * (squared + 1e-9).log()

    control, count = control.double(), len(control)
    ones = torch.cat([torch.ones(count, 1), control], 1).double()
    system = torch.zeros(count + 3, count + 3, dtype=torch.float64)
    system[:count, :count], system[:count, count:], system[count:, :count] = kernel(control, control), ones, ones.T
    points = geometry.identity_grid((size, size), dtype=torch.float64).view(-1, 2)
    basis = torch.cat([kernel(points, control), torch.ones(len(points), 1), points], 1)
    return (basis @ torch.linalg.inv(system)[:, :count]).float()


@functools.lru_cache(maxsize=4)
def _regular_spline(cells: int, size: int) -> tuple[Tensor, Tensor]:
    """Control points on a (cells + 1)^2 grid, and their `_spline_matrix`."""
    axis = torch.linspace(-1, 1, cells + 1)
    control = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(-1, 2)
    return control, _spline_matrix(control, size)


def degrade_shape(
    image: Float[Tensor, "1 C H W"], generator: Generator, sigma: float, cells: int
) -> Float[Tensor, "1 C H W"]:
    """Random thin-plate spline: control points on a (cells + 1)^2 grid move by `sigma` cells (normal); 0 is none."""
    if sigma == 0:
        return image
    control, matrix = _regular_spline(cells, _SPLINE_PX)
    displaced = control + torch.randn(control.shape, generator=generator) * sigma * 2 / cells
    coarse = (matrix @ displaced).T.reshape(1, 2, _SPLINE_PX, _SPLINE_PX)
    grid = F.interpolate(coarse, size=image.shape[-2:], mode="bilinear", align_corners=False)
    return geometry.sample(image, grid.movedim(1, -1))


def random_similarity(
    image: Float[Tensor, "1 C H W"], pose: HeadPose, generator: Generator, shift: float, zoom: float, roll_deg: float
) -> tuple[Float[Tensor, "1 C H W"], HeadPose]:
    """Move, zoom and turn the crop, and its pose with it. Outside reads zero."""
    factor = math.exp(uniform(generator, -zoom, zoom))
    angle = torch.tensor([uniform(generator, -roll_deg, roll_deg)])
    turn = geometry.rotation_from_angles(torch.zeros(1), torch.zeros(1), angle)
    move = torch.tensor([[uniform(generator, -shift, shift), uniform(generator, -shift, shift), 0.0]])
    moved = HeadPose(
        turn @ pose.rotation, pose.scale * factor, factor * (turn @ pose.translation[..., None])[..., 0] + move
    )
    grid = geometry.identity_grid(image.shape[-2:])[None] - move[:, None, None, :2]
    grid = torch.einsum("bji,bhwj->bhwi", turn[:, :2, :2], grid) / factor
    return geometry.sample(image, grid), moved


def random_backdrop(size: int, generator: Generator) -> Float[Tensor, "1 3 S S"]:
    """A smooth random colour field, as a stand-in for any background."""
    cells = 1 + int(uniform(generator, 0.0, 7.0))
    field = torch.rand(1, 3, cells, cells, generator=generator)
    return F.interpolate(field, size=(size, size), mode="bilinear", align_corners=False)
