"""What the networks that are saved for use have in common: sizes in `config.json`, weights loaded strictly."""

from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from torch import Tensor, nn

from megaportraits.checkpoint import read_model, write_model
from megaportraits.config import from_dict, to_dict
from megaportraits.errors import UserError
from megaportraits.models.blocks import Recomputed, fold_weights, folded_state

Loaded = TypeVar("Loaded", bound="Network")
Shipped = Literal["base", "enhancer", "gaze", "identity", "avatars"]
"""Kinds of models whose weights come with the package."""
SHIPPED = "shipped"
"""What stands for the package's own file or folder in some options."""
_OPTIONS: dict[str, str] = {"base": "--weights", "enhancer": "--enhancer"}


class Network(nn.Module):
    """A network that is made from its sizes alone."""

    kind: ClassVar[str]
    """What `config.json` calls it."""
    sizes: ClassVar[type]
    """Class of `config`."""
    config: Any

    @classmethod
    def load(cls: type[Loaded], path: str | Path) -> Loaded:
        """Read a checkpoint folder (`model.safetensors`, `config.json`) for use: folded, frozen, evaluation mode.

        Raises:
            UserError: no checkpoint there, another kind of model, or keys that do not match.
        """
        facts, tensors = read_model(path, cls.kind)
        network = fold_weights(cls(from_dict(cls.sizes, facts["model"])))
        checked_load(network, tensors, path)
        return network.eval().requires_grad_(False)

    def save(self, path: str | Path, **facts: object) -> None:
        """Write `model.safetensors` (fp16, folded) and `config.json` for use; it must be in evaluation mode."""
        write_model(path, self.kind, to_dict(self.config), folded_state(self), facts)

    def checkpoint_activations(self) -> None:
        """Trade time for memory: residual blocks recompute their activations in the backward pass."""
        for module in self.modules():
            if isinstance(module, Recomputed):
                module.recompute = True


def checked_load(module: nn.Module, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Load weights strictly.

    Raises:
        UserError: keys are missing or extra, or tensors have other shapes; they are listed.
    """
    wanted = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in tensors.items()}
    if wanted != found:
        other = sorted(k for k in wanted.keys() & found.keys() if wanted[k] != found[k])
        raise UserError(
            f"{path} does not fit the model: missing {sorted(wanted.keys() - found.keys())[:5]}, "
            f"extra {sorted(found.keys() - wanted.keys())[:5]}, of other shapes {other[:5]}; "
            "use a checkpoint of the same preset"
        )
    module.load_state_dict({k: v.float() for k, v in tensors.items()})


def shipped_weights(kind: Shipped = "base") -> Path:
    """Folder of the weights inside the package.

    Raises:
        UserError: this installation came without them.
    """
    folder = Path(str(resources.files("megaportraits"))) / "weights" / kind
    if not folder.is_dir():
        raise UserError(
            f"this installation holds no weights of the {kind} model; give a checkpoint folder"
            f"{' with ' + _OPTIONS[kind] if kind in _OPTIONS else ''}, or install a release"
        )
    return folder
