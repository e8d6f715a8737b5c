"""What may drive a picture: a video, one picture, a folder of pictures, or a camera, all read as timed frames."""

import contextlib
import itertools
import math
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from megaportraits.data.pictures import PICTURES, pictures_in, read_picture
from megaportraits.data.video import probe, read_timed_frames
from megaportraits.data.video_writer import VideoWriter
from megaportraits.errors import UserError

PICTURE_FPS = Fraction(25)
"""Frame rate of pictures and folders of pictures."""
DEFAULT_SECONDS = 4.0
"""Length of a recording from a camera, and of the result where one picture drives, unless told."""
_CAMERA_FPS = Fraction(30)


@dataclass(frozen=True)
class Driver:
    """An opened driver. Its frames are all of one size."""

    name: str
    """What to call it in messages."""
    fps: Fraction
    """Mean frame rate."""
    frame_count: int | None
    """Frames, or None where a video's container does not say."""
    still: bool
    """Whether it is one picture."""
    audio: Path | None
    """File with its sound; None where it has none."""
    stream: Callable[[], Iterator[tuple[Fraction, np.ndarray]]]
    """Starts a new stream of its frames."""

    def frames(self) -> Iterator[tuple[Fraction, UInt8[np.ndarray, "H W 3"]]]:
        """(seconds from the start, RGB frame) from the first frame on; every call reads anew.

        Raises:
            UserError: a file of the driver is damaged.
        """
        return self.stream()


@contextlib.contextmanager
def open_driver(driver: str | Path, seconds: float | None = None) -> Iterator[Driver]:
    """Open a driver; a camera is recorded first, and the recording is deleted at the end of the block.

    Args:
        driver: video, picture, folder of pictures (in the natural order of their names), or the number of a camera.
        seconds: only so much of its start; None for all of it, and for `DEFAULT_SECONDS` of a camera, where Ctrl-C ends
            the recording earlier.

    Raises:
        UserError: there is no such file or camera, it is not readable, or seconds are not above 0.
    """
    if seconds is not None and not 0 < seconds < math.inf:
        raise UserError(f"seconds is {seconds}; give a time above 0")
    path = Path(driver)
    if re.fullmatch(r"\d+", str(driver)) and not path.exists():
        with tempfile.TemporaryDirectory(prefix="megaportraits-") as folder:
            recording = Path(folder) / "camera.mp4"
            record_camera(int(str(driver)), recording, seconds or DEFAULT_SECONDS)
            yield _video(recording, f"camera {driver}")
    elif path.is_dir():
        yield _begun(_folder(path), seconds)
    elif path.suffix.lower() in PICTURES and path.suffix.lower() != ".gif":
        yield _pictures([path], str(path))
    else:
        yield _begun(_video(path, str(path)), seconds)


def _begun(driver: Driver, seconds: float | None) -> Driver:
    """The first seconds of a driver; its first frame at least."""
    if seconds is None or driver.still:
        return driver
    end = exact(seconds)

    def stream() -> Iterator[tuple[Fraction, np.ndarray]]:
        start = None
        for time_s, frame in driver.stream():
            start = time_s if start is None else start
            if time_s >= start + end:
                return
            yield time_s, frame

    most = math.ceil(end * driver.fps)
    return replace(driver, frame_count=min(driver.frame_count or most, most), stream=stream)


def exact(seconds: float) -> Fraction:
    """In whole milliseconds or simpler, so that a frame at 0.4 s is not before 0.4 s."""
    return Fraction(seconds).limit_denominator(1000)


def _video(path: Path, name: str) -> Driver:
    info = probe(path)
    still = len(list(itertools.islice(read_timed_frames(path), 2))) == 1
    audio = path if info.has_audio else None
    return Driver(name, info.fps, 1 if still else info.frame_count, still, audio, lambda: read_timed_frames(path))


def _folder(folder: Path) -> Driver:
    paths = pictures_in(folder)
    if not paths:
        raise UserError(f"the folder {folder} holds no picture; give one with files such as 000001.png")
    return _pictures(paths, str(folder))


def _pictures(paths: list[Path], name: str) -> Driver:
    height, width = read_picture(paths[0]).shape[:2]

    def stream() -> Iterator[tuple[Fraction, np.ndarray]]:
        for i, path in enumerate(paths):
            yield i / PICTURE_FPS, _padded(read_picture(path), width, height)

    return Driver(name, PICTURE_FPS, len(paths), len(paths) == 1, None, stream)


def _padded(picture: UInt8[np.ndarray, "H W 3"], width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    """As large as fits, in the middle of black; faces keep their proportions."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.array(ImageOps.pad(Image.fromarray(picture), (width, height), Image.Resampling.LANCZOS))


def record_camera(number: int, path: Path, seconds: float) -> None:
    """Record a camera into a silent video, with the times at which its pictures came.

    Args:
        number: 0 is the first camera.
        path: video to write.
        seconds: length; Ctrl-C ends it earlier.

    Raises:
        UserError: there is no such camera, or it sends no picture.
    """
    import cv2

    cv2.setLogLevel(0)
    camera = cv2.VideoCapture(number)
    try:
        seen, picture = camera.read()
        if not seen:
            raise UserError(f"camera {number} sends no picture; connect one, allow its use, or give a video file")
        height, width = picture.shape[:2]
        begin = time.monotonic()
        with VideoWriter(path, _CAMERA_FPS, width, height) as writer, contextlib.suppress(KeyboardInterrupt):
            while seen and (now := time.monotonic() - begin) < seconds:
                writer.write(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), Fraction(now))
                seen, picture = camera.read()
    finally:
        camera.release()
