"""A contact sheet: what a video would look like, without making all of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from megaportraits.data.pictures import write_picture

STEP = 10
"""A preview shows every tenth frame, or fewer."""
_MOST_CELLS = 60
_COLUMNS = 6
_HEIGHT_PX = 160


def preview_frames(count: int) -> list[int]:
    """Numbers of the frames of a preview: every tenth, or every twentieth, thirtieth ... so that 60 suffice."""
    tens = -(-count // STEP)
    return list(range(0, count, STEP * max(1, -(-tens // _MOST_CELLS))))


class ContactSheet:
    """Collects small pictures with a line of text each."""

    def __init__(self) -> None:
        self._cells: list[Image.Image] = []

    def add(self, panels: Sequence[UInt8[np.ndarray, "h w c"]], text: str) -> None:
        """Add one cell: pictures beside each other, brought to one height."""
        small = [_at_height(panel) for panel in panels]
        cell = Image.new("RGB", (sum(p.width for p in small), _HEIGHT_PX), "white")
        left = 0
        for panel in small:
            cell.paste(panel, (left, 0), panel if panel.mode == "RGBA" else None)
            left += panel.width
        font = ImageFont.load_default(size=11)
        ImageDraw.Draw(cell).text((3, _HEIGHT_PX - 15), text, "black", font, stroke_width=2, stroke_fill="white")
        self._cells.append(cell)

    def write(self, path: str | Path, made_by: str) -> None:
        """Write the sheet, six cells in a row, with a statement of the program that made it.

        Raises:
            UserError: the path cannot be written.
        """
        columns = min(_COLUMNS, len(self._cells))
        width = max(cell.width for cell in self._cells)
        sheet = Image.new("RGB", (columns * width, -(-len(self._cells) // columns) * _HEIGHT_PX), "white")
        for i, cell in enumerate(self._cells):
            sheet.paste(cell, (i % columns * width, i // columns * _HEIGHT_PX))
        write_picture(path, np.array(sheet), made_by)


def _at_height(picture: UInt8[np.ndarray, "h w c"]) -> Image.Image:
    whole = Image.fromarray(picture)
    return whole.resize((max(1, round(whole.width * _HEIGHT_PX / whole.height)), _HEIGHT_PX), Image.Resampling.LANCZOS)
