"""L_IN and its network."""

import os
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from megaportraits.data.pictures import read_picture
from megaportraits.data.video import read_frames
from megaportraits.errors import UserError
from megaportraits.losses.perceptual import perceptual_loss
from megaportraits.losses.pretrained import SqueezeNetFeatures, load_squeezenet

SQUEEZENET = Path(os.environ.get("MEGAPORTRAITS_SQUEEZENET", ""))
"""The network's file, which does not ship."""
DEMO = Path(str(resources.files("megaportraits.demo")))


class TwoLayers(nn.Module):
    """Features with a known answer: the picture, and its double."""

    def forward(self, image):
        return [image, 2 * image]


def arrays_of(network: SqueezeNetFeatures) -> dict[str, np.ndarray]:
    """The network's weights under the file's names."""
    names = {k: k.removeprefix("fires.").replace(".", "/", 1) if "fires" in k else k for k in network.state_dict()}
    return {names[k]: v.numpy() for k, v in network.state_dict().items()}


def test_known_answer_and_scales():
    truth, prediction = torch.full((1, 3, 8, 8), 0.5), torch.full((1, 3, 8, 8), 0.75)
    # each layer: |difference| / |truth| = 0.5; two layers; the mean over scales
    for scales in (1, 2, 3):
        assert perceptual_loss(TwoLayers(), prediction, truth, scales).item() == pytest.approx(1.0, abs=1e-4)


def test_a_coarse_scale_sees_only_coarse_differences():
    truth = torch.full((1, 3, 8, 8), 0.5)
    prediction = truth + 0.1 * (torch.arange(8) % 2 * 2.0 - 1)  # stripes that a pooling removes
    one, two = (perceptual_loss(TwoLayers(), prediction, truth, s).item() for s in (1, 2))
    assert two == pytest.approx(one / 2, rel=1e-4)


def test_zero_at_equality_and_gradient_to_the_prediction_only(generator):
    network = SqueezeNetFeatures()
    truth = torch.rand(1, 3, 48, 48, generator=generator).requires_grad_()
    assert perceptual_loss(network, truth.detach().clone(), truth, 2).item() == 0
    prediction = torch.rand(1, 3, 48, 48, generator=generator).requires_grad_()
    perceptual_loss(network, prediction, truth, 2).backward()
    assert prediction.grad.abs().sum() > 0
    assert truth.grad is None


def test_squeezenet_shapes_and_input_order():
    network = SqueezeNetFeatures()
    features = network(torch.rand(1, 3, 64, 64))
    assert [tuple(f.shape[1:]) for f in features] == [
        (96, 32, 32), (128, 16, 16), (128, 16, 16), (256, 8, 8), (384, 8, 8)
    ]  # fmt: skip
    mean = torch.tensor([123.0, 117.0, 104.0]).view(1, 3, 1, 1) / 255  # RGB; the file's mean is BGR
    plain = F.relu(network.conv1.bias)[None, :, None, None]
    torch.testing.assert_close(network(mean.expand(1, 3, 64, 64))[0], plain.expand(1, 96, 32, 32), atol=1e-3, rtol=0)


def test_loader_reads_its_own_names_and_refuses_missing_or_misshapen_arrays(tmp_path):
    network = SqueezeNetFeatures()
    arrays = arrays_of(network)
    np.savez(tmp_path / "good.npz", **arrays)
    loaded = load_squeezenet(tmp_path / "good.npz")
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), network.parameters(), strict=True))
    assert not any(p.requires_grad for p in loaded.parameters())
    name = "fire5/expand3x3.weight"
    np.savez(tmp_path / "missing.npz", **{k: v for k, v in arrays.items() if k != name})
    np.savez(tmp_path / "misshapen.npz", **(arrays | {name: arrays[name][1:]}))
    for broken in ("missing", "misshapen"):
        with pytest.raises(UserError, match=name):
            load_squeezenet(tmp_path / f"{broken}.npz")
    with pytest.raises(UserError, match="no file"):
        load_squeezenet(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("not what it says\n")
    np.save(tmp_path / "single.npy", np.zeros(3))
    for other in ("text.npz", "single.npy"):
        with pytest.raises(UserError, match="not a readable"):
            load_squeezenet(tmp_path / other)


@pytest.mark.skipif(not SQUEEZENET.is_file(), reason="MEGAPORTRAITS_SQUEEZENET names no .npz of SqueezeNet 1.0")
def test_true_weights_tell_pictures_apart():
    """A slightly darker picture is far nearer to the picture than another person's is."""
    network = load_squeezenet(SQUEEZENET)
    pictures = read_picture(DEMO / "source.png"), next(read_frames(DEMO / "driver.mp4"))
    a, b = (
        torch.from_numpy(np.array(Image.fromarray(p).resize((128, 128)))).permute(2, 0, 1)[None] / 255 for p in pictures
    )
    darker, other = (perceptual_loss(network, x, a, 1).item() for x in (a * 0.95, b))
    assert 0 < darker < 0.5 * other
