"""InceptionV3 of FID: how large it is, how its blocks are wired, what it sees. Blocks are rebuilt here by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from weight_files import OFFICIAL

from megaportraits.losses.frozen.inception import InceptionV3


@pytest.fixture
def network() -> InceptionV3:
    """Without numbers in it."""
    with torch.device("meta"):
        return InceptionV3().eval()


def filled(block: nn.Module, generator: torch.Generator) -> nn.Module:
    """The block in double precision with random numbers; small variances show the batch norm's epsilon."""
    block = block.to_empty(device="cpu").double()
    for name, tensor in block.state_dict().items():
        if name.endswith("conv.weight"):
            tensor.normal_(0, tensor[0].numel() ** -0.5, generator=generator)
        elif not name.endswith("num_batches_tracked"):
            tensor.uniform_(0.01, 0.1, generator=generator)
    return block


def test_parameters_without_the_classifier():
    """Published: Keras' InceptionV3 without its top has 21,802,784 numbers, of which 3 for each of 17,216 channels."""
    shapes = {k: s for k, s in OFFICIAL["inception"].items() if not k.startswith("fc.")}
    convolutions = [s for k, s in shapes.items() if k.endswith("conv.weight")]
    assert len(convolutions) == 94
    assert sum(s[0] for s in convolutions) == 17_216
    assert sum(math.prod(s) for s in convolutions) == 21_802_784 - 3 * 17_216
    trained = sum(math.prod(s) for k, s in shapes.items() if k.endswith(("conv.weight", "bn.weight", "bn.bias")))
    assert trained == 21_785_568
    with torch.device("meta"):
        assert sum(p.numel() for p in InceptionV3().parameters()) == 21_785_568


def test_sizes_of_all_layers(network):
    sizes = {}
    for name, layer in network.named_children():
        layer.register_forward_hook(lambda _, __, out, name=name: sizes.update({name: tuple(out.shape[1:3])}))
    assert network(torch.empty(2, 3, 64, 48, device="meta")).shape == (2, 2048)
    assert list(sizes.items()) == [
        ("Conv2d_1a_3x3", (32, 149)), ("Conv2d_2a_3x3", (32, 147)), ("Conv2d_2b_3x3", (64, 147)), ("pool1", (64, 73)),
        ("Conv2d_3b_1x1", (80, 73)), ("Conv2d_4a_3x3", (192, 71)), ("pool2", (192, 35)),
        ("Mixed_5b", (256, 35)), ("Mixed_5c", (288, 35)), ("Mixed_5d", (288, 35)),
        ("Mixed_6a", (768, 17)), ("Mixed_6b", (768, 17)), ("Mixed_6c", (768, 17)), ("Mixed_6d", (768, 17)),
        ("Mixed_6e", (768, 17)), ("Mixed_7a", (1280, 8)), ("Mixed_7b", (2048, 8)), ("Mixed_7c", (2048, 8)),
    ]  # fmt: skip


class ByHand:
    """The blocks of the published drawings, from the weights of a block."""

    def __init__(self, block: nn.Module):
        self.weights = block.state_dict()

    def chain(self, x: Tensor, *names: str, stride: int = 1) -> Tensor:
        """Convolutions in a row; the last one halves where `stride` is 2."""
        for name in names:
            w, halves = self.weights, stride == 2 and name == names[-1]
            padding = "valid" if halves else "same"
            x = F.conv2d(x, w[f"{name}.conv.weight"], stride=2 if halves else 1, padding=padding)
            norm = (w[f"{name}.bn.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias"))
            x = F.batch_norm(x, *norm, eps=1e-3).relu()
        return x

    def at_35_px(self, x: Tensor) -> list[Tensor]:
        branch5x5, triple = ("branch5x5_1", "branch5x5_2"), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
        pooled = self.chain(average(x), "branch_pool")
        return [self.chain(x, "branch1x1"), self.chain(x, *branch5x5), self.chain(x, *triple), pooled]

    def to_17_px(self, x: Tensor) -> list[Tensor]:
        triple = self.chain(x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3", stride=2)
        return [self.chain(x, "branch3x3", stride=2), triple, F.max_pool2d(x, 3, 2)]

    def at_17_px(self, x: Tensor) -> list[Tensor]:
        short, long = (f"branch7x7_{i}" for i in (1, 2, 3)), (f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5))
        pooled = self.chain(average(x), "branch_pool")
        return [self.chain(x, "branch1x1"), self.chain(x, *short), self.chain(x, *long), pooled]

    def to_8_px(self, x: Tensor) -> list[Tensor]:
        long = self.chain(x, *(f"branch7x7x3_{i}" for i in (1, 2, 3, 4)), stride=2)
        return [self.chain(x, "branch3x3_1", "branch3x3_2", stride=2), long, F.max_pool2d(x, 3, 2)]

    def at_8_px(self, x: Tensor, pooled: Tensor) -> list[Tensor]:
        short, long = self.chain(x, "branch3x3_1"), self.chain(x, "branch3x3dbl_1", "branch3x3dbl_2")
        ends = [self.chain(short, "branch3x3_2a"), self.chain(short, "branch3x3_2b")]
        ends += [self.chain(long, "branch3x3dbl_3a"), self.chain(long, "branch3x3dbl_3b")]
        return [self.chain(x, "branch1x1"), *ends, self.chain(pooled, "branch_pool")]


def average(x: Tensor) -> Tensor:
    """3 x 3 means of what lies inside the picture."""
    return F.avg_pool2d(x, 3, 1, 1) / F.avg_pool2d(torch.ones_like(x), 3, 1, 1)


@pytest.mark.parametrize(
    ("name", "channels", "by_hand"),
    [
        ("Mixed_5b", 192, ByHand.at_35_px), ("Mixed_5d", 288, ByHand.at_35_px), ("Mixed_6a", 288, ByHand.to_17_px),
        ("Mixed_6b", 768, ByHand.at_17_px), ("Mixed_6e", 768, ByHand.at_17_px), ("Mixed_7a", 768, ByHand.to_8_px),
        ("Mixed_7b", 1280, lambda hand, x: hand.at_8_px(x, average(x))),
        ("Mixed_7c", 2048, lambda hand, x: hand.at_8_px(x, F.max_pool2d(x, 3, 1, 1))),
    ],
)  # fmt: skip
def test_blocks_are_wired_as_drawn(name, channels, by_hand, network, generator):
    block = filled(network.get_submodule(name), generator)
    x = torch.rand(1, channels, 7, 5, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(block(x), torch.cat(by_hand(ByHand(block), x), 1))


def test_it_sees_pictures_of_299_px_in_plus_minus_1(network, generator):
    """Of twice the size each pixel is the mean of four: no antialiasing, and corners are not aligned."""
    seen, rgb = [], torch.rand(1, 3, 598, 598, generator=generator)

    class Stop(Exception):
        pass

    def look(_, inputs):
        seen.append(inputs[0])
        raise Stop

    network.Conv2d_1a_3x3.register_forward_pre_hook(look)
    with pytest.raises(Stop):
        network(rgb)
    torch.testing.assert_close(seen[0], 2 * F.avg_pool2d(rgb, 2) - 1)
