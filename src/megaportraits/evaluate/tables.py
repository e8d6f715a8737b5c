"""Tables of an evaluation, methods down and scores across: as Markdown, as LaTeX, and all rows as CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from megaportraits.evaluate.columns import METRICS, Column, Group, column
from megaportraits.evaluate.results import Results, Row

MOVED = 0.05
"""A frame counts as moved where its landmarks are further than this from the source's, on average, in face heights."""
KNOWING = (
    "right answer",
    "driver",
    "model, driven by the answer",
    "source, similarity",
    "source, landmark warp",
    "source, driver's landmark motion",
)
"""What was given more than the two pictures (the right answer, poses, landmarks) is not compared with the others."""
Scores = Mapping[str, float | None]
_GROUPS: dict[Group, str] = {
    "pictures": "Pictures against the right answer",
    "edges": "Sharpness against the right answer",
    "judges": "What the judges say",
}
"""Titles of the tables."""


@dataclass(frozen=True)
class Cell:
    """A mean over frames, or the score of a set of pictures."""

    value: float | None
    text: str
    best: bool = False
    """No other comparable method is printed with a better value."""


@dataclass(frozen=True)
class Table:
    """What all renderings show."""

    title: str
    columns: list[Column]
    rows: dict[str, list[Cell]]
    """By method, a cell for each column."""
    notes: list[str] = field(default_factory=list)


def tables(results: Results) -> list[Table]:
    """One table for each group of metrics, and all of them again for the frames that moved.

    Columns without any value are left out, and tables without columns, unless an unavailable metric belongs there.
    """
    everything, total = means(results.rows), len(_frames(results.rows))
    for method, scores in results.sets.items():
        everything[method] = everything.get(method, {}) | scores
    moved = [row for row in results.rows if row.moved > MOVED]
    suffix = f", frames that moved by more than {MOVED:.0%} of the face ({len(_frames(moved))} of {total})"
    made = {group: _table(title, everything, group) for group, title in _GROUPS.items()}
    again = [_table(title + suffix, means(moved), group) for group, title in _GROUPS.items()]
    if any(c.name == "fid" for c in made["judges"].columns):
        made["judges"].notes.append(
            f"FID and KID of {total} pictures: FID is biased upwards, strongly below about 2048; compare it only with "
            "that of equally many, and prefer KID"
        )
    if "with" in results.networks.get("csim", {}):
        made["judges"].notes.append(
            f"CSIM by {results.networks['csim']['file']}, a recognition net of `train identity`: it tells no more than "
            "which of two runs is nearer to the source, and is not comparable with the CSIM of other recognisers"
        )
    if made["edges"].columns:
        made["edges"].notes.append("sharpness: 1 is the right answer's, less is too smooth, more too sharp or noisy")
    for name, why in results.unavailable.items():
        made[_group(name)].notes.append(f"{name}: not available: {why}")
    return [table for table in [*made.values(), *again] if table.columns or table.notes]


def means(rows: Sequence[Row]) -> dict[str, dict[str, float | None]]:
    """By method and score: the mean over all frames that have it (PSNR: mean of the frames' dB), None where none has.

    Where somebody looked for a face, `no_face` counts the frames in which there was none.
    """
    out: dict[str, dict[str, float | None]] = {}
    for method in dict.fromkeys(row.method for row in rows):
        own = [row.scores for row in rows if row.method == method]
        out[method] = {key: _mean(own, key) for key in dict.fromkeys(key for scores in own for key in scores)}
        looked = [key for key in out[method] if column(key).name in ("opening", "landmarks")]
        if looked:
            faceless = [all(scores.get(key) is None for key in looked) for scores in own]
            out[method]["no_face"] = float(sum(faceless))
    return out


def _mean(scores: Sequence[Scores], key: str) -> float | None:
    known = [value for one in scores if (value := one.get(key)) is not None]
    return sum(known) / len(known) if known else None


def _frames(rows: Sequence[Row]) -> set[tuple[str, int]]:
    return {(row.sample, row.frame) for row in rows}


def _group(title: str) -> Group:
    """The group of a metric whose title begins alike; "judges" for others."""
    first = title.lower().split()[:1]
    groups: list[Group] = [metric.group for metric in METRICS.values() if metric.title.lower().split()[:1] == first]
    return groups[0] if groups else "judges"


def _table(title: str, found: Mapping[str, Scores], group: Group) -> Table:
    keys = dict.fromkeys(key for scores in found.values() for key, value in scores.items() if value is not None)
    columns = [c for c in map(column, keys) if c.metric.group == group]
    shown = {m: scores for m, scores in found.items() if any(c.key in scores for c in columns)}
    best = {c.key: _best(c, {m: s.get(c.key) for m, s in shown.items() if m not in KNOWING}) for c in columns}
    rows = {
        method: [
            Cell(scores.get(c.key), text, method not in KNOWING and bool(text) and text == best[c.key])
            for c in columns
            for text in [c.text(scores.get(c.key))]
        ]
        for method, scores in shown.items()
    }
    return Table(title, columns, rows)


def _best(column: Column, values: Scores) -> str:
    """The best value as it is printed; empty where there is nothing to compare."""
    known = [value for value in values.values() if value is not None]
    if len(known) < 2 or column.metric.better is None:
        return ""
    return column.text(max(known) if column.metric.better == "higher" else min(known))


def markdown(table: Table) -> str:
    """Heading, table and notes; empty cells have no value."""
    lines = [f"## {table.title}", ""]
    if table.columns:
        titles = [markdown_text(f"{c.title} {c.arrow}".strip()) for c in table.columns]
        lines += [f"| method | {' | '.join(titles)} |", "|---" + "|---:" * len(titles) + "|"]
        for method, cells in table.rows.items():
            lines.append(f"| {markdown_text(method)} | {' | '.join(cell.text for cell in cells)} |")
        lines.append("")
    return "\n".join(lines + [line for note in table.notes for line in (markdown_text(note), "")])


def markdown_text(text: str) -> str:
    """Text with the special characters of Markdown's tables escaped."""
    return "".join(f"\\{c}" if c in r"\|<*`" else c for c in text)


_LATEX = {c: f"\\{c}" for c in "%$#&_{}"} | {
    "-": "{-}", "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "°": r"$^\circ$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
}  # fmt: skip


def latex(table: Table) -> str:
    """A `table` for the package booktabs; bold: the best comparable method."""
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{latex_text(table.title)}}}"]
    if table.columns:
        titles = [latex_text(f"{c.title} {c.arrow}".strip()) for c in table.columns]
        lines += [rf"\begin{{tabular}}{{l{'r' * len(titles)}}}", r"\toprule"]
        lines += [" & ".join(["method", *titles]) + r" \\", r"\midrule"]
        for method, cells in table.rows.items():
            texts = [rf"\textbf{{{cell.text}}}" if cell.best else cell.text for cell in cells]
            lines.append(" & ".join([latex_text(method), *texts]) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par {latex_text(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}", ""])


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(c, c) for c in text)


def csv_rows(rows: Sequence[Row]) -> str:
    """One line for each sample, frame and method, with all scores; empty where there is no value."""
    keys = list(dict.fromkeys(key for row in rows for key in row.scores))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["sample", "frame", "method", "yaw_deg", "moved", "expression", *keys])
    for row in rows:
        facts = [row.sample, row.frame, row.method, row.yaw_deg, row.moved, row.expression]
        writer.writerow(facts + [row.scores.get(key) for key in keys])
    return out.getvalue()
