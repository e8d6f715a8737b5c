"""Small plots of a driver over time, as SVG pictures."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from megaportraits.animate.tracking import DriverTrack
from megaportraits.doctor.findings import each_shot

_COLOURS = ("#0d84d1", "#d9620a", "#0a9e73")
_INK = "#767d88"
"""To be read on light and on dark ground."""
_INKED = ("axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color", "text.color")
_STYLE: dict[Any, Any] = dict.fromkeys(_INKED, _INK) | {
    "svg.fonttype": "none", "svg.hashsalt": "doctor", "font.family": "sans-serif", "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False,
}  # fmt: skip
_MOST_POINTS = 1500
Line = tuple[str, Float[np.ndarray, " T"]]


def plots(track: DriverTrack) -> dict[str, str]:
    """SVG files by title; none where there is no face or less than two frames.

    Grey: the face is not seen. Dashed: a scene cut.
    """
    if not track.faces or len(track.times_s) < 2:
        return {}
    face = track.faces[0]
    yaw, pitch, roll = face.angles_deg.T
    lines: dict[str, list[Line]] = {
        "Turn, degrees": [("yaw", yaw), ("pitch", pitch), ("roll", roll)],
        "Openings": [("mouth, face heights", face.mouth), ("eyes, eye widths", face.eyes)],
        "Height of the face, px": [("height", face.box[:, 3])],
        "Luma of the largest face, 0 to 255": [("luma", track.brightness)],
        "Sharpness of the largest face": [("sharpness", track.sharpness)],
    }
    return {title: _svg(title, own, track) for title, own in lines.items()}


def _svg(title: str, lines: Sequence[Line], track: DriverTrack) -> str:
    with matplotlib.rc_context(_STYLE):
        buffer = io.StringIO()
        FigureCanvasSVG(_figure(title, lines, track)).print_svg(buffer, metadata={"Date": None})
    return buffer.getvalue()


def _figure(title: str, lines: Sequence[Line], track: DriverTrack) -> Figure:
    step = -(-len(track.times_s) // _MOST_POINTS)
    times = np.array([float(time) for time in track.times_s])
    figure = Figure(figsize=(5.2, 2.1), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    for (name, values), colour in zip(lines, _COLOURS, strict=False):
        axes.plot(times[::step], values[::step], color=colour, linewidth=1.2, label=name)
    missing = ~np.isfinite(track.faces[0].box[:, 0])
    axes.fill_between(times, 0, 1, where=missing.tolist(), color=_INK, alpha=0.3, linewidth=0,
                      step="mid", transform=axes.get_xaxis_transform())  # fmt: skip
    for index in each_shot(track.shot)[1:]:
        axes.axvline(float(times[index[0]]), color=_INK, linestyle="--", linewidth=0.8)
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel("seconds")
    axes.grid(axis="y", color=_INK, alpha=0.2, linewidth=0.6)
    axes.margins(x=0)
    if len(lines) > 1:
        axes.legend(loc="upper right", ncols=3, frameon=False, fontsize=8, bbox_to_anchor=(1, 1.2))
    return figure
