"""Face landmarks and person mattes of pictures, by MediaPipe (its models come with the package and work offline).

MediaPipe is imported when a tracker is made, not before: training and rendering run without it.
"""

import contextlib
import heapq
import importlib
import os
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from types import ModuleType

import numpy as np
from jaxtyping import Float, UInt8

from megaportraits.errors import UserError
from megaportraits.geometry import FACE_OVAL

_MOST_FACES = 4
"""Faces looked for in a picture of which only the largest counts."""
_ENLARGED_FACE = 2.0
"""Side of the region looked at again around a small face, in sides of the detector's box."""
_SAME_FACE = 0.5
"""Two meshes whose ovals share this part of the smaller one are of one face."""


class _Quiet:
    """Sends file descriptor 2 to nowhere while any thread is inside: MediaPipe's notes do not pass through Python."""

    def __init__(self):
        self._lock = threading.Lock()
        self._inside, self._kept = 0, -1

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                sys.stderr.flush()
                self._kept = os.dup(2)
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 2)
                os.close(nowhere)
            self._inside += 1

    def __exit__(self, kind, error, trace) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                os.dup2(self._kept, 2)
                os.close(self._kept)


_QUIET = _Quiet()
_BLANK = np.zeros((64, 64, 3), np.uint8)


def _mediapipe() -> ModuleType:
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    warnings.filterwarnings("ignore", message=".*GetPrototype.*", category=UserWarning)
    try:
        with _QUIET:
            return importlib.import_module("mediapipe").solutions
    except ImportError as error:
        if "libGL" in str(error) or "libgthread" in str(error) or "libglib" in str(error):
            raise UserError(
                f"MediaPipe cannot load a system library ({error}); install it with 'apt install libgl1 libglib2.0-0'"
            ) from error
        raise UserError(f"MediaPipe cannot be imported ({error}); install it with 'pip install mediapipe'") from error


class _Mesh:
    """MediaPipe's landmark net, made silent: it says something at each start, and once more at its first face."""

    def __init__(self, follows: bool, most: int):
        self.most = most
        with _QUIET:
            self._net = _mediapipe().face_mesh.FaceMesh(
                static_image_mode=not follows, max_num_faces=most, refine_landmarks=True, min_detection_confidence=0.5
            )
            self._net.process(_BLANK)
        self._spoke = False

    def __call__(self, frame: UInt8[np.ndarray, "H W 3"]) -> list[Float[np.ndarray, "478 3"]]:
        """Landmarks in pixels of the frame, in no order."""
        with contextlib.nullcontext() if self._spoke else _QUIET:
            faces = self._net.process(frame).multi_face_landmarks or []
        self._spoke = self._spoke or bool(faces)
        height, width = frame.shape[:2]
        scale = np.array([width, height, width])
        return [np.array([(p.x, p.y, p.z) for p in face.landmark], np.float64) * scale for face in faces]

    def forget(self) -> None:
        with _QUIET:
            self._net.reset()
            self._net.process(_BLANK)

    def close(self) -> None:
        self._net.close()


