"""The driver's sound track, carried into the result packet by packet."""

from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer

COPYABLE = frozenset({"aac", "mp3", "mp3float", "alac", "opus", "libopus", "flac", "ac3", "eac3"})
"""Codecs, by their decoders' names, that mp4, mov and mkv all hold and players know; anything else becomes AAC."""


def start_of(container: InputContainer) -> Fraction:
    """Time of the container's first packet, in seconds; the zero of every time this package reports."""
    return Fraction(container.start_time or 0, av.time_base)


def seconds(item: av.Packet | av.AudioFrame | av.VideoFrame) -> Fraction:
    """Presentation time of a packet or frame, in seconds of the container's clock; 0 where it has none."""
    if item.pts is None or item.time_base is None:
        return Fraction(0)
    return item.pts * item.time_base


def has_audio(path: Path) -> bool:
    """Whether a media file has a sound track."""
    with av.open(str(path)) as container:
        return bool(container.streams.audio)


class AudioTrack:
    """Copies the first audio stream of `path` into an output container, a little ahead of the picture.

    Packets are copied as they are where the container can hold the codec (`COPYABLE`), else decoded and encoded as
    AAC. Times are kept relative to the start of `path`, so sound stays where it was against the picture.
    """

    def __init__(self, path: Path, output: OutputContainer):
        self._input = av.open(str(path))
        source = self._input.streams.audio[0]
        self._start = start_of(self._input)
        self._copies = source.codec_context.name in COPYABLE
        if self._copies:
            self._stream = output.add_stream_from_template(source)
        else:
            self._stream = output.add_stream("aac", rate=source.rate)
            self._stream.layout = "mono" if source.layout.nb_channels == 1 else "stereo"
            self._resampler = av.AudioResampler("fltp", self._stream.layout, self._stream.rate)
        self._output = output
        self._packets = self._copied() if self._copies else self._transcoded()
        self._next: av.Packet | None = next(self._packets, None)

    def advance(self, until_s: Fraction | None = None) -> None:
        """Write every packet that begins before `until_s` (seconds); all that are left for None."""
        while self._next is not None:
            begin = seconds(self._next)
            if until_s is not None and begin > until_s:
                return
            self._next.stream = self._stream
            self._output.mux(self._next)
            self._next = next(self._packets, None)

    def close(self) -> None:
        self._input.close()

    def _copied(self):
        for packet in self._input.demux(audio=0):
            if packet.pts is None:
                continue
            packet.pts -= round(self._start / packet.time_base)
            packet.dts = packet.pts
            yield packet

    def _transcoded(self):
        samples: int | None = None
        for frame in self._input.decode(audio=0):
            if samples is None:
                begin = Fraction(0) if frame.pts is None else seconds(frame) - self._start
                samples = round(begin * self._stream.rate)
            for piece in self._resampler.resample(frame):
                yield from self._encoded(piece, samples)
                samples += piece.samples
        for piece in self._resampler.resample(None):
            yield from self._encoded(piece, samples or 0)
        yield from self._stream.encode(None)

    def _encoded(self, piece: av.AudioFrame, samples: int) -> list[av.Packet]:
        piece.pts, piece.time_base = samples, Fraction(1, self._stream.rate)
        return self._stream.encode(piece)
