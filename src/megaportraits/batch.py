"""`megaportraits batch`: many photos, many drivers, from a table; the same command goes on where it stopped."""

import csv
import glob
import hashlib
import itertools
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

from megaportraits.animate.animator import Animator
from megaportraits.animate.command import animate, load_animator
from megaportraits.animate.devices import leave_a_core
from megaportraits.animate.pipeline import animate_files
from megaportraits.animate.request import check_request
from megaportraits.animate.weights import find_weights
from megaportraits.checkpoint import read_json, write_json
from megaportraits.config import AnimateConfig, AnimateOptions, BatchConfig
from megaportraits.errors import UserError
from megaportraits.files import file_hash
from megaportraits.models.network import shipped_weights
from megaportraits.options import parse

_DONE = "done.json"
_FILES = ("source", "driver", "output")
_OTHER_FILES = ("audio", "matte_net", "plate_net")


@dataclass(frozen=True)
class Job:
    """One video to make."""

    row: int
    """Line of the table, from 1; the header is line 1."""
    config: AnimateConfig


def batch(config: BatchConfig) -> None:
    """Animate many photos by many drivers, from a table; what is done is not done again."""
    config = replace(config, output=Path(os.path.normpath(config.output)))
    jobs, failed = read_jobs(config)
    leave_a_core()
    animator = load_animator(config)
    models = _models(config, animator)
    done = read_json(config.output / _DONE) if (config.output / _DONE).is_file() else {}
    for number, job in enumerate(jobs, 1):
        name, wanted = str(job.config.output.relative_to(config.output)), job.config
        print(f"[{number}/{len(jobs)}] {name}", file=sys.stderr)
        try:
            made_of = _made_of(wanted, models)
            if done.get(name) == made_of and wanted.output.exists():
                continue
            print(animate_files(animator, wanted.source, wanted.driver, wanted.output, wanted.options()))
            done[name] = made_of
            write_json(config.output / _DONE, done)
        except (UserError, OSError) as error:
            failed.append(f"line {job.row}: {error}")
            print(f"megaportraits: {failed[-1]}", file=sys.stderr)
    if failed:
        raise UserError(
            f"{len(failed)} rows or videos were not made (first: {failed[0]}); mend these lines and run the same "
            "command again"
        )
    print(f"{len(jobs)} videos are in {config.output}")


