"""What cameras and phones write is read as a player shows it: colours, range, depth, HDR, turns, times."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from megaportraits.data.hdr import light, to_bt709, transfer_of
from megaportraits.data.video import probe, read_frames, read_timed_frames
from megaportraits.data.video_writer import write_video

BT709, UNNAMED, BT601, BT2020 = 1, 2, 5, 9
PQ, HLG = 16, 18
TV, PC = 1, 2
SKIN = [(190, 140, 120), (60, 110, 200), (30, 30, 30), (250, 250, 250)]
DEPTHS = {"yuv420p": 8, "yuv422p10le": 10, "yuv420p10le": 10, "yuv444p12le": 12}
LUMA = {BT601: (0.299, 0.587, 0.114), BT709: (0.2126, 0.7152, 0.0722), BT2020: (0.2627, 0.6780, 0.0593)}


def patches(colours: list, height: int = 32, width: int = 32) -> np.ndarray:
    """Colours beside each other."""
    return np.repeat(np.repeat(np.asarray(colours)[None], width, 1), height, 0)


def centres(frame: np.ndarray, count: int) -> np.ndarray:
    return frame[frame.shape[0] // 2, np.arange(count) * (frame.shape[1] // count) + frame.shape[1] // count // 2]


def encode(rgb: np.ndarray, pixels: str, matrix: int, full: bool) -> av.VideoFrame:
    """R'G'B' in [0, 1] as Y'CbCr by the formulas of BT.601, BT.709 and BT.2020, written down here independently."""
    red, _, blue = LUMA[matrix]
    y = rgb @ np.array(LUMA[matrix])
    planes = np.stack([y, (rgb[..., 2] - y) / (2 - 2 * blue), (rgb[..., 0] - y) / (2 - 2 * red)])
    scale = 2 ** (DEPTHS[pixels] - 8)
    if full:
        codes = planes * (256 * scale - 1) + np.array([0, 128, 128])[:, None, None] * scale
    else:
        codes = (planes * np.array([219, 224, 224])[:, None, None] + np.array([16, 128, 128])[:, None, None]) * scale
    whole = np.round(np.clip(codes, 0, 256 * scale - 1)).astype(np.uint16 if scale > 1 else np.uint8)
    frame = av.VideoFrame(rgb.shape[1], rgb.shape[0], pixels)
    for plane, code in zip(frame.planes, whole, strict=True):
        code = code[:: rgb.shape[0] // plane.height, :: rgb.shape[1] // plane.width]
        room = np.zeros((plane.height, plane.line_size // code.itemsize), code.dtype)
        room[:, : plane.width] = code
        plane.update(room.tobytes())
    return frame


def write(path: Path, frame: av.VideoFrame, matrix: int, trc: int = BT709, full: bool = False, codec: str = "ffv1"):
    """Two frames with these colour tags."""
    with av.open(str(path), "w") as container:
        options = {"qp": "0"} if codec == "libx264" else {}
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
        context = stream.codec_context
        context.colorspace, context.color_trc, context.color_range = matrix, trc, PC if full else TV
        context.color_primaries = matrix if matrix != BT601 else 6
        frame.colorspace, frame.color_range = matrix, PC if full else TV
        for i in range(2):
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pixels", list(DEPTHS))
@pytest.mark.parametrize("matrix", [BT601, BT709])
def test_matrix_range_and_depth_are_followed(tmp_path, pixels, matrix, full):
    frame = encode(patches(SKIN) / 255, pixels, matrix, full)
    write(tmp_path / "clip.mkv", frame, matrix, full=full)
    found = next(read_frames(tmp_path / "clip.mkv"))
    assert np.abs(centres(found, 4).astype(int) - SKIN).max() <= (3 if DEPTHS[pixels] == 8 else 1)


@pytest.mark.parametrize(("height", "matrix"), [(576, BT601), (720, BT709)])
def test_unnamed_matrix_is_taken_as_players_do(tmp_path, height, matrix):
    frame = encode(patches(SKIN, height) / 255, "yuv420p", matrix, False)
    write(tmp_path / "clip.mkv", frame, UNNAMED, trc=UNNAMED)
    assert np.abs(centres(next(read_frames(tmp_path / "clip.mkv")), 4).astype(int) - SKIN).max() <= 3


@pytest.mark.parametrize(("trc", "transfer"), [(PQ, "pq"), (HLG, "hlg"), (14, "gamma")])
@pytest.mark.parametrize(("codec", "name"), [("ffv1", "clip.mkv"), ("libx264", "clip.mp4")])
def test_bt2020_becomes_bt709(tmp_path, trc, transfer, codec, name):
    signals = np.array([(0.6, 0.5, 0.42), (0.3, 0.34, 0.36), (0.55, 0.3, 0.3), (0.4, 0.4, 0.4), (0.0, 0.0, 0.0)])
    write(tmp_path / name, encode(patches(signals), "yuv420p10le", BT2020, False), BT2020, trc, codec=codec)
    frames = list(read_frames(tmp_path / name))
    assert len(frames) == 2
    for frame in frames:
        assert np.abs(centres(frame, 5) / 255 - to_bt709(signals, transfer)).max() < 0.012


def grey(nits: float, transfer: str) -> float:
    """Signal of a grey of so many cd/m2, by bisection of the display light."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        bright = light(np.full((1, 3), middle), transfer)[0, 0] * 203
        low, high = (middle, high) if bright < nits else (low, middle)
    return low


