"""What a renderer process does: takes numbers of people, answers with what it rendered, never outlives its parent."""

import os
import signal
import threading
import time
import traceback
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from megaportraits.errors import UserError
from megaportraits.signals import heed_the_parent_only
from megaportraits.synth.settings import SynthConfig

NICENESS = 5
"""Rendering yields to training."""


@dataclass(frozen=True)
class Ready:
    """The studio is open."""


@dataclass(frozen=True)
class Done:
    """One person is rendered."""

    frames: int
    seconds: dict[str, float] = field(default_factory=dict)
    """CPU time of each part of the work."""


@dataclass(frozen=True)
class Failed:
    """A person could not be rendered; the renderer goes on."""

    reason: str


@dataclass(frozen=True)
class Hopeless:
    """The studio cannot be opened on this machine."""

    reason: str


Answer = Ready | Done | Failed | Hopeless


def work(config: SynthConfig, jobs: Connection, parent: int) -> None:
    """Render people (person, motions) until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    heed_the_parent_only()
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    os.nice(NICENESS)
    try:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy is loaded
        from megaportraits.synth.clips import open_studio

        studio = open_studio(config)
    except (UserError, ImportError) as error:
        jobs.send(Hopeless(str(error)))
        return
    jobs.send(Ready())
    while True:
        try:
            person, motions = jobs.recv()
        except (EOFError, OSError):
            return
        try:
            before = dict(studio.seconds)
            studio.shoot(person, motions)
            spent = {part: total - before.get(part, 0.0) for part, total in studio.seconds.items()}
            answer: Answer = Done(config.frames * len(motions), spent)
        except Exception:  # whatever one person breaks shall not end the others
            answer = Failed(traceback.format_exc())
        jobs.send(answer)


def _die_with(parent: int) -> None:
    """End this process when its parent is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
