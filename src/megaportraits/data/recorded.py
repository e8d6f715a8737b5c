"""`megaportraits prepare videos`: recorded clips of real people, in the form of rendered ones.

Paper: B.3 (one square for a clip, person matte). Deviation: head poses are fitted to MediaPipe's landmarks; expression
controls, gaze and blink are unknown (`Truth`). Broken videos and videos without a face are named and left out.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from megaportraits import geometry
from megaportraits.config import PreparePhotos, PrepareVideos
from megaportraits.data.clips import ClipInfo, Truth, is_complete, write_clip
from megaportraits.data.crop import SquareCrop
from megaportraits.data.faces import FaceTracker, PersonMatte
from megaportraits.data.track import video_square
from megaportraits.data.video import READABLE, probe, read_frames
from megaportraits.errors import UserError
from megaportraits.tensors import HeadPose

LANDMARKS = 468
"""MediaPipe's landmarks without the ten of the irises."""
_LEAST_FRAMES = 8
_MATTE_NET_PX = 256
_RIGID_ABOVE_Y = 0.3
"""Points of the mean head above this (y down) do not follow the jaw."""
_PITCH_BIAS_DEG = -2.9
"""Mean pitch of that fit less the true one on 96 rendered frames of 24 people (deviation 4.5, yaw 0.1 +- 1.7, roll
-0.7 +- 1.8): MediaPipe's depths are those of its own mean face."""
_FACE_IN_CROP = 0.95
"""Frames are left out where a landmark of the face is nearer than this to the edge of the square, or outside."""


@dataclass(frozen=True)
class Recorded:
    """One frame."""

    rgb: UInt8[np.ndarray, "S S 3"]
    matte: UInt8[np.ndarray, "S S"]
    landmarks: Float[np.ndarray, "468 3"]
    """Crop coordinates; z in the same unit, smaller is nearer the viewer."""


def fit_rotation(landmarks: Float[np.ndarray, "T 468 3"]) -> Float[np.ndarray, "T 3 3"]:
    """Rotation of the similarity that best takes the mean head's upper part to 3D landmarks (Kabsch, 1976).

    Axes as in the crop frame (x right, y down, z away), any unit. The jaw is left out: it moves with the mouth. The
    fit's mean error of pitch is taken off, so that recorded and rendered clips share one head frame.
    """
    rigid = geometry.mean_head()[:, 1] < _RIGID_ABOVE_Y
    head, points = geometry.mean_head()[rigid], landmarks[:, rigid]
    centred = points - points.mean(1, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("tli,lj->tij", centred, head - head.mean(0)))
    signs = np.ones((len(points), 3))
    signs[:, 2] = np.sign(np.linalg.det(u @ vt))
    zero, bias = torch.zeros(1), torch.tensor([_PITCH_BIAS_DEG])
    unbias = geometry.rotation_from_angles(zero, -bias, zero)[0].double().numpy()
    return ((u * signs[:, None]) @ vt @ unbias).astype(np.float32)


def truth_of(landmarks: Float[np.ndarray, "T 468 3"]) -> Truth:
    """What landmarks in crop coordinates say about each frame; the rest is empty or NaN."""
    count, rotation = len(landmarks), fit_rotation(landmarks)
    flat = landmarks[..., :2].astype(np.float32)
    scale, translation = geometry.fit_similarity_2d(rotation, flat, range(LANDMARKS))
    pose = HeadPose(*(torch.from_numpy(a) for a in (rotation, scale, translation)))
    placed = scale[:, None] * np.einsum("tj,lj->tl", rotation[:, 2], geometry.mean_head())
    depth = landmarks[..., 2] - landmarks[..., 2].mean(1, keepdims=True) + placed.mean(1, keepdims=True)
    unknown = np.full((count, 2), np.nan, np.float32)
    return Truth(
        rotation=rotation,
        scale=scale,
        translation=translation,
        theta=geometry.theta(pose).numpy(),
        controls=np.zeros((count, 0), np.float32),
        gaze=unknown,
        blink=unknown,
        landmarks=flat,
        landmarks_3d=np.concatenate([flat, depth[..., None].astype(np.float32)], -1),
    )


