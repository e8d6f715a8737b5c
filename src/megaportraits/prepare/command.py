"""`megaportraits prepare videos` and `prepare photos`."""

import shutil
import sys
from pathlib import Path

from tqdm import tqdm

from megaportraits.checkpoint import read_json, write_json
from megaportraits.config import PreparePhotos, PrepareVideos
from megaportraits.data.video import READABLE
from megaportraits.errors import UserError
from megaportraits.prepare.finish import finish
from megaportraits.prepare.jobs import JOBS, Work, settings_of
from megaportraits.prepare.layouts import READERS
from megaportraits.prepare.lists import Item, find_items
from megaportraits.prepare.records import Record
from megaportraits.prepare.report import write_report
from megaportraits.prepare.runners import run

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif", ".bmp", ".tif", ".tiff")
"""What is looked for in folders of photos."""


def prepare_videos(config: PrepareVideos) -> None:
    """Make training clips of recorded videos; what was done is not done again.

    Raises:
        UserError: no video is given, or none could be used.
    """
    _prepare(config, config.videos, READABLE)


def prepare_photos(config: PreparePhotos) -> None:
    """Make training stills of photos; what was done is not done again.

    Raises:
        UserError: no photo is given, or none could be used.
    """
    _prepare(config, config.photos, PHOTOS)


def _prepare(config: PrepareVideos | PreparePhotos, names: tuple[str, ...], suffixes: tuple[str, ...]) -> None:
    items, folder = find_items(names, suffixes, READERS.get(config.layout)), Path(config.out)
    _check_settings(folder, config)
    _sweep(folder)
    work = Work(config)
    missing = [item for item in items if work.done(item) is None]
    for told in tqdm(run(work, missing, config.run), "preparing", len(missing), unit="file", file=sys.stderr):
        tqdm.write(told, file=sys.stdout)
    records = finish(folder, _all_records(work, items), config.filters)
    page = write_report(folder, records)
    taken = [r for r in records if not r.reason]
    if not taken:
        raise UserError(f"none of the {len(items)} files could be used; {page} says why")
    print(f"{len(taken)} clips ({sum(r.frames for r in taken)} frames) of {len(items)} files are in {folder}; "
          f"{len(records) - len(taken)} were left out, see {page}")  # fmt: skip


def _check_settings(folder: Path, config: PrepareVideos | PreparePhotos) -> None:
    path, wanted = folder / "dataset.json", settings_of(config)
    if path.is_file():
        before = read_json(path)
        changed = [name for name in wanted if before.get(name) != wanted[name]]
        if changed:
            raise UserError(
                f"{folder} was prepared with another {', '.join(changed)}; give the same, or another folder with --out"
            )
    else:
        write_json(path, wanted)


def _sweep(folder: Path) -> None:
    """Delete what a killed run left half-written."""
    for scratch in [*folder.glob(".*"), *(folder / JOBS).glob(".*")]:
        shutil.rmtree(scratch, ignore_errors=True)


def _all_records(work: Work, items: list[Item]) -> list[Record]:
    return [record for item in items for record in work.done(item) or ()]
