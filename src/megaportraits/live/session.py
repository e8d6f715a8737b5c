"""What one open page asked for, and the pictures that it gets."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import ImageColor

from megaportraits.animate.background import composite
from megaportraits.data import watermark
from megaportraits.data.faces import FaceTracker
from megaportraits.errors import UserError
from megaportraits.live.framing import LiveSquare
from megaportraits.live.recording import Recording
from megaportraits.player import Player

_JPEG_QUALITY = 90
_MOST_PX = 1920
"""Largest side of a camera's picture."""


class Session:
    """One page's wishes and its camera. Safe to use from two threads: one for frames, one for wishes.

    Args:
        player: the student.
        avatars: how many people it knows.
        recordings: folder of recordings.
        marks: whether pictures get the invisible mark.
    """

    def __init__(self, player: Player, avatars: int, recordings: Path, marks: bool):
        self._player, self._avatars, self._recordings, self._marks = player, avatars, recordings, marks
        self._tracker = FaceTracker(video=True)
        self._square = LiveSquare()
        self._avatar = 0
        self._behind = np.full((1, 1, 3), 0.5, np.float32)
        self._recording: Recording | None = None
        self._lock = threading.Lock()

    def frame(self, jpeg: bytes, time_s: float) -> bytes | None:
        """A camera's picture (JPEG) -> the avatar's (JPEG); None where no face is seen.

        Args:
            jpeg: picture of the camera.
            time_s: when it was taken; must not descend.

        Raises:
            UserError: not a JPEG, a picture too large, or the recording cannot be written.
        """
        camera = _decoded(jpeg)
        landmarks = self._tracker.landmarks(camera)
        if landmarks is None:
            return None
        crop = self._square.follow(landmarks, time_s).cut(camera, self._player.input_px)
        rgb, matte = self._player(crop, self._avatar)
        picture = composite(rgb, matte, np.broadcast_to(self._behind, rgb.shape))
        if self._marks:
            picture = watermark.mark(picture)
        with self._lock:
            if self._recording is not None:
                self._recording.add(picture, time_s)
        return _encoded(picture)

    def wish(self, text: str) -> Mapping[str, Any]:
        """Do what a page asks for in JSON: `{"avatar": NUMBER}`, `{"background": COLOUR}`, `{"record": true or false}`.

        Returns:
            What to tell the page.

        Raises:
            UserError: it is none of these.
        """
        match _wishes(text):
            case {"avatar": int(number)} if 0 <= number < self._avatars:
                self._avatar = number
            case {"background": str(colour)}:
                self._behind = np.asarray(_colour(colour), np.float32).reshape(1, 1, 3) / 255
            case {"record": True}:
                with self._lock:
                    self._recording = self._recording or Recording(self._recordings)
            case {"record": False}:
                return {"recorded": self._recorded()}
            case _:
                raise UserError(f"the page asked for {text[:80]}; it may ask for an avatar, a background, or to record")
        return {}

    def close(self) -> None:
        """Finish the recording and free the nets."""
        self._recorded()
        self._tracker.__exit__(None, None, None)

    def _recorded(self) -> str:
        """Name of the finished recording; empty where there is none."""
        with self._lock:
            recording, self._recording = self._recording, None
            path = recording.close() if recording else None
        return path.name if path else ""


def _wishes(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _colour(name: str) -> tuple[int, ...]:
    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError as error:
        raise UserError(f"'{name}' is no colour; give one as CSS writes it (#00ff00)") from error


def _decoded(jpeg: bytes) -> UInt8[np.ndarray, "H W 3"]:
    try:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # empty, or larger than OpenCV reads
        picture = None
    if picture is None:
        raise UserError("the page sent something that is not a picture; reload it")
    if max(picture.shape) > _MOST_PX:
        raise UserError(f"the camera's pictures are {picture.shape[1]} x {picture.shape[0]} px; send smaller ones")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _encoded(picture: UInt8[np.ndarray, "S S 3"]) -> bytes:
    right, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
    )
    assert right
    return jpeg.tobytes()
