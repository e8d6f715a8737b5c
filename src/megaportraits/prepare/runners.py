"""Spreading files over processes or a Ray cluster: what hangs is ended, what dies is tried once more."""

import contextlib
import itertools
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures import TimeoutError as OutOfTime
from typing import Any

from pebble import ProcessExpired, ProcessPool

from megaportraits.config import RunnerConfig
from megaportraits.errors import UserError
from megaportraits.prepare.jobs import Work
from megaportraits.prepare.lists import Item

_WAITING = 4
"""Files (of a cluster: tasks) for each process that wait in its queue."""
_CHUNK = 16
"""Files of one task of a cluster."""


def run(work: Work, items: Sequence[Item], config: RunnerConfig) -> Iterator[str]:
    """Work on every item; what to tell of each, as they end.

    Raises:
        UserError: a result cannot be written; Ray was wanted and is not there.
    """
    if config.runner == "ray":
        yield from _on_ray(work, items, config)
    elif config.workers == 0:
        yield from map(work, items)
    else:
        yield from in_processes(work, items, config.workers, config.file_limit_s)


def in_processes(work: Work, items: Sequence[Item], workers: int, limit_s: float) -> Iterator[str]:
    """Work in so many processes of this machine, each file with a limit on its time.

    Raises:
        UserError: a result cannot be written.
    """
    waiting = iter(items)
    context = multiprocessing.get_context("spawn")
    with ProcessPool(workers, context=context, initializer=_one_thread) as pool:
        running: dict[Future[str], tuple[Item, int]] = {}

        def start(item: Item, attempt: int) -> None:
            running[pool.schedule(work, (item,), timeout=limit_s)] = item, attempt

        try:
            while True:
                for item in itertools.islice(waiting, _WAITING * workers - len(running)):
                    start(item, 1)
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    item, attempt = running.pop(future)
                    try:
                        yield future.result()
                    except OutOfTime:
                        yield work.failed(item, f"it took longer than {limit_s:g} s")
                    except ProcessExpired:
                        if attempt == 1:
                            start(item, 2)
                        else:
                            yield work.failed(item, "the process that read it died twice")
        except BaseException:
            pool.stop()
            raise


def _one_thread() -> None:
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
    with _cluster(ray, config.workers) as processes:
        remote = ray.remote(max_retries=2)(_task)
        chunks = (items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK))
        tasks: dict[Any, Sequence[Item]] = {}
        while True:
            for chunk in itertools.islice(chunks, _WAITING * processes - len(tasks)):
                tasks[remote.remote(work, chunk, config.file_limit_s)] = chunk
            if not tasks:
                return
            (task, *_), _ = ray.wait(list(tasks))
            chunk = tasks.pop(task)
            try:
                yield from ray.get(task)
            except ray.exceptions.RayTaskError as error:
                raise UserError(str(error.cause)) from error
            except ray.exceptions.RayError as error:
                for item in chunk:
                    if not work.done(item):
                        yield work.failed(item, f"its task was lost ({type(error).__name__})")


def _task(work: Work, items: Sequence[Item], limit_s: float) -> list[str]:
    return list(in_processes(work, [item for item in items if not work.done(item)], 1, limit_s))


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise UserError("--run.runner ray needs Ray; install megaportraits[cluster]") from error
    return ray


@contextlib.contextmanager
def _cluster(ray: Any, workers: int) -> Iterator[int]:
    """Ray, started here unless a cluster is named or it runs already; how many processes it has."""
    if ray.is_initialized():
        yield int(ray.cluster_resources().get("CPU", 1))
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        if "RAY_ADDRESS" in os.environ:
            ray.init(address="auto", **quiet)
        else:
            ray.init(num_cpus=max(1, workers), include_dashboard=False, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"Ray cannot be reached ({reason}); check RAY_ADDRESS, or unset it") from error
    try:
        yield int(ray.cluster_resources().get("CPU", 1))
    finally:
        ray.shutdown()
