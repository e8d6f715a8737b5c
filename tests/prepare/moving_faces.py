"""Videos of a face that moves, made of the demo's portrait."""

from fractions import Fraction
from importlib import resources

import numpy as np
from PIL import Image

from megaportraits.data.pictures import read_picture

FACE = read_picture(str(resources.files("megaportraits.demo") / "source.png"))
FPS = Fraction(25)


def moving(frames: int, step_px: int = 2, mirrored: bool = False, turn_deg: int = 0) -> list[np.ndarray]:
    """A face that moves to the right, by `step_px` from frame to frame."""
    face = np.asarray(Image.fromarray(FACE[:, ::-1] if mirrored else FACE).rotate(turn_deg))
    wide = np.pad(face, ((0, 0), (60, 60), (0, 0)), mode="edge")
    return [np.roll(wide, step_px * i, 1) for i in range(frames)]


def wall(frames: int) -> list[np.ndarray]:
    """Nobody."""
    bricks = np.random.default_rng(0).integers(0, 256, (8, 11, 3), np.uint8)
    return [np.asarray(Image.fromarray(bricks).resize((376, 256), Image.Resampling.NEAREST))] * frames
