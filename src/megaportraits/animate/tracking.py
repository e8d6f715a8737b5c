"""What a driver shows, found in one pass: faces with stable identities, scene cuts, light, sharpness."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from megaportraits.animate.cuts import ShotFinder
from megaportraits.animate.people import overlap, people, stretches
from megaportraits.animate.sightings import Sighting, brightness_and_sharpness, embedding, sighting
from megaportraits.data.faces import FaceTracker
from megaportraits.errors import UserError
from megaportraits.models.identity import IdentityNet
from megaportraits.models.network import shipped_weights

_LOOK_EVERY = 25
"""The recognition net looks at every face this often in frames, and at a new face at once."""
_JUMP = 0.1
"""Movement of a face at a jump cut, in its heights and half radians, at least. Real clips: at most 0.09 elsewhere, 0.12
at every third frame."""
_SUDDEN = 2.5
"""How many times larger a jump is than the movements of the three frames before and after it."""


@dataclass(frozen=True)
class FaceTrack:
    """One person over T frames; NaN where the face was not seen."""

    box: Float[np.ndarray, "T 4"]
    """Face oval in pixels of the frame: x, y, width, height."""
    mouth: Float[np.ndarray, " T"]
    """Opening of the mouth (`metrics/landmarks.py`)."""
    eyes: Float[np.ndarray, " T"]
    """Mean opening of the eyes."""
    angles_deg: Float[np.ndarray, "T 3"]
    """Yaw, pitch, roll by landmarks (`geometry.py` says their signs)."""
    sightings: tuple[Sighting, ...] = ()
    """What was seen of the person, in the order of the frames."""


@dataclass(frozen=True)
class DriverTrack:
    """A driver, looked through. A few numbers for each frame, no pictures."""

    size: tuple[int, int]
    """Width and height of the frames in pixels."""
    times_s: tuple[Fraction, ...]
    """Seconds from the start of the file."""
    shot: Int[np.ndarray, " T"]
    """Number of the shot between scene cuts, from 0."""
    faces: tuple[FaceTrack, ...]
    """Most prominent first: sum of the heights over all frames."""
    brightness: Float[np.ndarray, " T"]
    """Mean luma of the largest face (of the frame where there is none), 0 to 255."""
    sharpness: Float[np.ndarray, " T"]
    """Variance of the Laplacian of the largest face at 128 px (of the frame where there is none)."""
    sightings: tuple[tuple[Sighting, ...], ...] = ()
    """Everything that was taken for a face in each frame, also what is in none of `faces`."""


def look_through(
    frames: Iterable[tuple[Fraction, UInt8[np.ndarray, "H W 3"]]],
    most_faces: int = 4,
    take: Callable[[Float[np.ndarray, "478 3"]], None] | None = None,
) -> DriverTrack:
    """Look at every frame of a driver once; only numbers are kept.

    Args:
        frames: seconds from the start and RGB pictures of one size, in order.
        most_faces: how many faces of one frame are followed.
        take: called with the landmarks (pixels) of each sighting, in the order of `Sighting.row`.

    Raises:
        UserError: there is no frame.
    """
    with FaceTracker(video=True, most=most_faces) as tracker:
        notes = _Notes(tracker, take)
        for time_s, frame in frames:
            notes.add(time_s, frame)
    if notes.size is None:
        raise UserError("the driver holds no frame; give a video, or a picture, that shows a face")
    shot, count = notes.shots.shots(), len(notes.times_s)
    faces = tuple(_face_track(person.sightings(), count) for person in people(stretches(notes.sightings, shot)))
    jumps = jump_cuts(faces[0]) & (np.diff(shot, prepend=0) == 0) if faces else np.zeros(count, bool)
    return DriverTrack(
        size=notes.size,
        times_s=tuple(notes.times_s),
        shot=shot + np.cumsum(jumps),
        faces=faces,
        brightness=np.array(notes.brightness),
        sharpness=np.array(notes.sharpness),
        sightings=tuple(map(tuple, notes.sightings)),
    )


def chosen_faces(track: DriverTrack, face: str, name: str = "the driver") -> list[int]:
    """Which faces drive: `largest`, a number from 0 (the largest), or `all`.

    Raises:
        UserError: no face was found, or none of that number, or the word is unknown.
    """
    count = len(track.faces)
    if count == 0:
        raise UserError(f"no face was found in {name}; give a video in which one face is clearly visible")
    if face == "all":
        return list(range(count))
    if face == "largest":
        return [0]
    if not face.isdecimal():
        raise UserError(f"--face {face} came; give largest, all, or a number from 0 to {count - 1}")
    if int(face) >= count:
        found = f"one face was found in {name}" if count == 1 else f"{count} faces were found in {name}"
        raise UserError(f"--face {face} came, but {found}; give largest, all, or a number up to {count - 1}")
    return [int(face)]


def jump_cuts(face: FaceTrack) -> Bool[np.ndarray, " T"]:
    """Frames at which a face leaps out of a steady movement, as where a piece of the same take was cut out."""
    height = np.nanmedian(face.box[:, 3])
    centre = (face.box[:, :2] + face.box[:, 2:] / 2) / height
    place = np.concatenate([centre, np.log(face.box[:, 3:]) / 2, np.deg2rad(face.angles_deg) / 2], 1)
    moved = np.linalg.norm(np.diff(place, axis=0, prepend=place[:1]), axis=1)
    around = np.pad(moved, 3, mode="edge")
    others = np.fmax.reduce([around[k : k + len(moved)] for k in (0, 1, 2, 4, 5, 6)])
    return (moved > _JUMP) & (moved > _SUDDEN * others)


class _Notes:
    """What was seen so far."""

    def __init__(self, tracker: FaceTracker, take: Callable[[np.ndarray], None] | None):
        self.size: tuple[int, int] | None = None
        self.times_s: list[Fraction] = []
        self.sightings: list[list[Sighting]] = []
        self.brightness: list[float] = []
        self.sharpness: list[float] = []
        self.shots = ShotFinder()
        self._tracker, self._take, self._rows = tracker, take, 0
        self._net = IdentityNet.load(shipped_weights("identity"))

    def add(self, time_s: Fraction, frame: UInt8[np.ndarray, "H W 3"]) -> None:
        number = len(self.times_s)
        anew = self.shots.look(frame)
        if anew:
            self._tracker.forget()
        seen = self._seen(number, frame, anew or number % _LOOK_EVERY == 0)
        light, sharpness = brightness_and_sharpness(frame, seen[0].box if seen else None)
        self.size = self.size or (frame.shape[1], frame.shape[0])
        self.times_s.append(time_s)
        self.sightings.append(seen)
        self.brightness.append(light)
        self.sharpness.append(sharpness)

    def _seen(self, number: int, frame: np.ndarray, recognise: bool) -> list[Sighting]:
        before = self.sightings[-1] if self.sightings else []
        seen = []
        for landmarks in self._tracker.all_landmarks(frame):
            new = sighting(number, landmarks)
            if recognise or not any(overlap(new.box, other.box) > 0 for other in before):
                new.look = embedding(self._net, frame, landmarks)
            if self._take is not None:
                self._take(landmarks)
            new.row, self._rows = self._rows, self._rows + 1
            seen.append(new)
        return seen


def _face_track(sightings: Sequence[Sighting], count: int) -> FaceTrack:
    box, angles = np.full((count, 4), np.nan), np.full((count, 3), np.nan)
    mouth, eyes = np.full(count, np.nan), np.full(count, np.nan)
    for seen in sightings:
        box[seen.frame], angles[seen.frame] = seen.box, seen.angles_deg
        mouth[seen.frame], eyes[seen.frame] = seen.mouth, seen.eyes
    return FaceTrack(box, mouth, eyes, angles, tuple(sightings))
