"""Clips that are rendered while a network trains: a store like `data.pairs.FrameStore` whose clips come and go.

Renderers (crew.py, worker.py) fill a ring of clips on disk (ring.py). Every process that loads data has a store of its
own over the same ring. Which clip a sample shows depends on what is rendered by then: unlike everything else in
training, samples from here are not a function of (seed, index), and a resumed run sees other people.
"""

import atexit
import collections
import dataclasses
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TextIO

from megaportraits.config import OnlineConfig
from megaportraits.data.clips import is_complete
from megaportraits.data.pairs import Footage, Frame, FrameStore
from megaportraits.errors import UserError
from megaportraits.synth.crew import Crew
from megaportraits.synth.ring import Ring, count_served, motion_of, number_of, served

REFRESH_S = 1.0
TELL_EVERY_S = 10.0


def _rank() -> int:
    """The number of this process among those of a run, as launchers tell it."""
    told = [os.environ[name] for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if name in os.environ]
    return int(told[0]) if told else 0


class OnlineStore(FrameStore):
    """Clips of a ring that renderers keep filling.

    Indices hold from one `len(store)` to the next: a sample begins with it, and only there the listing changes. Use it
    in a `with` statement, or call `start` before data loading processes are made and `close` at the end; the renderers
    also end with the process that started them, whatever ends it.
    """

    def __init__(self, config: OnlineConfig, size_px: int, cache_gb: float):
        """Starts nothing. `size_px`: of the samples. `cache_gb`: for decoded clips, of each process."""
        super().__init__([], size_px, cache_gb)
        self.config = config
        self.is_temporary = not config.folder
        temporary = Path(tempfile.gettempdir()) / f"megaportraits-ring-{os.getpid()}-{id(self):x}"
        self.ring = Ring(Path(config.folder) if config.folder else temporary, config.clips)
        self.footage: collections.OrderedDict[Path, Footage] = collections.OrderedDict()
        self._counts: collections.Counter[Path] = collections.Counter()
        self._listed_at = -REFRESH_S
        self._crew: Crew | None = None
        self._lock: TextIO | None = None

    def __enter__(self) -> "OnlineStore":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """A copy for another process: the ring, without the renderers and what is decoded."""
        kept = {"footage": collections.OrderedDict(), "_counts": collections.Counter(), "_crew": None, "_lock": None}
        return self.__dict__ | kept | {"_listed_at": -REFRESH_S}

    def start(self) -> None:
        """Start the renderers, unless another process fills this ring, and wait for the first clips.

        Raises:
            UserError: nothing can be rendered here, or the folder cannot be written.
        """
        if self._crew is None:
            self._take_ring()
        told = time.monotonic()
        while len(self.ring.live()) < self.config.first_clips:
            self._check()
            if time.monotonic() - told > TELL_EVERY_S:
                told = time.monotonic()
                print(
                    f"rendering: {len(self.ring.live())} of the first {self.config.first_clips} clips", file=sys.stderr
                )
            time.sleep(0.1)
        self.refresh()

    def close(self) -> None:
        """End the renderers that this process started, and delete a temporary ring."""
        if self._crew is None or self._lock is None or self._crew.owner != os.getpid():
            return
        atexit.unregister(self.close)
        self._crew.stop()
        self.ring.release(self._lock)
        self._crew = self._lock = None
        if self.is_temporary:
            shutil.rmtree(self.ring.folder, ignore_errors=True)

    def __len__(self) -> int:
        """Clips to draw from at this moment; here begins a sample.

        Raises:
            UserError: rendering was given up, or nobody started it.
        """
        if time.monotonic() - self._listed_at >= REFRESH_S:
            self.refresh()
        if not self.clips:
            raise UserError(f"the ring {self.ring.folder} holds no clip; call start() before samples are drawn")
        return len(self.clips)

    def __getitem__(self, index: int) -> Footage:
        """A decoded clip; one that has gone from disk gives its index to another."""
        footage = self._footage(self.clips[index])
        while footage is None:
            live = self.ring.live()
            if not live:
                raise UserError(f"the ring {self.ring.folder} is empty; do not delete it while it is in use")
            self.clips[index] = next((clip for clip in live if clip not in self.clips), live[0])
            footage = self._footage(self.clips[index])
        return footage

    def frame(self, clip: int, number: int) -> Frame:
        """One frame of a clip; it counts as served."""
        frame = super().frame(clip, number)
        self._counts[self.clips[clip]] += 1
        return frame

    def label(self, clip: int) -> int:
        """The number of the person, the same in all data loading processes, whose listings differ."""
        return number_of(self.clips[clip])

    def others(self, index: int) -> list[int]:
        """Clips in which other people perform the motion of a clip; they are decoded here, so that none can go."""
        own = self.clips[index]
        same = [i for i, clip in enumerate(self.clips) if clip != own and motion_of(clip) == motion_of(own)]
        return [i for i in same if self._footage(self.clips[i]) is not None]

    def refresh(self) -> None:
        """Report what was served, list the ring anew; clips that stay keep their indices.

        Raises:
            UserError: rendering was given up.
        """
        self._check()
        for clip, frames in self._counts.items():
            count_served(clip, frames)
        self._counts.clear()
        live = self.ring.live()
        new = [clip for clip in live if clip not in self.clips]
        kept = [clip if clip in live else new.pop() if new else None for clip in self.clips]
        self.clips = [clip for clip in kept if clip is not None] + new[::-1]
        for clip in [clip for clip in self.footage if clip not in self.clips]:
            self.used -= self.footage.pop(clip).nbytes
        self._listed_at = time.monotonic()

    def renderers(self) -> list[int]:
        """Process ids of the renderers that this store started."""
        return self._crew.pids if self._crew is not None else []

    def report(self) -> dict[str, float]:
        """Numbers for the log: what is rendered, and how long a clip is in use.

        Raises:
            UserError: rendering was given up; where nothing can be written, only the process of the renderers knows.
        """
        self._check()
        progress, live = self.ring.progress(), self.ring.live()
        return {
            "rendered_frames_per_s": progress.frames_per_s,
            "rendered_clips": progress.clips,
            "renderers_waiting": progress.waiting,
            "renderer_restarts": progress.restarts,
            "skipped_people": progress.skipped,
            "ring_clips": len(live),
            "served_frames_per_clip": sum(map(served, live)) / max(len(live), 1),
        }

    def _take_ring(self) -> None:
        if multiprocessing.current_process().daemon:
            return  # data loading processes use what the process that made them started
        try:
            self.ring.folder.mkdir(parents=True, exist_ok=True)
            self._lock = self.ring.take_lock()
        except OSError as error:
            raise UserError(f"{self.ring.folder} cannot be written ({error}); give another folder") from error
        if self._lock is None:
            return
        config = self.config
        if self.is_temporary:  # each process of a run has its own
            config = dataclasses.replace(config, seed=config.seed + _rank())
        try:
            self._crew = Crew(config, self.ring)
        except UserError:
            self.ring.release(self._lock)
            raise
        atexit.register(self.close)

    def _check(self) -> None:
        crew = self._crew
        own = crew is not None and crew.owner == os.getpid()  # in a forked process the crew is a copy that stands still
        progress = crew.progress if crew is not None and own else self.ring.progress()
        if progress.failure:
            raise UserError(f"rendering was given up: {progress.failure}")

    def _footage(self, clip: Path) -> Footage | None:
        """A decoded clip, kept within the budget; None if it has gone from disk."""
        if clip not in self.footage:
            try:
                footage = self._decode(clip)
            except UserError:
                if is_complete(clip):
                    raise
                return None
            self.footage[clip] = footage
            self.used += footage.nbytes
            while self.used > self.budget and len(self.footage) > self.config.people_per_motion + 1:
                self.used -= self.footage.popitem(last=False)[1].nbytes
        self.footage.move_to_end(clip)
        return self.footage[clip]
