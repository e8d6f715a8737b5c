"""Time of each part of the base model: warm-up, then median and interquartile range, as JSON.

    python benchmarks/speed.py --preset live --batch 2 --runs 10

Machines are noisy: compare ratios within one run, not seconds between runs.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch

from megaportraits.config import MODEL_PRESETS, preset
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights


def timed(function: Callable[[], object], runs: int, device: torch.device) -> dict[str, float]:
    """Median and quartiles in milliseconds, after two warm-up runs."""
    seconds = []
    for i in range(runs + 2):
        start = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if i >= 2:
            seconds.append(1000 * (time.perf_counter() - start))
    low, middle, high = statistics.quantiles(seconds, n=4)
    return {"median_ms": round(middle, 2), "q1_ms": round(low, 2), "q3_ms": round(high, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=sorted(MODEL_PRESETS), default="live")
    parser.add_argument("--batch", type=int, default=2, help="driver frames at once")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = preset(arguments.preset)
    model = fold_weights(BaseModel(config)).eval().to(device)
    picture = torch.rand(arguments.batch, 3, config.size_px, config.size_px, device=device)
    matte = torch.ones_like(picture[:, :1])
    with torch.inference_mode():
        motion = model.motion(picture)
        source = model.canonical(picture, matte, motion)
        parts: dict[str, Callable[[], object]] = {
            "source: canonical": lambda: model.canonical(picture, matte, motion),
            "frame: motion": lambda: model.motion(picture),
            "frame: driver warp": lambda: model.driver_offsets(source, motion),
            "frame: render": lambda: model.render(source, motion),
        }
        results = {name: timed(part, arguments.runs, device) for name, part in parts.items()}
    frame_ms = results["frame: motion"]["median_ms"] + results["frame: render"]["median_ms"]
    facts = {
        "preset": arguments.preset,
        "batch": arguments.batch,
        "threads": arguments.threads,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }
    rate = round(1000 * arguments.batch / frame_ms, 2)
    print(json.dumps({"machine": facts, "parts": results, "frames_per_second": rate}, indent=1))


if __name__ == "__main__":
    main()
