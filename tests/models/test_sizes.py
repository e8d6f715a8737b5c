"""Shapes at `tiny`; parameter counts and multiply-adds of the paper's presets against docs/paper.md, without memory.

Large networks are built on the meta device and without spectral normalisation, which has no parameters of its own.
"""

import functools
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from megaportraits.config import DISCRIMINATOR_PRESETS, MODEL_PRESETS, preset
from megaportraits.models.base import BaseModel
from megaportraits.models.discriminator import Discriminator
from megaportraits.models.resnet import ResNetTrunk

PARTS = {
    # part: (parameters exactly, M parameters of the table, GMAC of the table), docs/paper.md "Cost"
    "E_app volume": (7_110_592, 7.1, 284),
    "E_app descriptor": (24_557_120, 24.6, 5.4),
    "E_mtn": (26_621_577, 26.8, 1.2),
    "embedding": (4_465_152, 4.5, 0.0084),
    "W": (9_032_387, 9.0, 4.0),
    "G_3D": (57_820_576, 57.8, 1004),
    "P + G_2D": (786_432 + 40_264_131, 41.1, 252),
}


@functools.cache
def shapes_of(name: str) -> BaseModel:
    with torch.device("meta"):
        return BaseModel(replace(preset(name), spectral_norm=False))


@pytest.fixture
def paper() -> BaseModel:
    return shapes_of("paper-512")


def parts_of(model: BaseModel) -> dict[str, tuple[nn.Module, tuple[torch.Tensor, ...]]]:
    """Each part with an input of its size at 512 px."""
    picture, e_s = torch.empty(1, 3, 512, 512, device="meta"), torch.empty(1, 512, 4, 4, device="meta")
    volume, z = torch.empty(1, 96, 16, 64, 64, device="meta"), torch.empty(1, 512, device="meta")
    return {
        "E_app volume": (model.appearance_encoder.volume, (picture,)),
        "E_app descriptor": (model.appearance_encoder.descriptor, (picture,)),
        "E_mtn": (model.motion_encoder, (picture,)),
        "embedding": (model.embedding, (z, e_s)),
        "W": (model.warp_driver, (e_s,)),
        "G_3D": (model.g3d, (volume,)),
        "P + G_2D": (nn.Sequential(model.projection, model.g2d), (volume,)),
    }


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", PARTS)
def test_parameters_and_multiply_adds_of_paper_512(paper, name):
    exact, millions, gmac = PARTS[name]
    module, inputs = parts_of(paper)[name]
    assert count(module) == exact
    assert count(module) / 1e6 == pytest.approx(millions, rel=0.01)
    with FlopCounterMode(display=False) as counter:
        module(*inputs)
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, rel=0.02)


def test_the_parts_are_the_whole_model(paper):
    parts = parts_of(paper)
    assert count(paper) == sum(count(m) for m, _ in parts.values()) + count(parts["W"][0])  # two W
    assert count(paper) == 179_690_354


def test_the_warps_share_shape_but_no_weights(paper):
    source, driver = paper.warp_source, paper.warp_driver
    assert {k: v.shape for k, v in source.state_dict().items()} == {k: v.shape for k, v in driver.state_dict().items()}
    assert not {id(p) for p in source.parameters()} & {id(p) for p in driver.parameters()}


def test_paper_256_has_the_weights_of_paper_512_and_half_the_latent(paper):
    smaller = shapes_of("paper-256")
    with torch.device("meta"):
        assert {k: v.shape for k, v in smaller.state_dict().items()} == {
            k: v.shape for k, v in paper.state_dict().items()
        }
        assert smaller.appearance_encoder.volume(torch.empty(1, 3, 256, 256)).shape == (1, 96, 16, 32, 32)
        e_s = torch.empty(1, 512, 4, 4)
        assert smaller.warp_driver(e_s).shape == (1, 3, 16, 32, 32)
        assert paper.warp_driver(e_s).shape == (1, 3, 16, 64, 64)


@pytest.mark.parametrize("name", sorted(set(MODEL_PRESETS) - {"paper-512", "tiny"}))
def test_every_preset_goes_through_at_its_size(name):
    size = preset(name).size_px
    with torch.device("meta"):
        prediction = shapes_of(name)(
            torch.empty(1, 3, size, size), torch.empty(1, 1, size, size), torch.empty(1, 3, size, size)
        )
    assert prediction.rgb.shape == (1, 3, size, size)
    assert (prediction.matte is not None) == preset(name).paints_matte


def test_the_same_weights_serve_another_picture_size():
    with torch.device("meta"):
        volume = shapes_of("small").appearance_encoder(torch.empty(1, 3, 512, 512)).volume
        prediction = shapes_of("small")(
            torch.empty(1, 3, 512, 512), torch.empty(1, 1, 512, 512), torch.empty(1, 3, 512, 512)
        )
    assert volume.shape == (1, 32, 16, 64, 64)
    assert prediction.rgb.shape == (1, 3, 512, 512)


def test_shapes_of_every_part_at_tiny(fresh, pictures):
    source, matte, driver = pictures
    motion = fresh.motion(driver)
    assert motion.pose.rotation.shape == (2, 3, 3)
    assert motion.pose.scale.shape == (2,)
    assert motion.pose.translation.shape == (2, 3)
    assert motion.expression.shape == (2, 16)
    appearance = fresh.appearance(source, matte)
    assert appearance.volume.shape == (2, 8, 4, 8, 8)
    assert appearance.descriptor.shape == (2, 32, 4, 4)
    embedding = fresh.embedding(motion.expression, appearance.descriptor)
    assert embedding.shape == (2, 32, 4, 4)
    assert fresh.warp_driver(embedding).shape == (2, 3, 4, 16, 16)
    assert fresh.g3d(appearance.volume).shape == appearance.volume.shape
    projected = fresh.projection(appearance.volume)
    assert projected.shape == (2, 16, 8, 8)
    prediction = fresh.g2d(projected)
    assert prediction.rgb.shape == (2, 3, 64, 64)
    assert prediction.matte.shape == (2, 1, 64, 64)


def test_resnets_have_the_textbook_sizes():
    """torchvision's ResNet-18 and -50 without their classifiers: 11,176,512 and 23,508,032 parameters."""
    with torch.device("meta"):
        for depth, channels, parameters in ((18, 512, 11_176_512), (50, 2048, 23_508_032)):
            trunk = ResNetTrunk(depth, 64)
            assert trunk(torch.empty(1, 3, 224, 224)).shape == (1, channels, 7, 7)
            assert count(trunk) == parameters


def test_discriminator_has_two_scales_of_four_convolutions_and_scores():
    with torch.device("meta"):
        network = Discriminator(DISCRIMINATOR_PRESETS["paper-512"])
        maps = network(torch.empty(1, 3, 512, 512))
    assert count(network) == 5_529_474
    sides = [[tuple(m.shape[1:3]) for m in scale] for scale in maps]
    assert sides == [
        [(64, 257), (128, 129), (256, 65), (512, 66), (1, 67)],
        [(64, 129), (128, 65), (256, 33), (512, 34), (1, 35)],
    ]
