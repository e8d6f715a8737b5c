"""Finding the one square of a whole video by its face landmarks."""

from pathlib import Path

import numpy as np

from megaportraits.data.crop import SquareCrop, clip_crop
from megaportraits.data.faces import FaceTracker
from megaportraits.data.video import read_frames
from megaportraits.errors import UserError
from megaportraits.geometry import FACE_OVAL

_MOST_PROBES = 300


def video_square(path: str | Path) -> SquareCrop:
    """The one square for a whole video, from 150 to 300 frames spread evenly over it (all, if it has fewer).

    Memory and the number of kept frames are bounded without knowing the length beforehand: whenever 300 are
    together, every second one is dropped and the step doubles.

    Raises:
        UserError: not a readable video, or no face in it.
    """
    probes: list[np.ndarray | None] = []
    step = 1
    with FaceTracker(video=True) as tracker:
        for i, frame in enumerate(read_frames(path)):
            if i % step:
                continue
            landmarks = tracker.landmarks(frame)
            probes.append(None if landmarks is None else landmarks[list(FACE_OVAL), :2])
            if len(probes) == _MOST_PROBES:
                probes, step = probes[::2], 2 * step
    found = [p for p in probes if p is not None]
    if not found:
        raise UserError(f"no face was found in {path}; give a video of one clearly visible face")
    return clip_crop(np.stack(found))
