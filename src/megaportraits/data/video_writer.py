"""Writing video files frame by frame, with alpha and sound, in constant memory.

Frames are uint8 `H W 3` RGB, or `H W 4` RGBA with straight (not premultiplied) alpha; files are BT.709, limited range.
"""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from jaxtyping import UInt8

from megaportraits.data.audio import AudioTrack, Intervals, has_audio
from megaportraits.data.provenance import video_tags, xmp, xmp_box
from megaportraits.errors import UserError
from megaportraits.files import replacing

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")
"""What is written."""
_BOXED = (".mp4", ".mov")
ALPHA_SUFFIXES = (".mov", ".webm")
"""What can be transparent."""


@dataclass(frozen=True)
class _Encoding:
    codec: Literal["libx264", "libvpx-vp9", "prores_ks"]
    pixels: str
    options: dict[str, str]
    most_px: int = 65_534
    """Longest side that codec and container can hold."""


def _encoding(suffix: str, alpha: bool, crf: int) -> _Encoding:
    if suffix == ".webm":
        options = {"crf": str(round(crf * 63 / 51)), "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}
        # libvpx cannot encode alpha with frames that are never shown
        return _Encoding(
            "libvpx-vp9", "yuva420p" if alpha else "yuv420p", options | {"auto-alt-ref": str(int(not alpha))}
        )
    if alpha:
        return _Encoding("prores_ks", "yuva444p10le", {"profile": "4444", "alpha_bits": "16", "vendor": "apl0"})
    return _Encoding("libx264", "yuv420p", {"crf": str(crf), "preset": "veryfast"}, most_px=16_384)


def check_video(path: str | Path, alpha: bool) -> None:
    """Refuse a file name that cannot become a video.

    Raises:
        UserError: unknown suffix, one that cannot be transparent, or a folder is there.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path} does not end in {', '.join(SUFFIXES)}; choose an output name that does")
    if alpha and suffix not in ALPHA_SUFFIXES:
        raise UserError(
            f"{suffix} files cannot be transparent; choose an output that ends in .mov or .webm, or a folder"
        )
    if Path(path).is_dir():
        raise UserError(f"{path} is a folder; choose the name of a file")


class VideoWriter:
    """Write frames as H.264 into an mp4, mov or mkv, or as VP9 into a webm, with the sound of another file.

    Transparent frames become ProRes 4444 in a mov, and VP9 in a webm. Use as a context manager; the file appears at
    `path` only when the block ends well. An odd width or height gets its last column or row twice, because 4:2:0 needs
    even sizes.

    Args:
        path: output file.
        fps: frame rate, exact.
        width: pixels of the frames that will come.
        height: pixels of the frames that will come.
        crf: quality, 0 (lossless) to 51; 17 looks lossless. ProRes has one quality.
        audio_from: file whose first audio track is copied (encoded anew where the codec does not fit), or None.
        alpha: RGBA frames will come, not RGB.
        removed: stretches of `audio_from`, in seconds, that are cut out; what follows moves forward.
        cut_sound: end the sound with the picture, where it is longer.
        key_every: frames from one that can be decoded alone to the next, at most.
        made_by: program that generated the pictures, for a statement in the file (`data/provenance.py`); empty for
            none.
        threads: of the encoder, on which the bytes of H.264 depend; 0 takes as many as the machine has.

    Raises:
        UserError: unknown suffix, too many pixels for the format, path is a folder or not writable, no frame was
            written, or the sound is damaged.
    """

    def __init__(
        self,
        path: str | Path,
        fps: Fraction,
        width: int,
        height: int,
        crf: int = 17,
        audio_from: Path | None = None,
        *,
        alpha: bool = False,
        removed: Intervals = (),
        cut_sound: bool = False,
        key_every: int = 48,
        made_by: str = "",
        threads: int = 0,
    ):
        check_video(path, alpha)
        self.path, self.fps = Path(path), Fraction(fps).limit_denominator(1_000_000)
        self.shape = (height, width, 4 if alpha else 3)
        self._encoding = _encoding(self.path.suffix.lower(), alpha, crf)
        if max(width, height) > self._encoding.most_px:
            raise UserError(
                f"{path} cannot hold {width} x {height} px, as such a video goes to {self._encoding.most_px} px a "
                "side; choose a folder of pictures, or make the pictures smaller"
            )
        self._audio_from, self._removed, self._cut_sound = audio_from, removed, cut_sound
        self._key_every, self._made_by, self._threads = key_every, made_by, threads
        self._convert = VideoReformatter()
        ticks = math.ceil(90_000 / self.fps.numerator)
        self._time_base = Fraction(1, self.fps.numerator * ticks)
        self._ticks_per_frame = self.fps.denominator * ticks
        self._last_pts: int | None = None

    def __enter__(self) -> "VideoWriter":
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.path))
            stack.enter_context(_writing(self.path))
            stack.push(lambda kind, error, trace: self._state(temporary) if kind is None else None)
            self._container = stack.enter_context(av.open(str(temporary.absolute()), "w"))
            if self._made_by and self.path.suffix.lower() not in _BOXED:
                self._container.metadata.update(video_tags(self._made_by))
            self._stream = self._video_stream()
            self._audio = None
            if self._audio_from is not None and has_audio(self._audio_from):
                self._audio = AudioTrack(self._audio_from, self._container, self._removed)
                stack.callback(self._audio.close)
            stack.push(self._finish_on_success)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind, error, trace) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def write(self, frame: UInt8[np.ndarray, "H W C"], time_s: Fraction | None = None) -> None:
        """Add a frame, shown from `time_s` (seconds), or one frame period after the last one for None."""
        if frame.shape != self.shape:
            raise ValueError(f"a frame of shape {frame.shape} came; the writer was opened for {self.shape}")
        height, width, channels = self.shape
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = self._convert.reformat(
            av.VideoFrame.from_ndarray(even, format="rgba" if channels == 4 else "rgb24"),
            format=self._encoding.pixels,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation="BICUBIC",
            threads=1,
        )
        picture.color_primaries = picture.color_trc = int(Colorspace.ITU709)
        picture.pts, picture.time_base = self._pts(time_s), self._time_base
        self._mux(self._stream.encode(picture))
        if self._audio:
            self._audio.advance(picture.pts * self._time_base)

    def _state(self, file: Path) -> None:
        """Add the statement to a finished file."""
        if self._made_by and self.path.suffix.lower() in _BOXED:
            with file.open("ab") as end:
                end.write(xmp_box(xmp(self._made_by)))

    def _pts(self, time_s: Fraction | None) -> int:
        following = 0 if self._last_pts is None else self._last_pts + self._ticks_per_frame
        pts = following if time_s is None else round(time_s / self._time_base)
        self._last_pts = pts if self._last_pts is None else max(pts, self._last_pts + 1)
        return self._last_pts

    def _video_stream(self) -> av.VideoStream:
        stream = self._container.add_stream(self._encoding.codec, rate=self.fps, options=self._encoding.options)
        height, width, _ = self.shape
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, self._encoding.pixels
        context = stream.codec_context
        context.time_base, context.gop_size = self._time_base, self._key_every
        context.thread_count = self._threads
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
            end = (self._last_pts + self._ticks_per_frame) * self._time_base
            self._audio.advance(end if self._cut_sound else None)


def write_video(
    path: str | Path, frames: Iterable[UInt8[np.ndarray, "H W C"]], fps: Fraction | int, crf: int = 17
) -> None:
    """Write frames of one size as a silent video, RGBA ones transparent. Raises as `VideoWriter`."""
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise UserError(f"no frame was made for {path}; at least one picture is needed")
    height, width, channels = first.shape
    with VideoWriter(path, Fraction(fps), width, height, crf, alpha=channels == 4) as writer:
        writer.write(first)
        for frame in frames:
            writer.write(frame)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except FFmpegError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); make room, or choose another output path") from error
