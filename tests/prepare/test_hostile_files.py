"""Two hundred hostile files: no crash, no hang, each listed with a reason."""

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from moving_faces import FACE, FPS, moving
from PIL import Image

from megaportraits.config import FilterConfig, PreparePhotos, PrepareVideos, RunnerConfig
from megaportraits.data.video_writer import write_video
from megaportraits.errors import UserError
from megaportraits.prepare.command import prepare_photos, prepare_videos
from megaportraits.prepare.records import read_manifest

RUN = RunnerConfig(workers=2, file_limit_s=60.0)
GENERATOR = np.random.default_rng(7)


def noise(size: int) -> bytes:
    return GENERATOR.integers(0, 256, size, np.uint8).tobytes()


def damaged(original: bytes, count: int) -> Iterator[bytes]:
    """Cut off, with holes of noise, with bits flipped, in turn."""
    for i in range(count):
        place = int(GENERATOR.integers(1, len(original) - 1))
        if i % 3 == 0:
            yield original[:place]
        elif i % 3 == 1:
            yield original[:place] + noise(200) + original[place + 200 :]
        else:
            data = bytearray(original)
            for at in GENERATOR.integers(0, len(data), 40):
                data[at] ^= 1 << int(GENERATOR.integers(0, 8))
            yield bytes(data)


def png_of_size(width: int, height: int) -> bytes:
    """A header that promises so many pixels, and one row of nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )


def write_all(folder: Path, files: dict[str, bytes], suffix: str) -> None:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / f"loop{suffix}").symlink_to(folder / f"loop{suffix}")
    (folder / f"gone{suffix}").symlink_to(folder / "nowhere")
    (folder / "circle").symlink_to(folder)
    (folder / f"folder{suffix}").mkdir()
    secret = folder / f"secret{suffix}"
    secret.write_bytes(noise(100))
    secret.chmod(0)
    os.mkfifo(folder / f"pipe{suffix}")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write_video(folder / "good.mp4", moving(16), FPS)
    video = (folder / "good.mp4").read_bytes()
    Image.fromarray(FACE).save(folder / "good.png")
    Image.fromarray(FACE).save(folder / "good.jpg")
    picture, photo = (folder / "good.png").read_bytes(), (folder / "good.jpg").read_bytes()
    videos = {f"noise{i}.mp4": noise(10 ** (i % 5)) for i in range(10)}
    videos |= {f"empty{i}{suffix}": b"" for i, suffix in enumerate((".mp4", ".mov", ".mkv", ".avi", ".webm", ".mpg"))}
    videos |= {f"damaged{i}.mp4": data for i, data in enumerate(damaged(video, 60))}
    videos |= {"picture.mp4": picture, "photo.mkv": photo, "text.mov": b"#!/bin/sh\necho hello\n" * 50}
    videos |= {"name with 'quotes' and \n line.mp4": noise(10), "ünï©ode.mp4": noise(10), "-rf.mp4": noise(10)}
    write_all(folder / "videos", videos, ".mp4")
    photos = {f"noise{i}.jpg": noise(10 ** (i % 5)) for i in range(10)}
    photos |= {f"empty{i}{suffix}": b"" for i, suffix in enumerate((".png", ".jpg", ".webp", ".tif", ".bmp", ".avif"))}
    photos |= {f"damaged{i}.png": data for i, data in enumerate(damaged(picture, 45))}
    photos |= {f"damaged{i}.jpg": data for i, data in enumerate(damaged(photo, 45))}
    photos |= {"bomb.png": png_of_size(60_000, 60_000), "wide.png": png_of_size(2**31 - 1, 1)}
    photos |= {"video.jpg": video, "text.png": b"not a picture"}
    write_all(folder / "photos", photos, ".png")
    return folder


def test_hostile_videos_are_listed_with_reasons(hostile, tmp_path):
    limits = FilterConfig(least_scale=0.2, least_s=0.2, least_frames=4, duplicate_bits=-1)
    config = PrepareVideos((str(hostile / "videos"),), str(tmp_path / "out"), size=64, filters=limits, run=RUN)
    check(config, hostile / "videos", prepare_videos)


def test_hostile_photos_are_listed_with_reasons(hostile, tmp_path):
    limits = FilterConfig(least_scale=0.2, duplicate_bits=-1)
    config = PreparePhotos((str(hostile / "photos"),), str(tmp_path / "out"), size=64, filters=limits, run=RUN)
    check(config, hostile / "photos", prepare_photos)


def check(config, folder: Path, prepare) -> None:
    """Every file is in the manifest; those that are plainly no pictures have a reason of one line."""
    with contextlib.suppress(UserError):  # none could be used
        prepare(config)
    found = {record.source: record for record in read_manifest(Path(config.out))}
    files = {p.name for p in folder.iterdir() if p.suffix and not p.is_dir()}
    assert found.keys() == files
    for name, record in found.items():
        if not name.startswith("damaged"):
            assert record.reason, name
        assert "\n" not in record.reason
        assert len(record.reason) < 300
    assert not list(Path(config.out).glob(".*"))


def test_together_they_are_two_hundred(hostile):
    assert sum(1 for kind in ("videos", "photos") for p in (hostile / kind).iterdir()) >= 200
