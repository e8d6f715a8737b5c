"""Antialiased flat shapes in crop coordinates, for things drawn onto pictures."""

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from megaportraits import geometry

_DRAWN_PX = 512
"""Shapes are drawn at about this many pixels a side, then averaged."""


class Ink:
    """A coverage mask that shapes are drawn into; points and lengths in crop coordinates."""

    def __init__(self, size_px: int):
        self._factor = max(1, _DRAWN_PX // size_px)
        self._side = size_px * self._factor
        self._mask = Image.new("L", (self._side, self._side))
        self._pen = ImageDraw.Draw(self._mask)

    def _pixels(self, points: Float[Tensor, "N 2"]) -> list[tuple[float, float]]:
        return [(x, y) for x, y in ((points + 1) * (self._side / 2)).tolist()]

    def line(self, points: Float[Tensor, "N 2"], width: float) -> None:
        """A line with round joints and ends."""
        path, pixels = self._pixels(points), max(1, round(width * self._side / 2))
        self._pen.line(path, fill=255, width=pixels, joint="curve")
        for end in (points[0], points[-1]):
            self.disc(end, width / 2)

    def polygon(self, points: Float[Tensor, "N 2"]) -> None:
        """A filled polygon."""
        self._pen.polygon(self._pixels(points), fill=255)

    def disc(self, centre: Float[Tensor, " 2"], radius: float) -> None:
        """A filled circle."""
        (x, y), r = self._pixels(centre[None])[0], radius * self._side / 2
        self._pen.ellipse((x - r, y - r, x + r, y + r), fill=255)

    def coverage(self) -> Float[Tensor, "1 1 S S"]:
        """How much of each pixel is drawn on, in [0, 1]."""
        mask = self._mask.reduce(self._factor) if self._factor > 1 else self._mask
        flat = torch.frombuffer(bytearray(mask.tobytes()), dtype=torch.uint8)
        return flat.view(1, 1, *mask.size).float().div_(255)


def mix(
    rgb: Float[Tensor, "1 3 S S"], coverage: Float[Tensor, "1 1 S S"], colour: Float[Tensor, "1 3 *S"]
) -> Float[Tensor, "1 3 S S"]:
    """Paint `colour` (`1 3 1 1`, or a picture) over a picture."""
    return torch.lerp(rgb, colour.expand_as(rgb), coverage)


def shade(size_px: int, direction: Float[Tensor, " 2"], strength: float) -> Float[Tensor, "1 1 S S"]:
    """Light from one side: a factor that falls linearly from 1 + strength to 1 - strength over the picture."""
    along = geometry.identity_grid((size_px, size_px)) @ (direction / direction.norm().clamp_min(1e-6))
    return (1 - strength * along)[None, None]
