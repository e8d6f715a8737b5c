"""What there is to prepare: files, folders, patterns, and lists with times and boxes."""

import csv
import glob
import hashlib
import itertools
import json
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from megaportraits.errors import UserError

LISTS = (".csv", ".json", ".txt")
DATASET = "dataset.json"
"""The settings of a prepared folder."""
_PREPARED = {DATASET, "clip.json"}
_RESERVED = ("jobs", "left_out")
"""Names in a prepared folder that are no clips."""
_LONGEST_NAME = 60
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Item:
    """A file, or a part of one, that shall become clips."""

    path: Path
    source: str
    """How the manifest calls the file: its path relative to what was given."""
    name: str = ""
    """What its clips' names begin with: letters, digits, hyphens and underscores, different for each item."""
    identity: str = ""
    """Who it shows; empty where only the file is known."""
    licence: str = ""
    """Of this file; empty for that of the settings."""
    start_s: float = 0.0
    end_s: float | None = None
    """The part to use, in seconds from the start; None goes to the end."""
    start_frame: int = 0
    end_frame: int | None = None
    """The same in frames, the last one included."""
    box: Box | None = None
    """Where the person is: left, top, right, bottom in parts of the picture; None for anyone."""
    adult: bool | None = None
    """Whether a photo shows an adult; None where the list does not say."""


Reader = Callable[[Path, Sequence[str]], Iterator[Item]]
"""Items of a folder or list, and suffixes of files."""


def find_items(names: Sequence[str], suffixes: Sequence[str], read: Reader | None = None) -> list[Item]:
    """Everything that was given, sorted by name, each file once.

    Args:
        names: files, folders (searched to their depths, links to folders are not followed), patterns, lists.
        suffixes: of files in folders.
        read: reader of folders and lists of a known dataset; None for plain ones.

    Raises:
        UserError: nothing was found, or a list cannot be read.
    """
    items: list[Item] = []
    for name in names:
        for path in _matches(name):
            if path.is_dir() or path.suffix.lower() in LISTS:
                items += (read or _plain)(path, suffixes)
            else:
                items.append(Item(path, path.name))
    if not items:
        raise UserError(
            f"no {', '.join(suffixes)} is in {', '.join(names) or 'an empty list'}; give files, or folders of them"
        )
    return sorted(_named(items), key=lambda item: item.name)


