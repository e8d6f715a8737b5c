"""`megaportraits prepare report`: what was prepared and what was left out, as one HTML page."""

import base64
import io
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, StrictUndefined
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from megaportraits.files import replacing, writing
from megaportraits.prepare.jobs import JOBS
from megaportraits.prepare.records import Record, read_manifest

_PAGE = "report.html"
_TAKEN, _LEFT = "#0d84d1", "#d9620a"
_INK = "#767d88"
"""To be read on light and on dark ground."""
_STYLE: dict[Any, Any] = dict.fromkeys(
    ("axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color", "text.color"), _INK
) | {
    "svg.fonttype": "none", "svg.hashsalt": "prepare", "font.family": "sans-serif", "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip
_PLOTS = {
    "crop_px": "Side of the head's square, px of the file",
    "yaw_deg": "Turn to the side, median of a clip, degrees",
    "quality": "Quality",
    "motion": "Motion: range of place, turn or openings",
    "likeness": "Likeness within a clip",
}
_MOST_SHOWN, _MOST_PER_REASON, _MOST_REASONS = 96, 8, 40


@dataclass(frozen=True)
class Card:
    """A small picture with words below it."""

    picture: str
    """JPEG as a data address; empty where there is none."""
    title: str
    notes: list[str]


def report(data: Path) -> None:
    """Write the page about a prepared folder anew, from its manifest.

    Args:
        data: a folder that `prepare videos` or `prepare photos` has made.

    Raises:
        UserError: the folder has no readable manifest, or the page cannot be written.
    """
    print(write_report(data, read_manifest(data)))


def write_report(folder: Path, records: Sequence[Record]) -> Path:
    """Write the page; its path.

    Raises:
        UserError: the page cannot be written.
    """
    taken, left = ([r for r in records if bool(r.reason) is out] for out in (False, True))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = resources.files("megaportraits.prepare").joinpath("page.html.jinja").read_text(encoding="utf-8")
    text = environment.from_string(source).render(
        facts=_facts(taken, left, records),
        reasons=Counter(_kind(r.reason) for r in left).most_common(_MOST_REASONS),
        plots={title: _plot(name, title, taken, left) for name, title in _PLOTS.items() if _known(name, records)},
        taken=[_card(r, folder) for r in _spread(taken, _MOST_SHOWN)],
        taken_count=len(taken),
        left={reason: [_card(r, folder) for r in rows] for reason, rows in _by_reason(left).items()},
    )
    path = folder / _PAGE
    with replacing(path) as temporary, writing(path):
        temporary.write_text(text, encoding="utf-8")
    return path


def _facts(taken: Sequence[Record], left: Sequence[Record], records: Sequence[Record]) -> dict[str, str]:
    minutes = sum(r.end_s - r.start_s for r in taken) / 60
    splits = Counter(r.split for r in taken)
    return {
        "files": str(len({r.source for r in records})),
        "clips taken": str(len(taken)),
        "clips or files left out": str(len(left)),
        "frames taken": f"{sum(r.frames for r in taken)} ({minutes:.1f} minutes)",
        "people taken": str(len({r.identity for r in taken})),
        "splits": ", ".join(f"{name} {count}" for name, count in sorted(splits.items())) or "none",
        "licences": ", ".join(sorted({r.licence for r in taken})) or "none",
    }


def _kind(reason: str) -> str:
    """Reasons that differ in names and numbers in brackets only are one."""
    if reason.startswith("the same as "):
        return "the same as another clip"
    return re.sub(r"after frame \d+", "in the middle", re.sub(r" \(.*?\)(?=;|$)", "", reason))


def _by_reason(left: Sequence[Record]) -> dict[str, list[Record]]:
    kinds: dict[str, list[Record]] = defaultdict(list)
    for record in left:
        kinds[_kind(record.reason)].append(record)
    ordered = sorted(kinds.items(), key=lambda pair: -len(pair[1]))[:_MOST_REASONS]
    return {kind: _spread(records, _MOST_PER_REASON) for kind, records in ordered}


def _spread(records: Sequence[Record], most: int) -> list[Record]:
    """At most so many of them, evenly."""
    step = max(1, -(-len(records) // most))
    return list(records[::step])


def _card(record: Record, folder: Path) -> Card:
    path = folder / JOBS / f"{record.name}.jpg"
    picture = f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}" if path.is_file() else ""
    notes = [] if not record.frames else [f"{record.frames} frames, square of {record.crop_px:.0f} px"]
    if "yaw_deg" in record.scores:
        notes.append(f"yaw {record.scores['yaw_deg']:+.0f}°")
    notes += [
        f"{name} {record.scores[name]:.2f}" for name in ("quality", "motion", "likeness") if name in record.scores
    ]
    if record.reason.startswith("the same as "):
        notes.append(record.reason)
    return Card(picture, record.name if record.frames else record.source, notes)


def _known(name: str, records: Sequence[Record]) -> bool:
    return any(name in r.scores for r in records)


def _plot(name: str, title: str, taken: Sequence[Record], left: Sequence[Record]) -> str:
    values = [[r.scores[name] for r in records if name in r.scores] for records in (taken, left)]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(5.2, 2.1), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        axes.hist(values, bins=24, stacked=True, color=[_TAKEN, _LEFT], label=["taken", "left out"])
        axes.set_title(title, fontsize=9, loc="left")
        axes.legend(frameon=False, fontsize=8)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color=_INK, alpha=0.2, linewidth=0.6)
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue().encode()).decode()
