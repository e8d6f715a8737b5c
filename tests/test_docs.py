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


def numbers(line: str) -> list[str]:
    return re.findall(r"(?<=\| )-?\d+\.\d+(?= \|)", line)


def test_the_readmes_scores_are_those_of_the_results():
    """Each number of a method in README's table is one of that method in docs/results.md, rounded."""
    named = {
        "shipped model": "model", "the same, constant expression": "model, z constant",
        "source, true similarity": "source, similarity", "right answer": "right answer",
        "source, 2D warp by the answer's landmarks": "source, landmark warp",
    }  # fmt: skip
    readme, results = (ROOT / name for name in ("README.md", "docs/results.md"))
    rows = [line for line in readme.read_text().splitlines() if line.startswith(tuple(f"| {name} |" for name in named))]
    assert len(rows) == len(named)
    for row in rows:
        method = named[row.split("|")[1].strip()]
        lines = [line for line in results.read_text().splitlines() if line.startswith(f"| {method} |")]
        known = [float(number) for line in lines for number in numbers(line)]
        for number in numbers(row):
            half = 0.5 * 10.0 ** -len(number.partition(".")[2])
            assert any(abs(value - float(number)) <= half + 1e-9 for value in known), (method, number)
