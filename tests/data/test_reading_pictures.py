"""Photos of every kind are read as a viewer shows them; bad ones are one sentence."""

import contextlib
import io
import resource
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from megaportraits.data.pictures import read_picture, write_picture
from megaportraits.errors import UserError


def colours() -> np.ndarray:
    """Smooth ramps, different in each corner."""
    y, x = np.mgrid[:24, :36]
    return np.stack([40 + 5 * x, 60 + 6 * y, 200 - 3 * x - 2 * y], -1).astype(np.uint8)


def error(path: Path, wanted: np.ndarray) -> float:
    found = read_picture(path)
    assert found.shape == wanted.shape
    assert found.dtype == np.uint8
    return float(np.abs(found.astype(int) - wanted).max())


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "avif", "jpg"])
def test_formats(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {"quality": 100, "subsampling": "4:4:4"}
    Image.fromarray(colours()).save(
        tmp_path / f"photo.{suffix}", **({} if suffix in ("png", "bmp", "tif") else options)
    )
    assert error(tmp_path / f"photo.{suffix}", colours()) <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone(tmp_path, orientation):
    upright = colours()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "phone.png", exif=exif)
    assert error(tmp_path / "phone.png", upright) == 0


def over_grey(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return rgb * (alpha[..., None] / 255) + 128 * (1 - alpha[..., None] / 255)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_transparent_parts_are_mid_grey(tmp_path, suffix):
    alpha = np.tile(np.linspace(0, 255, 36).astype(np.uint8), (24, 1))
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    Image.fromarray(np.dstack([colours(), alpha])).save(tmp_path / f"cut.{suffix}", **options)
    assert error(tmp_path / f"cut.{suffix}", over_grey(colours(), alpha)) <= 1.5


def test_transparent_grey_and_palette(tmp_path):
    alpha = np.zeros((24, 36), np.uint8)
    alpha[:, 18:] = 255
    grey = colours()[..., 0]
    Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha))).save(tmp_path / "grey.png")
    assert error(tmp_path / "grey.png", over_grey(grey[..., None].repeat(3, 2), alpha)) <= 1
    palette = Image.fromarray((np.arange(36) // 18)[None].repeat(24, 0).astype(np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.save(tmp_path / "palette.png", transparency=0)
    found = read_picture(tmp_path / "palette.png")
    assert found[0, 0].tolist() == [128, 128, 128]
    assert found[0, -1].tolist() == [0, 0, 255]


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_pictures_become_rgb(tmp_path, mode):
    Image.fromarray(colours()).convert(mode).save(tmp_path / "grey.png")
    found = read_picture(tmp_path / "grey.png")
    assert found.shape == (24, 36, 3)
    assert np.ptp(found, axis=2).max() == 0
    assert np.ptp(found) > 100


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled(tmp_path, suffix):
    deep = np.linspace(0, 65535, 24 * 36).reshape(24, 36).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / f"deep.{suffix}")
    assert error(tmp_path / f"deep.{suffix}", (deep / 257)[..., None].repeat(3, 2)) <= 0.51


def png(width: int, height: int, depth: int, kind: int, rows: bytes) -> bytes:
    """A PNG by its specification (Pillow writes no 16-bit colour)."""
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_sixteen_bit_colour_is_scaled(tmp_path):
    deep = colours().astype(np.uint16) * 257 + 90
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    (tmp_path / "deep.png").write_bytes(png(36, 24, 16, 2, rows))
    assert error(tmp_path / "deep.png", colours()) <= 1


@pytest.mark.parametrize("white", [1, 255])
def test_real_numbers_are_scaled(tmp_path, white):
    Image.fromarray((colours()[..., 0] / 255 * white).astype(np.float32)).save(tmp_path / "real.tif")
    assert error(tmp_path / "real.tif", colours()[..., :1].repeat(3, 2)) <= 1


def test_cmyk_becomes_rgb(tmp_path):
    Image.fromarray(colours()).convert("CMYK").save(tmp_path / "print.jpg", quality=100)
    assert error(tmp_path / "print.jpg", colours()) <= 6


def swapped_profile() -> bytes:
    """sRGB's profile under another name, whose red and blue colorants are exchanged."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    tags = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    data[red + 4 : red + 12], data[blue + 4 : blue + 12] = data[blue + 4 : blue + 12], data[red + 4 : red + 12]
    while (at := data.find("sRGB".encode("utf-16-be"))) >= 0:
        data[at : at + 8] = "mine".encode("utf-16-be")
    return bytes(data)


@pytest.mark.parametrize("alpha", [False, True])
def test_colour_profiles_are_applied(tmp_path, alpha):
    picture = Image.fromarray(colours())
    if alpha:
        picture.putalpha(255)
    picture.save(tmp_path / "wide.png", icc_profile=swapped_profile())
    assert error(tmp_path / "wide.png", colours()[..., ::-1]) <= 3


@pytest.mark.parametrize("profile", [b"no profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()])
def test_bad_and_standard_profiles_change_nothing(tmp_path, profile):
    Image.fromarray(colours()).save(tmp_path / "plain.png", icc_profile=profile)
    assert error(tmp_path / "plain.png", colours()) == 0
    Image.fromarray(colours()).convert("CMYK").save(tmp_path / "print.jpg", quality=100, icc_profile=profile)
    assert error(tmp_path / "print.jpg", colours()) <= 6


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_an_animation_is_its_first_frame(tmp_path, suffix):
    frames = [Image.new("RGB", (30, 20), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    frames[0].save(tmp_path / f"moving.{suffix}", save_all=True, append_images=frames[1:], duration=40)
    found = read_picture(tmp_path / f"moving.{suffix}")
    assert found.shape == (20, 30, 3)
    assert np.abs(found.astype(int) - (250, 0, 0)).max() < 12


def test_heic(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif", reason="extra heic is not installed")
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(colours()))).resize((96, 144)).save(
        tmp_path / "a.heic", exif=exif.tobytes()
    )
    found = read_picture(tmp_path / "a.heic")
    assert found.shape == (96, 144, 3)
    assert np.abs(found[::4, ::4].astype(int) - colours()).mean() < 8


def test_heic_without_its_library_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"anything")
    with pytest.raises(UserError, match=r"megaportraits\[heic\]"):
        read_picture(tmp_path / "a.heic")


def missing(path: Path) -> None:
    pass


def text(path: Path) -> None:
    path.write_text("not a picture")


def folder(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_off(path: Path) -> None:
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(whole, "png")
    path.write_bytes(whole.getvalue()[:3000])


def bomb(path: Path) -> None:
    path.write_bytes(png(60_000, 60_000, 8, 0, b""))


@pytest.mark.parametrize("make", [missing, text, folder, empty, cut_off, bomb])
def test_bad_pictures_are_one_sentence(tmp_path, make):
    path = tmp_path / "photo.png"
    make(path)
    with pytest.raises(UserError) as caught:
        read_picture(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bomb_is_called_too_large(tmp_path):
    bomb(tmp_path / "photo.png")
    with pytest.raises(UserError, match="million pixels"):
        read_picture(tmp_path / "photo.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif", "gif", "tif", "bmp"])
def test_damage_never_shows_a_traceback(tmp_path, suffix):
    rng = np.random.default_rng(3)
    whole = io.BytesIO()
    Image.fromarray(colours()).save(whole, {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix))
    path = tmp_path / f"photo.{suffix}"
    for _ in range(60):
        data = bytearray(whole.getvalue())
        data[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(data[: rng.integers(len(data) // 2, len(data) + 1)])
        with contextlib.suppress(UserError):
            assert read_picture(path).ndim == 3


def test_one_pixel_is_a_picture(tmp_path):
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "dot.png")
    assert read_picture(tmp_path / "dot.png").tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.jpeg", "out.webp", "new folder/OUT.PNG"])
def test_what_is_written_is_read_again(tmp_path, name):
    write_picture(tmp_path / name, colours())
    assert error(tmp_path / name, colours()) <= 12


@pytest.mark.parametrize("name", ["out.png", "out.webp"])
def test_transparency_is_written(tmp_path, name):
    alpha = np.tile(np.linspace(0, 255, 36).astype(np.uint8), (24, 1))
    write_picture(tmp_path / name, np.dstack([colours(), alpha]))
    with Image.open(tmp_path / name) as image:
        assert image.mode == "RGBA"
        assert np.abs(np.array(image.getchannel("A")).astype(int) - alpha).max() <= 1


@pytest.mark.parametrize(("name", "channels"), [("out.bmp", 3), ("out", 3), ("out.jpg", 4), ("a_file/out.png", 3)])
def test_what_cannot_be_written_is_one_sentence(tmp_path, name, channels):
    (tmp_path / "a_file").write_text("x")
    with pytest.raises(UserError, match="choose"):
        write_picture(tmp_path / name, np.zeros((4, 4, channels), np.uint8))
    assert [p.name for p in tmp_path.iterdir()] == ["a_file"]


@pytest.mark.parametrize(
    ("name", "height", "width"), [("a.webp", 4, 16_384), ("a.jpg", 65_501, 4), ("A.JPEG", 4, 65_501)]
)
def test_pictures_too_large_for_the_format_are_one_sentence(tmp_path, name, height, width):
    with pytest.raises(UserError, match=f"cannot hold {width} x {height} px, .* choose a name that ends in .png"):
        write_picture(tmp_path / name, np.zeros((height, width, 3), np.uint8))
    write_picture(tmp_path / name, np.zeros((min(height, 4), min(width, 4), 3), np.uint8))
    write_picture(tmp_path / "a.png", np.zeros((height, width, 3), np.uint8))


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.webp"])
def test_a_full_disk_is_one_sentence(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
    try:
        with pytest.raises(UserError, match=rf"cannot write .*{name} \(.*; make room"):
            write_picture(tmp_path / name, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