def walk(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """Files in a folder and the folders below it, sorted.

    Hidden ones, links to folders, and folders that were prepared or hold a clip are passed over.
    """
    for at, folders, files in os.walk(folder):
        if at != str(folder) and _PREPARED & set(files):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                yield Path(at) / name


def read_text(path: Path) -> str:
    """A list's text.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a readable list ({error}); give a file in UTF-8") from error


def read_json_list(path: Path) -> Any:
    """What a JSON list holds.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not readable JSON ({error}); mend it, or download it again") from error


def read_csv_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table with a header; empty cells are left out.

    Raises:
        UserError: it cannot be read, or a row has not as many cells as the header.
    """
    try:
        rows = list(csv.DictReader(read_text(path).splitlines(), skipinitialspace=True))
    except csv.Error as error:
        raise UserError(f"{path} is not a readable table ({error}); give a CSV file in UTF-8") from error
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise UserError(f"line {number} of {path} has not as many cells as the header; mend it")
    return [{name: text.strip() for name, text in row.items() if text.strip()} for row in rows]


def _matches(name: str) -> list[Path]:
    if not Path(name).exists() and glob.has_magic(name):
        found = [Path(path) for path in sorted(glob.glob(name, recursive=True))]
        if not found:
            raise UserError(f"no file fits the pattern {name}; check it")
        return found
    return [Path(name)]


def _plain(path: Path, suffixes: Sequence[str]) -> Iterator[Item]:
    if path.is_dir():
        for file in walk(path, suffixes):
            yield Item(file, file.relative_to(path).as_posix())
        return
    if path.suffix.lower() == ".txt":
        rows: Any = [{"file": line.strip()} for line in read_text(path).splitlines() if line.strip()]
    else:
        rows = read_csv_rows(path) if path.suffix.lower() == ".csv" else read_json_list(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} holds no list of objects; give one with a 'file' in each (docs/data.md)")
    for number, row in enumerate(rows, 1):
        yield _item_of(row, path, number)


_NUMBERS = ("start_s", "end_s", "start_frame", "end_frame")
_BOX = ("left", "top", "right", "bottom")
_COLUMNS = ("file", "name", "identity", "licence", *_NUMBERS, *_BOX, "adult")


def _item_of(row: dict[str, Any], path: Path, number: int) -> Item:
    """An item of a row; files are looked for beside the list."""
    unknown = sorted(set(row) - set(_COLUMNS))
    if unknown or not row.get("file"):
        raise UserError(
            f"entry {number} of {path} has {', '.join(map(str, row)) or 'nothing'}; 'file' is needed, and known others "
            f"are {', '.join(_COLUMNS[1:])}"
        )
    row = {name: value for name, value in row.items() if value not in (None, "")}
    given: dict[str, Any] = {name: str(row[name]) for name in ("name", "identity", "licence") if name in row}
    try:
        given |= {name: _number_type(name)(row[name]) for name in _NUMBERS if name in row}
        if any(name in row for name in _BOX):
            given["box"] = tuple(float(row[name]) for name in _BOX)
        if "adult" in row:
            given["adult"] = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
                str(row["adult"]).lower()
            ]
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"entry {number} of {path} is wrong ({error}); times are numbers, a box has left, top, right and bottom in "
            "parts of the picture, adult is yes or no"
        ) from error
    item = Item(path.parent / str(row["file"]), str(row["file"]), **given)
    fault = _fault(item)
    if fault:
        raise UserError(f"entry {number} of {path} is wrong: {fault}")
    return item


def _fault(item: Item) -> str:
    """What is wrong with an item's numbers, or nothing."""
    end_s, end_frame = item.end_s, item.end_frame
    if not 0 <= item.start_s < math.inf or (end_s is not None and not item.start_s < end_s < math.inf):
        return f"the times {item.start_s:g} to {end_s} s are no stretch of a video"
    if item.start_frame < 0 or (end_frame is not None and end_frame < item.start_frame):
        return f"the frames {item.start_frame} to {end_frame} are no stretch of a video"
    if item.start_s > 0 and item.start_frame > 0:
        return "it has start_s and start_frame; give one of them"
    left, top, right, bottom = item.box or (0.0, 0.0, 1.0, 1.0)
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        return "the box is not left, top, right, bottom in parts of the picture, from 0 to 1"
    return ""


def _number_type(name: str) -> Callable[[Any], float | int]:
    return int if name.endswith("frame") else float


def _named(items: Iterable[Item]) -> Iterator[Item]:
    """The items with names that are fit for folders and shards, no two alike; the same item twice is one."""
    taken: set[str] = set(_RESERVED)
    seen: set[tuple[Any, ...]] = set()
    for item in _told_apart(items):
        own = tuple(getattr(item, f.name) for f in fields(item) if f.name != "path")
        if own in seen:
            continue
        seen.add(own)
        wanted = item.name or str(Path(item.source).with_suffix(""))
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted).strip("-") or "file"
        name = plain[:_LONGEST_NAME]
        for salt in itertools.count():
            if name == plain and name.casefold() not in taken:
                break
            name = f"{plain[:_LONGEST_NAME]}-{hashlib.sha256(repr((own, salt)).encode()).hexdigest()[:8]}"
            if name.casefold() not in taken:
                break
        taken.add(name.casefold())
        yield replace(item, name=name)


def _told_apart(items: Iterable[Item]) -> list[Item]:
    """Items of different files whose sources differ: where they do not, as far down as the folders that they share."""
    found = [replace(item, source=printable(item.source)) for item in items]
    paths: dict[str, set[str]] = defaultdict(set)
    for item in found:
        paths[item.source].add(os.path.abspath(item.path))
    shared = {source: os.path.commonpath(same) for source, same in paths.items() if len(same) > 1}
    return [
        replace(item, source=printable(Path(os.path.abspath(item.path)).relative_to(shared[item.source]).as_posix()))
        if item.source in shared
        else item
        for item in found
    ]


def printable(text: str) -> str:
    """Text that can be printed and written: bytes of file names that are no UTF-8 become escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
