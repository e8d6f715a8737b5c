"""Who a rendered person is: a plain, JSON-able specification, sampled from a seed and a split's assets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from megaportraits.synth.assets import AssetLibrary
from megaportraits.synth.cloth import ClothPattern, any_color
from megaportraits.synth.shape import sample_sliders
from megaportraits.synth.splits import Split, allowed

Color = tuple[float, float, float]

HAIR_WEIGHTS_MALE = {"short01": 1.0, "short02": 1.0, "short04": 1.0, "short03": 0.15, "afro01": 0.12, "ponytail01": 0.7}
HAIR_WEIGHTS_FEMALE = {
    "bob01": 0.1, "bob02": 0.45, "long01": 1.0, "ponytail01": 1.0, "braid01": 0.6, "short01": 1.0, "short03": 0.15,
    "afro01": 0.12,
}  # fmt: skip
"""How often each style is worn; styles that cover an eye are rare."""
SHORT_HAIR = ("short01", "short02", "short04")
HAIR_COLORS: dict[str, Color] = {
    "black": (0.012, 0.010, 0.009), "dark": (0.030, 0.020, 0.014), "brown": (0.075, 0.042, 0.024),
    "chestnut": (0.14, 0.065, 0.032), "auburn": (0.20, 0.065, 0.025), "blond": (0.42, 0.28, 0.14),
    "ash": (0.34, 0.28, 0.20), "grey": (0.34, 0.34, 0.35), "white": (0.62, 0.61, 0.60),
}  # fmt: skip
"""Linear RGB."""
COMMON_EYES = {
    "brown": 3.0, "brownlight": 1.2, "blue": 0.8, "lightblue": 0.5, "green": 0.5, "grey": 0.5, "bluegreen": 0.3,
    "deepblue": 0.3, "ice": 0.1,
}  # fmt: skip


@dataclass(frozen=True)
class SkinSpec:
    """Colour and detail of the skin."""

    color: str
    """Texture that gives the colour at low frequency."""
    detail: str
    """Texture that gives the detail at high frequency."""
    detail_gain: float
    gain: Color
    """Factor on each sRGB channel."""
    saturation: float
    redness: float
    freckles: float
    stubble: float
    lips: Color
    """Logarithmic tint of the lips, in units of the usual variation."""
    makeup: float
    gloss: float
    noise_seed: float


@dataclass(frozen=True)
class IdentitySpec:
    """Everything about the person, nothing about the take."""

    ancestry: Color
    """Shares of the african, asian and caucasian macro targets."""
    gender: float
    """0 female ... 1 male."""
    age: float
    """0 = 25 years ... 1 = 90 years."""
    muscle: float
    weight: float
    sliders: dict[str, float]
    skin: SkinSpec
    eyebrows: str | None
    eyebrow_density: float
    eyebrow_darkness: float
    eyelashes: str | None
    eyelash_density: float
    teeth: str | None
    iris: str
    hair: str | None
    hair_color: Color
    """Linear RGB."""
    hair_contrast: float
    hat: str | None
    clothes: str | None
    clothes_color: Color | None
    """Linear RGB that recolours the garment; None keeps its own colours."""
    arms_down_deg: float
    resting: dict[str, float]
    """Pose units of the personal neutral face."""
    cloth_pattern: ClothPattern | None = None
    """Painted over the garment (and the hat); None leaves them as they are."""


def sample_identity(library: AssetLibrary, rng: np.random.Generator, split: Split = "train") -> IdentitySpec:
    """A person of a split. The same library, generator state and split give the same person."""
    ancestry = rng.dirichlet([0.45, 0.45, 0.45])
    gender = float(np.clip(rng.choice([0.08, 0.92]) + rng.normal(0, 0.08), 0, 1))
    male = gender > 0.5
    age = float(np.clip(rng.beta(1.2, 1.8), 0, 0.85))
    muscle, weight = np.clip(rng.normal(0.5, [0.18, 0.2]), 0, 1)
    sliders = sample_sliders(library, rng)
    skin = _sample_skin(library, rng, split, male, age, ancestry)
    hair, hair_color = _sample_hair(library, rng, split, male, age, ancestry)
    hats = [n for n in library.proxies["clothes"] if not n.startswith(("male_", "female_"))]
    iris = sorted(library.materials("eyes"))
    iris_weight = [COMMON_EYES.get(n.removesuffix("_eye"), 1.0) * (1 if "brown" in n else ancestry[2]) for n in iris]
    return IdentitySpec(
        ancestry=_floats(ancestry),
        gender=gender,
        age=age,
        muscle=float(muscle),
        weight=float(weight),
        sliders=sliders,
        skin=skin,
        eyebrows=_pick(rng, allowed(library, "eyebrows", split)),
        eyebrow_density=float(rng.uniform(0.7, 1.0)),
        eyebrow_darkness=float(rng.uniform(0.35, 0.8)),
        eyelashes=_pick(rng, allowed(library, "eyelashes", split)),
        eyelash_density=float(rng.uniform(0.25, 0.5) if male else rng.uniform(0.55, 1.0)),
        teeth=_pick(rng, allowed(library, "teeth", split)),
        iris=_pick(rng, iris, iris_weight) or "",
        hair=hair,
        hair_color=hair_color,
        hair_contrast=float(rng.uniform(0.55, 1.0)),
        hat=_pick(rng, hats) if rng.random() < 0.05 and (hair is None or hair in SHORT_HAIR) else None,
        clothes=_pick(rng, _clothes(library, split, male)),
        clothes_color=_sample_cloth_color(rng),
        arms_down_deg=float(rng.uniform(18, 34)),
        resting=_sample_resting_face(rng),
    )


def with_wide_colors(spec: IdentitySpec, rng: np.random.Generator) -> IdentitySpec:
    """The same person with other hair (half of the time a natural colour, blond as often as black, else any) and a skin
    up to a third lighter or darker, in a cast of its own: no look is known from memory."""
    natural, vivid = _near(HAIR_COLORS[_choose(rng, list(HAIR_COLORS))], rng), any_color(rng)
    skin = replace(
        spec.skin,
        gain=_floats(np.exp(rng.uniform(-0.4, 0.3)) * np.exp(rng.normal(0, 0.08, 3))),
        saturation=float(rng.uniform(0.5, 1.2)),
    )
    return replace(spec, skin=skin, hair_color=natural if rng.random() < 0.5 else vivid)


def _floats(values) -> Color:
    first, second, third = (float(v) for v in values)
    return first, second, third


def _pick(rng: np.random.Generator, names: list[str], weights: Sequence[float] | None = None) -> str | None:
    """One name, None where there are none; always one draw, so that later draws do not depend on the folder."""
    if not names:
        rng.random()
        return None
    return _choose(rng, names, weights)


def _choose(rng: np.random.Generator, names: list[str], weights: Sequence[float] | None = None) -> str:
    """One of at least one name, by one draw."""
    draw = rng.random()
    cumulated = np.cumsum(weights if weights is not None else np.ones(len(names)))
    return names[min(int(np.searchsorted(cumulated, draw * cumulated[-1], side="right")), len(names) - 1)]


def _sample_skin(library, rng, split: Split, male: bool, age: float, ancestry) -> SkinSpec:
    names = allowed(library, "skins", split)
    tone = "darkskinned" if ancestry[0] > 0.45 else "lightskinned"
    toned = [n for n in names if tone in n] or names
    same_sex = [n for n in toned if ("_female" in n) == (not male)] or toned
    likely = {"young": max(0.02, 1 - 2 * age), "middleage": max(0.05, 1 - 2.2 * abs(age - 0.4))}
    weights = [likely.get(n.split("_")[0], max(0.02, 2 * age - 0.7)) for n in same_sex]
    color = _choose(rng, same_sex, weights)
    fine = [n for n in toned if library.skin_size(n) >= 1024]
    fine_same_sex = [n for n in fine if ("_female" in n) == (not male)] or fine or [color]
    detail = _choose(rng, fine_same_sex)
    return SkinSpec(
        color=color,
        detail=color if library.skin_size(color) >= 1024 and rng.random() < 0.6 else detail,
        detail_gain=float(rng.uniform(0.8, 1.3)),
        gain=_floats(np.exp(rng.normal(0, 0.10)) * np.exp(rng.normal(0, 0.035, 3))),
        saturation=float(np.clip(rng.normal(0.88, 0.1), 0.6, 1.15)),
        redness=float(np.clip(rng.normal(0, 0.5), -1, 1)),
        freckles=float(max(0.0, rng.normal(-0.4, 0.5)) * (ancestry[2] > 0.4)),
        stubble=float(rng.uniform(0.15, 0.9) * (rng.random() < 1 / 3) * male),
        lips=_floats(rng.normal(0, 1, 3)),
        makeup=float(rng.uniform(0.2, 1) * (rng.random() < 0.5) * (not male)),
        gloss=float(rng.uniform(0.25, 0.65)),
        noise_seed=float(rng.integers(97)),
    )


def _sample_hair(library, rng, split: Split, male: bool, age: float, ancestry) -> tuple[str | None, Color]:
    weights = dict(HAIR_WEIGHTS_MALE if male else HAIR_WEIGHTS_FEMALE)
    if ancestry[0] > 0.5:
        weights["afro01"] = 2.0
    names = allowed(library, "hair", split)
    if known := [n for n in names if n in weights]:
        names = known
    hair = _pick(rng, names, [weights.get(n, 1.0) for n in names])
    if rng.random() < (0.18 if male else 0.03) * (2 if split == "held_out" else 1):
        hair = None
    fair = float(ancestry[2])
    grey = 2.2 * max(0.0, age - 0.3)
    color_weights = [1.2, 1.2, 0.3 + fair, 0.8 * fair, 0.35 * fair, 0.9 * fair, 0.4 * fair, 0.1 + grey, 0.7 * grey]
    return hair, _near(HAIR_COLORS[_choose(rng, list(HAIR_COLORS), color_weights)], rng)


def _near(color: Color, rng: np.random.Generator) -> Color:
    """Hair of about a colour."""
    varied = np.array(color) * np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.04, 3))
    return _floats(np.clip(varied, 0.004, 0.7))


def _clothes(library: AssetLibrary, split: Split, male: bool) -> list[str]:
    return [n for n in allowed(library, "clothes", split) if n.startswith("male_" if male else "female_")]


def _sample_cloth_color(rng: np.random.Generator) -> Color | None:
    """A muted colour, as most clothes have; one in four keeps the garment's own."""
    hue, saturation, value, keep = rng.uniform(0, 2 * np.pi), rng.beta(1.2, 3.5), rng.beta(1.6, 2.4), rng.random()
    wheel = 0.5 + 0.5 * np.cos(hue - np.array([0, 2.094, 4.189]))
    color = value * (1 - saturation * (1 - wheel)) ** 2.2
    return None if keep < 0.25 else _floats(np.clip(color, 0.01, 0.9))


def _sample_resting_face(rng: np.random.Generator) -> dict[str, float]:
    """A personal neutral: slight smile or frown, brow height, lid aperture."""
    mouth, brow, lids = rng.normal(0.14, 0.12), rng.normal(0.25, 0.2), rng.normal(0.06, 0.12)
    units: dict[str, float] = {}
    for side in ("Left", "Right"):
        corner = mouth + rng.normal(0, 0.02)
        units[f"Mouth{side}PullUp" if corner > 0 else f"Mouth{side}PullDown"] = abs(corner) * (
            0.6 if corner > 0 else 0.3
        )
        if brow > 0:
            units |= {f"{side}OuterBrowUp": 0.55 * brow, f"{side}InnerBrowUp": 0.35 * brow}
        else:
            units[f"{side}BrowDown"] = -0.5 * brow
        units[f"{side}UpperLidClosed" if lids < 0 else f"{side}UpperLidOpen"] = min(abs(lids), 0.3)
    return {name: float(value) for name, value in units.items()}