def read_jobs(config: BatchConfig) -> tuple[list[Job], list[str]]:
    """The videos that a table asks for, and what is wrong with rows that ask for none.

    Paths in the table are relative to its folder. Patterns (`photos/*.jpg`) in `source` and `driver` stand for every
    pair.

    Raises:
        UserError: the table cannot be read, a column is wrong, or it has no rows.
    """
    jobs: dict[Path, Job] = {}
    wrong = []
    for row, cells in _rows(config.jobs):
        try:
            for job in _jobs_of(row, cells, config, set(jobs)):
                jobs[job.config.output] = job
        except UserError as error:
            wrong.append(f"line {row}: {error}")
    read = {Path(path).resolve() for job in jobs.values() for path in (job.config.source, job.config.driver)}
    read |= {folder for path in read for folder in path.parents}
    for output in [output for output in jobs if output.resolve() in read]:
        wrong.append(f"line {jobs[output].row}: the output {output} is read for a video; choose another name")
        del jobs[output]
    if not jobs and not wrong:
        raise UserError(f"{config.jobs} holds no line below its header; give a source and a driver in each")
    return list(jobs.values()), wrong


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    known = [*_FILES, *(f.name for f in fields(AnimateOptions))]
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = reader.fieldnames or []
            unknown = sorted(set(columns) - set(known))
            if unknown or not {"source", "driver"} <= set(columns):
                raise UserError(
                    f"{path} has the columns {', '.join(columns) or 'none'}; source and driver are needed, and known "
                    f"others are {', '.join(known[2:])}"
                )
            for cells in reader:
                if None in cells or None in cells.values():
                    raise UserError(f"line {reader.line_num} of {path} has not as many cells as the header; mend it")
                yield reader.line_num, {name: text.strip() for name, text in cells.items() if text.strip()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a readable table ({error}); give a CSV file in UTF-8") from error


def _jobs_of(row: int, cells: dict[str, str], config: BatchConfig, taken: set[Path]) -> Iterator[Job]:
    if not {"source", "driver"} <= cells.keys():
        raise UserError("there is no source or no driver; give both")
    if any("\0" in text for text in cells.values()):
        raise UserError("a cell holds a null byte; mend it")
    folder = config.jobs.resolve().parent
    pairs = list(itertools.product(*(_files(folder, cells[name]) for name in ("source", "driver"))))
    if len(pairs) > 1 and "output" in cells:
        raise UserError(f"the row stands for {len(pairs)} videos, but names one output; leave the output out")
    words = _words(folder, {name: text for name, text in cells.items() if name not in _FILES})
    for source, driver in pairs:
        given = [f"--source={source}", f"--driver={driver}", "--output=-", *words]
        parsed: AnimateConfig = parse(animate, "megaportraits animate", given)["config"]
        inherited = {f.name: getattr(config, f.name) for f in fields(AnimateOptions) if f.name not in cells}
        wanted = replace(parsed, **inherited)
        output = _output(config.output, cells.get("output"), source, driver, wanted, taken)
        check_request(source, driver, output, wanted.options())
        taken.add(output)
        yield Job(row, replace(wanted, output=output))


def _words(folder: Path, cells: dict[str, str]) -> list[str]:
    """Options of `animate`; files are looked for beside the table, lists have their items between blanks."""
    words = []
    for name, text in cells.items():
        beside = folder / text
        is_file = name in _OTHER_FILES or (name == "background" and beside.is_file())
        words += [f"--{name}", *text.split()] if name == "sweep" else [f"--{name}={beside if is_file else text}"]
    return words


def _output(
    folder: Path, name: str | None, source: Path, driver: Path, options: AnimateOptions, taken: set[Path]
) -> Path:
    if name is not None:
        path = Path(os.path.normpath(folder / name))
        if not path.is_relative_to(os.path.normpath(folder)):
            raise UserError(f"the output {name} lies outside {folder}; give a name inside it")
        if path in taken:
            raise UserError(f"another row writes {name} too; give them different names")
        return path
    suffix = ".png" if options.preview else ".mov" if options.background == "transparent" else ".mp4"
    short, long = (folder / f"{a}--{b}{suffix}" for a, b in ((source.stem, driver.stem), (source.name, driver.name)))
    free = next((path for path in (short, long) if path not in taken), None)
    if free is None:
        raise UserError(f"another row writes {long.name} too; give them names in a column 'output'")
    return free


def _files(folder: Path, text: str) -> list[Path]:
    if text.isdecimal() or not glob.has_magic(text) or (folder / text).exists():
        return [Path(text) if text.isdecimal() else folder / text]
    found = sorted(glob.glob(text, root_dir=folder, recursive=True))
    if not found:
        raise UserError(f"no file fits the pattern {text}; check it against {folder}")
    return [folder / path for path in found]


def _models(config: BatchConfig, animator: Animator) -> str:
    """A fingerprint of the networks and of the size of the results."""
    folders = [find_weights(config.weights)]
    if animator.size_px > animator.base_px:
        folders.append(Path(config.enhancer) if config.enhancer else shipped_weights("enhancer"))
    return " ".join([str(animator.size_px), *(file_hash(folder / "model.safetensors") for folder in folders)])


def _made_of(config: AnimateConfig, models: str) -> str:
    """A fingerprint of everything that a result depends on."""
    options = config.options()
    named = [
        config.source,
        config.driver,
        options.audio,
        options.matte_net,
        options.plate_net,
        Path(options.background),
    ]
    settings = {f.name: str(getattr(options, f.name)) for f in fields(options)}
    digest = hashlib.sha256(f"{models} {json.dumps(settings)}".encode())
    for path in named:
        inside = sorted(path.iterdir()) if path and path.is_dir() else [path]
        for file in inside:
            digest.update((file_hash(file) if file and file.is_file() else "-").encode())
    return digest.hexdigest()