class FaceTracker:
    """Finds the 478 landmarks of faces.

    Use as a context manager. With `video=True` frames are expected in order and faces are followed from one to the
    next; otherwise every picture stands alone. Where a video begins (or begins anew) with more than `most` faces, the
    largest ones are found, at the cost of looking for more from then on.

    Args:
        video: whether the pictures are frames of one video.
        most: how many faces are looked for.
    """

    def __init__(self, video: bool, most: int = 1):
        self._video, self._most = video, most
        self._expected = most  # as many as in the frame before; at first, as many as there may be
        self._anew = True
        self._still = _Mesh(follows=False, most=max(most, _MOST_FACES))
        self._mesh = _Mesh(follows=True, most=most) if video else self._still
        with _QUIET:
            self._far = _mediapipe().face_detection.FaceDetection(model_selection=1, min_detection_confidence=0.4)
            self._far.process(_BLANK)

    def __enter__(self) -> "FaceTracker":
        return self

    def __exit__(self, kind, error, trace) -> None:
        for net in {self._mesh, self._still, self._far}:
            net.close()

    def landmarks(self, frame: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "478 3"] | None:
        """Landmarks of the largest face: x, y in pixels of the frame, z in pixels, smaller is nearer the viewer.

        Faces too small for the landmark net's own detector are looked for at long range and enlarged. None where
        there is no face.
        """
        return next(iter(self.all_landmarks(frame)), None)

    def all_landmarks(self, frame: UInt8[np.ndarray, "H W 3"]) -> list[Float[np.ndarray, "478 3"]]:
        """Landmarks of the faces, as `landmarks` gives them: the highest face first, at most `most` of them."""
        if self._anew and self._mesh.most < self._still.most and len(self._still(frame)) > self._most:
            self._mesh.close()
            self._mesh = _Mesh(follows=True, most=self._still.most)
        found = self._different(self._mesh(frame))
        if len(found) < self._expected:
            found = self._different([*found, *self._far_landmarks(frame)])
        if self._video:
            self._expected, self._anew = max(1, len(found)), not found
        return found

    def forget(self) -> None:
        """Look for faces anew in the next frame, as at the start of a video: the scene has changed."""
        self._mesh.forget()
        self._expected, self._anew = self._most, True

    def _different(self, meshes: Iterable[np.ndarray]) -> list[np.ndarray]:
        kept: list[np.ndarray] = []
        for points in sorted(meshes, key=_oval_height, reverse=True):
            if all(_shared(points, other) < _SAME_FACE for other in kept):
                kept.append(points)
        return kept[: self._most]

    def _far_landmarks(self, frame: np.ndarray) -> Iterator[np.ndarray]:
        boxes = [d.location_data.relative_bounding_box for d in self._far.process(frame).detections or []]
        for box in heapq.nlargest(self._most, boxes, key=lambda b: b.width * b.height):
            yield from self._enlarged(frame, box)

    def _enlarged(self, frame: np.ndarray, box) -> Iterator[np.ndarray]:
        height, width = frame.shape[:2]
        half = _ENLARGED_FACE / 2 * max(box.width * width, box.height * height)
        x, y = (box.xmin + box.width / 2) * width, (box.ymin + box.height / 2) * height
        left, top = max(0, round(x - half)), max(0, round(y - half))
        region = np.ascontiguousarray(frame[top : round(y + half), left : round(x + half)])
        for points in self._still(region) if region.size else []:
            yield points + np.array([left, top, 0])


def _oval_height(points: np.ndarray) -> float:
    return float(np.ptp(points[list(FACE_OVAL), 1]))


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    """Area that the boxes of two face ovals share, in areas of the smaller box."""
    ovals = [points[list(FACE_OVAL), :2] for points in (a, b)]
    low, high = np.max([o.min(0) for o in ovals], 0), np.min([o.max(0) for o in ovals], 0)
    return float(np.prod(np.maximum(high - low, 0)) / max(min(np.prod(np.ptp(o, 0)) for o in ovals), 1e-9))


class PersonMatte:
    """Soft person matte of a head crop. Use as a context manager."""

    def __init__(self):
        solutions = _mediapipe()
        with _QUIET:
            self._net = solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)
            self._net.process(np.zeros((64, 64, 3), np.uint8))

    def __enter__(self) -> "PersonMatte":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._net.close()

    def matte(self, crop: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
        """Foreground in [0, 1], float32; a guided filter draws the net's soft edge to the picture's own edges.

        The filter's numbers have the least error against the true mattes of rendered heads (mean error 0.5 %).
        """
        import cv2

        rough = np.asarray(self._net.process(crop).segmentation_mask, np.float32)
        guide = crop.astype(np.float32) / 255
        smooth = cv2.ximgproc.guidedFilter(guide, rough, max(1, crop.shape[0] // 128), 1e-2)
        return np.clip((smooth - 0.3) / 0.4, 0, 1)
