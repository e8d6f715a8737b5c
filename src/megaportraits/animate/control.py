"""Control of a motion (B.6): relative motion, whose size and place, turning the head, a gain on the expression."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float

from megaportraits.animate.motion_track import MotionTrack
from megaportraits.animate.turning import Sweep, rotation_angles, sweep_from, swept
from megaportraits.config import AnimateOptions
from megaportraits.errors import UserError
from megaportraits.geometry import angles_from_rotation, rotation_from_angles
from megaportraits.tensors import Motion


def controlled(track: MotionTrack, source: Motion, options: AnimateOptions) -> MotionTrack:
    """All controls in their order: relative, scale and translation, frontalize, rotate, sweep, expression gain.

    Args:
        track: the driver's motion, every frame with a motion (`gaps.filled`).
        source: the source picture's own motion (B = 1).
        options: `reference` counts the frames of this track.

    Raises:
        UserError: angles of `rotate` or `sweep` that cannot be read, or a reference frame that is not in the track.
    """
    angles, sweeps = check_controls(options)
    own = MotionTrack.from_motions([source], [Fraction(0)], track.fps, track.model)
    reference = reference_frame(track, options.reference)
    if options.motion == "relative":
        track = relative(track, own, reference)
    if options.scale == "source":
        track = replace(track, scale=np.repeat(own.scale, len(track)))
    if options.translation == "source":
        track = replace(track, translation=np.repeat(own.translation, len(track), 0))
    if options.frontalize:
        track = faced(track, np.tile(np.eye(3, dtype=np.float32), (len(track), 1, 1)))
    extra = sum((swept(track.times_s, sweep) for sweep in sweeps), np.tile(np.array(angles), (len(track), 1)))
    if extra.any():
        track = faced(track, _rotations(extra) @ track.rotation)
    return expression_scaled(track, options.expression_gain, reference)


def check_controls(options: AnimateOptions) -> tuple[tuple[float, float, float], list[Sweep]]:
    """The angles of `rotate` (yaw, pitch, roll; 0 where it is empty) and the sweeps.

    Raises:
        UserError: they cannot be read, or lie beyond 90 degrees.
    """
    return rotation_angles(options.rotate), [sweep_from(text) for text in options.sweep]


def reference_frame(track: MotionTrack, chosen: int | None = None) -> int:
    """Number of the frame of rest: `chosen`, or the calmest frame with a face.

    Calm is known by `calm`; where no frame has it, by the angle from frontal and z's distance from its median.

    Raises:
        UserError: the chosen frame is not in the track, or no frame has a face.
    """
    if chosen is not None and chosen >= len(track):
        raise UserError(
            f"reference frame {chosen} was asked for, but the driver has {len(track)} frames; "
            f"choose one from 0 to {len(track) - 1}"
        )
    if chosen is not None:
        return chosen
    seen = np.flatnonzero(track.present)
    if len(seen) == 0:
        raise UserError("no face was found in any frame of the driver; give one with a clearly visible face")
    calm = track.calm[seen]
    unrest = _unrest(track.taken(seen)) if np.isnan(calm).all() else np.where(np.isnan(calm), np.inf, calm)
    return int(seen[np.argmin(unrest)])


def relative(track: MotionTrack, own: MotionTrack, reference: int) -> MotionTrack:
    """The changes since the reference frame, added to the source's own motion (a track of one frame).

    R = R_d R_ref^T R_s, t = t_s + t_d - t_ref, s = s_s s_d / s_ref, z = z_s + z_d - z_ref.
    """
    return replace(
        track,
        rotation=track.rotation @ track.rotation[reference].T @ own.rotation[0],
        scale=own.scale[0] * track.scale / track.scale[reference],
        translation=own.translation[0] + track.translation - track.translation[reference],
        expression=own.expression[0] + track.expression - track.expression[reference],
    )


def faced(track: MotionTrack, rotation: Float[np.ndarray, "T 3 3"]) -> MotionTrack:
    """The head in another rotation, turned about its own origin between the ears, which stays in its place.

    That is about where filmed heads turn: turned about the face's centre, the head would leave the neck.
    """
    return replace(track, rotation=rotation.astype(np.float32))


def expression_scaled(track: MotionTrack, gain: float, reference: int) -> MotionTrack:
    """z about the reference frame's, `gain` times as far away."""
    if gain == 1:
        return track
    rest = track.expression[reference]
    return replace(track, expression=rest + np.float32(gain) * (track.expression - rest))


def _rotations(angles_deg: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3 3"]:
    return rotation_from_angles(*torch.from_numpy(angles_deg).unbind(1)).numpy()


def _unrest(track: MotionTrack) -> Float[np.ndarray, " T"]:
    """Angle from frontal in units of 10 degrees, and distance of z from its median in units of its own median."""
    angle = np.linalg.norm(angles_from_rotation(torch.from_numpy(track.rotation)).numpy(), axis=1)
    away = np.linalg.norm(track.expression - np.median(track.expression, axis=0), axis=1)
    return angle / 10 + away / max(float(np.median(away)), 1e-6)
