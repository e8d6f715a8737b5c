"""Reading video files, one frame at a time, in constant memory.

Frames are uint8 `H W 3` RGB as the viewer sees them: rotation and pixel-aspect metadata are applied, colours follow the
stream's matrix, and HDR becomes BT.709 (`data/hdr.py`). Times are in seconds from the start of the file.
"""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.reformatter import Colorspace, Interpolation
from jaxtyping import UInt8

from megaportraits.data.audio import seconds, start_of
from megaportraits.data.hdr import ToBt709, transfer_of
from megaportraits.errors import UserError

READABLE = (".mp4", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".avi", ".m4v")
"""What is looked for in folders of videos."""
_FASTEST = 480
"""Mean rates beyond this are a container's wrong entry."""
_SNAP_S = Fraction(1, 500)
"""Times this close to the constant-rate grid, and by one tick of the container at most, are rounding of the container
(mkv counts in milliseconds)."""
_EXACT_BICUBIC = int(Interpolation.BICUBIC) | 0x40000 | 0x2000
"""FFmpeg's `bicubic+accurate_rnd+full_chroma_int`: costs nothing with more than 8 bits, and much with 8."""
_SEEK_MARGIN_S = 1
"""Some containers land a little behind the place that is sought."""
_SEEKABLE = ("mov", "matroska")
"""Families of containers whose frames have times of their own, wherever reading begins."""
_UNNAMED, _SD_HEIGHT = 2, 576
"""ITU-T H.273's number of an unnamed colour matrix; players take it for BT.709 in pictures higher than this."""


class NamedBytes(io.BytesIO):
    """A video in memory, with a name for messages."""

    def __init__(self, data: bytes, name: str):
        super().__init__(data)
        self.name = name

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says about itself."""

    width: int
    """Pixels, after rotation and pixel aspect are applied."""
    height: int
    """Pixels, after rotation and pixel aspect are applied."""
    fps: Fraction
    """Mean frame rate."""
    frame_count: int | None
    """Frames, or None where the container does not say."""
    duration_s: float
    """Seconds of picture (0 where unknown)."""
    has_audio: bool


@contextlib.contextmanager
def _opened(path: str | Path | NamedBytes) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """Open `path` and its first video stream; every failure inside the block becomes one sentence."""
    try:
        file = path if isinstance(path, NamedBytes) else str(Path(path).absolute())
        with av.open(file, "r") as container:
            stream = container.streams.best("video")
            if not isinstance(stream, av.VideoStream):
                raise UserError(f"{path} has no picture track; give a video file")
            stream.thread_type = "AUTO"
            yield container, stream
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}; give the path of a video") from error
    except (PermissionError, IsADirectoryError) as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give the path of a readable video") from error
    except FFmpegError as error:
        raise UserError(
            f"{path} is not a video, or it is damaged ({error.strerror}); give a playable file, or repair it with "
            "'ffmpeg -i FILE repaired.mp4'"
        ) from error


def _rate(stream: av.VideoStream) -> Fraction:
    average = stream.average_rate
    if average is not None and 0 < average <= _FASTEST:
        return average
    return stream.guessed_rate or Fraction(25)


def _pixel_aspect(stream: av.VideoStream) -> Fraction:
    return Fraction(stream.sample_aspect_ratio or 1)


def probe(path: str | Path) -> VideoInfo:
    """Read size, rate and length of a video. Decodes one frame.

    Raises:
        UserError: no such file, not a video, damaged, or without a frame.
    """
    first = next(read_frames(path))
    with _opened(path) as (container, stream):
        if stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        else:
            duration = (container.duration or 0) / av.time_base
        height, width = first.shape[:2]
        return VideoInfo(width, height, _rate(stream), stream.frames or None, duration, bool(container.streams.audio))


def read_frames(path: str | Path | NamedBytes) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Yield the frames of a video as RGB.

    Raises:
        UserError: no such file, not a video, damaged, or without a frame.
    """
    for _, frame in read_timed_frames(path):
        yield frame


def read_timed_frames(
    path: str | Path | NamedBytes, start_s: float | int = 0, margin_s: float | int = _SEEK_MARGIN_S
) -> Iterator[tuple[Fraction, UInt8[np.ndarray, "H W 3"]]]:
    """Yield (seconds from the start of the file, RGB frame) from `start_s` on; the times ascend.

    What comes more than `margin_s` before `start_s`, before a key frame, is not decoded; the rest before it is not made
    RGB. Raises as `read_frames`.
    """
    with _opened(path) as (container, stream):
        start, period, picture = start_of(container), 1 / _rate(stream), _Picture(stream)
        seekable = container.format.name.split(",")[0] in _SEEKABLE
        if start_s > margin_s and stream.time_base is not None and seekable:
            container.seek(int((start + Fraction(start_s) - Fraction(margin_s)) / stream.time_base), stream=stream)
        tick = min(stream.time_base or _SNAP_S, _SNAP_S)
        first = last = Fraction(0)
        count = 0
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise UserError(f"{path} is cut off or damaged after frame {count}; copy it again, or re-encode it")
            for frame in packet.decode():
                time = first + count * period if frame.pts is None else seconds(frame) - start
                first = time if count == 0 else first
                exact = _on_grid(time, first, period, tick)
                last = max(exact, last + tick) if count else exact
                count += 1
                if last >= start_s:
                    yield last, picture.rgb(frame)
        if count == 0:
            raise UserError(f"{path} holds no frame; give a video with at least one picture")


def _on_grid(time: Fraction, first: Fraction, period: Fraction, tick: Fraction) -> Fraction:
    """Undo a container's rounding of constant-rate times; leave variable-rate times alone."""
    exact = first + round((time - first) / period) * period
    return exact if abs(exact - time) <= tick else time


class _Picture:
    """Turns the decoded frames of one stream into RGB of one size, that of its first frame."""

    def __init__(self, stream: av.VideoStream):
        self._stream = stream
        self._size: tuple[int, int] | None = None
        self._to_bt709: ToBt709 | None = None

    def rgb(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "H W 3"]:
        if self._size is None:
            self._size = round(frame.width * _pixel_aspect(self._stream)), frame.height
            context = self._stream.codec_context
            transfer = transfer_of(context.color_trc, context.color_primaries)
            self._to_bt709 = None if transfer is None else ToBt709(transfer)
        width, height = self._size
        if self._to_bt709 is not None:
            rgb = self._to_bt709(frame, width, height)
        else:
            deep = frame.format.components[0].bits > 8
            scaler = _EXACT_BICUBIC if deep else int(Interpolation.BICUBIC)
            plain = frame.reformat(width, height, "rgb24", src_colorspace=_matrix(frame), interpolation=scaler)
            rgb = plain.to_ndarray()
        quarter_turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(rgb, quarter_turns))


def _matrix(frame: av.VideoFrame) -> Colorspace:
    unnamed_hd = frame.colorspace == _UNNAMED and frame.height > _SD_HEIGHT
    return Colorspace.ITU709 if unnamed_hd or frame.colorspace == Colorspace.ITU709 else Colorspace.ITU601
