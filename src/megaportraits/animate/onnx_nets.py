"""Networks that a user brings as ONNX files: a better matte of the source, a better fill of what it hid.

They run through onnxruntime (extra `onnx`), on the CPU: each is used once for a source.
"""

import importlib
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from megaportraits.errors import UserError

_MATTE_PX = 512
"""Shorter side of the picture that a matting network without a fixed size sees."""
_STRIDE = 32
"""Its sides are multiples of this."""


class _Net:
    """A network file with known inputs and outputs."""

    def __init__(self, path: Path, what: str, inputs: tuple[int, ...], wanted: str):
        """`inputs`: channels of each input; all are 1 x channels x height x width, as is the one output."""
        if not Path(path).is_file():
            raise UserError(f"there is no file {path}; give the path of an ONNX {what} network")
        try:
            runtime = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise UserError(
                f"an ONNX {what} network needs onnxruntime, which is not installed; "
                "install it with 'pip install megaportraits[onnx]'"
            ) from error
        try:
            self._session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            raise UserError(f"{path} is not a readable ONNX network ({first}); give {wanted}") from error
        self.path, self.wanted = path, wanted
        shapes = [node.shape for node in self._session.get_inputs()]
        fits = len(shapes) == len(inputs) and all(
            len(shape) == 4 and (shape[1] == channels or not isinstance(shape[1], int))
            for shape, channels in zip(shapes, inputs, strict=True)
        )
        if not fits:
            raise UserError(f"the network {path} takes inputs of shapes {shapes}; give {wanted}")
        self.size = tuple(n if isinstance(n, int) and n > 0 else None for n in shapes[0][2:])
        """Fixed height and width of the input; None where they are free."""

    def __call__(self, *values: Float[np.ndarray, "1 _ H W"], channels: int) -> Float[np.ndarray, "H W c"]:
        names = [node.name for node in self._session.get_inputs()]
        try:
            output = self._session.run(None, dict(zip(names, values, strict=True)))[0]
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            raise UserError(f"the network {self.path} cannot be run ({first}); give {self.wanted}") from error
        if output.shape != (1, channels, *values[0].shape[2:]):
            raise UserError(
                f"the network {self.path} answers shape {list(output.shape)} to {list(values[0].shape)}; "
                f"give {self.wanted}"
            )
        if not np.isfinite(output).all():
            raise UserError(f"the network {self.path} answers numbers that are not finite; give {self.wanted}")
        return output[0].transpose(1, 2, 0).astype(np.float32)


class OnnxMatting:
    """A matting network such as MODNet: picture 1 x 3 x H x W in [-1, 1] -> matte 1 x 1 x H x W in [0, 1]."""

    def __init__(self, path: Path):
        """Open the network.

        Raises:
            UserError: no such file, no onnxruntime, or another kind of network.
        """
        wanted = "a matting network from 1x3xHxW in [-1, 1] to 1x1xHxW, such as MODNet"
        self._net = _Net(path, "matting", (3,), wanted)

    def matte(self, picture: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
        """The person in [0, 1].

        Raises:
            UserError: the network fails or answers another shape.
        """
        height, width = picture.shape[:2]
        scale = _MATTE_PX / min(height, width)
        rows, columns = (
            fixed or max(_STRIDE, round(length * scale / _STRIDE) * _STRIDE)
            for fixed, length in zip(self._net.size, (height, width), strict=True)
        )
        seen = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32) / 127.5 - 1
        matte = self._net(seen.transpose(2, 0, 1)[None], channels=1)[..., 0]
        return np.clip(cv2.resize(matte, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)


class OnnxInpainting:
    """An inpainting network such as LaMa: picture 1x3xHxW in [0, 1] and hole 1x1xHxW -> 1x3xHxW."""

    def __init__(self, path: Path):
        """Open the network.

        Raises:
            UserError: no such file, no onnxruntime, or another kind of network.
        """
        wanted = "an inpainting network from 1x3x512x512 in [0, 1] and a 1x1x512x512 mask to 1x3x512x512, such as LaMa"
        self._net = _Net(path, "inpainting", (3, 1), wanted)

    def fill(self, picture: Float[np.ndarray, "H W 3"], hole: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W 3"]:
        """The picture with its hole filled; the rest is as it came.

        Raises:
            UserError: the network fails or answers another shape.
        """
        height, width = hole.shape
        rows, columns = (fixed or 512 for fixed in self._net.size)
        seen = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
        mask = (cv2.resize(hole.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA) > 0).astype(
            np.float32
        )
        answer = self._net(seen.transpose(2, 0, 1)[None].astype(np.float32), mask[None, None], channels=3)
        answer = np.clip(answer / 255 if answer.max() > 2 else answer, 0, 1)
        full = cv2.resize(answer, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.clip(picture + hole[..., None] * (full - picture), 0, 1)
