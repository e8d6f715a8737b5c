"""The ring on disk: clips by number, the newest ones alive, the others kept a moment longer for whoever reads them.

RING/idI_motionJ/           clips as everywhere (data/clips.py); person I is also the clip's number
RING/idI_motionJ/served     one byte for each frame given to training, appended by all readers
RING/rendering.json         what the renderers did so far, see `Progress`
RING/settings.json          what all clips of the ring share
RING/lock                   held by the process whose renderers fill the ring
"""

import contextlib
import dataclasses
import fcntl
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from megaportraits.checkpoint import read_json, write_json
from megaportraits.data.clips import is_complete
from megaportraits.errors import UserError

GRACE_S = 30.0
"""A clip stays on disk for this long after it left the ring: far longer than the making of one sample."""
CLIP_NAME = re.compile(r"id(\d+)_motion(\d+)")
SCRATCH_NAME = re.compile(rf"\.({CLIP_NAME.pattern}|rendering\.json|settings\.json)\.\w+")
"""What `files.replacing` calls its temporary folders beside the ring's own files."""


@dataclass(frozen=True)
class Progress:
    """What the renderers did since they were started."""

    clips: int = 0
    frames: int = 0
    frames_per_s: float = 0.0
    """Over the last minute or so."""
    skipped: int = 0
    """People who could not be rendered."""
    restarts: int = 0
    """Renderers that died and were started again."""
    waiting: int = 0
    """Renderers that have nothing to do until more frames are served."""
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    """CPU time of all renderers by part of the work: identity, motion, shading, encoding."""
    failure: str = ""
    """Why rendering was given up; empty while it goes on."""


def number_of(clip: Path) -> int:
    """The person's, and so the clip's, number."""
    return _numbers(clip.name)[0]


def motion_of(clip: Path) -> int:
    """The motion's number."""
    return _numbers(clip.name)[1]


def _numbers(name: str) -> tuple[int, int]:
    match = CLIP_NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else (-1, -1)


class Ring:
    """A folder that holds the `size` newest clips."""

    def __init__(self, folder: Path, size: int):
        self.folder, self.size = folder, size

    def all(self) -> list[Path]:
        """Complete clips, newest first."""
        if not self.folder.is_dir():
            return []
        with os.scandir(self.folder) as entries:
            clips = [Path(entry.path) for entry in entries if CLIP_NAME.fullmatch(entry.name)]
        return sorted(filter(is_complete, clips), key=number_of, reverse=True)

    def live(self) -> list[Path]:
        """The clips to draw from, newest first."""
        return self.all()[: self.size]

    def sweep(self) -> None:
        """Delete clips that left the ring more than `GRACE_S` ago."""
        clips = self.all()
        for successor, clip in zip(clips, clips[self.size :], strict=False):
            if time.time() - _written(successor) > GRACE_S:
                delete(clip)

    def clean(self) -> None:
        """Delete what renderers left half-written when they were ended."""
        with os.scandir(self.folder) as entries:
            scratch = [entry.path for entry in entries if SCRATCH_NAME.fullmatch(entry.name)]
        for folder in scratch:
            shutil.rmtree(folder, ignore_errors=True)

    def settle(self, settings: dict[str, int | bool]) -> None:
        """Note the settings of the clips.

        Raises:
            UserError: there are clips of other settings, or clips without a note, which no ring made.
        """
        path = self.folder / "settings.json"
        found = read_json(path) if path.is_file() else {}
        differing = [f"{name} {found.get(name, 'unknown')}" for name in settings if found.get(name) != settings[name]]
        if differing and self.all():
            raise UserError(
                f"{self.folder} holds clips of other settings ({', '.join(differing)}); "
                "choose another --online.folder, or delete this one"
            )
        write_json(path, settings)

    def is_free(self, number: int, frames_served: int) -> bool:
        """Whether the place of clip `number` is free: nobody has it, or who has it served long enough."""
        leaving = [clip for clip in self.live() if number_of(clip) <= number - self.size]
        return all(served(clip) >= frames_served for clip in leaving)

    def take_lock(self) -> TextIO | None:
        """The lock of the renderers, held until it is closed or its process ends; None if another process has it.

        Whoever gets it begins anew: what earlier renderers did, and why they gave up, is forgotten.
        """
        lock = (self.folder / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return None
        self.write_progress(Progress())
        return lock

    def release(self, lock: TextIO) -> None:
        """Give the lock back, also where other processes inherited it."""
        fcntl.flock(lock, fcntl.LOCK_UN)
        lock.close()

    def write_progress(self, progress: Progress) -> None:
        write_json(self.folder / "rendering.json", dataclasses.asdict(progress))

    def progress(self) -> Progress:
        """What the renderers did so far, whichever process has them."""
        path = self.folder / "rendering.json"
        return Progress(**read_json(path)) if path.is_file() else Progress()


def _written(clip: Path) -> float:
    with contextlib.suppress(OSError):
        return (clip / "clip.json").stat().st_mtime
    return 0.0


def delete(clip: Path) -> None:
    """Remove a clip; from the first moment on it no longer counts as complete."""
    with contextlib.suppress(FileNotFoundError):
        (clip / "clip.json").unlink()
    shutil.rmtree(clip, ignore_errors=True)


def served(clip: Path) -> int:
    """Frames of a clip that were given to training."""
    with contextlib.suppress(OSError):
        return (clip / "served").stat().st_size
    return 0


def count_served(clip: Path, frames: int) -> None:
    """Add to the count of a clip, unless it has gone."""
    with contextlib.suppress(OSError), (clip / "served").open("ab", buffering=0) as counter:
        counter.write(bytes(frames))
