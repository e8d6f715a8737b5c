"""Which checkpoint a run goes on from, and whether it may."""

from pathlib import Path
from typing import Any

from megaportraits.errors import UserError

_FREE = (
    *("threads", "workers", "device", "devices", "accumulate", "gradient_checkpointing", "compile", "channels_last"),
    *("keep", "log_every", "pictures_every", "checkpoint_every", "logger"),
)
"""Settings of the loop that a resumed run may change: how it is logged, and what computes it."""


def checkpoints(output: Path) -> list[Path]:
    """Checkpoints of a run that training can resume from, oldest first."""
    found = [p for p in output.glob("step-*") if (p / "state" / "loop.json").is_file()]
    return sorted(found, key=lambda p: int(p.name.split("-")[1]))


def check_settings(output: Path, facts: dict[str, Any], config: dict[str, Any], samples_per_step: int) -> None:
    """Compare what `loop.json` says (`facts`) with the settings of the present command.

    Raises:
        UserError: the settings differ, or a step covers another number of samples.
    """
    old, new = _decisive(facts["config"]), _decisive(config)
    different = sorted(k for k in new if old.get(k) != new[k])
    if different:
        raise UserError(
            f"{output} holds a run with other settings ({', '.join(different)}); "
            "choose another --output, or use --start-from for a warm restart"
        )
    before = facts.get("samples_per_step", facts["config"].get("batch"))
    if before != samples_per_step:
        raise UserError(
            f"a step of the run in {output} covers {before} samples, with these settings it would cover "
            f"{samples_per_step}; choose batch x processes x accumulate = {before}, or another --output"
        )


def _decisive(config: dict[str, Any]) -> dict[str, Any]:
    loop = {k: v for k, v in config["loop"].items() if k not in _FREE}
    return {k: v for k, v in config.items() if k not in ("output", "batch", "dry_run", "cache_gb", "alarms")} | {
        "loop": loop
    }
