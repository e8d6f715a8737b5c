"""From what the driver did to what the source shall do: gaps, smoothing, controls (B.6)."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Int

from megaportraits.animate.control import controlled, reference_frame
from megaportraits.animate.gaps import filled, reference_after, removed_intervals
from megaportraits.animate.motion_track import MotionTrack
from megaportraits.animate.painter import RegionGains
from megaportraits.animate.smooth import smoothed
from megaportraits.config import AnimateOptions
from megaportraits.tensors import Motion


@dataclass(frozen=True)
class Part:
    """What one source will do."""

    motion: MotionTrack
    """A motion for every frame of the result."""
    gains: RegionGains | None
    """Gains of eyes and mouth, where asked for."""
    frames: Int[np.ndarray, " T"]
    """Number of the driver's frame behind each frame of the result."""
    removed: tuple[tuple[Fraction, Fraction], ...]
    """Times of the driver that are left out."""

    def taken(self, indices: list[int]) -> "Part":
        """Some frames of it."""
        return replace(self, motion=self.motion.taken(indices), frames=self.frames[indices])


def directed(track: MotionTrack, source: Motion, options: AnimateOptions) -> Part:
    """The motion of a source for a driver's motion.

    Args:
        track: the driver.
        source: the source's own motion (B = 1).
        options: see `AnimateOptions`.

    Raises:
        UserError: no frame has a face, there is no such reference frame, or an option cannot be read.
    """
    skips = options.no_face == "skip"
    kept = np.flatnonzero(track.present) if skips else np.arange(len(track))
    removed = removed_intervals(track) if skips else []
    reference = reference_after(track, options.no_face, options.reference)
    whole = filled(track, options.no_face)
    reference = reference_frame(whole) if reference is None else reference
    motion = controlled(smoothed(whole, options.smooth), source, replace(options, reference=reference))
    gains = None
    if (options.eyes, options.mouth) != (1, 1):
        gains = RegionGains(options.eyes, options.mouth, torch.from_numpy(motion.expression[reference : reference + 1]))
    return Part(motion, gains, kept, tuple(removed))
