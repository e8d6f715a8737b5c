"""Textures of a person, composed on the CPU; uint8 `H W 3` or `H W 4`, RGB(A)."""

import functools
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from megaportraits.errors import UserError
from megaportraits.synth.assets import AssetLibrary
from megaportraits.synth.identity import IdentitySpec
from megaportraits.synth.parts import Part

RED_SKIN_FIX = np.array([0.88, 1.12, 1.16], np.float32)
"""The dark female skins of MakeHuman are strongly red."""
LUMINANCE = np.array([0.3, 0.5, 0.2], np.float32)


def part_texture(library: AssetLibrary, spec: IdentitySpec, part: Part, size_px: int) -> UInt8[np.ndarray, "H W c"]:
    """The texture of one part; `size_px` is the side of the skin texture."""
    if part.material == "skin":
        return _skin(library, spec, size_px)
    if part.texture is None:
        return np.full((4, 4, 4), 160, np.uint8)
    picture = read_picture(part.texture)
    if part.material == "hair":
        return _bleed_under_transparent(_hair(picture, spec))
    if part.material == "brow":
        color = np.array(spec.hair_color) * spec.eyebrow_darkness
        color *= min(1.0, 0.055 / color.max())
        return _flat(picture, color ** (1 / 2.2) * 255, spec.eyebrow_density)
    if part.material == "lash":
        return _flat(picture, np.full(3, 12.0), spec.eyelash_density)
    return picture


def read_picture(path: Path) -> UInt8[np.ndarray, "H W c"]:
    """A picture file as RGB or RGBA.

    Raises:
        UserError: it cannot be decoded.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise UserError(f"{path} cannot be read as a picture; replace it by the original texture")
    if picture.ndim == 2:
        return np.repeat(picture[..., None], 3, 2)
    return np.ascontiguousarray(picture[..., [2, 1, 0, 3][: picture.shape[2]]])


@functools.lru_cache(maxsize=6)
def _skin_layers(path: Path, size_px: int) -> tuple[Float[np.ndarray, "S S 3"], Float[np.ndarray, "S S 3"]]:
    """Low and high frequencies of a skin."""
    picture = read_picture(path)[..., :3]
    if picture.shape[0] != size_px:
        method = cv2.INTER_CUBIC if picture.shape[0] < size_px else cv2.INTER_AREA
        picture = cv2.resize(picture, (size_px, size_px), interpolation=method)
    small = cv2.resize(picture.astype(np.float32), (size_px // 8, size_px // 8), interpolation=cv2.INTER_AREA)
    low = cv2.resize(cv2.GaussianBlur(small, (0, 0), 2.0), (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    return low, picture - low


def _skin(library: AssetLibrary, spec: IdentitySpec, size_px: int) -> UInt8[np.ndarray, "S S 3"]:
    """Colour of one skin and detail of another, tinted."""
    skin = spec.skin
    color, _ = _skin_layers(library.skins[skin.color], size_px)
    if "darkskinned_female" in skin.color:
        color = color * RED_SKIN_FIX
    detail_low, detail = _skin_layers(library.skins[skin.detail], size_px)
    ratio = np.clip(color.mean((0, 1)) / np.maximum(detail_low.mean((0, 1)), 1), 0.4, 1.6)
    picture = np.clip(color + detail * (skin.detail_gain * ratio).astype(np.float32), 0, 255)
    grey = picture.mean(2, keepdims=True)
    tint = np.array(skin.gain) * [1 + 0.04 * skin.redness, 1, 1 - 0.03 * skin.redness]
    picture = (grey + (picture - grey) * skin.saturation) * tint.astype(np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _hair(picture: UInt8[np.ndarray, "H W c"], spec: IdentitySpec) -> UInt8[np.ndarray, "H W 4"]:
    """Keep alpha and relative luminance, replace the colour."""
    alpha = picture[..., 3:] if picture.shape[2] == 4 else np.full_like(picture[..., :1], 255)
    luminance = (picture[..., :3] / np.float32(255)) ** 2.2 @ LUMINANCE
    mean = (luminance * alpha[..., 0]).sum() / max(float(alpha.sum()), 1.0)
    relative = np.clip(luminance / max(mean, 1e-4), 0.02, 5) ** (0.55 * spec.hair_contrast)
    color = np.clip(relative[..., None] * np.array(spec.hair_color, np.float32), 0, 1) ** (1 / 2.2)
    return np.concatenate([(color * 255).astype(np.uint8), alpha], 2)


def _flat(picture: UInt8[np.ndarray, "H W c"], color, density: float) -> UInt8[np.ndarray, "H W c"]:
    """One colour, the picture's alpha times a density."""
    out = picture.copy()
    out[..., :3] = np.clip(color, 0, 255).astype(np.uint8)
    out[..., 3:] = np.clip(out[..., 3:] * density, 0, 255).astype(np.uint8)
    return out


def _bleed_under_transparent(picture: UInt8[np.ndarray, "H W 4"]) -> UInt8[np.ndarray, "H W 4"]:
    """Spread colours under transparent texels, so that mip-mapping does not pull in black."""
    weight = (picture[..., 3:] / np.float32(255)).astype(np.float32)
    color = picture[..., :3] * weight
    for step in range(8):
        width = 2 ** (step + 1) + 1
        blurred = cv2.blur(np.concatenate([color, weight], 2), (width, width))
        hole = (weight < 0.02) & (blurred[..., 3:] > 1e-4)
        color = np.where(hole, blurred[..., :3] / np.maximum(blurred[..., 3:], 1e-5) * 0.05, color)
        weight = np.where(hole, 0.05, weight)
    out = picture.copy()
    out[..., :3] = np.clip(color / np.maximum(weight, 1e-4), 0, 255).astype(np.uint8)
    return out
