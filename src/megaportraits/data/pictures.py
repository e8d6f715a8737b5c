"""Reading a photo as the viewer sees it, and writing one."""

import io
import re
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from megaportraits.data.provenance import xmp
from megaportraits.errors import UserError
from megaportraits.files import replacing, writing

HEIC = (".heic", ".heif", ".hif")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff", *HEIC)
"""Suffixes by which a file is taken for a picture."""
WRITABLE = (".png", ".jpg", ".jpeg", ".webp")
"""Suffixes of pictures that can be written."""
_MOST_PX = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}
"""Longest side that a format can hold."""
_BEHIND = (128, 128, 128)
_UNREADABLE = (
    UnidentifiedImageError,
    SyntaxError,
    ValueError,
    OSError,
    EOFError,
    RuntimeError,
    struct.error,
    TypeError,
)
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC


def read_picture(path: str | Path) -> UInt8[np.ndarray, "H W 3"]:
    """An image file as RGB in sRGB, turned by its EXIF orientation; of an animation the first frame.

    Colour profiles are applied, 16 bits are scaled to 8, and transparent parts are shown over mid-grey.

    Raises:
        UserError: no such file, not a picture, damaged, or enormous.
    """
    if Path(path).suffix.lower() in HEIC:
        _learn_heic(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return np.array(_to_rgb(ImageOps.exif_transpose(image)))
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}; give the path of a picture") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder; give the path of a picture") from error
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise UserError(f"{path} has more than {most} million pixels; give it reduced in size") from error
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is not a readable picture ({reason}); give a JPEG or PNG file") from error


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder in the natural order of their names; hidden files are none."""
    seen = (p for p in folder.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith("."))
    return sorted(seen, key=natural_order)


def natural_order(path: Path) -> list[tuple[int, str]]:
    """Sorting key by which frame2 comes before frame10."""
    pieces = re.split(r"(\d+)", path.name.lower())  # text and numbers take turns
    return [(int(piece), "") if i % 2 else (-1, piece) for i, piece in enumerate(pieces)]


def _learn_heic(path: str | Path) -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise UserError(
            f"{path} is a HEIC picture, which this installation cannot read; "
            "install megaportraits[heic], or save the picture as JPEG"
        ) from error
    pillow_heif.register_heif_opener()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image).convert("RGB")
    profile = image.info.get("icc_profile")
    if not image.has_transparency_data:
        return _in_srgb(image, profile)
    layers = image.convert("RGBA")
    opaque = Image.new("RGB", image.size, _BEHIND)
    opaque.paste(_in_srgb(layers.convert("RGB"), profile), mask=layers.getchannel("A"))
    return opaque


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, of 32 bits (16 used), or of real numbers (white is 1, or 255 where there are larger ones)."""
    values = np.asarray(image, np.float64)
    white = 65535 if image.mode.startswith("I") else 255 if values.max() > 1 else 1
    return Image.fromarray(np.clip(values * 255 / white + 0.5, 0, 255).astype(np.uint8))


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB in sRGB; a profile that is damaged, does not fit the picture, or is sRGB itself changes nothing."""
    plain = image if image.mode in ("RGB", "CMYK", "L") else image.convert("RGB")
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(own):
                changed = ImageCms.profileToProfile(plain, own, ImageCms.createProfile("sRGB"), _INTENT, "RGB")
                return changed or plain.convert("RGB")
        except (ImageCms.PyCMSError, OSError):
            pass
    return plain.convert("RGB")


def rgb_array(picture: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "H W 3"]:
    """An array that a caller gave for a picture, contiguous.

    Raises:
        UserError: not RGB as uint8, or empty.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise UserError(f"a picture of {picture.dtype} {picture.shape} came; give RGB as uint8 (height, width, 3)")
    return np.ascontiguousarray(picture)


def statement(suffix: str, made_by: str) -> dict[str, Any]:
    """What Pillow's `save` needs to write that a program generated the picture; nothing without a program."""
    if not made_by:
        return {}
    if suffix != ".png":
        return {"xmp": xmp(made_by)}
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("XML:com.adobe.xmp", xmp(made_by).decode())
    return {"pnginfo": notes}


def write_picture(path: str | Path, picture: UInt8[np.ndarray, "H W C"], made_by: str = "") -> None:
    """Write RGB or RGBA as .png, .jpg or .webp, by the name; nothing is left of a failed attempt.

    Args:
        path: of the file.
        picture: what to write.
        made_by: program that generated it, for a statement in the file (`data/provenance.py`); empty for none.

    Raises:
        UserError: another suffix, transparency for .jpg, too many pixels for the format, or a path that cannot be
            written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITABLE:
        raise UserError(f"{path} does not end in {', '.join(WRITABLE)}; choose an output name that does")
    if picture.shape[2] == 4 and suffix in (".jpg", ".jpeg"):
        raise UserError(f"{path} shall be transparent, which JPEG cannot be; choose a name that ends in .png or .webp")
    height, width = picture.shape[:2]
    if max(height, width) > _MOST_PX.get(suffix, max(height, width)):
        raise UserError(
            f"{path} cannot hold {width} x {height} px, as {suffix} goes to {_MOST_PX[suffix]} px a side; choose a "
            "name that ends in .png, or make the picture smaller"
        )
    with replacing(path) as temporary, writing(path):
        encoded = io.BytesIO()  # Pillow itself does not notice when a disk is full in the middle of a JPEG
        Image.fromarray(picture).save(
            encoded, Image.registered_extensions()[suffix], quality=95, **statement(suffix, made_by)
        )
        temporary.write_bytes(encoded.getvalue())
