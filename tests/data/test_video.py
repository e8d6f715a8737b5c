"""Video in and out: counts, rates, lengths and sound stay equal; bad files teach."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from megaportraits.data.video import probe, read_frames, read_timed_frames
from megaportraits.data.video_writer import VideoWriter, write_video
from megaportraits.errors import UserError

SIZE = (48, 64)


def pictures(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Smooth colour ramps that change from frame to frame."""
    y, x = np.mgrid[: size[0], : size[1]]
    return [
        np.stack([x * 3, y * 4, np.full_like(x, 40 + 10 * (i % 20))], -1).clip(0, 255).astype(np.uint8)
        for i in range(count)
    ]


def write_sound(path: Path, codec: str, seconds: float, rate: int = 44100) -> None:
    """A sine of 440 Hz."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        size = stream.codec_context.frame_size or 1024
        convert = av.AudioResampler(stream.codec_context.format.name, "mono", rate, frame_size=size)
        for start in range(0, int(seconds * rate), size):
            wave = np.sin(2 * np.pi * 440 * np.arange(start, start + size) / rate).astype(np.float32) / 4
            frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            frame.rate, frame.pts = rate, start
            for piece in convert.resample(frame):
                container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


def audio_seconds(path: Path) -> tuple[str, float]:
    """Codec, and length of what is heard."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        samples = sum(np.abs(frame.to_ndarray()).max() > 0.01 and frame.samples for frame in container.decode(stream))
        return stream.codec_context.name, samples / stream.rate


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(15, 2)])
def test_count_rate_and_duration_survive(tmp_path, fps):
    write_video(tmp_path / "clip.mp4", pictures(13), fps)
    info = probe(tmp_path / "clip.mp4")
    assert (info.width, info.height, info.fps, info.frame_count) == (64, 48, fps, 13)
    assert info.duration_s == pytest.approx(float(13 / fps), abs=0.002)
    assert not info.has_audio
    assert sum(1 for _ in read_frames(tmp_path / "clip.mp4")) == 13


def test_colours_survive(tmp_path):
    write_video(tmp_path / "clip.mp4", pictures(3), 25)
    for before, after in zip(pictures(3), read_frames(tmp_path / "clip.mp4"), strict=True):
        assert np.abs(before.astype(int) - after).mean() < 2.5


def test_odd_sizes_are_padded_by_one(tmp_path):
    write_video(tmp_path / "odd.mp4", pictures(2, (33, 47)), 25)
    info = probe(tmp_path / "odd.mp4")
    assert (info.width, info.height) == (48, 34)


@pytest.mark.parametrize(
    ("codec", "name", "wanted"),
    [("aac", "sound.mp4", "aac"), ("mp2", "sound.mpg", "aac"), ("mp3", "s.mp3", "mp3float")],
)
def test_sound_is_kept(tmp_path, codec, name, wanted):
    write_sound(tmp_path / name, codec, 2.0)
    with VideoWriter(tmp_path / "driver.mp4", Fraction(25), 64, 48) as writer:
        for picture in pictures(50):
            writer.write(picture)
    combine(tmp_path / "driver.mp4", tmp_path / name, tmp_path / "both.mkv")
    info = probe(tmp_path / "both.mkv")
    with VideoWriter(tmp_path / "out.mp4", info.fps, 64, 48, audio_from=tmp_path / "both.mkv") as writer:
        for time_s, picture in read_timed_frames(tmp_path / "both.mkv"):
            writer.write(picture, time_s)
    found, seconds = audio_seconds(tmp_path / "out.mp4")
    assert found == wanted
    assert seconds == pytest.approx(2.0, abs=0.08)
    assert probe(tmp_path / "out.mp4").frame_count == 50
    assert probe(tmp_path / "out.mp4").fps == 25


def combine(video: Path, sound: Path, output: Path) -> None:
    """Copy one file's picture and another's sound into a third."""
    with av.open(str(video)) as a, av.open(str(sound)) as b, av.open(str(output), "w") as out:
        picture, audio = (
            out.add_stream_from_template(a.streams.video[0]),
            out.add_stream_from_template(b.streams.audio[0]),
        )
        for container, stream in ((a, picture), (b, audio)):
            for packet in container.demux():
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)


def test_variable_rate_keeps_times(tmp_path):
    times = [Fraction(n, 30) for n in (0, 1, 3, 4, 7, 8, 12)]
    with VideoWriter(tmp_path / "vfr.mp4", Fraction(20), 64, 48) as writer:
        for time_s, picture in zip(times, pictures(7), strict=True):
            writer.write(picture, time_s)
    found = [time_s for time_s, _ in read_timed_frames(tmp_path / "vfr.mp4")]
    assert np.allclose([float(t) for t in found], [float(t) for t in times], atol=0.0025)


def test_rotation_metadata_is_applied(tmp_path):
    write_video(tmp_path / "flat.mp4", pictures(3), 25)
    data = bytearray((tmp_path / "flat.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 4 + 4 + 20 + 16
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(data)
    flat, turned = next(read_frames(tmp_path / "flat.mp4")), next(read_frames(tmp_path / "turned.mp4"))
    assert np.array_equal(turned, np.rot90(flat, -1))
    assert probe(tmp_path / "turned.mp4").height == 64


def no_file(path: Path) -> None:
    pass


def text(path: Path) -> None:
    path.write_text("this is not a video\n" * 50)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path) -> None:
    path.mkdir()


def cut_before_index(path: Path) -> None:
    write_video(path, pictures(40), 25)
    path.write_bytes(path.read_bytes()[:-900])


def cut_after_index(path: Path) -> None:
    write_video(path.with_name("whole.mp4"), pictures(60), 25)
    options = {"movflags": "faststart"}
    with av.open(str(path.with_name("whole.mp4"))) as source, av.open(str(path), "w", options=options) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])


def sound_only(path: Path) -> None:
    write_sound(path, "aac", 0.5)


@pytest.mark.parametrize("make", [no_file, text, empty, folder, cut_before_index, cut_after_index, sound_only])
def test_bad_videos_are_one_sentence(tmp_path, make):
    path = tmp_path / "driver.mp4"
    make(path)
    with pytest.raises(UserError) as caught:
        list(read_frames(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["out.avi", "out", "a_file/out.mp4", "a_folder.mp4"])
def test_bad_outputs_are_one_sentence(tmp_path, name):
    (tmp_path / "a_file").write_text("x")
    (tmp_path / "a_folder.mp4").mkdir()
    with pytest.raises(UserError, match="choose"):
        write_video(tmp_path / name, pictures(1), 25)


def test_nothing_is_left_after_a_failure(tmp_path):
    def frames():
        yield pictures(1)[0]
        raise RuntimeError("the maker of frames fails")

    with pytest.raises(RuntimeError, match="fails"):
        write_video(tmp_path / "out.mp4", frames(), 25)
    with pytest.raises(UserError, match="no frame"):
        write_video(tmp_path / "out.mp4", [], 25)
    assert list(tmp_path.iterdir()) == []
