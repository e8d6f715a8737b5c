"""Showing HDR and wide-gamut video (ITU-R BT.2020, PQ or HLG) as standard BT.709, as a viewer expects it.

Light is counted in units of reference white (203 cd/m2, ITU-R BT.2408), which is what a face in an HDR video is exposed
for. Up to half of it nothing changes; highlights are rolled off up to the peak, so that they keep their colour.
"""

import tempfile
from pathlib import Path
from typing import Literal

import av
import av.filter
import numpy as np
from jaxtyping import Float, UInt8

Transfer = Literal["pq", "hlg", "gamma"]
"""How numbers stand for light: SMPTE ST 2084, ARIB STD-B67, or a display of gamma 2.4."""

_BT2020, _PQ, _HLG = 9, 16, 18
_WHITE_NITS, _PEAK_NITS = 203, 1000
_KNEE = 0.5
_LUT_SIZE = 49
_GAMMA = 2.4
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593])
_LUMA_709 = np.array([0.2126, 0.7152, 0.0722])
_TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


def transfer_of(trc: int, primaries: int) -> Transfer | None:
    """What to undo, by a video's transfer and primaries (numbers of ITU-T H.273); None for BT.709 and its like."""
    if trc in (_PQ, _HLG):
        return "pq" if trc == _PQ else "hlg"
    return "gamma" if primaries == _BT2020 else None


def light(signal: Float[np.ndarray, "N 3"], transfer: Transfer) -> Float[np.ndarray, "N 3"]:
    """Display light in units of reference white, of RGB signals in [0, 1]."""
    if transfer == "gamma":
        return signal**_GAMMA
    if transfer == "pq":
        power = signal ** (32 / 2523)
        return (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (8192 / 1305) * 1e4 / _WHITE_NITS
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return scene * (scene @ _LUMA_2020)[:, None] ** 0.2 * _PEAK_NITS / _WHITE_NITS


def to_bt709(signal: Float[np.ndarray, "N 3"], transfer: Transfer) -> Float[np.ndarray, "N 3"]:
    """BT.2020 RGB signals in [0, 1] as BT.709 ones in [0, 1]."""
    rgb = _in_gamut(light(signal, transfer) @ _TO_709.T)
    if transfer != "gamma":
        brightest = np.maximum(rgb.max(1, keepdims=True), 1e-9)
        rgb = rgb * _rolled_off(brightest) / brightest
    return np.clip(rgb, 0, 1) ** (1 / _GAMMA)


def _in_gamut(rgb: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
    """Colours outside BT.709 drawn towards the grey of their brightness, just as far as needed."""
    grey = (rgb @ _LUMA_709)[:, None]
    below = np.minimum(rgb.min(1, keepdims=True), 0)
    return grey + (rgb - grey) * grey / np.maximum(grey - below, 1e-9)


def _rolled_off(light: Float[np.ndarray, "N 1"]) -> Float[np.ndarray, "N 1"]:
    """Reinhard's curve with a white point, above the knee only: slope 1 there, 1 at the peak."""
    above = np.maximum(light - _KNEE, 0) / (1 - _KNEE)
    peak = (_PEAK_NITS / _WHITE_NITS - _KNEE) / (1 - _KNEE)
    rolled = above * (1 + above / peak**2) / (1 + above)
    return np.minimum(light, _KNEE) + (1 - _KNEE) * np.minimum(rolled, 1)


class ToBt709:
    """Converts the frames of one BT.2020 video by FFmpeg's lookup table in three dimensions."""

    def __init__(self, transfer: Transfer):
        self._transfer: Transfer = transfer
        self._graph: av.filter.Graph | None = None
        self._opened_for: tuple = ()

    def __call__(self, frame: av.VideoFrame, width: int, height: int) -> UInt8[np.ndarray, "H W 3"]:
        """A frame, resized, as RGB."""
        opened_for = (frame.format.name, frame.width, frame.height, frame.color_range, width, height)
        if self._graph is None or opened_for != self._opened_for:
            self._graph, self._opened_for = self._opened(*opened_for), opened_for
        self._graph.push(frame)
        return self._graph.pull().to_ndarray()  # pyright: ignore[reportAttributeAccessIssue]

    def _opened(self, pixels: str, w: int, h: int, full: int, width: int, height: int) -> av.filter.Graph:
        graph = av.filter.Graph()
        colours = f"in_color_matrix=bt2020:in_range={'pc' if full == 2 else 'tv'}:out_range=pc:flags=bicubic"
        with tempfile.TemporaryDirectory(prefix="megaportraits-") as folder:
            table = Path(folder) / "to_bt709.cube"
            table.write_text(cube(self._transfer))
            steps = [
                graph.add("buffer", f"video_size={w}x{h}:pix_fmt={pixels}:time_base=1/25"),
                graph.add("scale", f"{width}:{height}:{colours}"),
                graph.add("format", "gbrp12le"),
                graph.add("lut3d", file=str(table), interp="tetrahedral"),
                graph.add("format", "rgb24"),
                graph.add("buffersink"),
            ]
        graph.link_nodes(*steps).configure()
        return graph


def cube(transfer: Transfer) -> str:
    """The conversion as a .cube lookup table (red runs fastest)."""
    axis = np.linspace(0, 1, _LUT_SIZE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    table = to_bt709(np.stack([red, green, blue], -1).reshape(-1, 3), transfer)
    return f"LUT_3D_SIZE {_LUT_SIZE}\n" + "\n".join(f"{r:.5f} {g:.5f} {b:.5f}" for r, g, b in table.tolist()) + "\n"
