"""A number for each vertex that tells the shader where it is.

Skin: 2 inside the mouth, (0, 1] on the lips, [-1, 0) where a beard grows, else 0.
Teeth and tongue: depth behind the front of the mouth, in decimetres (0 or below). Other parts: 0.
"""

import cv2
import numpy as np
import scipy.spatial
from jaxtyping import Float

from megaportraits.synth.assets import AssetLibrary
from megaportraits.synth.parts import Part

SCALP_REACH_DM = 0.07
SCALP_FROM_Y = (7.15, 7.35)
"""Heights on the unshaped base mesh hm08 between which the scalp begins."""


def surface_mask(library: AssetLibrary, part: Part) -> Float[np.ndarray, " G"]:
    """The mask of a part's geometric vertices."""
    if part.material in ("teeth", "tongue"):
        return part.positions[:, 2] - part.positions[:, 2].max()
    if part.material != "skin":
        return np.zeros(len(part.positions))
    used = part.mesh.source_vertices
    uv = np.zeros((len(used), 2))
    uv[part.mesh.geometric_of] = part.mesh.uv
    lips, inside = _read(library, "lips", uv), _read(library, "inside-mouth", uv)
    beard = _beard(library.base.vertices[used]) * (1 - np.clip(lips * 1.6, 0, 1))
    mask = np.where(lips > 0.1, lips, -beard)
    mask[inside > 0.5] = 2
    return mask


def scalp_shade(library: AssetLibrary, part: Part, hair: Float[np.ndarray, "H 3"] | None) -> Float[np.ndarray, " G"]:
    """How much hair colour the skin below and beside the hair takes, in [0, 1]: softens the hairline."""
    shade = np.zeros(len(part.positions))
    if part.material != "skin" or hair is None:
        return shade
    height = library.base.vertices[part.mesh.source_vertices, 1]
    distance = scipy.spatial.KDTree(hair).query(part.positions)[0]
    return np.exp(-((distance / SCALP_REACH_DM) ** 2)) * _smoothstep(*SCALP_FROM_Y, height)


def _read(library: AssetLibrary, name: str, uv: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, " N"]:
    path = library.mask(name)
    if path is None:
        return np.zeros(len(uv))
    picture = cv2.GaussianBlur(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), (0, 0), 1.5)
    height, width = picture.shape
    rows = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    columns = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    return picture[rows, columns] / 255.0


def _beard(base: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " N"]:
    """Jaw, chin and upper lip of the unshaped base mesh hm08, soft at the edges, in [0, 1]."""
    x, y, z = np.abs(base[:, 0]), base[:, 1], base[:, 2]
    cheek_line = 6.60 + 0.75 * np.clip((x - 0.30) / 0.5, 0, 1)
    jaw = 1 - _smoothstep(cheek_line - 0.12, cheek_line + 0.10, y)
    jaw *= _smoothstep(6.02, 6.25, y + 0.35 * z - 0.35) * _smoothstep(0.15, 0.40, z)
    moustache = _smoothstep(6.66, 6.74, y) * (1 - _smoothstep(6.84, 6.90, y))
    moustache *= (1 - _smoothstep(0.28, 0.38, x)) * _smoothstep(1.2, 1.35, z)
    return np.clip(np.maximum(jaw, moustache), 0, 1)


def _smoothstep(low, high, value) -> Float[np.ndarray, " N"]:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
