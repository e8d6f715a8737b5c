"""Random colours and patterns on clothes: solid patterns in the space of the garment at rest, so nothing stretches."""

from dataclasses import dataclass

import numpy as np

Color = tuple[float, float, float]

KINDS = ("plain", "stripes", "checks", "dots", "noise")
"""In the order of the constants of surface.frag."""
SHARES = (0.2, 0.2, 0.2, 0.2, 0.2)
PERIOD_DM = (0.12, 1.2)


@dataclass(frozen=True)
class ClothPattern:
    """What clothes are painted with."""

    kind: str
    """One of `KINDS`."""
    colors: tuple[Color, Color]
    """Linear RGB of the two phases; plain shows the first."""
    axes: tuple[Color, Color, Color]
    """Rows: the pattern's axes in the world at rest, in periods per decimetre."""
    duty: float
    """Share of the second colour, in (0, 1)."""
    softness: float
    """Width of the edges, as a share of the period."""
    opacity: float
    """0 keeps the garment's own colour, 1 replaces it; folds and seams stay."""


def sample_cloth_pattern(rng: np.random.Generator) -> ClothPattern:
    """One of the patterns in any colours; stripes and checks are mostly upright or level."""
    kind = str(rng.choice(KINDS, p=SHARES))
    period = np.exp(rng.uniform(*np.log(PERIOD_DM)))
    tilt = rng.uniform(0, np.pi) if rng.random() < 0.3 else rng.integers(2) * np.pi / 2 + rng.normal(0, 0.06)
    turn = rng.normal(0, 0.25)
    roll = np.array([[np.cos(tilt), np.sin(tilt), 0], [-np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    yaw = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    first, second, third = (roll @ yaw / period).tolist()
    return ClothPattern(
        kind=kind,
        colors=(any_color(rng), any_color(rng)),
        axes=(tuple(first), tuple(second), tuple(third)),
        duty=float(rng.uniform(0.25, 0.75)),
        softness=float(rng.choice([0.04, 0.15, 0.5])),
        opacity=float(rng.uniform(0.7, 1.0)),
    )


def any_color(rng: np.random.Generator) -> Color:
    """Any hue, from grey to vivid, from near black to near white."""
    hue, saturation, value = rng.uniform(0, 2 * np.pi), rng.beta(1.0, 1.3), rng.beta(1.1, 1.1)
    wheel = 0.5 + 0.5 * np.cos(hue - np.array([0, 2.094, 4.189]))
    red, green, blue = np.clip(value * (1 - saturation * (1 - wheel)) ** 2.2, 0.01, 0.9).tolist()
    return red, green, blue
