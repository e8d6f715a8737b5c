"""`megaportraits export`: the avatars of a signed file as an ONNX graph, for ONNX Runtime on any machine."""

import logging
import warnings
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from megaportraits.bundle import read_bundle
from megaportraits.errors import UserError
from megaportraits.files import replacing, writing
from megaportraits.models.student import BakedStudent

OPSET = 18


class _Graph(nn.Module):
    """Driver and avatar -> RGB, and the matte where the student paints one, as one picture."""

    def __init__(self, model: BakedStudent):
        super().__init__()
        self.model = model

    def forward(self, driver: Float[Tensor, "1 3 S S"], avatar: Int[Tensor, "1"]) -> Float[Tensor, "1 C H H"]:
        made = self.model(driver, avatar)
        return made.rgb if made.matte is None else torch.cat([made.rgb, made.matte], 1)


def export(bundle: Path, output: Path) -> None:
    """Write the student of a signed file as ONNX.

    Inputs of the graph: `driver` (1 3 S S, RGB in [0, 1], the head's square at the student's input size) and `avatar`
    (its number). Output: `picture` (1 C H H), RGB in [0, 1] over grey, and the matte as a fourth channel.

    Args:
        bundle: signed file of avatars (.mpa).
        output: file to write (.onnx).

    Raises:
        UserError: not a signed bundle, another suffix, ONNX is not installed, or the file cannot be written.
    """
    if output.suffix != ".onnx":
        raise UserError(f"{output} does not end in .onnx; choose an output name that does")
    write_onnx(read_bundle(bundle).model, output)
    print(f"{output}")


def write_onnx(model: BakedStudent, output: Path) -> None:
    """Write a baked student as ONNX.

    Raises:
        UserError: ONNX is not installed, the file would be too large, or it cannot be written.
    """
    side = model.config.input_px
    inputs = torch.zeros(1, 3, side, side), torch.zeros(1, dtype=torch.long)
    with replacing(output) as temporary, writing(output), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            torch.onnx.export(
                _Graph(model), inputs, str(temporary), input_names=["driver", "avatar"], output_names=["picture"],
                opset_version=OPSET, dynamo=True, external_data=False, verbose=False,
            )  # fmt: skip
        except ImportError as error:
            raise UserError(f"ONNX is not installed ({error}); install megaportraits[onnx]") from error
        if any(path != temporary for path in temporary.parent.iterdir()):  # weights that found no room inside
            raise UserError(f"{output} would have more than 2 GB, which ONNX files cannot; leave avatars out")
