"""What needs all files: duplicates, limits and ranks of quality; then the manifest.

Clips that are left out here are moved to OUT/left_out, and come back if the limits change. Clips that no record names
are of files that failed half-way, or are not given any more: they are deleted.
"""

import math
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from megaportraits.config import FilterConfig
from megaportraits.data.clips import is_complete
from megaportraits.prepare.hashes import duplicates
from megaportraits.prepare.records import MANIFEST, Record, write_manifest

LEFT_OUT = "left_out"


def places(folder: Path, name: str) -> tuple[Path, Path]:
    """Where a clip is: taken, or left out."""
    return folder / name, folder / LEFT_OUT / name


def finish(folder: Path, records: Iterable[Record], limits: FilterConfig) -> list[Record]:
    """Apply the limits that concern all clips together, put clips in their places, write the manifest.

    Raises:
        UserError: the manifest cannot be written.
    """
    records = list(records)
    for reasons in (_poor, _repeated, _lower_part):
        found = reasons([r for r in records if not r.reason], limits)
        records = [replace(r, reason=r.reason or found.get(r.name, "")) for r in records]
    _delete_others(folder, {record.name for record in records if record.files})
    for record in records:
        if record.files:
            _place(folder, record)
    write_manifest(folder / MANIFEST, records)
    return records


def _poor(records: list[Record], limits: FilterConfig) -> dict[str, str]:
    return {
        r.name: f"the quality is below {limits.least_quality:g}"
        for r in records
        if r.scores["quality"] < limits.least_quality
    }


def _repeated(records: list[Record], limits: FilterConfig) -> dict[str, str]:
    if limits.duplicate_bits < 0:
        return {}
    return {name: f"the same as {first}" for name, first in duplicates(records, limits.duplicate_bits).items()}


def _lower_part(records: list[Record], limits: FilterConfig) -> dict[str, str]:
    ranked = sorted(records, key=lambda r: (-r.scores["quality"], r.name))
    kept = math.ceil(limits.keep_part * len(ranked))
    return {r.name: f"not among the best {limits.keep_part:.0%} by quality" for r in ranked[kept:]}


def _delete_others(folder: Path, known: set[str]) -> None:
    for parent in (folder, folder / LEFT_OUT):
        for path in parent.iterdir() if parent.is_dir() else ():
            if path.name not in known and is_complete(path):
                shutil.rmtree(path, ignore_errors=True)


def _place(folder: Path, record: Record) -> None:
    here, there = places(folder, record.name)
    come, go = (here, there) if record.reason else (there, here)
    if come.is_dir():
        go.parent.mkdir(exist_ok=True)
        shutil.rmtree(go, ignore_errors=True)
        os.replace(come, go)
