"""Which networks judge, which are missing, and how a report names them."""

from pathlib import Path

from megaportraits.config import EvaluateConfig
from megaportraits.errors import UserError
from megaportraits.files import file_hash

NETWORKS = {
    "gaze_net": ("gaze_deg",),
    "lpips": ("lpips",),
    "squeezenet": ("squeezenet",),
    "recogniser": ("csim", "leak"),
    "inception": ("fid", "kid"),
    "iqa": ("iqa",),
}
"""Metrics that need a network, by the setting that names its file."""


def networks_used(config: EvaluateConfig, weights: str | Path) -> dict[str, dict[str, str]]:
    """Name and SHA-256 of the file of each network that judges, by metric.

    Raises:
        UserError: a file is missing.
    """
    chosen = {"pose_deg": config.pose_net or str(weights)}
    chosen |= {metric: getattr(config, option) for option, metrics in NETWORKS.items() for metric in metrics}
    return {metric: _named(Path(path)) for metric, path in chosen.items() if path}


def networks_missing(config: EvaluateConfig) -> dict[str, str]:
    """By metric, what to give so that it can be measured."""
    missing = {
        metric: f"no network; name its file with --{option.replace('_', '-')} (docs/frozen-nets.md)"
        for option, metrics in NETWORKS.items()
        for metric in metrics
        if not getattr(config, option)
    }
    return missing if config.step == 1 else missing | {"flicker": "the frames are no neighbours; give --step 1"}


def _named(path: Path) -> dict[str, str]:
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"there is no file {file}, which an option names as a network that judges")
    return {"file": path.name, "sha256": file_hash(file)}
