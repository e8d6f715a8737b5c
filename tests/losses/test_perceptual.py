"""L_IN and L_face: known answers, scales, samples, gradients."""

import os
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from megaportraits.data.alignment import aligned_face
from megaportraits.data.pictures import read_picture
from megaportraits.data.video import read_frames
from megaportraits.losses.frozen.squeezenet import squeezenet1_1
from megaportraits.losses.frozen.vgg import vgg19
from megaportraits.losses.perceptual import perceptual_loss
from megaportraits.losses.pretrained import load_frozen

SQUEEZENET = Path(os.environ.get("MEGAPORTRAITS_SQUEEZENET1_0", ""))
"""The network's file, which does not ship."""
DEMO = Path(str(resources.files("megaportraits.demo")))


class TwoLayers(nn.Module):
    """Features with a known answer: the picture, and its double."""

    def __init__(self, relative: bool):
        super().__init__()
        self.relative_features = relative
        self.sizes: list[int] = []

    def forward(self, image):
        self.sizes.append(image.shape[-1])
        return [image, 2 * image]


def pictures(generator, batch: int, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Prediction and truth in float64."""
    both = torch.rand(2, batch, 3, size, size, generator=generator, dtype=torch.float64)
    return both[0], both[1]


@pytest.mark.parametrize("scales", [1, 2, 3])
@pytest.mark.parametrize(("relative", "wanted"), [(False, 0.25 + 0.5), (True, 0.5 + 0.5)])
def test_known_answer_layers_add_up_and_scales_are_averaged(scales, relative, wanted):
    truth, prediction = torch.full((1, 3, 128, 128), 0.5), torch.full((1, 3, 128, 128), 0.75)
    assert perceptual_loss(TwoLayers(relative), prediction, truth, scales).item() == pytest.approx(wanted, abs=1e-5)


def test_relative_layers_are_measured_by_each_samples_own_truth():
    truth = torch.tensor([0.1, 0.8]).view(2, 1, 1, 1).expand(2, 3, 32, 32)
    prediction = truth + 0.1
    # |difference| / |truth| is 1 for the first sample and 1/8 for the second, in both layers
    assert perceptual_loss(TwoLayers(True), prediction, truth, 1).item() == pytest.approx(1 + 1 / 8, abs=1e-4)


def test_a_coarse_scale_sees_only_coarse_differences():
    truth = torch.full((1, 3, 64, 64), 0.5)
    prediction = truth + 0.1 * (torch.arange(64) % 2 * 2.0 - 1)  # stripes that a pooling removes
    one, two = (perceptual_loss(TwoLayers(False), prediction, truth, s).item() for s in (1, 2))
    assert one == pytest.approx(0.3, rel=1e-4)
    assert two == pytest.approx(one / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("size", "scales", "sizes"),
    [(256, 4, [256, 128, 64, 32]), (128, 4, [128, 64, 32]), (127, 4, [127, 63]), (24, 4, [24]), (256, 2, [256, 128])],
)
def test_the_pyramid_halves_the_picture_and_ends_at_32_px(size, scales, sizes):
    network, truth = TwoLayers(False), torch.full((1, 3, size, size), 0.5)
    value = perceptual_loss(network, truth + 0.1, truth, scales).item()
    assert network.sizes[::2] == sizes
    assert value == pytest.approx(0.3, rel=1e-4)  # an average over the pictures that there are


@pytest.mark.parametrize("relative", [False, True])
def test_a_batch_is_the_mean_of_its_halves(relative, generator):
    prediction, truth = pictures(generator, 4)
    truth = truth * torch.tensor([0.1, 1.0, 0.5, 0.9]).view(4, 1, 1, 1)  # samples of unlike magnitude
    network = squeezenet1_1().double()
    network.relative_features = relative
    prediction.requires_grad_()
    whole = perceptual_loss(network, prediction, truth, 2)
    halves = [perceptual_loss(network, prediction[s], truth[s], 2) for s in (slice(0, 2), slice(2, 4))]
    assert whole.dtype == torch.float64
    torch.testing.assert_close(whole, sum(halves) / 2, rtol=1e-12, atol=0)
    (one,), (two,) = torch.autograd.grad(whole, prediction), torch.autograd.grad(sum(halves) / 2, prediction)
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-15)


def test_zero_at_equality_and_gradient_to_the_prediction_only(generator):
    network = squeezenet1_1().requires_grad_(False)
    truth = torch.rand(1, 3, 48, 48, generator=generator).requires_grad_()
    assert perceptual_loss(network, truth.detach().clone(), truth, 2).item() == 0
    prediction = torch.rand(1, 3, 48, 48, generator=generator).requires_grad_()
    perceptual_loss(network, prediction, truth, 2).backward()
    assert prediction.grad.abs().sum() > 0
    assert truth.grad is None
    assert all(p.grad is None for p in network.parameters())


def test_a_step_along_the_gradient_comes_nearer(generator):
    prediction, truth = pictures(generator, 1)
    network = squeezenet1_1().double()
    value = perceptual_loss(network, prediction.requires_grad_(), truth, 1)
    (gradient,) = torch.autograd.grad(value, prediction)
    assert perceptual_loss(network, prediction - 1e-3 * gradient / gradient.norm(), truth, 1) < value


def test_vgg19_counts_its_layers_alike(generator):
    """Plain L1 of five layers: no magnitude is divided out, and none is weighted."""
    network = vgg19()
    prediction, truth = (p.float() for p in pictures(generator, 1, 32))
    with torch.no_grad():
        by_hand = sum((f - t).abs().mean() for f, t in zip(network(prediction), network(truth), strict=True))
        assert len(network(truth)) == 5
        assert perceptual_loss(network, prediction, truth, 4).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_bfloat16_features_are_summed_in_full_precision():
    truth = torch.full((1, 3, 32, 32), 0.5, dtype=torch.bfloat16)
    value = perceptual_loss(TwoLayers(False), truth + 0.25, truth, 1)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(0.75, abs=1e-6)


def test_face_term_sees_the_face_only(generator, poses):
    """L_face: a change of the background leaves it, a change of the face does not."""
    truth = torch.rand(4, 3, 128, 128, generator=generator)
    corner, middle = truth.clone(), truth.clone()
    corner[..., :10, :10] = 0
    middle[..., 54:74, 54:74] = 0
    network = TwoLayers(True)
    corner, middle, face = (aligned_face(p, poses, 224) for p in (corner, middle, truth))
    assert perceptual_loss(network, corner, face, 1).item() == 0
    assert perceptual_loss(network, middle, face, 1).item() > 0.02


@pytest.mark.skipif(not SQUEEZENET.is_file(), reason="MEGAPORTRAITS_SQUEEZENET1_0 names no file of SqueezeNet 1.0")
def test_true_weights_tell_pictures_apart():
    """A slightly darker picture is far nearer to the picture than another person's is."""
    network = load_frozen("squeezenet1_0", SQUEEZENET)
    found = read_picture(DEMO / "source.png"), next(read_frames(DEMO / "driver.mp4"))
    a, b = (
        torch.from_numpy(np.array(Image.fromarray(p).resize((128, 128)))).permute(2, 0, 1)[None] / 255 for p in found
    )
    darker, other = (perceptual_loss(network, x, a, 1).item() for x in (a * 0.95, b))
    assert 0 < darker < 0.5 * other
