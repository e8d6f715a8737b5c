"""One file's work, and its result on disk, so that a stopped run goes on where it was.

OUT/jobs/ITEM.json    what the file was, and its records
OUT/jobs/CLIP.jpg     a small picture of each record
"""

import contextlib
import dataclasses
import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from megaportraits.checkpoint import read_json, write_json
from megaportraits.config import PreparePhotos, PrepareVideos, to_dict
from megaportraits.data.pictures import write_picture
from megaportraits.errors import UserError
from megaportraits.files import file_hash
from megaportraits.prepare.finish import places
from megaportraits.prepare.lists import Item
from megaportraits.prepare.records import Record, record_of

JOBS = "jobs"
_LONGEST = 240
"""Characters of a reason."""
_LATER = ("least_quality", "keep_part", "duplicate_bits")
"""Limits that `finish` applies to all clips together: they may change without working anew."""


def settings_of(config: PrepareVideos | PreparePhotos) -> dict[str, Any]:
    """The settings that a file's result depends on."""
    known = to_dict(config)
    limits = {name: value for name, value in known["filters"].items() if name not in _LATER}
    own = {k: v for k, v in known.items() if k not in ("out", "videos", "photos", "layout", "run", "filters")}
    return own | {"filters": limits}


@dataclass(frozen=True)
class Work:
    """What a process does with an item; it travels to other processes."""

    config: PrepareVideos | PreparePhotos

    @property
    def jobs(self) -> Path:
        """Where results are."""
        return Path(self.config.out) / JOBS

    def __call__(self, item: Item) -> str:
        """Work on an item and store the result; what to tell of it. Everything that fails becomes a record."""
        stamp = self._stamp(item)
        self._forget(item)
        try:
            if not item.path.is_file():
                raise UserError("it is missing, or no ordinary file")
            records = [replace(r, sha256=file_hash(item.path)) for r in self._records(item)]
        except UserError as error:
            records = [self._failed(item, str(error))]
        except (ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError) as error:
            records = [self._failed(item, f"it cannot be read ({type(error).__name__}: {error})")]
        return self.store(item, records, stamp)

    def failed(self, item: Item, reason: str) -> str:
        """Store that nothing could be made of an item; what to tell of it."""
        return self.store(item, [self._failed(item, reason)], self._stamp(item))

    def store(self, item: Item, records: list[Record], stamp: str) -> str:
        """Write a result; what to tell of it."""
        write_json(
            self.jobs / f"{item.name}.json", {"stamp": stamp, "records": [dataclasses.asdict(r) for r in records]}
        )
        taken = [r for r in records if not r.reason]
        if taken:
            return f"{item.name}: {len(taken)} clips, {sum(r.frames for r in taken)} frames"
        return f"left out: {item.source}: {records[0].reason}"

    def done(self, item: Item) -> list[Record] | None:
        """The stored result of an item; None where it is missing, or was of another file or other settings."""
        path = self.jobs / f"{item.name}.json"
        if not path.is_file():
            return None
        with contextlib.suppress(UserError, KeyError, TypeError):
            facts = read_json(path)
            if facts["stamp"] == self._stamp(item):
                return [record_of(record) for record in facts["records"]]
        return None

    def _forget(self, item: Item) -> None:
        """Delete the clips of an earlier result, which was of another file or of a run that was stopped."""
        for name in self._earlier(item):
            for path in places(Path(self.config.out), name):
                shutil.rmtree(path, ignore_errors=True)

    def _earlier(self, item: Item) -> list[str]:
        path = self.jobs / f"{item.name}.json"
        with contextlib.suppress(UserError, KeyError, TypeError):
            return [record["name"] for record in read_json(path)["records"]] if path.is_file() else []
        return []

    def _records(self, item: Item) -> list[Record]:
        from megaportraits.prepare.photos import prepare_photo
        from megaportraits.prepare.videos import prepare_video

        folder = Path(self.config.out)
        if isinstance(self.config, PreparePhotos):
            return prepare_photo(item, folder, self.config, self._thumb)
        return prepare_video(item, folder, self.config, self._thumb)

    def _thumb(self, name: str, picture: np.ndarray) -> None:
        write_picture(self.jobs / f"{name}.jpg", picture)

    def _failed(self, item: Item, reason: str) -> Record:
        short = " ".join(reason.removeprefix(f"{item.path} ").split())[:_LONGEST]
        return Record(item.name, item.source, licence=item.licence or self.config.licence, reason=short)

    def _stamp(self, item: Item) -> str:
        """A fingerprint of the item, its file's size and date, and the settings."""
        try:
            facts = item.path.stat()
            file = [facts.st_size, facts.st_mtime_ns]
        except OSError:
            file = []
        what = {k: v for k, v in dataclasses.asdict(item).items() if k != "path"}
        return hashlib.sha256(json.dumps([what, file, settings_of(self.config)]).encode()).hexdigest()
