"""From a driver to its motion: look through it once for the faces, read it again for E_mtn."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from megaportraits.animate.animator import Animator
from megaportraits.animate.crop_track import CropTrack, crop_track
from megaportraits.animate.drivers import Driver
from megaportraits.animate.motion_track import MotionTrack
from megaportraits.animate.progress import shown
from megaportraits.animate.stopwatch import Stopwatch
from megaportraits.animate.tracking import DriverTrack, FaceTrack, chosen_faces, look_through
from megaportraits.errors import UserError
from megaportraits.tensors import Motion, stack

_BATCH = 8
_TURN_DEG, _MOUTH, _EYES = 15.0, 0.05, 0.04
"""What counts as equally far from calm: a turn, an opening of the mouth, eyes that much less open than usual."""


@dataclass(frozen=True)
class Performance:
    """One face of a driver."""

    motion: MotionTrack
    crops: CropTrack | None
    """Where the face was read; None where only the motion is known."""


def extract(
    animator: Animator, driver: Driver, face: str, clock: Stopwatch, progress: bool = False, most: int = 1
) -> list[Performance]:
    """The motion of the chosen faces (`largest`, a number, `all`); memory holds numbers only, no pictures.

    Raises:
        UserError: the driver is not readable, has no face, not the chosen one, or more than `most` chosen ones.
    """
    with clock.stage("track"):
        bar = shown(driver.frames(), "looking", driver.frame_count, progress)
        seen = look_through(clock.each("decode", bar))
        chosen = chosen_faces(seen, face, driver.name)
        if len(chosen) > most:
            raise UserError(
                f"the driver shows {len(chosen)} faces, but there are {most} sources; add photos, or choose one face "
                "with --face"
            )
        crops = [crop_track(seen, number) for number in chosen]
    motions: list[list[Motion]] = [[] for _ in chosen]
    frames = (frame for _, frame in clock.each("decode", driver.frames()))
    for first, batch in _batches(shown(frames, "reading motion", len(seen.times_s), progress)):
        with clock.stage("motion"):
            for track, found in zip(crops, motions, strict=True):
                cut = [track.at(first + i).cut(frame, animator.base_px) for i, frame in enumerate(batch)]
                found.append(animator.motion_of(cut))
    return [
        Performance(_track(seen, seen.faces[number], stack(found), driver, animator.model_hash), track)
        for number, track, found in zip(chosen, crops, motions, strict=True)
    ]


def _track(seen: DriverTrack, face: FaceTrack, motion: Motion, driver: Driver, model: str) -> MotionTrack:
    return MotionTrack(
        times_s=seen.times_s,
        fps=driver.fps,
        rotation=motion.pose.rotation.numpy(),
        scale=motion.pose.scale.numpy(),
        translation=motion.pose.translation.numpy(),
        expression=motion.expression.numpy(),
        present=np.isfinite(face.box).all(1),
        shot=seen.shot,
        calm=calm(face),
        model=model,
    )


def calm(face: FaceTrack) -> Float[np.ndarray, " T"]:
    """How far each frame is from a calm face: 0 looks ahead with closed mouth and open eyes; NaN without a face."""
    turn = np.linalg.norm(face.angles_deg, axis=1) / _TURN_DEG
    known = face.eyes[np.isfinite(face.eyes)]
    usual = np.quantile(known, 0.75) if len(known) else np.nan
    return (turn + face.mouth / _MOUTH + np.maximum(usual - face.eyes, 0) / _EYES).astype(np.float32)


def _batches(frames: Iterable[UInt8[np.ndarray, "H W 3"]]) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Lists of frames with the number of their first one."""
    first, batch = 0, []
    for frame in frames:
        batch.append(frame)
        if len(batch) == _BATCH:
            yield first, batch
            first, batch = first + _BATCH, []
    if batch:
        yield first, batch
