"""Throughput of `megaportraits prepare videos` against plain decoding of the same files, and where its time goes.

    python benchmarks/preparing.py VIDEOS --size 256 --step 1 --repeats 3

Everything runs in one process, on each file in turn; the table holds medians over the repeats. Machines are noisy:
compare ratios within one run. The table goes to standard error, JSON to standard output.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from megaportraits.animate import tracking
from megaportraits.config import FilterConfig, PrepareVideos
from megaportraits.data.clips import ClipWriter
from megaportraits.data.crop import SquareCrop
from megaportraits.data.faces import FaceTracker, PersonMatte
from megaportraits.data.video import READABLE, read_frames
from megaportraits.prepare import head_clip
from megaportraits.prepare.lists import Item, find_items
from megaportraits.prepare.videos import prepare_video

PARTS: dict[str, tuple[Any, str]] = {
    "landmarks": (FaceTracker, "all_landmarks"),
    "recognition": (tracking, "embedding"),
    "matte": (PersonMatte, "matte"),
    "cutting": (SquareCrop, "cut"),
    "encoding": (ClipWriter, "add"),
    "quality": (head_clip, "judge"),
}
"""Functions whose time is told apart; recognition cuts too, and so does quality, which is counted with them."""


class Clocks:
    """Adds up the seconds that functions take, while it is open."""

    def __init__(self):
        self.seconds: Counter[str] = Counter()
        self._inside = False

    def __enter__(self) -> "Clocks":
        self._kept = {name: getattr(owner, attribute) for name, (owner, attribute) in PARTS.items()}
        for name, (owner, attribute) in PARTS.items():
            setattr(owner, attribute, self._timed(name, self._kept[name]))
        return self

    def __exit__(self, *_: object) -> None:
        for name, (owner, attribute) in PARTS.items():
            setattr(owner, attribute, self._kept[name])

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            if self._inside:
                return function(*arguments, **named)
            self._inside, start = True, time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self._inside = False
                self.seconds[name] += time.perf_counter() - start

        return timed


def decode(item: Item) -> tuple[int, float]:
    """Frames, and seconds to decode them to RGB."""
    start = time.perf_counter()
    return sum(1 for _ in read_frames(item.path)), time.perf_counter() - start


def prepare(item: Item, config: PrepareVideos) -> tuple[float, Counter[str]]:
    """Seconds to prepare a file, and those of its parts."""
    with tempfile.TemporaryDirectory() as folder, Clocks() as clocks:
        start = time.perf_counter()
        prepare_video(item, Path(folder), config, lambda name, picture: None)
        return time.perf_counter() - start, clocks.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    config = PrepareVideos(
        tuple(arguments.videos), "", size=arguments.size, step=arguments.step, filters=FilterConfig(least_scale=0.1)
    )
    rows = []
    for _ in range(arguments.repeats):
        decoding, preparing, frames = 0.0, 0.0, 0
        parts: Counter[str] = Counter()
        for item in find_items(config.videos, READABLE):
            count, seconds = decode(item)
            frames, decoding = frames + count, decoding + seconds
            seconds, own = prepare(item, config)
            preparing, parts = preparing + seconds, parts + own
        parts["decoding, twice, and the rest"] = preparing - sum(parts.values())
        rows.append({"frames": frames, "decoding_s": decoding, "preparing_s": preparing, "parts": parts})
    frames = rows[0]["frames"]
    ratio = statistics.median(row["preparing_s"] / row["decoding_s"] for row in rows)
    share = {name: float(np.median([r["parts"][name] / r["preparing_s"] for r in rows])) for name in rows[0]["parts"]}
    speed = {
        name: round(statistics.median(frames / row[name] for row in rows), 1) for name in ("decoding_s", "preparing_s")
    }
    print(f"decoding {speed['decoding_s']} frames/s, preparing {speed['preparing_s']}: {ratio:.1f} times as long",
          file=sys.stderr)  # fmt: skip
    for name, part in sorted(share.items(), key=lambda pair: -pair[1]):
        print(f"{part:6.0%}  {name}", file=sys.stderr)
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    facts = {"machine": machine, "frames": frames, "frames_per_s": speed, "ratio": round(ratio, 2), "share": share}
    print(json.dumps(facts | {"size_px": arguments.size, "step": arguments.step}, indent=1))


if __name__ == "__main__":
    main()
