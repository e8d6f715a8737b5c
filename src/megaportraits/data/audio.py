"""The driver's sound track, carried into the result a little ahead of the picture, in constant memory."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from jaxtyping import Float32

from megaportraits.errors import UserError

Intervals = Sequence[tuple[Fraction, Fraction]]
"""Stretches of time in seconds (begin, end): ascending, not overlapping."""
_EVERYWHERE = frozenset({"aac", "mp3", "mp3float", "alac", "ac3", "eac3"})
COPYABLE = {
    "mp4": _EVERYWHERE | {"opus", "libopus", "flac"},
    "mov": _EVERYWHERE,
    "matroska": _EVERYWHERE | {"opus", "libopus", "flac"},
    "webm": frozenset({"opus", "libopus", "vorbis", "libvorbis"}),
}
"""By container: the codecs, by their decoders' names, that it holds and players know; anything else is encoded anew."""
_WITH_EDIT_LISTS = ("mp4", "mov")
"""Containers that can hold a codec's warm-up before time 0; others would move the whole file instead."""
_OPUS_RATE = 48_000
_AAC_RATES = frozenset({96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000})
_TOLERANCE_S = 0.02
"""Sound further from its time than this is moved there; less is a container's rounding."""


def start_of(container: InputContainer) -> Fraction:
    """Time of the container's first packet, in seconds; the zero of every time this package reports."""
    return Fraction(container.start_time or 0, av.time_base)


def seconds(item: av.Packet | av.AudioFrame | av.VideoFrame) -> Fraction:
    """Presentation time of a packet or frame, in seconds of the container's clock; 0 where it has none."""
    if item.pts is None or item.time_base is None:
        return Fraction(0)
    return item.pts * item.time_base


def has_audio(path: Path) -> bool:
    """Whether a media file has a sound track.

    Raises:
        UserError: there is no such file, or it is not a media file.
    """
    with _reading(path), av.open(str(path.absolute())) as container:
        return bool(container.streams.audio)


def kept(begin: int, end: int, removed: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of [begin, end) without the ascending intervals `removed`."""
    pieces = []
    for first, last in removed:
        pieces.append((begin, min(first, end)))
        begin = max(begin, min(last, end))
    return [(a, b) for a, b in (*pieces, (begin, end)) if a < b]


class AudioTrack:
    """Carries the first audio stream of `path` into an output container.

    Packets are copied as they are where the container can hold the codec (`COPYABLE`) and nothing is cut out, else
    decoded and encoded as AAC (Opus for webm). Times are kept relative to the start of `path`, so sound stays where it
    was against the picture; what comes after a removed stretch moves forward by its length.

    Raises:
        UserError: the sound cannot be decoded.
    """

    def __init__(self, path: Path, output: OutputContainer, removed: Intervals = ()):
        self._path, self._output, self._removed = path, output, removed
        self._input = av.open(str(path.absolute()))
        source = self._input.streams.audio[0]
        self._starts_early = output.format.name in _WITH_EDIT_LISTS
        self._start = start_of(self._input)
        if not removed and source.codec_context.name in COPYABLE[output.format.name]:
            self._stream = output.add_stream_from_template(source)
            self._packets = self._read(self._copied())
        else:
            self._stream = self._encoder(source)
            self._packets = self._read(self._encoded())
        self._next = next(self._packets, None)

    def advance(self, until_s: Fraction | None = None) -> None:
        """Write every packet that begins before `until_s` (seconds of the result); all that are left for None."""
        while self._next is not None and (until_s is None or seconds(self._next) < until_s):
            self._next.stream = self._stream
            self._output.mux(self._next)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the file that is read."""
        self._input.close()

    def _read(self, packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
        with _reading(self._path):
            yield from packets

    def _copied(self) -> Iterator[av.Packet]:
        last = None
        for packet in self._input.demux(audio=0):
            if packet.pts is None or (last is not None and packet.pts <= last):
                continue
            last = packet.pts
            packet.pts -= round(self._start / packet.time_base)
            packet.dts = packet.pts
            if self._starts_early or packet.pts + (packet.duration or 0) > 0:
                yield packet

    def _encoder(self, source: av.AudioStream) -> av.AudioStream:
        if self._output.format.name == "webm":
            stream = self._output.add_stream("libopus", rate=_OPUS_RATE)
        else:
            stream = self._output.add_stream("aac", rate=source.rate if source.rate in _AAC_RATES else _OPUS_RATE)
        stream.layout = "mono" if source.layout.nb_channels == 1 else "stereo"
        return stream

    def _encoded(self) -> Iterator[av.Packet]:
        rate, read, written = self._stream.rate, 0, 0
        removed = [(round(begin * rate), round(end * rate)) for begin, end in self._removed]
        for block in self._continuous():
            for begin, end in kept(read, read + block.shape[1], removed):
                piece = np.ascontiguousarray(block[:, begin - read : end - read])
                frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=self._stream.layout)
                frame.rate, frame.pts, frame.time_base = rate, written, Fraction(1, rate)
                yield from self._stream.encode(frame)
                written += end - begin
            read += block.shape[1]
        yield from self._stream.encode(None)

    def _continuous(self) -> Iterator[Float32[np.ndarray, "channels samples"]]:
        """The sound from time 0 on: gaps are silent, what overlaps is left out."""
        rate, position, start = self._stream.rate, 0, float(self._start)
        tolerance = round(_TOLERANCE_S * rate)
        silence = np.zeros((self._stream.layout.nb_channels, rate), np.float32)
        for time, new in self._resampled():
            late = 0 if time is None else round((time - start) * rate) - position
            if position and abs(late) < tolerance:
                late = 0
            for begin in range(0, late, rate):
                yield silence[:, : late - begin]
            samples = np.concatenate([silence[:, :0], *new], axis=1)[:, max(0, -late) :]
            position += max(0, late) + samples.shape[1]
            yield samples

    def _resampled(self) -> Iterator[tuple[float | None, list[Float32[np.ndarray, "channels samples"]]]]:
        """(Time in seconds, what the encoder takes); None after what came before. The form may change midway."""
        for _, frames in itertools.groupby(self._decoded(), _form):
            resampler = av.AudioResampler("fltp", self._stream.layout, self._stream.rate)
            for frame in frames:
                yield frame.time, [piece.to_ndarray() for piece in resampler.resample(frame)]
            yield None, [piece.to_ndarray() for piece in resampler.resample(None)]

    def _decoded(self) -> Iterator[av.AudioFrame]:
        """All frames; damaged packets are left out unless all are."""
        any_came, failure = False, None
        for packet in self._input.demux(audio=0):
            try:
                frames = packet.decode()
            except FFmpegError as error:
                failure = error
                continue
            any_came = any_came or bool(frames)
            yield from frames
        if failure and not any_came:
            raise failure


def _form(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FFmpegError as error:
        raise UserError(
            f"the sound of {path} cannot be read ({error.strerror}); give a media file, or convert its sound with "
            "'ffmpeg -i FILE sound.wav'"
        ) from error
