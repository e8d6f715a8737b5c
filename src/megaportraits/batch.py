"""`megaportraits batch`: many photos, many drivers, from a table; the same command goes on where it stopped."""

import csv
import glob
import hashlib
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

from megaportraits.animate.animator import Animator
from megaportraits.animate.command import animate
from megaportraits.animate.devices import leave_a_core
from megaportraits.animate.pipeline import animate_files, check_request
from megaportraits.animate.weights import find_weights
from megaportraits.checkpoint import read_json, write_json
from megaportraits.config import AnimateConfig, AnimateOptions, BatchConfig
from megaportraits.errors import UserError
from megaportraits.files import file_hash
from megaportraits.options import parse

_DONE = "done.json"
_FILES = ("source", "driver", "output")


@dataclass(frozen=True)
class Job:
    """One video to make."""

    row: int
    """Line of the table, from 1; the header is line 1."""
    config: AnimateConfig


def batch(config: BatchConfig) -> None:
    """Animate many photos by many drivers, from a table; what is done is not done again."""
    jobs = read_jobs(config)
    leave_a_core()
    weights = find_weights(config.weights)
    animator = Animator.load(weights, config.device, config.precision)
    done = read_json(config.output / _DONE) if (config.output / _DONE).is_file() else {}
    failed = []
    for number, job in enumerate(jobs, 1):
        name, wanted = str(job.config.output.relative_to(config.output)), job.config
        print(f"[{number}/{len(jobs)}] {name}", file=sys.stderr)
        try:
            made_of = _made_of(wanted, weights)
            if done.get(name) == made_of and wanted.output.exists():
                continue
            print(animate_files(animator, wanted.source, wanted.driver, wanted.output, wanted.options()))
            done[name] = made_of
            write_json(config.output / _DONE, done)
        except UserError as error:
            failed.append(f"line {job.row}: {error}")
            print(f"megaportraits: {failed[-1]}", file=sys.stderr)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(jobs)} videos were not made (first: {failed[0]}); mend these lines and run the "
            "same command again"
        )
    print(f"{len(jobs)} videos are in {config.output}")


def read_jobs(config: BatchConfig) -> list[Job]:
    """The videos that a table asks for.

    Paths are relative to the table's folder. Patterns (`photos/*.jpg`) in `source` and `driver` stand for every pair.

    Raises:
        UserError: the table cannot be read, a column or a cell is wrong, or two rows write one file.
    """
    jobs: dict[Path, Job] = {}
    for row, cells in _rows(config.jobs):
        for job in _jobs_of(row, cells, config):
            output = job.config.output
            if output in jobs:
                raise UserError(
                    f"lines {jobs[output].row} and {row} of {config.jobs} both write {output.name}; give them "
                    "different names in a column 'output'"
                )
            jobs[output] = job
    if not jobs:
        raise UserError(f"{config.jobs} holds no line below its header; give a source and a driver in each")
    return list(jobs.values())


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


def _jobs_of(row: int, cells: dict[str, str], config: BatchConfig) -> Iterator[Job]:
    where = f"line {row} of {config.jobs}"
    if not {"source", "driver"} <= cells.keys():
        raise UserError(f"{where} has no source or no driver; give both")
    folder = config.jobs.resolve().parent
    pairs = list(itertools.product(*(_files(folder, cells[name], where) for name in ("source", "driver"))))
    if len(pairs) > 1 and "output" in cells:
        raise UserError(f"{where} stands for {len(pairs)} videos, but names one output; leave the output out")
    for source, driver in pairs:
        output = config.output / cells.get("output", f"{source.stem}--{driver.stem}.mp4")
        words = {**cells, "source": str(source), "driver": str(driver), "output": str(output)}
        try:
            parsed: AnimateConfig = parse(animate, "row", [f"--{n}={text}" for n, text in words.items()])["config"]
            inherited = {f.name: getattr(config, f.name) for f in fields(AnimateOptions) if f.name not in cells}
            job = Job(row, replace(parsed, **inherited))
            check_request(source, driver, output, job.config.options())
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        yield job


def _files(folder: Path, text: str, where: str) -> list[Path]:
    if text.isdigit() or not glob.has_magic(text):
        return [Path(text) if text.isdigit() else folder / text]
    found = [Path(path) for path in sorted(glob.glob(text, root_dir=folder, recursive=True))]
    if not found:
        raise UserError(f"{where}: no file fits the pattern {text}; check it against {folder}")
    return [folder / path for path in found]


def _made_of(config: AnimateConfig, weights: Path) -> str:
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
    digest = hashlib.sha256(json.dumps({f.name: str(getattr(options, f.name)) for f in fields(options)}).encode())
    for path in [weights / "model.safetensors", *named]:
        inside = sorted(path.iterdir()) if path and path.is_dir() else [path]
        for file in inside:
            digest.update((file_hash(file) if file and file.is_file() else "-").encode())
    return digest.hexdigest()
