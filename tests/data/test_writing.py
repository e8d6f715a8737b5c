"""Video out: colours, alpha, sound codecs, and sound that stays with its picture."""

import resource
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from clicks import heard_clicks, write_clicks

from megaportraits.data.audio import COPYABLE, has_audio, kept
from megaportraits.data.video import probe, read_timed_frames
from megaportraits.data.video_writer import VideoWriter, write_video
from megaportraits.errors import UserError

NTSC = Fraction(30000, 1001)
COLOURS = [(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (200, 160, 130)]


def bars(alpha: bool) -> np.ndarray:
    """Seven colour bars of 16 columns; with alpha, from transparent above over 128 to solid below."""
    rgb = np.repeat(np.array(COLOURS, np.uint8)[None], 48, 0).repeat(16, 1)
    if not alpha:
        return rgb
    return np.dstack([rgb, np.repeat(np.array([0, 128, 255], np.uint8), 16)[:, None].repeat(112, 1)])


def decoded(path: Path) -> list[av.VideoFrame]:
    """All frames, with alpha (which FFmpeg's own VP9 decoder leaves out)."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = av.CodecContext.create("libvpx-vp9", "r") if path.suffix == ".webm" else stream.codec_context
        return [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]


def rgba_of(frame: av.VideoFrame) -> np.ndarray:
    return frame.reformat(format="rgba", src_colorspace=Colorspace.ITU709, interpolation="BICUBIC").to_ndarray()


def tagged(place: av.VideoCodecContext | av.VideoFrame) -> list[int]:
    return [place.colorspace, place.color_primaries, place.color_trc]


def inner_bars(picture: np.ndarray) -> np.ndarray:
    """Mean colours of the bars, away from their edges."""
    return np.stack([picture[:, 16 * i + 4 : 16 * i + 12].mean(1) for i in range(7)], 1)


@pytest.mark.parametrize(
    ("name", "alpha", "codec", "error"),
    [
        ("a.mp4", False, "h264", 2),
        ("a.mov", False, "h264", 2),
        ("a.mkv", False, "h264", 2),
        ("a.webm", False, "vp9", 3),
        ("a.webm", True, "vp9", 3),
        ("a.mov", True, "prores", 1),
    ],
)
def test_colours_and_alpha_come_back(tmp_path, name, alpha, codec, error):
    picture = bars(alpha)
    write_video(tmp_path / name, [picture] * 9, NTSC)
    with av.open(str(tmp_path / name)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == (codec, NTSC)
        assert tagged(stream.codec_context) == [Colorspace.ITU709] * 3
        assert stream.codec_context.color_range == ColorRange.MPEG
    frames = decoded(tmp_path / name)
    assert len(frames) == 9
    assert tagged(frames[-1])[: 1 if codec == "vp9" else 3] == [Colorspace.ITU709] * (1 if codec == "vp9" else 3)
    found = rgba_of(frames[-1])
    assert np.abs(inner_bars(found)[..., :3] - inner_bars(picture)[..., :3]).max() <= error
    wanted = picture[..., 3] if alpha else np.full((48, 112), 255)
    assert np.abs(found[..., 3].astype(int) - wanted)[[8, 24, 40]].max() <= 1


@pytest.mark.parametrize("name", ["odd.webm", "odd.mov"])
def test_transparent_pictures_of_odd_size(tmp_path, name):
    write_video(tmp_path / name, [bars(True)[:33, :47]] * 2, 25)
    found = rgba_of(decoded(tmp_path / name)[0])
    assert found.shape == (34, 48, 4)
    assert np.abs(found[33].astype(int) - found[32]).max() <= 6


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_transparent_pictures_need_a_container_for_them(tmp_path, name):
    with pytest.raises(UserError, match=r"\.mov or \.webm, or a folder"):
        write_video(tmp_path / name, [bars(True)], 25)
    assert list(tmp_path.iterdir()) == []


def sound_stream(path: Path) -> tuple[str, float]:
    """Codec and length in seconds of the sound, by decoding it."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return stream.codec_context.name, sum(frame.samples for frame in container.decode(stream)) / stream.rate


def write_with_sound(path: Path, sound: Path, seconds: float, **options) -> None:
    with VideoWriter(path, Fraction(25), 16, 16, audio_from=sound, **options) as writer:
        for _ in range(round(25 * seconds)):
            writer.write(np.full((16, 16, writer.shape[2]), 90, np.uint8))


@pytest.mark.parametrize(
    ("name", "options", "codec"),
    [
        ("a.mp4", {}, "aac"),
        ("a.mov", {}, "aac"),
        ("a.mkv", {}, "aac"),
        ("a.webm", {}, "opus"),
        ("a.webm", {"alpha": True}, "opus"),
        ("a.mov", {"alpha": True}, "aac"),
    ],
)
@pytest.mark.parametrize("rate", [8000, 44100, 50000])
def test_sound_stays_where_it_was(tmp_path, name, options, codec, rate):
    write_clicks(tmp_path / "clicks.wav", 3, [0.5, 1.25, 2.5], rate)
    write_with_sound(tmp_path / name, tmp_path / "clicks.wav", 3, **options)
    assert sound_stream(tmp_path / name)[0] == codec
    assert heard_clicks(tmp_path / name) == pytest.approx([0.5, 1.25, 2.5], abs=0.01)


@pytest.mark.parametrize("first", ["a.mp4", "a.mkv", "a.webm"])
@pytest.mark.parametrize("second", ["b.mp4", "b.mov", "b.mkv", "b.webm"])
def test_sound_stays_where_it_was_twice(tmp_path, first, second):
    write_clicks(tmp_path / "clicks.wav", 3, [0.5, 1.25, 2.5])
    write_with_sound(tmp_path / first, tmp_path / "clicks.wav", 3)
    write_with_sound(tmp_path / second, tmp_path / first, 3)
    before, after = sound_stream(tmp_path / first)[0], sound_stream(tmp_path / second)[0]
    formats = {"b.mp4": "mp4", "b.mov": "mov", "b.mkv": "matroska", "b.webm": "webm"}
    assert (before == after) == (before in COPYABLE[formats[second]])
    assert heard_clicks(tmp_path / second) == pytest.approx([0.5, 1.25, 2.5], abs=0.012)


def test_removed_stretches_are_cut_out_of_the_sound(tmp_path):
    write_clicks(tmp_path / "clicks.wav", 6, [1, 2, 3, 5])
    write_with_sound(tmp_path / "whole.mp4", tmp_path / "clicks.wav", 6)
    removed = [(Fraction(3, 2), Fraction(9, 4)), (Fraction(4), Fraction(17, 4))]
    write_with_sound(tmp_path / "cut.mp4", tmp_path / "whole.mp4", 5, removed=removed)
    assert heard_clicks(tmp_path / "cut.mp4") == pytest.approx([1, 2.25, 4], abs=0.01)
    assert sound_stream(tmp_path / "cut.mp4")[1] == pytest.approx(5, abs=0.13)


@pytest.mark.parametrize(
    ("begin", "end", "left"),
    [
        (0, 10, [(0, 2), (5, 8), (9, 10)]),
        (3, 4, []),
        (2, 8, [(5, 8)]),
        (20, 25, [(20, 25)]),
        (4, 6, [(5, 6)]),
    ],
)
def test_kept_is_the_rest(begin, end, left):
    assert kept(begin, end, [(2, 5), (8, 9)]) == left


def test_sound_may_end_with_the_picture(tmp_path):
    write_clicks(tmp_path / "clicks.wav", 5, [1])
    write_with_sound(tmp_path / "whole.mp4", tmp_path / "clicks.wav", 2)
    write_with_sound(tmp_path / "copied.mp4", tmp_path / "whole.mp4", 2, cut_sound=True)
    write_with_sound(tmp_path / "encoded.mp4", tmp_path / "clicks.wav", 2, cut_sound=True)
    lengths = [sound_stream(tmp_path / name)[1] for name in ("whole.mp4", "copied.mp4", "encoded.mp4")]
    assert lengths == pytest.approx([5, 2, 2], abs=0.26)


def test_damaged_packets_do_not_shift_the_sound(tmp_path):
    write_clicks(tmp_path / "clicks.wav", 3, [1, 2.5])
    write_with_sound(tmp_path / "whole.mkv", tmp_path / "clicks.wav", 3)
    with av.open(str(tmp_path / "whole.mkv")) as source, av.open(str(tmp_path / "damaged.mkv"), "w") as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for i, packet in enumerate(source.demux(audio=0)):
            damaged = av.Packet(b"\xff" * packet.size if i in (4, 13, 14) else bytes(packet))
            damaged.pts = damaged.dts = packet.pts
            damaged.time_base, damaged.stream = packet.time_base, stream
            if packet.pts is not None:
                out.mux(damaged)
    write_with_sound(tmp_path / "out.webm", tmp_path / "damaged.mkv", 3)
    assert heard_clicks(tmp_path / "out.webm") == pytest.approx([1, 2.5], abs=0.012)


def test_gaps_in_the_sound_do_not_shift_what_follows(tmp_path):
    write_clicks(tmp_path / "clicks.wav", 6, [1, 5])
    with av.open(str(tmp_path / "clicks.wav")) as source, av.open(str(tmp_path / "gap.mkv"), "w") as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.pts is not None and not 2 < packet.pts * packet.time_base < 4:
                packet.stream = stream
                out.mux(packet)
    write_with_sound(tmp_path / "out.mp4", tmp_path / "gap.mkv", 6)
    assert heard_clicks(tmp_path / "out.mp4") == pytest.approx([1, 5], abs=0.01)


def write_aac(path: Path, rate: int, layout: str) -> None:
    """Two seconds of AAC, each packet with a header of its own; a click after one second."""
    sound = np.zeros((2 if layout == "stereo" else 1, 2 * rate), np.float32)
    sound[:, rate:][:, : rate // 50] = 0.6
    with av.open(str(path), "w", format="adts") as container:
        stream = container.add_stream("aac", rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout=layout)
        frame.rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(("rate", "layout"), [(44100, "stereo"), (48000, "mono"), (22050, "stereo")])
def test_sound_that_changes_its_form_midway_stays_where_it_was(tmp_path, rate, layout):
    write_aac(tmp_path / "first.aac", 44100, "mono")
    write_aac(tmp_path / "second.aac", rate, layout)
    with (
        av.open(str(tmp_path / "first.aac")) as first,
        av.open(str(tmp_path / "second.aac")) as second,
        av.open(str(tmp_path / "sound.ts"), "w", format="mpegts") as out,
    ):
        stream = out.add_stream_from_template(first.streams.audio[0])
        for begin, part in ((0, first), (2, second)):
            for i, packet in enumerate(part.demux(audio=0)):
                if packet.size and i * 1024 < 2 * part.streams.audio[0].rate:
                    packet.time_base = Fraction(1, 90_000)
                    packet.pts = packet.dts = round(90_000 * (begin + Fraction(1024 * i, part.streams.audio[0].rate)))
                    packet.stream = stream
                    out.mux(packet)
    wanted = heard_clicks(tmp_path / "sound.ts")
    assert wanted == pytest.approx([1, 3], abs=0.07)
    write_with_sound(tmp_path / "out.webm", tmp_path / "sound.ts", 4)
    assert heard_clicks(tmp_path / "out.webm") == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize(
    ("name", "alpha", "width", "height"),
    [
        ("a.mp4", False, 16_385, 16),
        ("a.mkv", False, 16, 20_000),
        ("a.webm", False, 65_535, 2),
        ("a.mov", True, 2, 70_000),
    ],
)
def test_pictures_too_large_for_the_format_are_refused_at_once(tmp_path, name, alpha, width, height):
    with pytest.raises(UserError, match=f"cannot hold {width} x {height} px, .* choose a folder of pictures"):
        VideoWriter(tmp_path / name, Fraction(25), width, height, alpha=alpha)


@pytest.mark.parametrize(("name", "width"), [("a.mp4", 16_383), ("a.webm", 65_534)])
def test_the_largest_pictures_are_written(tmp_path, name, width):
    write_video(tmp_path / name, [np.zeros((2, width, 3), np.uint8)], 25)
    assert probe(tmp_path / name).width == width + width % 2


def test_names_with_a_colon_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_clicks(tmp_path / "click.wav", 1, [0.5])
    (tmp_path / "click.wav").rename("12:30.wav")
    write_with_sound(Path("12:30.mp4"), Path("12:30.wav"), 1)
    assert probe("12:30.mp4").has_audio
    assert has_audio(Path("12:30.mp4"))
    assert len(list(read_timed_frames("12:30.mp4"))) == 25


def test_sound_that_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "notes.mp3").write_text("this is no sound\n" * 40)
    for name in ("notes.mp3", "none.wav"):
        with pytest.raises(UserError, match=rf"sound of .*{name} cannot be read"):
            write_with_sound(tmp_path / "out.mp4", tmp_path / name, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.mp3"]


def test_a_full_disk_is_one_sentence(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*out\.mp4"):
            write_video(tmp_path / "out.mp4", noise, 25)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def sparse_frames() -> Iterator[tuple[Fraction, np.ndarray]]:
    """An hour, a frame about each 4 s on the ticks of 30000/1001; white at every full ten minutes."""
    for i in range(901):
        time_s = round(4 * i * NTSC) / NTSC
        yield time_s, np.full((16, 16, 3), 255 if i % 150 == 0 else 0, np.uint8)


def flashes(path: Path) -> list[float]:
    return [float(time_s) for time_s, frame in read_timed_frames(path) if frame.mean() > 128]


def write_sparse(path: Path, frames: Iterable[tuple[Fraction, np.ndarray]], sound: Path) -> list[int]:
    """Write frames at their times; returns the peak memory in KiB every 150 frames."""
    peaks = []
    with VideoWriter(path, NTSC, 16, 16, audio_from=sound) as writer:
        for i, (time_s, frame) in enumerate(frames):
            writer.write(frame, time_s)
            if i % 150 == 75:
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peaks


def test_an_hour_stays_in_sync(tmp_path):
    marks = [600 * i for i in range(7)]
    write_clicks(tmp_path / "hour.mkv", 3601, marks)
    encoded = write_sparse(tmp_path / "encoded.mp4", sparse_frames(), tmp_path / "hour.mkv")
    copied = write_sparse(
        tmp_path / "copied.mov", read_timed_frames(tmp_path / "encoded.mp4"), tmp_path / "encoded.mp4"
    )
    for name in ("encoded.mp4", "copied.mov"):
        seen, heard = flashes(tmp_path / name), heard_clicks(tmp_path / name)
        assert len(seen) == len(heard) == 7
        assert np.abs(np.subtract(seen, heard)).max() < 1 / NTSC
        assert heard == pytest.approx(marks, abs=0.005)
        assert probe(tmp_path / name).duration_s == pytest.approx(3600, abs=0.1)
    assert encoded[-1] - encoded[0] < 8_000
    assert copied[-1] - copied[0] < 8_000
