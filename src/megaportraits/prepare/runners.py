"""Spreading files over processes or a Ray cluster: what hangs is ended, what dies is tried once more."""

import contextlib
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import TimeoutError as OutOfTime
from typing import Any

from pebble import ProcessExpired, ProcessPool

from megaportraits.config import RunnerConfig
from megaportraits.errors import UserError
from megaportraits.prepare.jobs import Work
from megaportraits.prepare.lists import Item

_WAITING = 4
"""Files for each process that wait in its queue."""
_CHUNK = 8
"""Files of one task of a cluster."""


def run(work: Work, items: Sequence[Item], config: RunnerConfig) -> Iterator[str]:
    """Work on every item; what to tell of each, as they end.

    Raises:
        UserError: Ray was wanted and is not there.
    """
    if config.runner == "ray":
        yield from _on_ray(work, items, config)
    elif config.workers == 0:
        yield from map(work, items)
    else:
        yield from in_processes(work, items, config.workers, config.file_limit_s)


def in_processes(work: Work, items: Sequence[Item], workers: int, limit_s: float) -> Iterator[str]:
    """Work in so many processes of this machine, each file with a limit on its time."""
    context = multiprocessing.get_context("spawn")
    with ProcessPool(workers, context=context, initializer=_alone) as pool:
        try:
            waiting = deque((item, 1) for item in items)
            running: deque[tuple[Item, int, Any]] = deque()
            while waiting or running:
                while waiting and len(running) < _WAITING * workers:
                    item, attempt = waiting.popleft()
                    running.append((item, attempt, pool.schedule(work, (item,), timeout=limit_s)))
                item, attempt, future = running.popleft()
                try:
                    yield future.result()
                except OutOfTime:
                    yield work.failed(item, f"it took longer than {limit_s:g} s")
                except ProcessExpired:
                    if attempt == 1:
                        waiting.appendleft((item, 2))
                    else:
                        yield work.failed(item, "the process that read it died twice")
        except BaseException:
            pool.stop()
            raise


def _alone() -> None:
    """In a new process: one thread for the networks, since the processes share the cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _on_ray(work: Work, items: Sequence[Item], config: RunnerConfig) -> Iterator[str]:
    """Work on a Ray cluster (`RAY_ADDRESS`), or on `workers` processes of this machine where there is none.

    A task is some files in a process of its own below Ray's, so that limits on time and deaths are handled there.
    """
    ray = _ray()
    with _cluster(ray, config.workers):
        remote = ray.remote(max_retries=2)(_task)
        tasks = [
            remote.remote(work, chunk, config.file_limit_s)
            for chunk in (items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK))
        ]
        while tasks:
            (ready, *_), tasks = ray.wait(tasks)
            yield from ray.get(ready)


def _task(work: Work, items: Sequence[Item], limit_s: float) -> list[str]:
    return list(in_processes(work, [item for item in items if work.done(item) is None], 1, limit_s))


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise UserError("--run.runner ray needs Ray; install megaportraits[cluster]") from error
    return ray


@contextlib.contextmanager
def _cluster(ray: Any, workers: int) -> Iterator[None]:
    """Ray, started here unless a cluster is named or it runs already."""
    if ray.is_initialized():
        yield
        return
    if "RAY_ADDRESS" in os.environ:
        ray.init(address="auto", log_to_driver=False, logging_level="error")
    else:
        ray.init(num_cpus=max(1, workers), include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        yield
    finally:
        ray.shutdown()
