"""Reading and writing video files, one frame at a time, in constant memory.

Frames are uint8 `H W 3` RGB as the viewer sees them: rotation and pixel-aspect metadata are applied, colours follow the
stream's matrix (BT.601 or BT.709). Times are in seconds from the start of the file.
"""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace
from jaxtyping import UInt8

from megaportraits.data.audio import AudioTrack, has_audio, seconds, start_of
from megaportraits.errors import UserError
from megaportraits.files import replacing

SUFFIXES = (".mp4", ".mov", ".mkv")
"""What is written."""
READABLE = (*SUFFIXES, ".mpg", ".mpeg", ".avi", ".webm", ".m4v")
"""What is looked for in folders of videos."""
_FASTEST = 480
"""Mean rates beyond this are a container's wrong entry."""
_SNAP_S = Fraction(1, 500)
"""Times this close to the constant-rate grid are rounding of the container (mkv counts in milliseconds)."""


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
def _opened(path: str | Path) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """Open `path` and its first video stream; every failure inside the block becomes one sentence."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UserError(f"{path} has no picture track; give a video file")
            stream = container.streams.video[0]
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


def read_frames(path: str | Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Yield the frames of a video as RGB.

    Raises:
        UserError: no such file, not a video, damaged, or without a frame.
    """
    for _, frame in read_timed_frames(path):
        yield frame


def read_timed_frames(path: str | Path) -> Iterator[tuple[Fraction, UInt8[np.ndarray, "H W 3"]]]:
    """Yield (seconds from the start of the file, RGB frame). Raises as `read_frames`."""
    with _opened(path) as (container, stream):
        start, period, aspect = start_of(container), 1 / _rate(stream), _pixel_aspect(stream)
        first, count = Fraction(0), 0
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise UserError(f"{path} is cut off or damaged after frame {count}; copy it again, or re-encode it")
            for frame in packet.decode():
                time = first + count * period if frame.pts is None else seconds(frame) - start
                first = time if count == 0 else first
                yield _on_grid(time, first, period), _to_rgb(frame, aspect)
                count += 1
        if count == 0:
            raise UserError(f"{path} holds no frame; give a video with at least one picture")


def _on_grid(time: Fraction, first: Fraction, period: Fraction) -> Fraction:
    """Undo a container's rounding of constant-rate times; leave variable-rate times alone."""
    exact = first + round((time - first) / period) * period
    return exact if abs(exact - time) < _SNAP_S else time


def _to_rgb(frame: av.VideoFrame, aspect: Fraction) -> UInt8[np.ndarray, "H W 3"]:
    matrix = Colorspace.ITU709 if frame.colorspace == Colorspace.ITU709 else Colorspace.ITU601
    width = round(frame.width * aspect)
    rgb = frame.reformat(width=width, format="rgb24", src_colorspace=matrix, interpolation="BICUBIC").to_ndarray()
    quarter_turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns))


class VideoWriter:
    """Write RGB frames as H.264 into an mp4, mov or mkv, with the sound of another file.

    Use as a context manager; the file appears at `path` only when the block ends well. An odd width or height gets its
    last column or row twice, because H.264 in 4:2:0 needs even sizes.

    Args:
        path: output file.
        fps: frame rate, exact.
        width: pixels of the frames that will come.
        height: pixels of the frames that will come.
        crf: quality, 0 (lossless) to 51; 17 looks lossless.
        audio_from: file whose first audio track is copied (as AAC where the codec does not fit), or None.

    Raises:
        UserError: unknown suffix, path is a folder or not writable, or no frame was written.
    """

    def __init__(
        self, path: str | Path, fps: Fraction, width: int, height: int, crf: int = 17, audio_from: Path | None = None
    ):
        self.path, self.fps, self.size = Path(path), Fraction(fps).limit_denominator(1_000_000), (height, width)
        self._crf, self._audio_from = crf, audio_from
        if self.path.suffix.lower() not in SUFFIXES:
            raise UserError(f"{path} does not end in {', '.join(SUFFIXES)}; choose an output name that does")
        if self.path.is_dir():
            raise UserError(f"{path} is a folder; choose the name of a file")
        ticks = math.ceil(90_000 / self.fps.numerator)
        self._time_base = Fraction(1, self.fps.numerator * ticks)
        self._ticks_per_frame = self.fps.denominator * ticks
        self._last_pts: int | None = None

    def __enter__(self) -> "VideoWriter":
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.path))
            self._container = stack.enter_context(av.open(str(temporary), "w"))
            self._stream = self._video_stream()
            self._audio = None
            if self._audio_from is not None and has_audio(self._audio_from):
                self._audio = AudioTrack(self._audio_from, self._container)
                stack.callback(self._audio.close)
            stack.push(self._finish_on_success)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind, error, trace) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def write(self, frame: UInt8[np.ndarray, "H W 3"], time_s: Fraction | None = None) -> None:
        """Add a frame, shown from `time_s` (seconds), or one frame period after the last one for None."""
        if frame.shape != (*self.size, 3):
            raise ValueError(f"a frame of shape {frame.shape} came; the writer was opened for {(*self.size, 3)}")
        height, width = self.size
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(even, format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, interpolation="BICUBIC")
        picture.pts = self._pts(time_s)
        picture.time_base = self._time_base
        self._mux(self._stream.encode(picture))
        if self._audio:
            self._audio.advance(picture.pts * self._time_base)

    def _pts(self, time_s: Fraction | None) -> int:
        following = 0 if self._last_pts is None else self._last_pts + self._ticks_per_frame
        pts = following if time_s is None else round(time_s / self._time_base)
        self._last_pts = pts if self._last_pts is None else max(pts, self._last_pts + 1)
        return self._last_pts

    def _video_stream(self) -> av.VideoStream:
        options = {"crf": str(self._crf), "preset": "veryfast"}
        stream = self._container.add_stream("libx264", rate=self.fps, options=options)
        height, width = self.size
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        context = stream.codec_context
        context.time_base, context.gop_size = self._time_base, 48
        context.colorspace = context.color_primaries = context.color_trc = int(Colorspace.ITU709)
        context.color_range = int(ColorRange.MPEG)
        return stream

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            packet.duration = self._ticks_per_frame
            self._container.mux(packet)

    def _finish_on_success(self, kind, error, trace) -> None:
        if kind is not None:
            return
        if self._last_pts is None:
            raise UserError(f"no frame was made for {self.path}; give a driver with at least one picture")
        self._mux(self._stream.encode(None))
        if self._audio:
            self._audio.advance()


def write_video(
    path: str | Path, frames: Iterable[UInt8[np.ndarray, "H W 3"]], fps: Fraction | int, crf: int = 17
) -> None:
    """Write frames of one size as a silent H.264 video. Raises as `VideoWriter`."""
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise UserError(f"no frame was made for {path}; at least one picture is needed")
    with VideoWriter(path, Fraction(fps), first.shape[1], first.shape[0], crf) as writer:
        writer.write(first)
        for frame in frames:
            writer.write(frame)
