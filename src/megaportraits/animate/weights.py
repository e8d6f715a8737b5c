"""Finding a model's weights: those of the package, a checkpoint folder, a preset's name, or a place on a hub."""

import hashlib
import re
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from megaportraits.checkpoint import read_json
from megaportraits.config import MODEL_PRESETS, ModelConfig, from_dict
from megaportraits.errors import UserError
from megaportraits.models.network import shipped_weights

_FILES = ("model.safetensors", "config.json")


def find_weights(name: str | Path | None) -> Path:
    """The folder of the weights that `name` stands for.

    Args:
        name: None for the weights that came with the package; a checkpoint folder; the name of a preset whose sizes
            the package's weights have; or OWNER/NAME of a hub (fetched once, then taken from its cache).

    Raises:
        UserError: there is no such folder, preset or place, or it cannot be fetched.
    """
    if name is None:
        return shipped_weights()
    if Path(name).exists():
        return Path(name)
    if str(name) in MODEL_PRESETS:
        return _preset_weights(str(name))
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", str(name)):
        return _fetched(str(name))
    raise UserError(
        f"there are no weights '{name}'; give a checkpoint folder, a preset ({', '.join(MODEL_PRESETS)}), or "
        "OWNER/NAME of a hub"
    )


def tensors_hash(module: nn.Module) -> str:
    """SHA-256 of a network's tensors as they are stored (fp16): equal before and after saving and loading."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        stored = tensor.detach().cpu()
        stored = stored.half() if stored.is_floating_point() else stored
        digest.update(f"{name} {tuple(stored.shape)} {stored.dtype}".encode())
        digest.update(stored.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _preset_weights(name: str) -> Path:
    folder = shipped_weights()
    sizes = from_dict(ModelConfig, read_json(folder / "config.json")["model"])
    if sizes != MODEL_PRESETS[name]:
        shipped = next((known for known, config in MODEL_PRESETS.items() if config == sizes), "of other sizes")
        raise UserError(
            f"the package holds no weights of preset '{name}', only '{shipped}'; give a checkpoint folder of that "
            "preset, or leave --weights out"
        )
    return folder


def _fetched(place: str) -> Path:
    try:
        hub = import_module("huggingface_hub")
    except ImportError as error:
        raise UserError(
            f"there is no folder {place}, and fetching it from a hub needs another package; give a checkpoint folder, "
            "or run 'pip install \"megaportraits[hub]\"'"
        ) from error
    try:
        folder = Path(hub.snapshot_download(place, allow_patterns=list(_FILES)))
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise UserError(
            f"there is no folder {place}, and it could not be fetched from the hub ({reason}); check the name and the "
            "connection, or give a checkpoint folder"
        ) from error
    if not all((folder / file).is_file() for file in _FILES):
        raise UserError(f"{place} on the hub holds no {' and '.join(_FILES)}; give a place that holds these weights")
    return folder
