"""The alarms of docs/alarms.md on a checkpoint, as a table: run it before and after each leg.

    python recipes/probe.py WEIGHTS --data FOLDER... [--held-out FOLDER...] [--recorded FOLDER...]

WEIGHTS is a checkpoint folder, or "shipped". The column "seen" is measured on --data, the column "held out" on
--held-out; both should hold people who perform the same motions (`megaportraits synth --motion-of`).
"""

import argparse
from dataclasses import replace
from pathlib import Path

from megaportraits.config import AlarmConfig
from megaportraits.data.clips import find_clips
from megaportraits.data.pairs import FrameStore
from megaportraits.models.base import BaseModel
from megaportraits.models.network import SHIPPED, shipped_weights
from megaportraits.training.alarms import Alarms


def main() -> None:
    options = parse()
    model = BaseModel.load(shipped_weights() if options.weights == SHIPPED else options.weights)
    plain = AlarmConfig(
        groups=options.groups, people=options.people, frames=options.frames, clips=options.clips,
        portraits=options.clips, quiet_steps=0,
    )  # fmt: skip
    seen = replace(plain, held_out=tuple(options.held_out), recorded=tuple(options.recorded))
    columns = {"seen": measure(model, options.data, seen)}
    if options.held_out:
        columns["held out"] = measure(model, options.held_out, plain)
    names = list(dict.fromkeys(name for values, _ in columns.values() for name in values))
    print("| value |" + "".join(f" {title} |" for title in columns) + "\n|---|" + "---:|" * len(columns))
    for name in names:
        cells = [f"{values[name]:.4f}" if name in values else "" for values, _ in columns.values()]
        print(f"| {name} |" + "".join(f" {cell} |" for cell in cells))
    for title, (_, rung) in columns.items():
        print(f"\n{title}: " + ("\n  ".join(["", *rung]) if rung else "no alarm rings"))


def measure(model: BaseModel, folders: list[str], config: AlarmConfig) -> tuple[dict[str, float], list[str]]:
    """Values and what rings, on clips of any split."""
    store = FrameStore(find_clips(map(Path, folders)), model.config.size_px, cache_gb=1.0)
    alarms = Alarms(config, store)
    values = alarms.measure(model)
    return values, alarms.ringing(values, 0)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Alarms on a checkpoint.")
    parser.add_argument("weights")
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--held-out", nargs="+", default=[])
    parser.add_argument("--recorded", nargs="+", default=[])
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--frames", type=int, default=7)
    parser.add_argument("--clips", type=int, default=48)
    return parser.parse_args()


if __name__ == "__main__":
    main()
