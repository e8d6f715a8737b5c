"""MediaPipe on results, which may be small and may show no face."""

import hashlib
from collections import OrderedDict

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from megaportraits.data.faces import FaceTracker
from megaportraits.evaluate.frames import LANDMARKS

_TRACKER_PX = 256
"""Smaller pictures are enlarged to this."""
_KEPT = 8


class FaceReader:
    """Landmarks of pictures; the last few answers are kept, since several judges ask for the same ones."""

    def __init__(self, tracker: FaceTracker):
        self.tracker = tracker
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()

    def landmarks(self, pictures: Float[Tensor, "T 3 S S"]) -> Float[Tensor, "T L 2"]:
        """MediaPipe's 468 landmarks of pictures in [0, 1], in crop coordinates; NaN where it finds no face."""
        rgb = (pictures.clamp(0, 1) * 255 + 0.5).byte().permute(0, 2, 3, 1).contiguous().numpy()
        key = hashlib.sha256(rgb.tobytes()).digest()
        if key not in self._known:
            self._known[key] = torch.stack([self._look(picture) for picture in rgb])
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return self._known[key]

    def _look(self, picture: np.ndarray) -> Float[Tensor, "L 2"]:
        side = max(_TRACKER_PX, len(picture))
        large = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
        found = self.tracker.landmarks(np.array(large))
        if found is None:
            return torch.full((LANDMARKS, 2), torch.nan)
        return torch.from_numpy(found[:LANDMARKS, :2] * 2 / side - 1).float()
