"""Things before the face (a hand, a microphone, a cup), seen by colours that the face itself never has there.

The colours at the points of the face mesh are compared with their median over the driver's frames. Measured on twelve
recorded clips without anything before the face, with the drawn things of `data/occluders.py` in a fifth of the frames,
many of which only touch the face's edge: area under the ROC curve 0.97; 75 % of these frames are told (cups most often,
hands least), and 0.2 % of the others. On a clip with a real hand at the mouth, half of its frames are told, and no
other. A thing that stays in place all the time becomes part of the median and is not told; a thing of the colour of the
skin is told rarely.
"""

import functools

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from megaportraits.animate.extract import calm
from megaportraits.animate.tracking import DriverTrack
from megaportraits.data.keypoints import INNER_LIPS, LEFT_BROW, LEFT_EYE, RIGHT_BROW, RIGHT_EYE
from megaportraits.doctor.findings import Finding, clock
from megaportraits.geometry import mean_head

LIKELY = 1.0
"""Score from which on something probably hides a part of the face."""
_DOUBTFUL = 0.6
"""Score from which on a frame is no good reference."""
_FEW = 0.05
_CALM = 3.0
"""`calm` below which a frame is a good reference."""
_NEIGHBOURS = 14
_ORDINARY, _DARKEST = 30.0, 8.0
"""Levels out of 255: a difference that is always ordinary, and the least colour that light is measured by."""
_SPREADS = 6.0
"""Differences up to this many times a point's own median difference are ordinary."""
_EYE_MARGIN, _LIP_MARGIN = 0.05, 0.02
"""Points this close to eyes, brows or inner lips, which change their colours by themselves, are left out."""
_MOST = 2.0
_LUMA = (0.299, 0.587, 0.114)
_MIDDLE = 0.1
"""Half width of the strip between both halves of the face, in the head frame."""


def mesh_colours(crop: UInt8[np.ndarray, "S S 3"], landmarks: Float[np.ndarray, "L 3"]) -> Float[np.ndarray, "468 3"]:
    """Colours around the points of the face mesh; landmarks in pixels of the crop, a head's square."""
    blurred = cv2.GaussianBlur(crop.astype(np.float32), (0, 0), len(crop) / 107)
    x, y = np.clip(landmarks[None, :468, :2].astype(np.float32) - 0.5, 0, len(crop) - 1).transpose(2, 0, 1)
    return cv2.remap(blurred, np.ascontiguousarray(x), np.ascontiguousarray(y), cv2.INTER_LINEAR)[0]


def hidden_scores(colours: Float[np.ndarray, "T 468 3"]) -> Float[np.ndarray, " T"]:
    """How strange the strangest patch of each face is: about 0.3 is usual, 1 (`LIKELY`) means hidden, 2 is most."""
    points, neighbours = _patches()
    own = colours[:, points]
    median = np.median(own, 0)
    light = np.median(own / np.maximum(median, _DARKEST), 1, keepdims=True)
    difference = np.abs(own - light * median).max(-1)
    ordinary = np.maximum(_ORDINARY, _SPREADS * np.median(difference, 0))
    return np.clip(difference / ordinary, 0, _MOST)[:, neighbours].mean(-1).max(1)


def half_lumas(colours: Float[np.ndarray, "468 3"]) -> tuple[float, float]:
    """Median luma of the skin on the left and on the right of the picture, 0 to 255."""
    points, _ = _patches()
    luma, x = colours[points] @ np.array(_LUMA), mean_head()[points, 0]
    return float(np.median(luma[x < -_MIDDLE])), float(np.median(luma[x > _MIDDLE]))


def hidden_finding(scores: dict[int, float]) -> Finding:
    """Whether something is before the face in some of the compared frames; their scores by their numbers."""
    if not scores:
        return Finding("fine", "Too few frames to tell what hides the face")
    hidden = tuple(number for number, score in scores.items() if score >= LIKELY)
    share = f"{len(hidden)} of {len(scores)} compared frames"
    numbers = f"{share}, strangeness at most {max(scores.values()):.1f}, hidden from {LIKELY:.1f}"
    if not hidden:
        return Finding("fine", "Nothing seems to pass before the face", numbers)
    advice = "Look at these frames: a hand, hair or microphone before the face is taken for a movement of it."
    level = "note" if len(hidden) < _FEW * len(scores) else "warning"
    return Finding(level, "Something may hide the face", numbers, advice, hidden)


def reference_finding(track: DriverTrack, scores: dict[int, float]) -> Finding:
    """The frame that relative motion starts from by default, the calmest one.

    Args:
        track: the driver, looked through; it has a face.
        scores: how strange the face looks in some frames, by their numbers.
    """
    face = track.faces[0]
    distance = calm(face)
    best = int(np.nanargmin(distance))
    yaw, pitch, _ = face.angles_deg[best]
    numbers = f"frame {best} at {clock(track.times_s[best])}: yaw {yaw:+.0f}, pitch {pitch:+.0f} degrees"
    usual = [number for number, score in scores.items() if score < _DOUBTFUL]
    if scores.get(best, 0.0) >= _DOUBTFUL and usual:
        other = min(usual, key=lambda number: distance[number])
        advice = f"Look at it: frame {other} may be better for relative motion and gains (--reference {other})."
        return Finding(
            "note", "The calmest frame may show a hidden face; another is safer", numbers, advice, (best, other)
        )
    if distance[best] < _CALM:
        return Finding("fine", "Calmest frame, the reference of relative motion", numbers, frames=(best,))
    advice = "Begin with a moment of looking ahead with a closed mouth, or name a frame by --reference."
    return Finding("note", "No frame is calm and frontal; the calmest one", numbers, advice, (best,))


@functools.lru_cache(maxsize=1)
def _patches() -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, "P n"]]:
    """Numbers of the points of skin, and for each of them the places of the nearest ones among them."""
    head = mean_head()

    def near(numbers: tuple[int, ...], margin: float) -> np.ndarray:
        return (np.linalg.norm(head[:, None] - head[None, list(numbers)], axis=-1) < margin).any(1)

    moving = near((*RIGHT_EYE, *LEFT_EYE, *RIGHT_BROW, *LEFT_BROW), _EYE_MARGIN) | near(INNER_LIPS, _LIP_MARGIN)
    points = np.flatnonzero(~moving)
    distance = np.linalg.norm(head[points][:, None] - head[points][None], axis=-1)
    return points, np.argsort(distance, 1)[:, :_NEIGHBOURS]
