"""Outputs of the tiny enhancer stay what they were, as in test_golden.py. After an intended change:

    python tests/models/test_golden_enhancer.py

writes tests/golden/enhancer.safetensors anew; say why in the commit.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from test_golden import fill
from torch import Tensor

from megaportraits.config import enhancer_preset
from megaportraits.models.blocks import fold_weights
from megaportraits.models.enhancer import Enhancer
from megaportraits.tensors import Prediction

GOLDEN = Path(__file__).resolve().parents[1] / "golden/enhancer.safetensors"


@torch.no_grad()
def outputs() -> dict[str, Tensor]:
    network = fold_weights(Enhancer(enhancer_preset("enhancer-tiny"))).eval()
    fill(network)
    picture = torch.from_numpy(np.random.default_rng(1).random((1, 3, 16, 16))).float()
    rgb = F.interpolate(picture, size=(64, 64), mode="bilinear")
    made = network.enhance(Prediction(rgb, (rgb.mean(1, keepdim=True) > 0.4).float()))
    features = network.encoder(rgb)
    return {
        "features": F.avg_pool2d(features[0], 8),
        "volume": F.avg_pool2d(network.volume(features[-1]), 4),
        "residual": network.residual(rgb)[..., ::8, ::8].contiguous(),
        "rgb": F.avg_pool2d(made.rgb, 8),
    }


@pytest.mark.parametrize("name", sorted(load_file(GOLDEN)) if GOLDEN.is_file() else ["missing"])
def test_the_tiny_enhancer_gives_the_stored_outputs(name):
    torch.testing.assert_close(outputs()[name], load_file(GOLDEN)[name], atol=1e-4, rtol=1e-4)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save_file(outputs(), GOLDEN)
