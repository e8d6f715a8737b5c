"""Reading a photo as the viewer sees it."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from megaportraits.errors import UserError


def read_picture(path: str | Path) -> UInt8[np.ndarray, "H W 3"]:
    """An image file as RGB, turned by its EXIF orientation.

    Raises:
        UserError: no such file, not a picture, or damaged.
    """
    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}; give the path of a picture") from error
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError, OSError) as error:
        raise UserError(f"{path} is not a readable picture ({error}); give a JPEG or PNG file") from error
