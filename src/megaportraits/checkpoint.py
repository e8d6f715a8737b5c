"""Checkpoints are data: safetensors and JSON, strict keys, no pickle.

For use: a folder with `model.safetensors` (folded EMA weights, fp16) and `config.json`
({"schema_version", "kind", "model", ...facts}). Training adds `state/` (see `training/loop.py`).
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from megaportraits.errors import UserError
from megaportraits.files import replacing, writing

SCHEMA_VERSION = 1


def write_model(
    path: str | Path, kind: str, config: dict[str, Any], tensors: dict[str, Tensor], facts: dict[str, Any]
) -> None:
    """Write `model.safetensors` (floating tensors in fp16) and `config.json` into a folder, each atomically.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = Path(path)
    halves = {k: v.detach().half().contiguous().cpu() if v.is_floating_point() else v.cpu() for k, v in tensors.items()}
    _save(folder / "model.safetensors", halves)
    write_json(folder / "config.json", {"schema_version": SCHEMA_VERSION, "kind": kind, "model": config, **facts})


def read_model(path: str | Path, *kinds: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read what `write_model` wrote, a model of one of these kinds.

    Raises:
        UserError: the folder or a file is missing or damaged, or holds another kind of model.
    """
    return read_facts(path, *kinds), read_tensors(Path(path) / "model.safetensors")


def read_facts(path: str | Path, *kinds: str) -> dict[str, Any]:
    """The `config.json` of what `write_model` wrote: sizes in `model`, and facts. Raises as `read_model`."""
    folder = Path(path)
    if not (folder / "model.safetensors").is_file() or not (folder / "config.json").is_file():
        raise UserError(f"no checkpoint in {folder}: give a folder that holds model.safetensors and config.json")
    config = read_json(folder / "config.json")
    if config.get("kind") not in kinds:
        wanted = " or ".join(f"'{kind}'" for kind in kinds)
        raise UserError(f"{folder} holds a '{config.get('kind')}' model, but a {wanted} model was wanted")
    if not isinstance(config.get("model"), dict):
        raise UserError(f"{folder}/config.json names no model sizes; restore it from a backup or write it again")
    if config.get("schema_version") != SCHEMA_VERSION:
        raise UserError(
            f"{folder} has schema version {config.get('schema_version')}, this program reads {SCHEMA_VERSION}; "
            "use the release that wrote it"
        )
    return config


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file as a dictionary.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a readable safetensors file ({error}); copy or download it again") from error


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a dictionary of tensors, atomically.

    Raises:
        UserError: the path cannot be written.
    """
    _save(path, {k: v.detach().contiguous().cpu() for k, v in tensors.items()})


def _save(path: Path, tensors: dict[str, Tensor]) -> None:
    with replacing(path) as temporary, writing(path):
        save_file(tensors, temporary)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        UserError: the file is damaged, or holds something else.
    """
    try:
        data = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise UserError(f"{path} is not readable JSON ({error}); restore it from a backup or make it again") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} holds JSON that is no object; restore it from a backup or make it again")
    return data


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write JSON, atomically.

    Raises:
        UserError: the path cannot be written.
    """
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    with replacing(path) as temporary, writing(path):
        temporary.write_text(text)
