"""Where and how exactly to compute, and what to do when that fails: safer numbers, smaller batches."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from tqdm import tqdm

from megaportraits.config import Device, Precision
from megaportraits.errors import UserError

Result = TypeVar("Result")

_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
_SAFER: dict[Precision, Precision] = {"fp16": "bf16", "bf16": "fp32"}
_SHORT_OF_MEMORY = ("out of memory", "can't allocate", "not enough memory")


def device_of(name: Device) -> torch.device:
    """The device called `name`; auto is the first there is of cuda, mps, cpu.

    Raises:
        UserError: PyTorch does not see such a device.
    """
    seen = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, is_there in seen.items() if is_there))
    if not seen[name]:
        raise UserError(f"device '{name}' was asked for, but PyTorch sees no GPU of that kind; choose --device cpu")
    return torch.device(name)


def leave_a_core() -> None:
    """Let PyTorch use one CPU core less: its threads wait actively, and decoder and encoder need a core as well."""
    torch.set_num_threads(max(1, torch.get_num_threads() - 1))


def note(text: str) -> None:
    """One line for the user on standard error; a progress bar stays whole."""
    tqdm.write(f"megaportraits: {text}", file=sys.stderr)


class Arithmetic:
    """The numbers that networks compute with on a device; they get safer when results are not finite."""

    def __init__(self, device: torch.device, precision: Precision):
        """auto: fp16 on a GPU, fp32 on the CPU."""
        self.device = device
        self.precision: Precision = precision
        if precision == "auto":
            self.precision = "fp32" if device.type == "cpu" else "fp16"

    def finite(self, compute: Callable[[], Result]) -> Result:
        """What `compute` returns (a tensor, a bundle, or a tuple of them); again in safer numbers if it is not finite.

        The safer numbers are kept for everything later.

        Raises:
            UserError: it is not finite in fp32 either.
        """
        while True:
            precision = self.precision
            with torch.autocast(self.device.type, _TYPES[precision], enabled=precision != "fp32"):
                result = compute()
            if all(bool(tensor.isfinite().all()) for tensor in _tensors(result)):
                return result
            self.fall_back(precision, "gave numbers that are not finite")

    def fall_back(self, precision: Precision, reason: str) -> None:
        """Go on one step safer than `precision`, and say so.

        Raises:
            UserError: nothing is safer than fp32.
        """
        if precision == "fp32":
            raise UserError(
                f"the model {reason} on {self.device.type}, in fp32 too; check the motion that drives it, try "
                "--device cpu, or use other weights"
            )
        self.precision = _SAFER[precision]
        note(f"{precision} {reason} on {self.device.type}; going on with {self.precision}")


class Batches:
    """Runs long work in batches, which get smaller for good when memory is short."""

    def __init__(self, size: int):
        self.size = size
        self._told = False

    def over(self, count: int, compute: Callable[[slice], Result]) -> list[Result]:
        """`compute` for consecutive slices that cover 0 to `count`.

        Raises:
            UserError: memory does not suffice for one item.
        """
        results: list[Result] = []
        start = 0
        while start < count:
            rows = slice(start, min(start + self.size, count))
            try:
                results.append(compute(rows))
                start = rows.stop
                continue
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            self._halve(rows.stop - rows.start)  # outside the handler: the error's traceback holds tensors
        return results

    def _halve(self, size: int) -> None:
        if size == 1:
            raise UserError(
                "there is not enough memory for one picture; close other programs, choose --device cpu, or use "
                "weights of a smaller preset"
            )
        self.size = size // 2
        torch.cuda.empty_cache()
        if not self._told:
            note(f"memory is short; computing {self.size} instead of {size} pictures at once")
        self._told = True


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a device had too little memory."""
    short = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return short or any(words in str(error).lower() for words in _SHORT_OF_MEMORY)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for f in fields(cast(Any, value)):
            yield from _tensors(getattr(value, f.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _tensors(item)
