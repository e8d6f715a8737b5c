"""Outputs of the tiny networks stay what they were.

Weights come from NumPy, tensor by tensor, so this tests forward passes, not initialisation. After an intended change:

    python tests/models/test_golden.py

writes tests/golden/tiny.safetensors anew; say why in the commit.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from megaportraits.config import DISCRIMINATOR_PRESETS, preset
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights
from megaportraits.models.discriminator import Discriminator

GOLDEN = Path(__file__).resolve().parents[1] / "golden/tiny.safetensors"


def fill(module: nn.Module) -> None:
    """Known weights: normal over the square root of the fan-in; norms near 1, biases near 0; small offsets."""
    numbers = np.random.default_rng(0)
    for name, tensor in sorted(module.state_dict().items()):
        values = torch.from_numpy(numbers.standard_normal(tuple(tensor.shape))).float()
        if tensor.dim() > 1:
            values = values / tensor[0].numel() ** 0.5
        else:
            values = 0.1 * values + float(name.endswith("weight"))
        tensor.copy_(values * (0.1 if "to_offsets" in name or "pose.head" in name else 1.0))


@torch.no_grad()
def outputs() -> dict[str, Tensor]:
    model, judge = BaseModel(preset("tiny")), Discriminator(DISCRIMINATOR_PRESETS["tiny"]).eval()
    for network in (fold_weights(model).eval(), judge):
        for layer in network.modules():
            if nn.utils.parametrize.is_parametrized(layer):
                nn.utils.parametrize.remove_parametrizations(layer, "weight")
        fill(network)
    model.motion_encoder.pose.head.bias += torch.tensor([1.0, 0, 0, 0, 1.0, 0, 0, 0, 0])
    picture = torch.from_numpy(np.random.default_rng(1).random((2, 3, 8, 8))).float()
    source, driver = F.interpolate(picture, size=(64, 64), mode="bilinear").split(1)
    matte = (source.mean(1, keepdim=True) > 0.3).float()
    canonical = model.canonical(source, matte, model.motion(source))
    motion = model.motion(driver)
    prediction = model.render(canonical, motion)
    return {
        "rotation": motion.pose.rotation,
        "scale": motion.pose.scale,
        "translation": motion.pose.translation,
        "expression": motion.expression,
        "offsets": model.driver_offsets(canonical, motion)[..., ::4, ::4].contiguous(),
        "descriptor": canonical.descriptor[:, ::8].contiguous(),
        "volume": F.avg_pool3d(canonical.volume, 2),
        "rgb": F.avg_pool2d(prediction.rgb, 4),
        "matte": F.avg_pool2d(prediction.matte, 4),
        "scores": judge(driver)[0][-1],
        "scores_of_half": judge(driver)[1][-1],
    }


@pytest.fixture(scope="module")
def found() -> dict[str, Tensor]:
    return outputs()


@pytest.mark.parametrize("name", sorted(load_file(GOLDEN)) if GOLDEN.is_file() else ["missing"])
def test_tiny_networks_give_the_stored_outputs(found, name):
    torch.testing.assert_close(found[name], load_file(GOLDEN)[name], atol=1e-4, rtol=1e-4)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save_file(outputs(), GOLDEN)
