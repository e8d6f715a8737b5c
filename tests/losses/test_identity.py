"""Identity loss: known answers, sign, axis, and where gradients go."""

import os
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from megaportraits.data.alignment import five_point_face
from megaportraits.data.crop import clip_crop
from megaportraits.data.faces import FaceTracker
from megaportraits.data.keypoints import KEYPOINTS
from megaportraits.data.pictures import read_picture
from megaportraits.data.video import read_frames
from megaportraits.losses.frozen.mobilefacenet import MobileFaceNet
from megaportraits.losses.identity import identity_loss
from megaportraits.losses.pretrained import load_frozen

MOBILEFACENET = Path(os.environ.get("MEGAPORTRAITS_MOBILEFACENET", ""))
"""The network's file, which does not ship."""
DEMO = Path(str(resources.files("megaportraits.demo")))


class MeanColour(nn.Module):
    """Embeds a face as twice its mean colour."""

    def embed(self, face):
        return 2 * face.mean((2, 3))


def colours(*rgb: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(rgb, dtype=torch.float64)[:, :, None, None].expand(-1, 3, 4, 4).clone()


def found_face(picture: np.ndarray) -> torch.Tensor:
    """The face of a picture as MobileFaceNet wants it, by MediaPipe's landmarks."""
    with FaceTracker(video=False) as tracker:
        landmarks = tracker.landmarks(picture)
    assert landmarks is not None
    square = clip_crop(landmarks[None, :468, :2])
    rgb = torch.from_numpy(square.cut(picture, 256).copy()).permute(2, 0, 1)[None] / 255
    return five_point_face(
        rgb, torch.from_numpy(square.to_crop_coordinates(landmarks[list(KEYPOINTS), :2])).float()[None]
    )


def test_known_answer_whatever_the_length_of_the_embeddings():
    faces, wanted = colours((1, 0, 0), (0.3, 0.4, 0)), colours((0, 1, 0), (0.8, 0, 0))
    # cos 0 and 0.6; the mean of 1 and 0.4
    assert identity_loss(MeanColour(), faces, wanted).item() == pytest.approx(0.7)


def test_falls_to_zero_towards_the_same_person():
    wanted = colours((1, 0, 0))
    values = [identity_loss(MeanColour(), colours((1, g, 0)), wanted).item() for g in (2.0, 1.0, 0.5, 0.0)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(0, abs=1e-12)


def test_each_face_is_compared_with_its_own_person():
    a, b = (1, 0, 0), (0, 0, 1)
    assert identity_loss(MeanColour(), colours(a, b), colours(a, b)).item() == pytest.approx(0, abs=1e-12)
    assert identity_loss(MeanColour(), colours(a, b), colours(b, a)).item() == pytest.approx(1)


def test_gradient_reaches_the_face_but_neither_the_wanted_one_nor_the_network(generator):
    network = MobileFaceNet().eval().requires_grad_(False)
    faces, wanted = torch.rand(2, 2, 3, 112, 96, generator=generator).unbind(0)
    faces, wanted = faces.clone().requires_grad_(), wanted.clone().requires_grad_()
    identity_loss(network, faces, wanted).backward()
    assert (faces.grad.abs().sum((1, 2, 3)) > 0).all()
    assert wanted.grad is None
    assert all(p.grad is None for p in network.parameters())


def test_a_batch_is_the_mean_of_its_halves(generator):
    faces, wanted = torch.rand(2, 4, 3, 4, 4, generator=generator, dtype=torch.float64).unbind(0)
    halves = [identity_loss(MeanColour(), faces[s], wanted[s]) for s in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(identity_loss(MeanColour(), faces, wanted), sum(halves) / 2, rtol=1e-12, atol=0)


@pytest.mark.skipif(not MOBILEFACENET.is_file(), reason="MEGAPORTRAITS_MOBILEFACENET names no file of MobileFaceNet")
def test_true_weights_tell_the_demo_people_apart():
    """The demo driver in two frames is one person, the demo source another; a face out of place is no longer itself."""
    network = load_frozen("mobilefacenet", MOBILEFACENET)
    frames = list(read_frames(DEMO / "driver.mp4"))
    source, first, last = (found_face(p) for p in (read_picture(DEMO / "source.png"), frames[0], frames[-1]))
    same, other = (identity_loss(network, first, face).item() for face in (last, source))
    assert same < 0.25
    assert other > 0.4
    assert identity_loss(network, first.roll(40, -1), last).item() > same + 0.2  # out of place
