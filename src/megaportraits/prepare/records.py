"""The manifest: one record for each clip, taken or left out."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from megaportraits.errors import UserError
from megaportraits.files import replacing, writing

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Record:
    """One clip, or a file of which nothing could be made."""

    name: str
    """Of the clip's folder."""
    source: str
    """The file, relative to the folder that was given."""
    sha256: str = ""
    """Of the file; empty where it could not be read."""
    identity: str = ""
    licence: str = ""
    split: str = ""
    start_s: float = 0.0
    """Seconds from the start of the file to the first frame."""
    end_s: float = 0.0
    """The same of the last frame."""
    frames: int = 0
    size_px: int = 0
    """Side of the pictures."""
    crop_px: float = 0.0
    """Side of the head's square in the file's own pixels, median."""
    scores: dict[str, float] = field(default_factory=dict)
    """Measures by name (docs/data.md)."""
    hash: str = ""
    """Perceptual hashes of the first, middle and last picture, 64 bits each, hexadecimal."""
    mouth: tuple[float, ...] = ()
    """Opening of the mouth (face heights) at up to 24 moments, evenly spread."""
    reason: str = ""
    """Why it was left out; empty where it was not."""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the clip's files."""


def write_manifest(path: Path, records: Iterable[Record]) -> None:
    """Write records, sorted by name, a line each.

    Raises:
        UserError: the path cannot be written.
    """
    lines = [json.dumps(dataclasses.asdict(r), ensure_ascii=False) for r in sorted(records, key=lambda r: r.name)]
    with replacing(path) as temporary, writing(path):
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_manifest(folder: Path) -> list[Record]:
    """The manifest of a prepared folder.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{folder} holds no readable {MANIFEST}; give a folder that 'megaportraits prepare' has made"
        ) from error
    return records_of(lines, path)


def records_of(lines: Sequence[str], path: Path) -> list[Record]:
    """Records from lines of JSON.

    Raises:
        UserError: a line is no record.
    """
    try:
        return [record_of(json.loads(line)) for line in lines]
    except (ValueError, TypeError, LookupError) as error:
        raise UserError(f"{path} is damaged ({error}); run the same 'megaportraits prepare' again") from error


def record_of(facts: dict[str, Any]) -> Record:
    """A record from its dictionary; `TypeError` or `LookupError` where names do not fit."""
    own: dict[str, Any] = facts | {"mouth": tuple(facts["mouth"])}
    return Record(**own)
