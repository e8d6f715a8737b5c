"""The map in docs/paper.md names files, symbols and tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/paper.md").read_text().split("## Cost")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| paper")
]


def missing(cell: str, root: Path) -> list[str]:
    """Names in a cell that are not there: `file.py:Name.member`, `file.py::test`; `::test`, `Name` of the last file."""
    lost, file = [], root
    for name in re.findall(r"`([^`]+)`", cell):
        path, _, symbol = name.partition(":")
        if path.endswith(("/", ".py")):
            file = root / path
        else:
            symbol = symbol or path
        text = file.read_text() if file.is_file() else ""
        pattern = rf"(def |class |^){re.escape(symbol.strip(':').split('.')[-1])}\b"
        if not file.exists() or (symbol and not re.search(pattern, text, re.MULTILINE)):
            lost.append(name)
    return lost


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}: {row[1]}")
def test_row_names_what_exists(row):
    _, _, code, tests, differs = row
    assert missing(code, ROOT / "src/megaportraits") == []
    assert missing(tests, ROOT / "tests") == []
    assert code
    assert tests
    text = (ROOT / "docs/paper.md").read_text()
    assert all(f"- **{mark}" in text for mark in re.findall(r"[CD]\d+", differs))
