"""Which networks judge, which are missing, and how a report names them."""

from pathlib import Path

import torch
from torch import Tensor, nn

from megaportraits.config import EvaluateConfig, Protocol
from megaportraits.errors import UserError
from megaportraits.files import file_hash
from megaportraits.losses.pretrained import weights_file
from megaportraits.metrics.pictures import LEAST_MS_SSIM_PX

NETWORKS = {
    "gaze_net": ("gaze_deg",),
    "lpips": ("lpips",),
    "squeezenet": ("squeezenet",),
    "recogniser": ("csim", "leak"),
    "inception": ("fid", "kid"),
    "iqa": ("iqa",),
}
"""Metrics that need a network, by the setting that names its file."""
_HINT = "name its file with --{} (docs/frozen-nets.md)"
_HINTS = {"gaze_net": "give --gaze-net shipped for that of the package (docs/gaze.md)"}
_OF_ANSWERS = ("lpips", "squeezenet")
_OF_OTHERS = ("leak",)
_CHUNK = 16
"""Pictures that a network sees at once."""


def _metrics(protocol: Protocol) -> list[tuple[str, str]]:
    """(setting, metric) of all that the protocol can measure."""
    without = {"cross": _OF_ANSWERS, "self": _OF_OTHERS, "enhance": _OF_OTHERS, "truth": ()}[protocol]
    return [(option, m) for option, metrics in NETWORKS.items() for m in metrics if m not in without]


def networks_used(config: EvaluateConfig, weights: str | Path, protocol: Protocol) -> dict[str, dict[str, str]]:
    """By metric, name and SHA-256 of its network's file, and of a second network's where it needs one.

    Raises:
        UserError: a file is missing.
    """
    pose_net = _named(Path(config.pose_net or weights))
    used = {"pose_deg": pose_net}
    for option, metric in _metrics(protocol):
        path = getattr(config, option)
        if path:
            used[metric] = _named(Path(path))
        if path and option == "lpips":
            used[metric] |= {"with": _named(weights_file("alexnet"))["sha256"]}
        if path and option == "recogniser" and Path(path).is_dir():
            used[metric] |= {"with": pose_net["sha256"]}  # it says where the face is
    if protocol == "enhance" and config.step == 1:
        used["warp_error"] = _named(Path(weights))  # the flow is of its pictures
    return used


def networks_missing(config: EvaluateConfig, protocol: Protocol, size_px: int) -> dict[str, str]:
    """By metric, why it cannot be measured and what to do."""
    missing = {
        metric: f"no network; {_HINTS.get(option) or _HINT.format(option.replace('_', '-'))}"
        for option, metric in _metrics(protocol)
        if not getattr(config, option)
    }
    if config.step != 1:
        missing["flicker"] = "the frames are no neighbours; give --step 1"
        if protocol != "cross":
            missing["warp_error"] = missing["flicker"]
    if protocol != "cross" and size_px < LEAST_MS_SSIM_PX:
        missing["ms_ssim"] = f"pictures have {size_px} px; it needs {LEAST_MS_SSIM_PX}"
    return missing


class OnDevice(nn.Module):
    """A network that takes pictures from the CPU, a few at a time, and gives its answers back there."""

    def __init__(self, network: nn.Module, device: torch.device):
        super().__init__()
        self.network, self.device = network.to(device), device

    @torch.inference_mode()
    def forward(self, *pictures: Tensor) -> Tensor:
        """As the network's own; every argument has one picture for each frame."""
        parts = zip(*(p.split(_CHUNK) for p in pictures), strict=True)
        return torch.cat([self.network(*(p.to(self.device) for p in part)).cpu() for part in parts])


def _named(path: Path) -> dict[str, str]:
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"there is no file {file}, which an option names as a network that judges")
    return {"file": path.name, "sha256": file_hash(file)}
