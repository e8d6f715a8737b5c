"""Throughput of on-line rendering: frames per second by picture size and number of renderers, and where the time goes.

    python benchmarks/rendering.py --assets HEADS --sizes 256 512 --workers 1 4 --seconds 60

Each row is a ring of its own, filled without a pause; the clock starts with its first clip. The table goes to standard
error, JSON to standard output. Machines are noisy: compare ratios within one run.
"""

import argparse
import json
import os
import platform
import sys
import time

from megaportraits.config import OnlineConfig
from megaportraits.synth.online import OnlineStore
from megaportraits.synth.renderer import open_context

PARTS = ("identity", "motion", "shading", "encoding")


def measure(arguments: argparse.Namespace, size_px: int, workers: int) -> dict[str, float | int | dict[str, float]]:
    """One row: frames per second, CPU seconds per frame, share of the parts."""
    config = OnlineConfig(
        arguments.assets, workers=workers, clips=max(3, workers), first_clips=1, frames=arguments.frames,
        frames_served=0, size_px=size_px, skin_px=arguments.skin,
    )  # fmt: skip
    with OnlineStore(config, size_px, 0.1) as store:
        before, start = store.ring.progress(), time.perf_counter()
        time.sleep(arguments.seconds)
        after, elapsed = store.ring.progress(), time.perf_counter() - start
    frames = after.frames - before.frames
    if frames == 0:
        raise SystemExit(f"no clip was finished within {arguments.seconds} s; give more --seconds or fewer --frames")
    spent = {part: after.seconds[part] - before.seconds.get(part, 0.0) for part in PARTS}
    total = sum(spent.values())
    return {
        "size_px": size_px,
        "workers": workers,
        "frames": frames,
        "frames_per_s": round(frames / elapsed, 2),
        "cpu_s_per_frame": round(total / frames, 4),
        "share": {part: round(seconds / total, 3) for part, seconds in spent.items()},
    }


def machine() -> dict[str, str | int | float]:
    """What the numbers were measured on."""
    context = open_context()
    graphics = context.info["GL_RENDERER"]
    context.release()
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "load_before": round(os.getloadavg()[0], 1),
        "graphics": graphics,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", required=True, help="a MakeHuman data folder")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256])
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    parser.add_argument("--frames", type=int, default=48, help="frames of each clip")
    parser.add_argument("--skin", type=int, default=OnlineConfig.skin_px, help="side of the skin texture in pixels")
    parser.add_argument("--seconds", type=float, default=60.0, help="measured time of each row")
    arguments = parser.parse_args()
    facts = machine()
    rows = [measure(arguments, size, workers) for size in arguments.sizes for workers in arguments.workers]
    print(f"{'size':>5} {'workers':>8} {'frames/s':>9} {'CPU s/frame':>12}  " + "  ".join(PARTS), file=sys.stderr)
    for row in rows:
        shares = "  ".join(f"{row['share'][part]:>{len(part)}.0%}" for part in PARTS)
        print(
            f"{row['size_px']:>5} {row['workers']:>8} {row['frames_per_s']:>9} {row['cpu_s_per_frame']:>12}  {shares}",
            file=sys.stderr,
        )
    print(json.dumps({"machine": facts, "frames_per_clip": arguments.frames, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
