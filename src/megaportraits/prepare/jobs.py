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
from megaportraits.data.clips import is_complete
from megaportraits.data.pictures import write_picture
from megaportraits.errors import UserError
from megaportraits.files import file_hash
from megaportraits.prepare.finish import places
from megaportraits.prepare.lists import Item, printable
from megaportraits.prepare.records import Record, record_of

JOBS = "jobs"
_LONGEST = 240
"""Characters of a reason."""
_LATER = ("least_quality", "keep_part", "duplicate_bits")
"""Limits that `finish` applies to all clips together: they may change without working anew."""


def settings_of(config: PrepareVideos | PreparePhotos) -> dict[str, Any]:
    """The settings that a file's result depends on; networks by their content.

    Raises:
        UserError: there is no file of the quality net.
    """
    known = to_dict(config)
    limits = {name: value for name, value in known["filters"].items() if name not in _LATER}
    own = {k: v for k, v in known.items() if k not in ("out", "videos", "photos", "layout", "run", "filters")}
    if config.quality_net:
        if not Path(config.quality_net).is_file():
            raise UserError(f"there is no file {config.quality_net}; give HyperIQA's, or leave out --quality-net")
        own["quality_net"] = file_hash(Path(config.quality_net))
    return {"kind": "photos" if isinstance(config, PreparePhotos) else "videos"} | own | {"filters": limits}


@dataclass(frozen=True)
class Work:
    """What a process does with an item; it travels to other processes."""

    config: PrepareVideos | PreparePhotos
    settings: dict[str, Any]
    """`settings_of` the configuration."""

    @property
    def jobs(self) -> Path:
        """Where results are."""
        return Path(self.config.out) / JOBS

    def __call__(self, item: Item) -> str:
        """Work on an item and store the result; what to tell of it. What is wrong with the file becomes a record.

        Raises:
            UserError: a result cannot be written.
        """
        stamp = self._stamp(item)
        self._forget(item)
        try:
            records = self._records(item)
        except UserError as error:
            if str(error).startswith("cannot write"):
                raise
            return self.store(item, [self._failed(item, str(error))], stamp)
        except Exception as error:  # whatever a file does to the libraries that read it
            return self.failed(item, f"it cannot be read ({type(error).__name__}: {error})")
        for record in records:
            if record.files:
                shutil.rmtree(places(Path(self.config.out), record.name)[1], ignore_errors=True)
        return self.store(item, records, stamp)

    def failed(self, item: Item, reason: str) -> str:
        """Store that nothing came of an item for once, so that the next run tries again; what to tell of it."""
        return self.store(item, [self._failed(item, reason)], "")

    def store(self, item: Item, records: list[Record], stamp: str) -> str:
        """Write a result; what to tell of it."""
        facts = {"stamp": stamp, "records": [dataclasses.asdict(r) for r in records]}
        write_json(self.jobs / f"{item.name}.json", facts)
        taken = [r for r in records if not r.reason]
        if taken:
            return f"{item.name}: {len(taken)} clips, {sum(r.frames for r in taken)} frames"
        return f"left out: {item.source}: {records[0].reason}"

    def done(self, item: Item) -> bool:
        """Whether the stored result is of this file and these settings, and its clips are there."""
        facts = self._facts(item)
        if not facts or facts.get("stamp") != self._stamp(item):
            return False
        folder = Path(self.config.out)
        return all(any(map(is_complete, places(folder, r.name))) for r in self._stored(facts) if r.files)

    def stored(self, item: Item) -> list[Record]:
        """The stored result of an item."""
        found = self._stored(self._facts(item))
        return found or [self._failed(item, "its result is missing; run the same command again")]

    def _facts(self, item: Item) -> dict[str, Any]:
        path = self.jobs / f"{item.name}.json"
        with contextlib.suppress(UserError):
            return read_json(path) if path.is_file() else {}
        return {}

    def _stored(self, facts: dict[str, Any]) -> list[Record]:
        with contextlib.suppress(LookupError, TypeError):
            return [record_of(record) for record in facts["records"]]
        return []

    def _forget(self, item: Item) -> None:
        """Delete the clips of an earlier result, which was of another file or of a run that was stopped."""
        for record in self._stored(self._facts(item)):
            if record.files:
                for path in places(Path(self.config.out), record.name):
                    shutil.rmtree(path, ignore_errors=True)

    def _records(self, item: Item) -> list[Record]:
        from megaportraits.prepare.photos import prepare_photo
        from megaportraits.prepare.videos import prepare_video

        if not item.path.is_file():
            raise UserError("it is missing, or no ordinary file")
        folder = Path(self.config.out)
        if isinstance(self.config, PreparePhotos):
            records = prepare_photo(item, folder, self.config, self._take)
        else:
            records = prepare_video(item, folder, self.config, self._take)
        digest = file_hash(item.path)
        return [replace(record, sha256=digest) for record in records]

    def _take(self, name: str, picture: np.ndarray) -> None:
        write_picture(self.jobs / f"{name}.jpg", picture)

    def _failed(self, item: Item, reason: str) -> Record:
        short = printable(reason).replace(printable(str(item.path)), item.source).removeprefix(f"{item.source} ")
        return Record(
            item.name, item.source, licence=item.licence or self.config.licence,
            reason=" ".join(short.split())[:_LONGEST],
        )  # fmt: skip

    def _stamp(self, item: Item) -> str:
        """A fingerprint of the item, its file's size and date, and the settings."""
        try:
            facts = item.path.stat()
            file = [facts.st_size, facts.st_mtime_ns]
        except OSError:
            file = []
        what = {k: v for k, v in dataclasses.asdict(item).items() if k != "path"}
        return hashlib.sha256(json.dumps([what, file, self.settings]).encode()).hexdigest()
