"""`megaportraits prepare videos` and `prepare photos`."""

import contextlib
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from megaportraits.checkpoint import read_json, write_json
from megaportraits.config import PreparePhotos, PrepareVideos
from megaportraits.data.video import READABLE
from megaportraits.errors import UserError
from megaportraits.prepare.finish import finish
from megaportraits.prepare.jobs import JOBS, Work, settings_of
from megaportraits.prepare.judge import check_net
from megaportraits.prepare.layouts import READERS
from megaportraits.prepare.lists import DATASET, find_items
from megaportraits.prepare.report import write_report
from megaportraits.prepare.runners import run

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif", ".bmp", ".tif", ".tiff")
"""What is looked for in folders of photos."""
_SCRATCH = re.compile(r"\..+\.[a-z0-9_]{8}")
"""Names of half-written files and folders (`files.replacing`)."""


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
    folder = Path(config.out).resolve()
    items = find_items(names, suffixes, READERS.get(config.layout))
    check_net(config.quality_net)
    work = Work(replace(config, out=str(folder)), settings_of(config))
    _check_folder(folder, work)
    with _alone_in(folder):
        _sweep(folder)
        missing = [item for item in items if not work.done(item)]
        for told in tqdm(run(work, missing, config.run), "preparing", len(missing), unit="file", file=sys.stderr):
            tqdm.write(told, file=sys.stdout)
        records = finish(folder, [record for item in items for record in work.stored(item)], config.filters)
        _sweep(folder)
        page = write_report(folder, records)
    taken = [r for r in records if not r.reason]
    if not taken:
        raise UserError(f"none of the {len(items)} files could be used; {Path(config.out) / page.name} says why")
    print(f"{len(taken)} clips ({sum(r.frames for r in taken)} frames) of {len(items)} files are in {config.out}; "
          f"{len(records) - len(taken)} were left out, see {Path(config.out) / page.name}")  # fmt: skip


def _check_folder(folder: Path, work: Work) -> None:
    """Take a new folder, or one that was prepared with these settings.

    Raises:
        UserError: the folder holds other things, or was prepared with other settings.
    """
    path = folder / DATASET
    if path.is_file():
        before = read_json(path)
        changed = [name for name in work.settings if before.get(name) != work.settings[name]]
        if changed:
            raise UserError(
                f"{folder} was prepared with another {', '.join(changed)}; give the same, or another folder with --out"
            )
    elif folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} holds other things; give a new or empty folder with --out")
    else:
        write_json(path, work.settings)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep a second run out of the folder, where the system can.

    Raises:
        UserError: another run works in it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    (folder / JOBS).mkdir(exist_ok=True)
    with (folder / JOBS / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"another run works in {folder}; wait for it, or give another folder with --out") from error
        yield


def _sweep(folder: Path) -> None:
    """Delete what a killed run or process left half-written."""
    for path in [*folder.iterdir(), *(folder / JOBS).iterdir()]:
        if _SCRATCH.fullmatch(path.name) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
