"""A picture, ready to be driven: everything that depends on the source only, in memory and as a file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from megaportraits.config import ModelConfig
from megaportraits.data.crop import SquareCrop
from megaportraits.errors import UserError
from megaportraits.files import replacing, writing
from megaportraits.tensors import Canonical, HeadPose, Motion

_FORMAT, _VERSION = "mpsource", "1"
_LARGEST_SQUARE = 8
"""Side of the square in sides of the photo: more than any face in it can ask for."""
_Sizes = tuple[int | None, ...]


@dataclass(frozen=True)
class Source:
    """A picture, ready to be driven."""

    photo: UInt8[np.ndarray, "H W 3"]
    """The whole picture."""
    square: SquareCrop
    """Where the crop is in it."""
    crop: UInt8[np.ndarray, "S S 3"]
    """The head, framed as all crops are (`data/crop.py`)."""
    matte: Float[np.ndarray, "S S"]
    """The person in the crop, in [0, 1]."""
    plate: Float[np.ndarray, "S S 3"]
    """The crop in [0, 1] without the person."""
    canonical: Canonical
    """What the model keeps of the person."""
    motion: Motion
    """The source's own pose and expression, on the CPU."""


def write_source(path: Path, source: Source, model: str) -> None:
    """Write a source as safetensors, the photo included.

    Args:
        path: the file.
        source: what to write.
        model: hash of the whole model that computed it.

    Raises:
        UserError: the file cannot be written.
    """
    square, pose = source.square, source.motion.pose
    tensors = {
        "photo": torch.tensor(source.photo),
        "square": torch.tensor([square.x, square.y, square.side], dtype=torch.float64),
        "crop": torch.tensor(source.crop),
        "matte": torch.tensor(source.matte),
        "plate": torch.tensor(source.plate),
        "volume": source.canonical.volume,
        "descriptor": source.canonical.descriptor,
        "rotation": pose.rotation,
        "scale": pose.scale,
        "translation": pose.translation,
        "expression": source.motion.expression,
    }
    whole = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    with replacing(path) as temporary, writing(path):
        save_file(whole, temporary, {"format": _FORMAT, "version": _VERSION, "model": model})


def read_source(path: Path, config: ModelConfig, model: str, size_px: int) -> Source:
    """Read what `write_source` wrote, strictly; tensors are on the CPU.

    Args:
        path: the file.
        config: sizes of the model that will drive it.
        model: hash of that whole model.
        size_px: side of the results, and so of the crop.

    Raises:
        UserError: there is no such file, it is damaged or something else, another model computed it, or it was made
            for results of another size.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}; give a source file, or make one with Animator.save_source")
    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata() or {}
            _check_facts(path, facts, model)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a readable source file ({error}); make it again from the photo") from error
    _check_tensors(path, tensors, config, size_px)
    x, y, side = tensors["square"].tolist()
    return Source(
        photo=tensors["photo"].numpy(),
        square=SquareCrop(x, y, side),
        crop=tensors["crop"].numpy(),
        matte=tensors["matte"].numpy(),
        plate=tensors["plate"].numpy(),
        canonical=Canonical(tensors["volume"], tensors["descriptor"]),
        motion=Motion(HeadPose(tensors["rotation"], tensors["scale"], tensors["translation"]), tensors["expression"]),
    )


def _check_facts(path: Path, facts: dict[str, str], model: str) -> None:
    if facts.get("format") != _FORMAT:
        raise UserError(f"{path} is not a source file; give one that Animator.save_source wrote")
    if facts.get("version") != _VERSION:
        raise UserError(
            f"{path} is a source file of version {facts.get('version')}, this program reads {_VERSION}; make it again "
            "from the photo"
        )
    if facts.get("model") != model:
        raise UserError(
            f"{path} was computed by another model (weights {facts.get('model', '')[:8]}, loaded are {model[:8]}); "
            "load those weights, or make it again from the photo"
        )


def _check_tensors(path: Path, tensors: dict[str, Tensor], config: ModelConfig, size_px: int) -> None:
    crop = tensors.get("crop")
    if crop is not None and crop.ndim == 3 and crop.shape[0] != size_px:
        raise UserError(
            f"{path} was made for results of {crop.shape[0]} px, but they shall have {size_px}; load the model with "
            f"resolution {crop.shape[0]}, or make it again from the photo"
        )
    for name, (kind, sizes) in _wanted(config, size_px).items():
        tensor = tensors.get(name)
        if tensor is None:
            raise _damaged(path, f"has no '{name}'")
        if tensor.dtype != kind or not _fits(tensor, sizes):
            raise _damaged(path, f"has a '{name}' of {tensor.dtype} {tuple(tensor.shape)}, not {kind} {sizes}")
        if not bool(tensor.isfinite().all()):
            raise _damaged(path, f"has a '{name}' that is not finite")
    x, y, side = tensors["square"].tolist()
    most = _LARGEST_SQUARE * max(tensors["photo"].shape)
    if not (0 < side <= most and max(abs(x), abs(y)) <= most and float(tensors["scale"][0]) > 0):
        raise _damaged(path, "has a square or a head of an impossible size")


def _fits(tensor: Tensor, sizes: _Sizes) -> bool:
    same_axes = tensor.ndim == len(sizes)
    return same_axes and all(n > 0 and n == (wanted or n) for n, wanted in zip(tensor.shape, sizes, strict=True))


def _wanted(config: ModelConfig, size: int) -> dict[str, tuple[torch.dtype, _Sizes]]:
    """Type and sizes (None is any) of each tensor."""
    latent = config.size_px // 8
    return {
        "photo": (torch.uint8, (None, None, 3)),
        "square": (torch.float64, (3,)),
        "crop": (torch.uint8, (size, size, 3)),
        "matte": (torch.float32, (size, size)),
        "plate": (torch.float32, (size, size, 3)),
        "volume": (torch.float32, (1, config.volume_channels, config.volume_depth, latent, latent)),
        "descriptor": (torch.float32, (1, config.appearance.descriptor_channels, 4, 4)),
        "rotation": (torch.float32, (1, 3, 3)),
        "scale": (torch.float32, (1,)),
        "translation": (torch.float32, (1, 3)),
        "expression": (torch.float32, (1, config.motion.expression)),
    }


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} {what}; it is damaged, make it again from the photo")
