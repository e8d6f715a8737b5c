"""The motion of a whole driver: numbers, no pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from megaportraits.animate.motion_file import read_motion_file, times_of, write_motion_file
from megaportraits.tensors import HeadPose, Motion


@dataclass(frozen=True)
class MotionTrack:
    """Head pose and z of T frames, with their times. Conventions: `geometry.py`, `tensors.HeadPose`."""

    times_s: tuple[Fraction, ...]
    """Seconds from the start of the driver, ascending."""
    fps: Fraction
    """Mean frame rate."""
    rotation: Float[np.ndarray, "T 3 3"]
    """Head axes -> camera axes."""
    scale: Float[np.ndarray, " T"]
    """Size relative to the mean head in a nominal crop."""
    translation: Float[np.ndarray, "T 3"]
    """Head origin in crop coordinates; z is 0."""
    expression: Float[np.ndarray, "T Z"]
    """z."""
    present: Bool[np.ndarray, " T"]
    """Whether the face was seen; the numbers of other frames mean nothing."""
    shot: Int[np.ndarray, " T"]
    """Number of the shot between scene cuts, from 0; nothing is filtered across them."""
    calm: Float[np.ndarray, " T"]
    """How far the face is from calm and frontal: 0 is a closed mouth, open eyes, no turn; NaN where unknown."""
    model: str
    """Hash of the motion encoder whose z this is."""

    def __len__(self) -> int:
        return len(self.times_s)

    @classmethod
    def from_motions(
        cls,
        motions: Sequence[Motion],
        times_s: Sequence[Fraction],
        fps: Fraction,
        model: str,
        present: Bool[np.ndarray, " T"] | None = None,
        shot: Int[np.ndarray, " T"] | None = None,
        calm: Float[np.ndarray, " T"] | None = None,
    ) -> "MotionTrack":
        """A track from batches of motions.

        Args:
            motions: of the frames with a face, in their order (B of each batch is free).
            times_s: of all frames.
            fps: mean frame rate.
            model: hash of the motion encoder.
            present: which frames have a face; by default all.
            shot: number of the shot of each frame; by default one shot.
            calm: how far each frame is from calm; by default unknown.
        """
        count = len(times_s)
        seen = np.ones(count, bool) if present is None else present
        rows = [(m.pose.rotation, m.pose.scale, m.pose.translation, m.expression) for m in motions]
        found = [np.concatenate([r.float().cpu().numpy() for r in column]) for column in zip(*rows, strict=True)]
        blank = _blank(count, found[3].shape[1]) if found else _blank(count, 1)
        for values, part in zip(blank, found, strict=False):
            values[seen] = part
        return cls(
            tuple(times_s),
            fps,
            *blank,
            seen,
            np.zeros(count, np.int64) if shot is None else shot,
            np.full(count, np.nan, np.float32) if calm is None else calm.astype(np.float32),
            model,
        )

    def motion(self, start: int, stop: int, device: torch.device | str = "cpu") -> Motion:
        """Frames start..stop-1 as tensors (B = stop - start)."""

        def rows(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(values[start:stop].astype(np.float32)).to(device)

        pose = HeadPose(rows(self.rotation), rows(self.scale), rows(self.translation))
        return Motion(pose, rows(self.expression))

    def taken(self, indices: Sequence[int] | Int[np.ndarray, " n"]) -> "MotionTrack":
        """The frames of these numbers, with their times."""
        rows = np.asarray(indices, np.int64)
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name in _ARRAYS}
        return replace(self, times_s=tuple(self.times_s[i] for i in rows), **arrays)

    def before(self, end: Fraction) -> "MotionTrack":
        """The frames before a time, at least one."""
        return self.taken(range(max(1, sum(time < end for time in self.times_s))))

    def held(self, seconds: float, fps: Fraction) -> "MotionTrack":
        """The only frame of a still driver, repeated for `seconds` (at least once) from 0 s on."""
        if len(self) != 1:
            raise ValueError(f"a track of {len(self)} frames came; only a single frame can be held")
        count = max(1, round(seconds * fps))
        still = self.taken([0] * count)
        return replace(still, times_s=tuple(i / fps for i in range(count)), fps=fps)

    def save(self, path: str | Path) -> None:
        """Write a motion file (.mpmotion), atomically.

        Raises:
            UserError: the path cannot be written.
        """
        kinds = {"present": np.uint8, "shot": np.int64}
        tensors = {name: getattr(self, name).astype(kinds.get(name, np.float32)) for name in _ARRAYS}
        times = np.array([(t.numerator, t.denominator) for t in self.times_s], np.int64).reshape(-1, 2)
        write_motion_file(path, {**tensors, "timestamps": times}, self.fps, self.model)

    @classmethod
    def load(cls, path: str | Path) -> "MotionTrack":
        """Read a motion file.

        Raises:
            UserError: not a motion file, or one whose numbers make no sense.
        """
        tensors, fps, model = read_motion_file(path)
        seen = tensors["present"].astype(bool)
        times = times_of(tensors["timestamps"])
        blank = _blank(len(seen), tensors["expression"].shape[1])
        for values, name in zip(blank, _MOTION, strict=True):
            values[seen] = tensors[name][seen]
        return cls(times, fps, *blank, seen, tensors["shot"], tensors["calm"], model)


_MOTION = ("rotation", "scale", "translation", "expression")
_ARRAYS = (*_MOTION, "present", "shot", "calm")


def _blank(count: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rotation, scale, translation and z of frames that were not seen: a head straight ahead, z = 0."""
    rotation = np.tile(np.eye(3, dtype=np.float32), (count, 1, 1))
    return rotation, np.ones(count, np.float32), np.zeros((count, 3), np.float32), np.zeros((count, size), np.float32)
