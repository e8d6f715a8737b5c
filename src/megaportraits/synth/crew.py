"""The renderers of one ring: worker processes and the thread that keeps them busy, swept up and alive."""

import contextlib
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from megaportraits.config import OnlineConfig
from megaportraits.errors import UserError
from megaportraits.synth.ring import Progress, Ring, number_of
from megaportraits.synth.settings import SynthConfig
from megaportraits.synth.worker import Answer, Done, Failed, Hopeless, Ready, work

TICK_S = 0.25
WRITE_EVERY_S = 0.5
RATE_WINDOW_S = 60.0
FAILURES_IN_A_ROW = 5
"""So many people in a row that cannot be rendered: not the people are broken."""
DECISIVE = ("seed", "frames", "step", "size_px", "people_per_motion", "cloth_patterns", "wide_colors", "skin_px")
"""Settings that all clips of a ring share."""


@dataclass
class _Renderer:
    process: SpawnProcess
    jobs: Connection
    person: int | None = None
    """Who is being rendered."""
    ready: bool = False


class Crew:
    """Fills a ring until it is stopped. Only the process that made it controls it."""

    def __init__(self, config: OnlineConfig, ring: Ring):
        """Starts the renderers; the caller has the ring's lock.

        Raises:
            UserError: the ring holds clips of other settings.
        """
        self.config, self.ring = config, ring
        self.job = SynthConfig(
            assets=Path(config.assets), out=ring.folder, frames=config.frames, size=config.size_px, seed=config.seed,
            step=config.step, skin=config.skin_px, camera="motion", cloth_patterns=config.cloth_patterns,
            wide_colors=config.wide_colors,
        )  # fmt: skip
        self.owner = os.getpid()
        self.progress = Progress()
        ring.settle({name: getattr(config, name) for name in DECISIVE})
        ring.clean()
        self.next = 1 + max((number_of(clip) for clip in ring.all()), default=-1)
        self._recent: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._failures = 0
        self._ending = threading.Event()
        self._renderers: list[_Renderer] = []
        self._thread = threading.Thread(target=self._run, name="renderers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all renderers; what they were at is lost."""
        if os.getpid() != self.owner or self._ending.is_set():
            return
        self._ending.set()
        self._thread.join(10)
        for renderer in self._renderers:
            renderer.process.kill()
            renderer.process.join(10)
            renderer.jobs.close()

    @property
    def pids(self) -> list[int]:
        """The renderers' process ids."""
        return [renderer.process.pid or 0 for renderer in self._renderers]

    def _run(self) -> None:
        try:
            for _ in range(self.config.workers):
                self._renderers.append(self._hire())
            while not self._ending.is_set() and not self.progress.failure:
                self._listen()
                self._give_work()
                self.ring.sweep()
                if time.monotonic() - self._recent[-1][0] >= WRITE_EVERY_S:
                    self._write()
        except (OSError, UserError) as error:  # the folder is gone or full
            self._give_up(f"the ring {self.ring.folder} cannot be written ({error}); give another folder")
        except Exception:  # whatever else broke here, training would wait for clips for ever
            self._give_up(f"an unexpected error:\n{traceback.format_exc()}")
        finally:
            for renderer in self._renderers:
                renderer.process.kill()

    def _hire(self) -> _Renderer:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(self.job, theirs, os.getpid()), daemon=True)
        process.start()
        theirs.close()
        return _Renderer(process, ours)

    def _listen(self) -> None:
        """Take the answers of `TICK_S`; replace renderers that died."""
        heard = wait([r.jobs for r in self._renderers] + [r.process.sentinel for r in self._renderers], TICK_S)
        for place, renderer in enumerate(self._renderers):
            if self.progress.failure:
                return
            if renderer.jobs in heard or renderer.process.sentinel in heard:
                try:
                    self._take(renderer, renderer.jobs.recv())
                except (EOFError, OSError):
                    self._renderers[place] = self._replace(renderer)

    def _take(self, renderer: _Renderer, answer: Answer) -> None:
        person, renderer.person = renderer.person, None
        if isinstance(answer, Ready):
            renderer.ready = True
        if isinstance(answer, Hopeless):
            self._give_up(answer.reason)
        if isinstance(answer, Failed):
            self._skip(f"person {person} could not be rendered and is skipped:\n{answer.reason}")
        if isinstance(answer, Done):
            self._failures = 0
            seconds = {k: self.progress.seconds.get(k, 0.0) + v for k, v in answer.seconds.items()}
            frames = self.progress.frames + answer.frames
            self.progress = replace(self.progress, clips=self.progress.clips + 1, frames=frames, seconds=seconds)

    def _replace(self, renderer: _Renderer) -> _Renderer:
        """A renderer in the place of one that died without a word (a driver's crash, out of memory)."""
        renderer.process.join()
        renderer.jobs.close()
        self.progress = replace(self.progress, restarts=self.progress.restarts + 1)
        at = f"at person {renderer.person}, who is skipped" if renderer.person is not None else "while idle"
        self._skip(f"a renderer died {at} (exit code {renderer.process.exitcode}); another one is started")
        return self._hire()

    def _skip(self, message: str) -> None:
        print(f"rendering: {message}", file=sys.stderr, flush=True)
        self._failures += 1
        self.progress = replace(self.progress, skipped=self.progress.skipped + 1)
        if self._failures >= FAILURES_IN_A_ROW:
            self._give_up(f"{self._failures} people in a row could not be rendered, at last: {message}")

    def _give_up(self, reason: str) -> None:
        self.progress = replace(self.progress, failure=reason)
        with contextlib.suppress(OSError, UserError):  # the reason may be that nothing can be written
            self._write()

    def _give_work(self) -> None:
        idle = [r for r in self._renderers if r.ready and r.person is None]
        for renderer in idle:
            if not self.ring.is_free(self.next, self.config.frames_served):
                break
            try:
                renderer.jobs.send((self.next, [self.next // self.config.people_per_motion]))
            except OSError:
                continue  # it died; `_listen` replaces it
            renderer.person, self.next = self.next, self.next + 1
        waiting = sum(r.ready and r.person is None for r in self._renderers)
        self.progress = replace(self.progress, waiting=waiting)

    def _write(self) -> None:
        now = time.monotonic()
        self._recent.append((now, self.progress.frames))
        while now - self._recent[1][0] > RATE_WINDOW_S:
            self._recent.popleft()
        since, before = self._recent[0]
        rate = (self.progress.frames - before) / max(now - since, 1e-6)
        self.progress = replace(self.progress, frames_per_s=round(rate, 3))
        self.ring.write_progress(self.progress)