def test_hdr_light_is_that_of_the_standards():
    assert grey(203, "pq") == pytest.approx(0.58, abs=0.002)
    assert grey(1000, "pq") == pytest.approx(0.7518, abs=0.001)
    assert grey(203, "hlg") == pytest.approx(0.75, abs=0.002)
    assert grey(1000, "hlg") == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_tones_keep_their_order_and_greys_their_colour(transfer):
    steps = np.repeat(np.linspace(0, 1, 101)[:, None], 3, 1)
    shown = to_bt709(steps, transfer)
    assert (np.diff(shown[:, 1]) > -1e-9).all()
    assert np.ptp(shown, axis=1).max() < 0.002
    white = to_bt709(np.full((1, 3), grey(203, transfer)), transfer)[0, 0]
    face = to_bt709(np.full((1, 3), grey(80, transfer)), transfer)[0, 0]
    assert 0.85 < white < 0.92
    assert face == pytest.approx((80 / 203) ** (1 / 2.4), abs=0.005)


def test_vivid_colours_keep_their_hue():
    vivid = to_bt709(np.array([[0.75, 0.2, 0.2], [0.2, 0.75, 0.2], [0.2, 0.2, 0.75]]), "hlg")
    assert vivid.argmax(1).tolist() == [0, 1, 2]
    assert vivid.min() >= 0


def test_what_is_converted():
    assert [transfer_of(*tags) for tags in [(1, 1), (2, 2), (1, 9), (16, 9), (18, 9)]] == [
        None,
        None,
        "gamma",
        "pq",
        "hlg",
    ]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_every_turn_is_undone(tmp_path, turns):
    write_video(tmp_path / "flat.mp4", [patches(SKIN).astype(np.uint8)] * 3, 25)
    data = bytearray((tmp_path / "flat.mp4").read_bytes())
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][turns]
    matrix = data.index(b"tkhd") + 4 + 4 + 20 + 16
    one = 1 << 16
    data[matrix : matrix + 36] = struct.pack(">9i", cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(data)
    flat, turned = next(read_frames(tmp_path / "flat.mp4")), next(read_frames(tmp_path / "turned.mp4"))
    assert np.array_equal(turned, np.rot90(flat, -turns))
    info = probe(tmp_path / "turned.mp4")
    assert (info.height, info.width) == turned.shape[:2]


def write_times(path: Path, ticks: list[int], time_base: Fraction, fps: Fraction | int = 25) -> None:
    """Grey frames shown from these times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1" if path.suffix == ".mkv" else "mpeg4", rate=fps)
        stream.width = stream.height = 32
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", time_base
        for tick in ticks:
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = tick, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_variable_times_are_exact(tmp_path):
    ticks = [0, 33, 65, 101, 160, 161, 250, 251, 400, 1000]
    write_times(tmp_path / "phone.mp4", ticks, Fraction(1, 1000))
    assert [time_s for time_s, _ in read_timed_frames(tmp_path / "phone.mp4")] == [Fraction(t, 1000) for t in ticks]


def test_constant_times_are_exact_in_a_container_of_milliseconds(tmp_path):
    write_times(tmp_path / "ntsc.mkv", [1001 * n for n in range(40)], Fraction(1, 30000), Fraction(30000, 1001))
    found = [time_s for time_s, _ in read_timed_frames(tmp_path / "ntsc.mkv")]
    assert max(abs(t - Fraction(1001 * n, 30000)) for n, t in enumerate(found)) < Fraction(1, 10_000)


def test_times_always_ascend(tmp_path):
    write_times(tmp_path / "crowded.mkv", [0, 400, 401, 402, 800], Fraction(1, 10_000))
    found = [time_s for time_s, _ in read_timed_frames(tmp_path / "crowded.mkv")]
    assert len(found) == 5
    assert (np.diff([float(t) for t in found]) > 0).all()


def test_all_frames_have_the_size_of_the_first(tmp_path):
    for name, side in (("a.m2v", 64), ("b.m2v", 48)):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("mpeg2video", rate=25)
            stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
            for i in range(5):
                frame = av.VideoFrame.from_ndarray(np.full((side, side, 3), 90, np.uint8), format="rgb24")
                frame.pts = i + (5 if side == 48 else 0)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    (tmp_path / "both.m2v").write_bytes((tmp_path / "a.m2v").read_bytes() + (tmp_path / "b.m2v").read_bytes())
    shapes = [frame.shape for frame in read_frames(tmp_path / "both.m2v")]
    assert len(shapes) >= 9
    assert set(shapes) == {(64, 64, 3)}


def test_odd_sizes_are_read_whole(tmp_path):
    picture = patches(SKIN, 33, 9)[:, :35].astype(np.float64) / 255
    write(tmp_path / "odd.mkv", encode(picture, "yuv444p12le", BT709, False), BT709)
    assert next(read_frames(tmp_path / "odd.mkv")).shape == (33, 35, 3)
