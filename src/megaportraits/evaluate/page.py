"""The report of one or several evaluations of a model as one HTML page: tables, plots and pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined

from megaportraits.evaluate.columns import METRICS, REGIONS, column
from megaportraits.evaluate.plots import expression_plot, yaw_plot
from megaportraits.evaluate.results import Results, Row
from megaportraits.evaluate.tables import Table, tables
from megaportraits.files import replacing

_CHIEF = (
    ("head_psnr_db", "face_psnr_db"),
    ("mouth_psnr_db",),
    tuple(f"{region}_lpips" for region in REGIONS),
    ("head_gradient_error", "face_gradient_error"),
    tuple(f"{region}_csim" for region in ("face", *REGIONS)),
    tuple(f"{region}_pose_deg" for region in REGIONS),
    (*(f"{region}_landmarks" for region in ("mouth", *REGIONS)), "face_expression"),
)
"""Scores that are plotted, and whose frames are shown; of each line the first one that there is."""


@dataclass(frozen=True)
class Strip:
    """The pictures of one frame."""

    rank: str
    """worst, median or best."""
    value: str
    sample: str
    frame: int
    link: str
    """Relative to the page."""


@dataclass(frozen=True)
class Gallery:
    """The worst, median and best frame by one score."""

    title: str
    chief: bool
    """Whether it is shown at once; the others are folded."""
    strips: list[Strip]


@dataclass(frozen=True)
class Section:
    """What the page says of one protocol."""

    results: Results
    frames: int
    tables: list[Table]
    plots: list[str]
    """SVG elements."""
    galleries: list[Gallery]


def write_page(path: Path, results_list: Sequence[Results], pictures_folder: str = "pictures") -> None:
    """Write the report.

    Args:
        path: the page.
        results_list: one for each protocol, in the order of the page.
        pictures_folder: name of the folder of picture strips: beside the page for one protocol, in the folder
            PROTOCOL beside the page for several.

    Raises:
        UserError: the page cannot be written.
    """
    folders = [f"{quote(r.protocol)}/" if len(results_list) > 1 else "" for r in results_list]
    sections = [_section(r, f"{at}{quote(pictures_folder)}") for r, at in zip(results_list, folders, strict=True)]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = resources.files("megaportraits.evaluate").joinpath("page.html.jinja").read_text(encoding="utf-8")
    text = environment.from_string(source).render(sections=sections, metrics=METRICS)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def chief_scores(results: Results) -> list[str]:
    """The scores that matter most, of those that the evaluated method has values of."""
    known = {key for row in _shown(results) for key, value in row.scores.items() if value is not None}
    found = [next((key for key in keys if key in known), None) for keys in _CHIEF]
    return [key for key in found if key is not None]


def extremes(results: Results, key: str) -> Iterator[tuple[str, Row]]:
    """(rank, row) of the worst, the median and the best frame of the evaluated method; fewer where there are fewer."""
    known = [(value, row) for row in _shown(results) if (value := row.scores.get(key)) is not None]
    known.sort(key=lambda pair: pair[0], reverse=column(key).metric.better == "lower")
    places = {0: "worst", len(known) - 1: "best"} | ({len(known) // 2: "median"} if len(known) > 2 else {})
    for at in sorted(places):
        yield places[at], known[at][1]


def _shown(results: Results) -> list[Row]:
    return [row for row in results.rows if row.method == results.evaluated]


def _section(results: Results, folder: str) -> Section:
    keys = chief_scores(results)
    plots = [plot(results, key) for key in keys for plot in (yaw_plot, expression_plot)]
    return Section(
        results,
        len({(row.sample, row.frame) for row in results.rows}),
        tables(results),
        [plot for plot in plots if plot],
        [_gallery(results, key, folder, True) for key in keys]
        + [_gallery(results, key, folder, False) for key in _judged_scores(results) if key not in keys],
    )


def _judged_scores(results: Results) -> list[str]:
    """All scores that have a better end and that the evaluated method has values of."""
    known = {key: None for row in _shown(results) for key, value in row.scores.items() if value is not None}
    return [key for key in known if column(key).metric.better]


def _gallery(results: Results, key: str, folder: str, chief: bool) -> Gallery:
    c = column(key)
    strips = [
        Strip(rank, c.text(row.scores[key]), row.sample, row.frame, f"{folder}/{_picture(results, row)}")
        for rank, row in extremes(results, key)
    ]
    return Gallery(f"{c.title} {c.arrow}".strip(), chief, strips)


def _picture(results: Results, row: Row) -> str:
    return f"{results.samples.index(row.sample):03d}-{row.frame:04d}.jpg"
