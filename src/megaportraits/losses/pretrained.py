"""Frozen networks of the losses. Weights are files that the user names; none ships with the project.

| network | file | source, licence |
|---|---|---|
| SqueezeNet 1.0, ImageNet | `.npz` of the original Caffe weights (conv1, fire2 ... fire9; OIHW) | DeepScale, BSD |
"""

import zipfile
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from megaportraits.errors import UserError

_FIRES = {2: (96, 16, 64), 3: (128, 16, 64), 4: (128, 32, 128), 5: (256, 32, 128), 6: (256, 48, 192), 7: (384, 48, 192)}
_POOL_AFTER = (4,)


class SqueezeNetFeatures(nn.Module):
    """SqueezeNet 1.0 (Iandola et al., 2016): features after conv1 and fire 2, 3, 5 and 7."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 7, 2, 3)
        self.fires = nn.ModuleDict()
        for number, (inputs, squeeze, expand) in _FIRES.items():
            self.fires[f"fire{number}"] = nn.ModuleDict(
                {
                    "squeeze1x1": nn.Conv2d(inputs, squeeze, 1),
                    "expand1x1": nn.Conv2d(squeeze, expand, 1),
                    "expand3x3": nn.Conv2d(squeeze, expand, 3, padding=1),
                }
            )

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """RGB in [0, 1] -> feature maps. The network itself wants BGR in [0, 255] minus the ImageNet mean."""
        mean = image.new_tensor((104.0, 117.0, 123.0)).view(1, 3, 1, 1)
        x = F.relu(self.conv1(image.flip(1) * 255 - mean))
        features = [x]
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        for number in _FIRES:
            fire = cast(nn.ModuleDict, self.fires[f"fire{number}"])
            squeezed = F.relu(fire["squeeze1x1"](x))
            x = F.relu(torch.cat([fire["expand1x1"](squeezed), fire["expand3x3"](squeezed)], 1))
            if number in (2, 3, 5, 7):
                features.append(x)
            if number in _POOL_AFTER:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        return features


def load_squeezenet(path: str | Path) -> SqueezeNetFeatures:
    """The frozen network from a `.npz` with `<layer>.weight` and `<layer>.bias` arrays.

    Raises:
        UserError: no such file, not a `.npz`, or a layer is missing or has another shape.
    """
    if not Path(path).is_file():
        raise UserError(f"no file {path}: give the .npz of SqueezeNet 1.0 (ImageNet) or leave perceptual_weights empty")
    network, arrays = SqueezeNetFeatures(), _arrays(Path(path))
    tensors = {}
    for key, tensor in network.state_dict().items():
        name = key.removeprefix("fires.").replace(".", "/", 1) if key.startswith("fires.") else key
        if name not in arrays or arrays[name].shape != tuple(tensor.shape):
            raise UserError(
                f"{path} has no array {name} of shape {tuple(tensor.shape)}; it has {sorted(arrays)[:4]} ..."
            )
        tensors[key] = torch.from_numpy(arrays[name])
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as archive:
            return dict(archive)
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is not a readable .npz file; give the weights named in `losses/pretrained.py`"
        ) from error
