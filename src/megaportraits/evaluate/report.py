"""Writing an evaluation down: Markdown tables and a contact sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from megaportraits.evaluate.openings import Agreement
from megaportraits.evaluate.scores import Means
from megaportraits.files import replacing

_CELL_PX = 160
_HEADER_PX = 40
_PICTURE = {"psnr_db": ("PSNR dB", 2), "ssim": ("SSIM", 4), "l1": ("L1", 4)}
_JUDGED = {
    "pose_deg": ("pose error °", 2),
    "gaze_deg": ("gaze error °", 2),
    "landmarks": ("landmark error", 4),
    "lpips": ("LPIPS", 4),
    "csim": ("CSIM", 4),
}
"""Title and digits by metric; what stands in neither table is only in the JSON."""


@dataclass(frozen=True)
class SheetRow:
    """One line of the contact sheet."""

    name: str
    pictures: dict[str, Float[Tensor, "3 S S"]]
    """By column title; the same titles in every row."""


def score_tables(means: Means, missing: dict[str, tuple[int, int]]) -> str:
    """Markdown: scores of the pictures, then what the judges say, where there are any. Empty cell: no value.

    Args:
        means: by method.
        missing: frames without a face and frames looked at, by method; empty where nobody looked.
    """
    judged = _table(means, _JUDGED, {m: f"{n} of {total}" for m, (n, total) in missing.items()})
    return _table(means, _PICTURE, {}) + (f"\n{judged}" if judged else "")


def opening_table(agreements: dict[str, dict[str, Agreement]]) -> str:
    """Markdown: how the result's openings correlate with the driver's."""
    parts = list(next(iter(agreements.values())))
    titles = [f"{part} {kind}" for part in parts for kind in ("pooled", "within clips")]
    lines = [f"| method | {' | '.join(titles)} | frames |", "|---" + "|---:" * (len(titles) + 1) + "|"]
    for method, found in agreements.items():
        values = [v for part in parts for v in (found[part].pooled, found[part].within_clips)]
        cells = ["" if v is None else f"{v:.3f}" for v in values]
        lines.append(f"| {method} | {' | '.join(cells)} | {found[parts[0]].frames} |")
    return "\n".join(lines) + "\n"


def _table(means: Means, metrics: dict[str, tuple[str, int]], missing: dict[str, str]) -> str:
    """Methods down, those of their scores across that `metrics` names; empty where no method has any."""
    keys = list(dict.fromkeys(key for scores in means.values() for key in scores if _metric(key) in metrics))
    if not keys:
        return ""
    titles = [f"{key.split('_', 1)[0]} {metrics[_metric(key)][0]}" for key in keys] + ["no face"] * bool(missing)
    lines = ["| method | " + " | ".join(titles) + " |", "|---" + "|---:" * len(titles) + "|"]
    for method, scores in means.items():
        if not scores.keys().isdisjoint(keys):
            cells = [_cell(scores.get(key), metrics[_metric(key)][1]) for key in keys]
            cells += [missing.get(method, "")] * bool(missing)
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _metric(key: str) -> str:
    return key.split("_", 1)[1]


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


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
