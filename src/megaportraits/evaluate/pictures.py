"""Pictures of an evaluation: a strip for each frame, and a contact sheet of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from megaportraits.evaluate.protocols import Sample
from megaportraits.files import replacing

_HEADER_PX = 40
_SHEET_ROWS = 8
Results = dict[str, Float[Tensor, "T 3 S S"]]
"""Pictures by method."""


@dataclass(frozen=True)
class Cells:
    """Sides of the square cells."""

    strip_px: int = 256
    """Of strips, at most."""
    sheet_px: int = 160
    """Of the contact sheet."""


COARSE, FINE = Cells(), Cells(512, 320)
"""What suffices to see motion and likeness, and what shows edges."""


def titles(sample: Sample, methods: Iterable[str]) -> list[str]:
    """What a strip shows, from left to right."""
    return [*_given(sample), *methods]


def _given(sample: Sample) -> Results:
    """What stands before the results of methods."""
    driver = {"driver": sample.driver.picture()} if sample.crossed else {}
    answer = {} if sample.target is None else {"right answer": sample.target.over_grey()}
    return {"source": sample.source.picture().expand(len(sample.wanted.numbers), -1, -1, -1), **driver, **answer}


def strip_path(folder: Path, sample: int, frame: int) -> Path:
    """Where the strip of a frame lies."""
    return folder / "pictures" / f"{sample:03d}-{frame:04d}.jpg"


def write_strips(folder: Path, sample: Sample, results: Results, most_px: int = COARSE.strip_px) -> None:
    """Write the strip of each frame: square cells side by side, at most `most_px` each."""
    shown = _given(sample) | results
    for i, frame in enumerate(sample.wanted.numbers):
        cells = [_picture(pictures[i], most_px) for pictures in shown.values()]
        with replacing(strip_path(folder, sample.number, frame)) as temporary:
            _side_by_side(cells).save(temporary, quality=90)


def most_moved(sample: Sample) -> int:
    """The frame, by its number, that differs most from the first one, where a method has most to do."""
    before = sample.driver.over_grey()[:1] if sample.target is None else sample.source.over_grey()
    row = int((sample.wanted.over_grey() - before).abs().mean((1, 2, 3)).argmax())
    return sample.wanted.numbers[row]


def write_sheet(folder: Path, samples: Sequence[Sample], titles: Sequence[str], cell_px: int = COARSE.sheet_px) -> None:
    """Write `contact_sheet.png` from the strips: one line for each of at most 8 samples, column titles above."""
    picked = [samples[i] for i in sorted({round(x) for x in np.linspace(0, len(samples) - 1, _SHEET_ROWS)})]
    sheet = Image.new("RGB", (cell_px * len(titles), _HEADER_PX + cell_px * len(picked)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for column, title in enumerate(titles):
        text, middle = title.replace(", ", ",\n"), (column + 0.5) * cell_px
        draw.multiline_text((middle, _HEADER_PX / 2), text, "black", font, "mm", align="center")
    for line, sample in enumerate(picked):
        top = _HEADER_PX + line * cell_px
        with Image.open(strip_path(folder, sample.number, most_moved(sample))) as strip:
            sheet.paste(strip.resize((cell_px * len(titles), cell_px), Image.Resampling.LANCZOS), (0, top))
        small = ImageFont.load_default(size=10)
        draw.text((4, top + cell_px - 15), sample.name, "black", small, stroke_width=2, stroke_fill="white")
    with replacing(folder / "contact_sheet.png") as temporary:
        sheet.save(temporary)


def _picture(picture: Float[Tensor, "3 S S"], most_px: int) -> Image.Image:
    values: UInt8[np.ndarray, "S S 3"] = (picture.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy()
    whole = Image.fromarray(np.ascontiguousarray(values))
    return whole if whole.width <= most_px else whole.resize((most_px, most_px), Image.Resampling.LANCZOS)


def _side_by_side(cells: Sequence[Image.Image]) -> Image.Image:
    side = cells[0].width
    out = Image.new("RGB", (side * len(cells), side))
    for column, cell in enumerate(cells):
        out.paste(cell, (column * side, 0))
    return out
