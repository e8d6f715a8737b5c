"""What a person sees of a run: progress bar, TensorBoard or W&B, `scalars.jsonl`, PNG grids."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from megaportraits.errors import UserError
from megaportraits.files import replacing


@runtime_checkable
class _Board(Protocol):
    """What is used of TensorBoard's `SummaryWriter`."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> Any: ...

    def add_image(self, tag: str, img_tensor: np.ndarray, global_step: int) -> Any: ...

    def close(self) -> None: ...


class _Wandb:
    """W&B with the methods of a `_Board`; a resumed run goes on in its own page."""

    def __init__(self, output: Path):
        try:
            self.wandb: Any = importlib.import_module("wandb")
        except ImportError as error:
            raise UserError(
                "the logger is 'wandb', which is not installed; use 'tensorboard', or pip install wandb"
            ) from error
        name = output.resolve().name
        self.run = self.wandb.init(project="megaportraits", id=name, resume="allow", dir=str(output / "log"))

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.run.log({tag: scalar_value}, step=global_step)

    def add_image(self, tag: str, img_tensor: np.ndarray, global_step: int) -> None:
        self.run.log({tag: self.wandb.Image(np.moveaxis(img_tensor, 0, -1))}, step=global_step)

    def close(self) -> None:
        self.run.finish()


def _tensorboard(folder: Path, first_step: int) -> _Board:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError("training needs tensorboard; install megaportraits with its extra 'train'") from error
    return SummaryWriter(str(folder), purge_step=first_step or None)


class Log:
    """Writes into OUTPUT/log; use as a context manager.

    Raises:
        UserError: the logger is not installed, or the folder cannot be written.
    """

    def __init__(self, output: Path, first_step: int, steps: int, logger: str = "tensorboard"):
        self.folder = output / "log"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {output} ({error.strerror}); choose another --output") from error
        self._forget_after(first_step)
        self.board: _Board = _Wandb(output) if logger == "wandb" else _tensorboard(self.folder, first_step)
        pause_s = 2 if sys.stderr.isatty() else 30
        self.bar = tqdm(total=steps, initial=first_step, unit="step", dynamic_ncols=True, mininterval=pause_s)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.bar.close()
        self.board.close()

    def _forget_after(self, step: int) -> None:
        """Drop the scalars of steps after the checkpoint from which the run goes on: they are made again."""
        path = self.folder / "scalars.jsonl"
        if path.is_file():
            lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            kept = [line for line in lines if json.loads(line)["step"] <= step]
            with replacing(path) as temporary:
                temporary.write_text("".join(kept))

    def advance(self) -> None:
        """One step done."""
        self.bar.update()

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Raw loss values and rates; the bar shows `generator_total`."""
        if "generator_total" in values:
            self.bar.set_postfix(loss=f"{values['generator_total']:.3f}", refresh=False)
        for name, value in values.items():
            self.board.add_scalar(name, value, step)
        with (self.folder / "scalars.jsonl").open("a") as file:
            file.write(json.dumps({"step": step} | {k: round(v, 6) for k, v in values.items()}) + "\n")

    def pictures(self, step: int, grid: UInt8[Tensor, "H W 3"]) -> None:
        """A grid of examples, to TensorBoard and as PNG."""
        picture = grid.cpu().numpy()
        self.board.add_image("examples", np.moveaxis(picture, -1, 0), step)
        Image.fromarray(picture).save(self.folder / f"examples-{step}.png")


def grid(columns: list[Float[Tensor, "B 3 H W"]], rows: int) -> UInt8[Tensor, "gridH gridW 3"]:
    """One row for each of the first `rows` samples, one column for each kind of picture."""
    cells = [torch.cat([c[i].float().cpu() for c in columns], -1) for i in range(min(rows, len(columns[0])))]
    return (torch.cat(cells, -2).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous()
