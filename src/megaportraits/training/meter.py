"""Means and speed between two lines of the log, gathered without making the host wait for the device."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor


class Meter:
    """Means of named values since the last `take`, over steps and processes, of what is finite."""

    def __init__(self):
        self._sums: dict[tuple[str, ...], Tensor] = {}

    def add(self, values: dict[str, Tensor]) -> None:
        """Values of one batch, scalars on one device."""
        if not values:
            return
        stacked = torch.stack([value.detach().double() for value in values.values()])
        finite = stacked.isfinite()
        now = torch.stack([torch.where(finite, stacked, 0.0), finite.double()])
        names = tuple(values)
        self._sums[names] = self._sums[names] + now if names in self._sums else now

    def take(self, over_processes: Callable[[Tensor], Tensor] = lambda sums: sums) -> dict[str, float]:
        """The means; names whose values were never finite are missing. `over_processes` adds up the sums of all."""
        sums: dict[str, Tensor] = {}
        for names, both in self._sums.items():
            for name, pair in zip(names, both.T, strict=True):
                sums[name] = sums[name] + pair if name in sums else pair
        self._sums = {}
        if not sums:
            return {}
        rows = over_processes(torch.stack([sums[name] for name in sorted(sums)])).tolist()
        return {name: total / count for name, (total, count) in zip(sorted(sums), rows, strict=True) if count}


class Stopwatch:
    """Samples per second, and the share of the time in which the device had nothing to do but wait for data.

    On CUDA the waiting is measured on the device's own clock: work runs behind the host, which may wait for data while
    the device is still busy.
    """

    def __init__(self, device: torch.device):
        self._cuda = device.type == "cuda"
        self._restart()

    def _restart(self) -> None:
        self._start, self._waited, self._samples = time.perf_counter(), 0.0, 0
        self._gaps: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Around the wait for a batch."""
        if self._cuda:
            before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            before.record()
            yield
            after.record()
            self._gaps.append((before, after))
        else:
            start = time.perf_counter()
            yield
            self._waited += time.perf_counter() - start

    def count(self, samples: int) -> None:
        """Samples of a step that is done."""
        self._samples += samples

    def take(self) -> dict[str, float]:
        """`samples_per_s` and `waiting_share` since the last call."""
        if self._gaps:
            self._gaps[-1][1].synchronize()
            self._waited = sum(before.elapsed_time(after) for before, after in self._gaps) / 1000
        elapsed = max(time.perf_counter() - self._start, 1e-9)
        values = {"samples_per_s": self._samples / elapsed, "waiting_share": min(1.0, self._waited / elapsed)}
        self._restart()
        assert all(map(math.isfinite, values.values()))
        return values
