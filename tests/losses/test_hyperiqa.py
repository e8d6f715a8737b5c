"""HyperIQA: its size, its backbone, the target network that it writes for each picture, and where it looks."""

import pytest
import torch
import torch.nn.functional as F
from weight_files import OFFICIAL

from megaportraits.losses.frozen import features
from megaportraits.losses.frozen.hyperiqa import HyperIqa


@pytest.fixture(scope="module")
def network() -> HyperIqa:
    torch.manual_seed(0)
    return HyperIqa().eval().requires_grad_(False)


def test_parameters(network):
    """Published: ResNet-50 has 25,557,032, of which 2,049,000 in its classifier. All others are this network's."""
    numbers = {name: p.numel() for name, p in network.named_parameters()}
    resnet = sum(n for name, n in numbers.items() if name.startswith("res.") and "lda" not in name)
    assert resnet == 25_557_032 - 2_049_000
    assert sum(numbers.values()) == 27_375_369
    assert {k: tuple(v.shape) for k, v in network.state_dict().items()} == OFFICIAL["hyperiqa"]


def test_a_block_of_the_backbone_by_hand(network, generator):
    """The 3 x 3 convolution takes the stride, as in the ImageNet weights it began with."""
    block, x = network.res.layer2[0], torch.rand(1, 256, 6, 6, generator=generator)

    def norm(y, name):
        bn = block.get_submodule(name)
        return F.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias)

    y = norm(F.conv2d(x, block.conv1.weight), "bn1").relu()
    y = norm(F.conv2d(y, block.conv2.weight, stride=2, padding=1), "bn2").relu()
    y = norm(F.conv2d(y, block.conv3.weight), "bn3")
    skip = norm(F.conv2d(x, block.downsample[0].weight, stride=2), "downsample.1")
    torch.testing.assert_close(block(x), (y + skip).relu())


def test_each_stage_speaks_through_cells_of_7_px(network, generator):
    stages = []
    hooks = [
        network.res.get_submodule(f"layer{i}").register_forward_hook(lambda _, __, out: stages.append(out))
        for i in (1, 2, 3, 4)
    ]
    last, vector = network.res(torch.rand(1, 3, 224, 224, generator=generator))
    for hook in hooks:
        hook.remove()
    assert [tuple(s.shape[1:]) for s in stages] == [(256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7)]
    assert torch.equal(last, stages[-1])
    wanted = []
    for number, cells in enumerate((8, 4, 2), 1):
        weight = network.res.get_submodule(f"lda{number}_pool")[0].weight[:, :, 0, 0]
        kept = torch.einsum("oc,chw->ohw", weight, stages[number - 1][0])
        means = kept.reshape(len(weight), cells, 7, cells, 7).mean((2, 4))
        wanted.append(network.res.get_submodule(f"lda{number}_fc")(means.flatten()))
    wanted.append(network.res.lda4_fc(stages[-1][0].mean((1, 2))))
    torch.testing.assert_close(vector[0], torch.cat(wanted), rtol=1e-4, atol=1e-5)


def test_the_target_network_of_each_picture(network, generator, monkeypatch):
    """Four sigmoid layers and a linear one, whose weights are read in rows from channels, then places."""
    last, vector = torch.rand(2, 2048, 7, 7, generator=generator) * 9, torch.randn(2, 224, generator=generator)
    monkeypatch.setattr(network.res, "forward", lambda _: (last, vector))
    found = network.judge(torch.zeros(2, 3, 224, 224))
    wanted = []
    for x, hidden in zip(network.conv1(last), vector, strict=True):
        pooled = x.mean((1, 2))
        for number, (inputs, outputs) in enumerate(((224, 112), (112, 56), (56, 28), (28, 14)), 1):
            weight = network.get_submodule(f"fc{number}w_conv")(x).flatten().reshape(outputs, inputs)
            bias = network.get_submodule(f"fc{number}b_fc")(pooled)
            hidden = F.linear(hidden, weight, bias).sigmoid()
        wanted.append(hidden @ network.fc5w_fc(pooled) + network.fc5b_fc(pooled)[0])
    torch.testing.assert_close(found, torch.stack(wanted))
    assert (found[0] - found[1]).abs() > 1e-6


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((512, 512), (0, 144, 288), (0, 144, 288)), ((512, 256), (0, 144, 288), (0, 16, 32)),
        ((224, 300), (0,), (0, 38, 76)), ((224, 224), (0,), (0,)), ((448, 225), (0, 112, 224), (0, 1)),
    ],
)  # fmt: skip
def test_it_looks_at_a_fixed_grid_and_takes_the_mean(size, rows, columns, network, monkeypatch):
    """Red tells the row, green the column."""
    seen = []

    def judge(crop):
        assert crop.shape == (1, 3, 224, 224)
        y, x = (round(crop[0, i, 0, 0].item() * 1000) for i in (0, 1))
        seen.append((y, x))
        return torch.tensor([1000.0 * y + x])

    monkeypatch.setattr(network, "judge", judge)
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    score = network(torch.stack([y, x, x]).float()[None] / 1000)
    assert seen == [(y, x) for y in rows for x in columns]
    assert score.item() == pytest.approx(sum(1000 * y + x for y, x in seen) / len(seen))


def test_small_pictures_are_enlarged_to_224_px(network, monkeypatch, generator):
    seen, rgb = [], torch.rand(2, 3, 112, 168, generator=generator)
    monkeypatch.setattr(network, "judge", lambda crop: seen.append(crop) or crop.mean((1, 2, 3)))
    network(rgb)
    wanted = F.interpolate(rgb, scale_factor=2.0, mode="bilinear", align_corners=False)
    assert len(seen) == 3
    torch.testing.assert_close(torch.cat([seen[0], seen[2][..., -112:]], -1), wanted)


def test_crops_are_seen_as_imagenet_pictures(network, monkeypatch, generator):
    seen, crop = [], torch.rand(1, 3, 224, 224, generator=generator)
    answer = (torch.zeros(1, 2048, 7, 7), torch.zeros(1, 224))
    monkeypatch.setattr(network.res, "forward", lambda x: seen.append(x) or answer)
    network.judge(crop)
    torch.testing.assert_close(seen[0], features.IMAGENET(crop))
