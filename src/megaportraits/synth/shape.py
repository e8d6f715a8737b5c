"""Shape of a person: MakeHuman's macro targets (ancestry, sex, age, muscle, weight) and detail sliders."""

import re

import numpy as np
from jaxtyping import Float

from megaportraits.synth.assets import AssetLibrary

SLIDER_PAIRS = (
    ("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"), ("concave", "convex"),
    ("compress", "uncompress"), ("pointed", "triangle"), ("square", "round"),
)  # fmt: skip
HEAD_SHAPES = ("oval", "round", "square", "rectangular", "diamond", "triangular", "invertedtriangular")
SKIPPED_TARGETS = re.compile(
    r"head-trans|neck-trans|mouth-trans-(in|out)|nose-trans-(in|out)|asymm-|head-age|"
    r"head-scale-(depth|vert|horiz)-|ear-shape-(pointed|triangle|square)|head-angle"
)
SLIDER_SIGMA = {
    "cheek": 0.24, "chin": 0.22, "ears": 0.18, "eyebrows": 0.18, "eyes": 0.14, "forehead": 0.25, "head": 0.20,
    "mouth": 0.20, "neck": 0.12, "nose": 0.22, "asym": 0.10,
}  # fmt: skip
"""Standard deviation of the sliders of each group of targets."""


def find_sliders(library: AssetLibrary) -> dict[str, tuple[str | None, str]]:
    """Morph targets grouped to sliders: name -> (target below zero or None, target above zero)."""
    found: dict[str, tuple[str | None, str]] = {}
    shapes = {f"head/head-{shape}" for shape in HEAD_SHAPES}
    for target in library.targets:
        group, _, base = target.partition("/")
        if group not in SLIDER_SIGMA or SKIPPED_TARGETS.search(base) or target in shapes:
            continue
        ending = base.rpartition("-")[2]
        stem = target[: -len(ending) - 1]
        partners = {high: low for low, high in SLIDER_PAIRS} | dict(SLIDER_PAIRS)
        paired = f"{stem}-{partners[ending]}" in library.targets if ending in partners else False
        if not paired:
            found[target] = (None, target)
        elif ending in dict(SLIDER_PAIRS).values():
            found[stem] = (f"{stem}-{partners[ending]}", target)
    return found


def sample_sliders(library: AssetLibrary, rng: np.random.Generator) -> dict[str, float]:
    """Values in [-1, 1] of the sliders, left and right nearly equal."""
    values: dict[str, float] = {}
    for name, (low, _) in find_sliders(library).items():
        group, _, base = name.partition("/")
        if base.startswith("r-"):
            continue
        value = rng.normal(0, SLIDER_SIGMA[group])
        if low is None:
            value = abs(value) * (rng.random() < 0.5)
        value = float(np.clip(value, -0.75, 0.75))
        difference = rng.normal(0, 0.05) if base.startswith("l-") else 0.0
        values[name] = value + difference
        if base.startswith("l-"):
            values[f"{group}/r-{base[2:]}"] = value - difference
    shares = rng.dirichlet([0.4] * len(HEAD_SHAPES)) * rng.uniform(0, 0.9)
    return values | {f"head/head-{shape}": float(share) for shape, share in zip(HEAD_SHAPES, shares, strict=True)}


def macro_weights(ancestry, gender: float, age: float, muscle: float, weight: float) -> dict[str, float]:
    """Weight of each macro target: origins x sexes x ages, and sexes x ages x muscle x weight."""
    found: dict[str, float] = {}
    for sex, sex_share in (("male", gender), ("female", 1 - gender)):
        for years, age_share in (("old", age), ("young", 1 - age)):
            for origin, share in zip(("african", "asian", "caucasian"), ancestry, strict=True):
                found[f"macrodetails/{origin}-{sex}-{years}"] = sex_share * age_share * share
            for strength, strength_share in _three_steps(muscle).items():
                for mass, mass_share in _three_steps(weight).items():
                    name = f"macrodetails/universal-{sex}-{years}-{strength}muscle-{mass}weight"
                    found[name] = sex_share * age_share * strength_share * mass_share
    return found


def _three_steps(value: float) -> dict[str, float]:
    return {"min": max(0.0, 1 - 2 * value), "average": 1 - abs(2 * value - 1), "max": max(0.0, 2 * value - 1)}


def shape_body(library: AssetLibrary, macros: dict[str, float], sliders: dict[str, float]) -> Float[np.ndarray, "V 3"]:
    """Vertices of the base mesh (all of them, helpers too) of one person in the rest pose."""
    body = library.base.vertices.copy()
    pairs = find_sliders(library)
    weights = dict(macros)
    for name, value in sliders.items():
        low, high = pairs.get(name, (None, name))
        target = high if value >= 0 else low
        if target is not None:
            weights[target] = weights.get(target, 0.0) + abs(value)
    for target, weight in weights.items():
        if abs(weight) > 1e-4 and target in library.targets:
            vertices, offsets = library.targets[target]
            body[vertices] += weight * offsets
    return body
