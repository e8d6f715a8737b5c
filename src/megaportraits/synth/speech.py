"""Speech-like mouth motion: phrases and pauses, each phrase a chain of consonants and vowels."""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

VOWELS: tuple[dict[str, float], ...] = (
    {"jaw_open": 0.42, "lower_lip_down": 0.22, "upper_lip_up": 0.15},
    {"jaw_open": 0.26, "lower_lip_down": 0.25, "stretch_left": 0.30, "stretch_right": 0.30, "upper_lip_up": 0.15},
    {"jaw_open": 0.10, "lower_lip_down": 0.20, "stretch_left": 0.48, "stretch_right": 0.48},
    {"jaw_open": 0.30, "pucker": 0.42, "funnel_lower": 0.18, "funnel_upper": 0.12},
    {"jaw_open": 0.12, "pucker": 0.75, "funnel_lower": 0.28, "funnel_upper": 0.18},
    {"jaw_wide": 0.35, "upper_lip_up": 0.20, "lower_lip_down": 0.15},
)
"""a, e, i, o, u, open e."""
CONSONANTS: tuple[dict[str, float], ...] = (
    {"press_lower": 0.60, "press_upper": 0.36},
    {"press_lower": 0.45, "upper_lip_up": 0.25, "lower_lip_up": 0.15},
    {"jaw_open": 0.05, "lower_lip_down": 0.25, "stretch_left": 0.18, "stretch_right": 0.18, "tongue_up": 0.25},
    {"jaw_open": 0.14, "tongue_up": 0.55, "upper_lip_up": 0.10},
    {"jaw_open": 0.16},
    {"pucker": 0.60, "funnel_lower": 0.15},
    {"jaw_open": 0.05, "funnel_lower": 0.30, "funnel_upper": 0.25, "pucker": 0.20},
)
"""m b p, f v, t s z, l n, k g h, w, sh ch."""
COARTICULATION_S = 0.028
SPOKEN = sorted({name for viseme in (*VOWELS, *CONSONANTS) for name in viseme})


def sample_speech(
    rng: np.random.Generator, frames: int, fps: float, controls: dict[str, Float[np.ndarray, " T"]]
) -> Float[np.ndarray, " T"]:
    """Set the mouth's controls (in place) to speech; return the stress of the syllables, in [0, 1]."""
    times, poses, accents = [0.0], [{}], [0.0]
    clock, end = float(rng.uniform(0, 1.0)), frames / fps
    talkative, loudness = rng.uniform(0.3, 1.0), rng.uniform(0.6, 1.4)
    while clock < end:
        if rng.random() < talkative:
            clock = _speak(rng, clock, loudness, times, poses, accents)
        else:
            times += [clock, clock + 0.1]
            poses += [{}, {}]
            accents += [0.0, 0.0]
            clock += rng.uniform(0.4, 1.8)
    moments = np.arange(frames) / fps
    sigma = COARTICULATION_S * fps
    for name in SPOKEN:
        curve = np.interp(moments, times, [pose.get(name, 0.0) for pose in poses], right=0.0)
        controls[name] = gaussian_filter1d(curve, sigma)
    lopsided = rng.uniform(0.75, 1.25)
    controls["stretch_right"] = controls["stretch_right"] * lopsided
    return gaussian_filter1d(np.interp(moments, times, accents, right=0.0), 0.12 * fps)


def _speak(rng, clock: float, loudness: float, times: list, poses: list, accents: list) -> float:
    """One phrase of two to ten syllables, from rest to rest; returns its end."""
    times.append(clock)
    poses.append({})
    accents.append(0.0)
    for _ in range(rng.integers(2, 11)):
        length = rng.uniform(0.15, 0.30)
        consonant, vowel = CONSONANTS[rng.integers(len(CONSONANTS))], VOWELS[rng.integers(len(VOWELS))]
        accent = float(rng.beta(1.5, 2.5))
        strength = loudness * (0.55 + 0.9 * accent)
        times += [clock + 0.30 * length, clock + 0.40 * length, clock + 0.70 * length, clock + 0.95 * length]
        opened = {name: min(value * strength, 0.9) for name, value in vowel.items()}
        poses += [consonant, consonant, opened, {name: 0.8 * value for name, value in opened.items()}]
        accents += [0.0, 0.0, accent, accent]
        clock += length
    times.append(clock + 0.18)
    poses.append({})
    accents.append(0.0)
    return clock + 0.2 + rng.uniform(0, 0.5)
