"""Recordings of live pictures: videos that say what they are."""

import re
from contextlib import ExitStack
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from megaportraits.animate.outputs import MADE_BY
from megaportraits.data.video_writer import VideoWriter

NAME = re.compile(r"live-[\w-]+\.mp4")
"""Names of recordings."""
_FPS = Fraction(30)


class Recording:
    """A video that is being written; it appears under its name when it is closed, and not at all without a picture.

    Args:
        folder: where it shall appear.

    Raises:
        UserError: the folder cannot be written (when the first picture comes).
    """

    def __init__(self, folder: Path):
        self.path = folder / f"live-{datetime.now():%Y%m%d-%H%M%S-%f}.mp4"
        self._stack = ExitStack()
        self._writer: VideoWriter | None = None
        self._begin_s = 0.0

    def add(self, picture: UInt8[np.ndarray, "S S 3"], time_s: float) -> None:
        """Add a picture that is shown from a time on (seconds; must ascend)."""
        if self._writer is None:
            height, width = picture.shape[:2]
            writer = VideoWriter(self.path, _FPS, width, height, made_by=MADE_BY)
            self._writer, self._begin_s = self._stack.enter_context(writer), time_s
        self._writer.write(picture, Fraction(time_s - self._begin_s).limit_denominator(1000))

    def close(self) -> Path | None:
        """The finished video; None where nothing was recorded."""
        self._stack.close()
        return None if self._writer is None else self.path
