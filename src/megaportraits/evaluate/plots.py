"""Scores against the wanted head's yaw and expression, as SVG to be put into a page.

Text and axes take the page's text colour, so that they can be read on light and on dark ground.
"""

import html
import io
import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from megaportraits.evaluate.columns import Column, column
from megaportraits.evaluate.results import Results, Row

_YAW_BIN_DEG = 10
_EXPRESSION_BINS = 5
_COLOURS = ("#0d84d1", "#d9620a", "#0a9e73", "#c76aa3", "#8a7bd8", "#b58a00", "#8a8a8a", "#c0443c")
_MARKERS = "osD^vPX*"
_INK = "#010203"
"""Stands for the page's text colour."""
_INKED = ("axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color", "text.color")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 10,
    "font.family": "sans-serif",
    "text.parse_math": False,
}
_STYLE |= dict.fromkeys(_INKED, _INK) | {"axes.spines.top": False, "axes.spines.right": False}
Frame = tuple[str, int]
"""Sample and frame number."""


@dataclass(frozen=True)
class _Bins:
    """Which frames are shown together."""

    labels: list[str]
    of_frame: dict[Frame, int]

    def counts(self) -> list[int]:
        """Frames in each bin."""
        return np.bincount(list(self.of_frame.values()), minlength=len(self.labels)).tolist()


def yaw_plot(results: Results, key: str) -> str:
    """A score against |yaw| in bins of 10 degrees: mean and standard error of each method. Empty without values."""
    return _svg(results, key, "absolute yaw of the wanted head, degrees", lambda row: abs(row.yaw_deg), _yaw_bins)


def expression_plot(results: Results, key: str) -> str:
    """A score against the movement without the head's, in five bins of as many frames each. Empty without values."""
    title = "movement by expression, eye distances"
    return _svg(results, key, title, lambda row: row.expression, _quantile_bins)


def mean_and_error(values: Float[np.ndarray, " N"], clusters: Int[np.ndarray, " N"]) -> tuple[float, float]:
    """Mean and its standard error; frames of one cluster may resemble each other. NaN for the error of one cluster."""
    mean = float(values.mean())
    _, inverse = np.unique(clusters, return_inverse=True)
    sums = np.bincount(inverse, values - mean)
    count = len(sums)
    if count < 2:
        return mean, math.nan
    return mean, math.sqrt(count / (count - 1) * float((sums**2).sum())) / len(values)


def _yaw_bins(values: dict[Frame, float]) -> _Bins:
    of_frame = {frame: int(value // _YAW_BIN_DEG) for frame, value in values.items()}
    edges = [_YAW_BIN_DEG * i for i in range(max(of_frame.values()) + 2)]
    return _Bins([f"{low} to {high}" for low, high in itertools.pairwise(edges)], of_frame)


def _quantile_bins(values: dict[Frame, float]) -> _Bins:
    known = np.array(list(values.values()))
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _EXPRESSION_BINS + 1)))
    used, index = np.unique(np.searchsorted(edges[1:-1], known, side="right"), return_inverse=True)
    inside = [known[index == i] for i in range(len(used))]
    labels = [f"{part.min():.3f} to\n{part.max():.3f}" for part in inside]
    return _Bins(labels, dict(zip(values, index.tolist(), strict=True)))


def _svg(
    results: Results,
    key: str,
    x_title: str,
    x_value: Callable[[Row], float],
    bins_of: Callable[[dict[Frame, float]], _Bins],
) -> str:
    rows = [row for row in results.rows if row.scores.get(key) is not None and math.isfinite(x_value(row))]
    if not rows:
        return ""
    bins = bins_of({(row.sample, row.frame): x_value(row) for row in rows})
    methods = list(dict.fromkeys(row.method for row in results.rows))
    c = column(key)
    title = f"{c.title} against {x_title}"
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": f"{results.protocol} {title}"}):
        figure = _figure(rows, methods, bins, c, x_title)
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return _inline(buffer.getvalue(), f"{title}, protocol {results.protocol}")


def _figure(rows: Sequence[Row], methods: Sequence[str], bins: _Bins, c: Column, x_title: str) -> Figure:
    """A method has the same colour and marker in all figures of its results."""
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    for i, method in enumerate(methods):
        own = [row for row in rows if row.method == method]
        if own:
            _line(axes, own, bins, c.key, i)
    labels = [f"{label}\nn = {count}" for label, count in zip(bins.labels, bins.counts(), strict=True)]
    axes.set_xticks(range(len(labels)), labels, fontsize=8)
    axes.set_title(f"{c.title} against {x_title}", fontsize=10)
    axes.set_xlabel(f"{x_title}; n: frames")
    axes.set_ylabel(f"{c.title} {c.arrow}".strip())
    axes.grid(axis="y", color=_INK, alpha=0.15, linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _line(axes: Axes, rows: Sequence[Row], bins: _Bins, key: str, number: int) -> None:
    """One method: means, and a band of one standard error to each side."""
    index = np.array([bins.of_frame[row.sample, row.frame] for row in rows])
    values = np.array([row.scores[key] for row in rows], float)
    _, samples = np.unique([row.sample for row in rows], return_inverse=True)
    points = np.full((len(bins.labels), 2), np.nan)
    for i in np.unique(index):
        points[i] = mean_and_error(values[index == i], samples[index == i])
    mean, error = points.T
    x = np.arange(len(points))
    colour, marker = (kinds[number % len(kinds)] for kinds in (_COLOURS, _MARKERS))
    width = 2.2 if number == 0 else 1.3
    axes.fill_between(x, mean - error, mean + error, color=colour, alpha=0.15, linewidth=0)
    axes.plot(x, mean, color=colour, marker=marker, markersize=4.5, linewidth=width, label=rows[0].method)


def _inline(svg: str, title: str) -> str:
    """The element alone: named, as wide as its place, in the page's text colour, without names that nobody uses."""
    element = svg[svg.index("<svg") :]
    used = set(re.findall(r"#([\w.-]+)", element))
    element = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", element)
    element = re.sub(r"<(metadata|style).*?</\1>", "", element, flags=re.DOTALL).replace(_INK, "currentColor")
    opening, rest = element.split(">", 1)
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    named = f'<svg role="img" aria-label="{html.escape(title)}" stroke-linejoin="round"'
    return f"{opening.replace('<svg', named, 1)}>{rest}".strip()
