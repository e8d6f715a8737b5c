"""Writing an evaluation down: JSON with every row, a Markdown table, a contact sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from megaportraits.files import replacing

_CELL_PX = 160
_HEADER_PX = 40
_TITLES = {"psnr_db": "PSNR dB", "ssim": "SSIM", "l1": "L1"}
_DIGITS = {"psnr_db": 2, "ssim": 4, "l1": 4}


@dataclass(frozen=True)
class SheetRow:
    """One line of the contact sheet."""

    name: str
    pictures: dict[str, Float[Tensor, "3 S S"]]
    """By column title; the same titles in every row."""


def markdown_table(means: dict[str, dict[str, float | None]]) -> str:
    """Methods down, scores across; an empty cell where a score has no value."""
    keys = list(next(iter(means.values())))
    lines = ["| method | " + " | ".join(map(_title, keys)) + " |", "|---" + "|---:" * len(keys) + "|"]
    for method, scores in means.items():
        lines.append(f"| {method} | " + " | ".join(_cell(key, scores[key]) for key in keys) + " |")
    return "\n".join(lines) + "\n"


def _title(key: str) -> str:
    region, metric = key.split("_", 1)
    return f"{region} {_TITLES[metric]}"


def _cell(key: str, value: float | None) -> str:
    return "" if value is None else f"{value:.{_DIGITS[key.split('_', 1)[1]]}f}"


def write_text(path: Path, text: str) -> None:
    """Write a text file, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def write_sheet(path: Path, rows: Sequence[SheetRow]) -> None:
    """Write the contact sheet as PNG: one line for each sample, column titles above."""
    titles = list(rows[0].pictures)
    sheet = Image.new("RGB", (_CELL_PX * len(titles), _HEADER_PX + _CELL_PX * len(rows)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for column, title in enumerate(titles):
        text, middle = title.replace(", ", ",\n"), (column + 0.5) * _CELL_PX
        draw.multiline_text((middle, _HEADER_PX / 2), text, "black", font, "mm", align="center")
    for line, row in enumerate(rows):
        top = _HEADER_PX + line * _CELL_PX
        for column, title in enumerate(titles):
            sheet.paste(_cell_picture(row.pictures[title]), (column * _CELL_PX, top))
        label = ImageFont.load_default(size=10)
        draw.text((4, top + _CELL_PX - 15), row.name, "black", label, stroke_width=2, stroke_fill="white")
    with replacing(path) as temporary:
        sheet.save(temporary)


def _cell_picture(picture: Float[Tensor, "3 S S"]) -> Image.Image:
    values: UInt8[np.ndarray, "S S 3"] = (picture.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(values)).resize((_CELL_PX, _CELL_PX), Image.Resampling.LANCZOS)