def look(
    frame: UInt8[np.ndarray, "H W 3"],
    landmarks_px: Float[np.ndarray, "L 3"],
    square: SquareCrop,
    person: PersonMatte,
    size_px: int,
) -> Recorded | None:
    """The square's content in a frame with these MediaPipe landmarks; None where it does not hold the whole face."""
    points = landmarks_px[:LANDMARKS]
    landmarks = np.concatenate([square.to_crop_coordinates(points[:, :2]), 2 * points[:, 2:] / square.side], 1)
    if np.abs(landmarks[:, :2]).max() > _FACE_IN_CROP:
        return None
    fine = person.matte(square.cut(frame, max(_MATTE_NET_PX, size_px)))
    matte = Image.fromarray(fine).resize((size_px, size_px), Image.Resampling.BOX)
    grey = (np.asarray(matte) * 255 + 0.5).astype(np.uint8)
    return Recorded(square.cut(frame, size_px), grey, landmarks.astype(np.float32))


def keep(
    frames: Sequence[Recorded],
    square: SquareCrop,
    name: str,
    step_s: float,
    folder: Path,
    config: PrepareVideos | PreparePhotos,
) -> None:
    """Write frames of one person as a clip; `config` has size, licence and split."""
    info = ClipInfo(
        identity=name, motion=name, frame_step_s=step_s, fps=25.0, size_px=config.size,
        crop={"x": square.x, "y": square.y, "side": square.side}, source="recorded", licence=config.licence,
        split=config.split, landmark_ids=list(range(LANDMARKS)), control_names=[], identity_spec={},
    )  # fmt: skip
    truth = truth_of(np.stack([f.landmarks for f in frames]))
    write_clip(folder, (f.rgb for f in frames), (f.matte for f in frames), truth, info)


def _frames(path: Path, square: SquareCrop, config: PrepareVideos) -> Iterator[Recorded]:
    """Every `step`-th frame that shows the whole face."""
    with FaceTracker(video=True) as tracker, PersonMatte() as person:
        for number, frame in enumerate(read_frames(path)):
            points = tracker.landmarks(frame) if number % config.step == 0 else None
            found = None if points is None else look(frame, points, square, person, config.size)
            if found is not None:
                yield found


def record(path: Path, folder: Path, config: PrepareVideos) -> int:
    """Make one clip folder of one video; the number of its frames.

    Raises:
        UserError: not a readable video, or fewer than eight of its frames show a face.
    """
    fps = float(probe(path).fps)
    square = video_square(path)
    frames = list(itertools.islice(_frames(path, square, config), config.most_frames))
    if len(frames) < _LEAST_FRAMES:
        raise UserError(
            f"{path} shows a whole face in {len(frames)} frames, fewer than {_LEAST_FRAMES}; give a longer video, or a "
            "smaller --step"
        )
    keep(frames, square, path.name, config.step / fps, folder, config)
    return len(frames)


def find_files(names: Sequence[str], suffixes: Sequence[str]) -> list[Path]:
    """Files by name, and those with one of the suffixes in folders, sorted.

    Raises:
        UserError: there is none, or two of them have the same name.
    """
    files: list[Path] = []
    for root in map(Path, names):
        inside = sorted(root.iterdir()) if root.is_dir() else []
        files += [path for path in inside if path.suffix.lower() in suffixes] if root.is_dir() else [root]
    if not files:
        raise UserError(
            f"no {', '.join(suffixes)} is in {', '.join(names) or 'an empty list'}; give files, or folders of them"
        )
    stems = [path.stem for path in files]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice:
        raise UserError(f"several files are called {twice}; their clips need different names, rename one")
    return files


def prepare_all(files: Sequence[Path], out: str, prepare: Callable[[Path, Path], int]) -> None:
    """Run `prepare(file, folder)`, which returns a number of frames, for each file whose clip is not there yet.

    Raises:
        UserError: none of the files could be used; what is wrong with each is printed.
    """
    done = 0
    for path in files:
        folder = Path(out) / path.stem
        try:
            report = "already there" if is_complete(folder) else f"{prepare(path, folder)} frames"
        except UserError as error:
            print(f"left out: {error}", flush=True)
            continue
        print(f"{folder}: {report}", flush=True)
        done += 1
    if not done:
        raise UserError("none of the files could be used; the lines above say why")


def prepare_videos(config: PrepareVideos) -> None:
    """Make clip folders of recorded videos, for training on real people.

    Clips that are there already are kept.

    Raises:
        UserError: no video is given, or none could be used.
    """
    files = find_files(config.videos, READABLE)
    prepare_all(files, config.out, lambda path, folder: record(path, folder, config))
