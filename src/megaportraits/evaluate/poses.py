"""Head poses by another method, FSA-Net, by the conventions of `geometry.py`."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from megaportraits.data.crop import SquareCrop
from megaportraits.errors import UserError

_FSANET_PX = 64
_FSANET_SQUARE = 1.6
"""Side of FSA-Net's square in sides of the box around the landmarks; of 1.0, 1.3, 1.6 and 2.0 the one that agrees best
with the fit to landmarks on real videos."""
_FSANET_SIGNS = (-1.0, 1.0, 1.0)
"""Of (yaw, pitch, roll). FSA-Net's yaw is positive to the picture's left: on 13 real videos its own numbers correlate
with the fit to landmarks by -0.97, +0.78 and +0.96."""


class FsaNet:
    """FSA-Net (Yang et al., CVPR 2019) as ONNX files, each 1 x 3 x 64 x 64 -> (yaw, pitch, roll); their mean counts.

    Raises:
        UserError: ONNX Runtime is not installed, or a file is not a readable network.
    """

    def __init__(self, files: Sequence[str | Path]):
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            self._sessions = [runtime.InferenceSession(str(f), options) for f in files]
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise UserError(f"FSA-Net cannot be read ({error}); give its .onnx files") from error

    def angles_deg(self, frame: UInt8[np.ndarray, "H W 3"], landmarks_px: Float[np.ndarray, "L 2"]) -> np.ndarray:
        """(yaw, pitch, roll) of the face whose landmarks are at these pixels."""
        low, high = landmarks_px.min(0), landmarks_px.max(0)
        side = _FSANET_SQUARE * float((high - low).max())
        x, y = (low + high) / 2 - side / 2
        face = SquareCrop(float(x), float(y), side).cut(frame, _FSANET_PX)
        values = (face[..., ::-1].astype(np.float32) - 127.5) / 128  # BGR
        fed = np.ascontiguousarray(values.transpose(2, 0, 1))[None]
        found = [session.run(None, {session.get_inputs()[0].name: fed})[0][0] for session in self._sessions]
        return np.mean(found, 0) * np.array(_FSANET_SIGNS)


def _onnxruntime() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise UserError(
            f"FSA-Net needs ONNX Runtime ({error}); install it with 'pip install onnxruntime' or leave --fsanet out"
        ) from error
