"""Motion as plain arrays, independent of the identity: the same track can drive any person.

Angles are in degrees, in the signs of `geometry.py`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from megaportraits.synth.controls import CONTROLS
from megaportraits.synth.speech import sample_speech

FPS = 25.0
HEAD_LIMIT_DEG = np.array([52.0, 25.0, 20.0])
"""Yaw, pitch and roll of the head on the torso stay below."""
GAZE_LIMIT_DEG = (np.array([-26.0, -20.0]), np.array([26.0, 18.0]))


@dataclass(frozen=True)
class MotionTrack:
    """T frames of one motion."""

    head_deg: Float[np.ndarray, "T 3"]
    """Yaw, pitch, roll of the head on the torso."""
    torso_deg: Float[np.ndarray, "T 3"]
    torso_shift_dm: Float[np.ndarray, "T 3"]
    """Right, up, towards the viewer."""
    gaze_deg: Float[np.ndarray, "T 2"]
    """Yaw, pitch of the eyes in the head."""
    controls: Float[np.ndarray, "T C"]
    """In [0, 1], in the order of `controls.CONTROLS`."""

    def __len__(self) -> int:
        return len(self.head_deg)

    def every(self, step: int) -> "MotionTrack":
        """Each `step`-th frame."""
        return MotionTrack(*(getattr(self, name)[::step] for name in self.__dataclass_fields__))


class _Noise:
    """Smooth noise of unit variance over a track."""

    def __init__(self, rng: np.random.Generator, frames: int):
        self.rng, self.frames = rng, frames

    def __call__(self, seconds: float) -> Float[np.ndarray, " T"]:
        sigma = seconds * FPS
        pad = int(4 * sigma) + 2
        smooth = gaussian_filter1d(self.rng.standard_normal(self.frames + 2 * pad), sigma)[pad : pad + self.frames]
        return smooth * np.sqrt(2 * np.sqrt(np.pi) * max(sigma, 1e-3))


def sample_motion(rng: np.random.Generator, frames: int, expression_gain: float = 1.0) -> MotionTrack:
    """A motion of `frames` frames at 25 fps: head turns, blinks, saccades, speech, emotion, posture.

    Expressions are made stronger by a factor that each motion draws between 1 and `expression_gain`.
    """
    noise = _Noise(rng, frames)
    energy = float(rng.uniform(0.5, 1.3))
    controls = {name: np.zeros(frames) for name in CONTROLS}
    stress = sample_speech(rng, frames, FPS, controls)
    blink = _blinks(rng, noise, controls)
    wide = np.clip((0.6 * noise(0.4) - 0.35) * energy, 0, 0.8) * (1 - blink)
    controls["wide_left"] = controls["wide_right"] = wide
    _mouth_emotion(rng, noise, energy, controls)
    _upper_face(noise, energy, stress, controls)
    head = _head(rng, noise, energy, stress)
    torso = np.stack([3.5 * noise(1.3), 1.5 * noise(1.3), 1.5 * noise(1.3)], 1) * energy
    shift = np.stack([0.16 * noise(1.1), 0.08 * noise(1.1), 0.15 * noise(1.2)], 1) * energy
    gaze = _gaze(rng, frames, head)
    stronger = rng.uniform(1, expression_gain)
    stacked = np.clip(stronger * np.stack([controls[name] for name in CONTROLS], 1), 0, 1).astype(np.float32)
    return MotionTrack(head, torso, shift, gaze, stacked)


def _head(rng, noise: _Noise, energy: float, stress) -> Float[np.ndarray, "T 3"]:
    amplitude = np.array([18, 9, 6]) * energy * rng.uniform(0.4, 1.3, 3)
    centre = rng.normal(0, [9, 4, 3])
    if rng.random() < 0.35:
        amplitude[0] = rng.uniform(22, 42)
        centre[0] = rng.normal(0, 18)
    angles = np.stack([centre[k] + amplitude[k] * (0.8 * noise(0.9) + 0.25 * noise(0.28)) for k in range(3)], 1)
    angles[:, 1] -= rng.uniform(0.5, 4) * stress
    return HEAD_LIMIT_DEG * np.tanh(angles / HEAD_LIMIT_DEG)


def _blinks(rng, noise: _Noise, controls) -> Float[np.ndarray, " T"]:
    """Blinks, sometimes closed eyes, winks and drooping lids; returns the blinks of both eyes."""
    frames = np.arange(noise.frames)
    blink = np.zeros(noise.frames)
    start = rng.uniform(0, 2.5) * FPS
    while start < noise.frames:
        length = rng.uniform(0.16, 0.32) * FPS
        closing = np.clip((frames - start) / (length * 0.38), 0, 1)
        opening = np.clip((length - frames + start) / (length * 0.55), 0, 1)
        blink = np.maximum(blink, np.minimum(closing, opening) * rng.uniform(0.85, 1))
        start += rng.uniform(1.6, 5) * FPS
    if rng.random() < 0.12:
        blink = np.maximum(blink, np.clip(1.6 * noise(0.5) - 1.2, 0, 1))
    wink = np.clip(1.5 * noise(0.3) - 2.2, 0, 1)
    droop = np.clip(rng.normal(0.03, 0.10), 0, 0.35)
    for side in ("left", "right"):
        winks = wink * (rng.random() < 0.5)
        controls[f"blink_{side}"] = np.maximum(np.maximum(blink, winks), droop)
    return blink


def _gaze(rng, frames: int, head) -> Float[np.ndarray, "T 2"]:
    """Saccades, partly cancelling the turn of the head."""
    targets = np.zeros((frames, 2))
    start = 0
    while start < frames:
        length = int(rng.uniform(0.25, 1.6) * FPS) + 1
        targets[start : start + length] = rng.normal(0, [9, 5])
        start += length
    eyes = gaussian_filter1d(targets, 0.035 * FPS, axis=0)
    return np.clip(eyes - rng.uniform(0, 0.8) * head[:, :2], *GAZE_LIMIT_DEG)


def _mouth_emotion(rng, noise: _Noise, energy: float, controls) -> None:
    smile = np.clip(energy * 0.6 * noise(0.7) + rng.normal(-0.2, 0.35), 0, 1)
    lopsided = np.clip(rng.normal(0, 0.18), -0.6, 0.6)
    frown = np.clip(0.5 * energy * noise(0.6) - 0.35, 0, 0.8) * (1 - smile)
    uneven = np.clip(rng.normal(0, 0.3), -1, 1)
    for side, sign in (("left", 1), ("right", -1)):
        controls[f"smile_{side}"] = np.clip(smile * (1 + sign * lopsided), 0, 1)
        controls[f"frown_{side}"] = frown * (1 + sign * uneven)
    controls["squint"] = np.clip(0.35 * smile + 0.3 * noise(0.5) - 0.15, 0, 0.9)
    controls["jaw_open"] += np.clip(0.55 * noise(0.5) - 0.95, 0, 0.8) * energy
    controls["sneer"] = np.clip(0.5 * energy * noise(0.4) - 0.55, 0, 0.8)
    controls["nasolabial"] = np.clip(0.35 * smile, 0, 0.6)
    sideways = 0.35 * energy * noise(0.6)
    controls["mouth_left"] = np.clip(sideways - 0.2, 0, 0.7)
    controls["mouth_right"] = np.clip(-sideways - 0.2, 0, 0.7)
    chin = 0.3 * noise(0.4)
    controls["jaw_left"] = np.clip(chin - 0.25, 0, 0.5)
    controls["jaw_right"] = np.clip(-chin - 0.25, 0, 0.5)
    controls["jaw_forward"] = np.clip(0.3 * noise(0.5) - 0.35, 0, 0.5)
    closed = controls["jaw_open"] < 0.1
    controls["cheek_puff"] = np.clip(0.7 * noise(0.4) - 1.3, 0, 0.9) * closed
    controls["cheek_suck"] = np.clip(0.7 * noise(0.4) - 1.3, 0, 0.8)


def _upper_face(noise: _Noise, energy: float, stress, controls) -> None:
    raised, lowered, tilt = noise(0.45) + 0.5 * stress, noise(0.5), noise(0.6)
    for side, sign in (("left", 1), ("right", -1)):
        controls[f"brow_inner_{side}"] = np.clip(energy * 0.28 * raised + 0.08 * sign * tilt, 0, 0.6)
        outer = energy * (0.38 * raised + 0.28 * sign * tilt) - 0.1
        controls[f"brow_outer_{side}"] = np.clip(outer, 0, 0.8)
        down = np.clip(energy * (0.6 * lowered + 0.25 * sign * tilt) - 0.4, 0, 0.8)
        controls[f"brow_down_{side}"] = down * (1 - np.clip(raised, 0, 1))
