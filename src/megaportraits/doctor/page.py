"""The doctor's report: a printed page, and one HTML page that holds its pictures."""

import base64
import io
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, StrictUndefined
from PIL import Image

from megaportraits.doctor.findings import LEVELS, Finding, gravest_first
from megaportraits.files import replacing

_WIDTH = 100
_INDENT = 11


@dataclass(frozen=True)
class Card:
    """Pictures beside each other with words below them."""

    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]
    title: str
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Part:
    """What the report says of one file."""

    title: str
    """Driver or photo, and its name."""
    facts: str
    """Size and length."""
    findings: list[Finding]
    previews: list[Card]
    """How the head is framed."""
    plots: dict[str, str]
    """SVG files by title."""
    cards: list[Card]
    """Frames that show findings."""


def verdict(findings: Sequence[Finding]) -> str:
    """How many findings of which level; fine ones are not counted."""
    counts = Counter(finding.level for finding in findings)
    words = [f"{counts[level]} {level}{'s' * (counts[level] > 1)}" for level in LEVELS[:-1] if counts[level]]
    return ", ".join(words) or "nothing to complain about"


def as_text(parts: Sequence[Part]) -> str:
    """The findings for the terminal, gravest first, at most 100 columns wide."""
    lines: list[str] = []
    for part in parts:
        lines += [part.title, f"  {part.facts}: {verdict(part.findings)}"]
        for finding in gravest_first(part.findings):
            said = f"{finding.what}: {finding.numbers}" if finding.numbers else finding.what
            lines += _wrapped(f"  {finding.level:<{_INDENT - 2}}{said}")
            lines += _wrapped(f"{'':<{_INDENT}}{finding.advice}") if finding.advice else []
        lines.append("")
    return "\n".join(lines).rstrip()


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent=" " * _INDENT, drop_whitespace=True) if text else []


def write_page(path: Path, parts: Sequence[Part]) -> None:
    """Write the report as one file without links to others.

    Raises:
        UserError: the page cannot be written.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"jpeg": _jpeg, "svg": _svg, "gravest_first": gravest_first, "verdict": verdict}
    source = resources.files("megaportraits.doctor").joinpath("page.html.jinja").read_text(encoding="utf-8")
    text = environment.from_string(source).render(parts=parts)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _jpeg(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _svg(plot: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(plot.encode()).decode()
