"""Avatars in use: the head's square of a driver in, an avatar's picture out, one frame at a time."""

import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8

from megaportraits.animate.devices import device_of
from megaportraits.config import Device
from megaportraits.data.crop import SquareCrop
from megaportraits.data.faces import PersonMatte
from megaportraits.errors import UserError
from megaportraits.export import write_onnx
from megaportraits.models.student import BakedStudent

Painted = tuple[Float[np.ndarray, "S S 3"], Float[np.ndarray, "S S"]]


class _Engine(Protocol):
    """A baked student on some machine."""

    def __call__(self, driver: Float[np.ndarray, "1 3 s s"], avatar: int) -> Float[np.ndarray, "C S S"]:
        """RGB over grey and, as a fourth channel, the matte where the student paints one."""
        ...


class _Torch:
    """Any device; fp16 on a GPU."""

    def __init__(self, model: BakedStudent, device: torch.device):
        self._model = model.to(device, torch.float16 if device.type == "cuda" else torch.float32)
        self._like = next(self._model.parameters())

    @torch.inference_mode()
    def __call__(self, driver: Float[np.ndarray, "1 3 s s"], avatar: int) -> Float[np.ndarray, "C S S"]:
        made = self._model(torch.from_numpy(driver).to(self._like), torch.tensor([avatar], device=self._like.device))
        both = made.rgb if made.matte is None else torch.cat([made.rgb, made.matte], 1)
        return both[0].float().cpu().numpy()


class _Onnx:
    """The CPU, about twice as fast as PyTorch there."""

    def __init__(self, model: BakedStudent, runtime: ModuleType):
        self._session = runtime.InferenceSession(onnx_bytes(model), providers=["CPUExecutionProvider"])

    def __call__(self, driver: Float[np.ndarray, "1 3 s s"], avatar: int) -> Float[np.ndarray, "C S S"]:
        return self._session.run(None, {"driver": driver, "avatar": np.array([avatar])})[0][0]


class Player:
    """A student ready to paint. Safe to use from several threads.

    Args:
        model: its network.
        device: where to compute.
        exported: compute with ONNX Runtime where the device is a CPU; the start takes some seconds.

    Raises:
        UserError: there is no such device, or ONNX Runtime is asked for and not installed.
    """

    def __init__(self, model: BakedStudent, device: Device = "auto", exported: bool = False):
        place = device_of(device)
        self.input_px, self.size_px = model.config.input_px, model.config.size_px
        self._engine: _Engine = (
            _Onnx(model, onnx_runtime()) if exported and place.type == "cpu" else _Torch(model, place)
        )
        self._person: PersonMatte | None = None
        self._lock = threading.Lock()

    def __call__(self, crop: UInt8[np.ndarray, "H W 3"], avatar: int) -> Painted:
        """A square crop of any size drives an avatar: RGB in [0, 1] over grey, and the person in [0, 1]."""
        if len(crop) != self.input_px:
            crop = SquareCrop(0.0, 0.0, float(len(crop))).cut(crop, self.input_px)
        driver = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        painted = self._engine(driver, avatar)
        rgb = np.ascontiguousarray(painted[:3].transpose(1, 2, 0))
        return rgb, painted[3] if len(painted) > 3 else self._matte(rgb)

    def _matte(self, rgb: Float[np.ndarray, "S S 3"]) -> Float[np.ndarray, "S S"]:
        with self._lock:  # MediaPipe's nets are not made for several threads
            self._person = self._person or PersonMatte()
            return self._person.matte((np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8))


def onnx_runtime() -> ModuleType:
    """ONNX Runtime.

    Raises:
        UserError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("ONNX Runtime is not installed; install megaportraits[live]") from error
    return onnxruntime


def onnx_bytes(model: BakedStudent) -> bytes:
    """The student as an ONNX graph (`export.py`).

    Raises:
        UserError: ONNX is not installed.
    """
    with TemporaryDirectory(prefix="megaportraits-") as folder:
        path = Path(folder) / "avatars.onnx"
        write_onnx(model, path)
        return path.read_bytes()
