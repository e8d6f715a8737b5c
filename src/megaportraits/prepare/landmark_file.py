"""Landmarks of a whole video, kept in a file rather than in memory."""

import contextlib
import tempfile
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

_LANDMARKS = 478
_ROW_BYTES = _LANDMARKS * 3 * 4


class LandmarkFile(contextlib.ExitStack):
    """Rows of 478 landmarks (x, y, z in pixels), 5.7 kB each, in a temporary file. Use as a context manager."""

    def __enter__(self) -> "LandmarkFile":
        super().__enter__()
        self._file = self.enter_context(tempfile.TemporaryFile())
        return self

    def take(self, landmarks_px: Float[np.ndarray, "478 3"]) -> None:
        """Write the next row."""
        self._file.write(landmarks_px.astype(np.float32).tobytes())

    def rows(self, numbers: Sequence[int]) -> Float[np.ndarray, "T 478 3"]:
        """Rows by their numbers, float64."""
        found = np.empty((len(numbers), _LANDMARKS, 3))
        for i, number in enumerate(numbers):
            self._file.seek(number * _ROW_BYTES)
            found[i] = np.frombuffer(self._file.read(_ROW_BYTES), np.float32).reshape(_LANDMARKS, 3)
        self._file.seek(0, 2)
        return found
