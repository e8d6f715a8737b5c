"""L_gaze: reacts to iris and lid, looks nowhere else, leaves the truth alone, splits over processes."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from megaportraits import geometry
from megaportraits.config import gaze_preset
from megaportraits.data.keypoints import KEYPOINTS, LEFT_EYE, RIGHT_EYE, positions
from megaportraits.losses.gaze import gaze_loss
from megaportraits.models.gaze import GazeNet

SIZE = 128
POINTS = torch.from_numpy(geometry.mean_head()[list(KEYPOINTS), :2].copy()).float()


@pytest.fixture(scope="module")
def net() -> GazeNet:
    torch.manual_seed(0)
    return GazeNet(gaze_preset("tiny")).eval().requires_grad_(False)


def face(iris: float = 0.0, open_share: float = 1.0, mouth: int = 4, skin: tuple = (210, 170, 150)) -> Tensor:
    """`1 3 S S`: a flat face whose irises are shifted by `iris` eye widths and whose lids are open in part."""
    big = 4 * SIZE
    picture = Image.new("RGB", (big, big), skin)
    pen = ImageDraw.Draw(picture)
    for eye in (LEFT_EYE, RIGHT_EYE):
        corners = ((POINTS[positions([eye[0], eye[8]])] + 1) / 2 * big).numpy()
        (x, y), half = corners.mean(0), np.ptp(corners[:, 0]) / 2
        up = 0.5 * half * open_share
        pen.ellipse((x - half, y - up, x + half, y + up), fill=(245, 245, 245))
        pen.ellipse((x + 2 * iris * half - up, y - up, x + 2 * iris * half + up, y + up), fill=(60, 40, 20))
    pen.ellipse((big * 0.4, big * 0.75, big * 0.6, big * 0.75 + 4 * mouth), fill=(150, 40, 40))
    small = np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BOX))
    return torch.from_numpy(small.copy()).permute(2, 0, 1)[None].float() / 255


def loss(net: GazeNet, prediction: Tensor, truth: Tensor) -> float:
    return float(gaze_loss(net, prediction, truth, POINTS[None]))


def test_it_is_zero_for_equals_and_reacts_to_iris_and_lid(net):
    """The bug seen elsewhere: a loss that is constant, whatever the eyes do."""
    truth = face()
    assert loss(net, truth, truth) == 0
    small, large = loss(net, face(iris=0.1), truth), loss(net, face(iris=0.2), truth)
    assert 0.01 < small < large
    assert loss(net, face(open_share=0.1), truth) > loss(net, face(open_share=0.6), truth) > 0.01


def test_it_ignores_what_is_far_from_the_eyes(net):
    assert loss(net, face(mouth=20), face(mouth=1)) == 0


def test_gradient_reaches_the_prediction_near_the_eyes_only(net):
    prediction, truth = face(iris=0.2).requires_grad_(), face().requires_grad_()
    gaze_loss(net, prediction, truth, POINTS[None]).backward()
    assert truth.grad is None
    reached = prediction.grad[0].abs().sum(0) > 0
    corners = POINTS[positions([RIGHT_EYE[0], RIGHT_EYE[8], LEFT_EYE[8], LEFT_EYE[0]])]
    right, left, width = corners[:2].mean(0), corners[2:].mean(0), float((corners[0] - corners[1]).norm())
    grid = geometry.identity_grid((SIZE, SIZE))
    distance = torch.minimum((grid - right).norm(dim=-1), (grid - left).norm(dim=-1))
    assert not reached[distance > 1.5 * width].any()
    assert reached[distance < 0.5 * width].float().mean() > 0.5


def test_the_truths_keypoints_place_both_pictures(net):
    """Shifted eyes are a difference; they would be none if each picture had its own keypoints."""
    moved = face().roll(3, -1)
    assert loss(net, moved, face()) > 0.01


def test_unknown_corners_count_zero_and_give_no_gradient(net):
    points = POINTS[None].repeat(2, 1, 1)
    points[1, positions([LEFT_EYE[0]])] = float("nan")
    truth = face().repeat(2, 1, 1, 1)
    prediction = face(iris=0.2).repeat(2, 1, 1, 1).requires_grad_()
    value = gaze_loss(net, prediction, truth, points)
    value.backward()
    assert value.item() == pytest.approx(loss(net, face(iris=0.2), face()) / 2)
    assert prediction.grad[0].any()
    assert prediction.grad[1].eq(0).all()


def test_halves_of_a_batch_average_to_the_whole(generator):
    net = GazeNet(gaze_preset("tiny")).double().eval()
    prediction, truth = torch.rand(2, 6, 3, 64, 64, generator=generator, dtype=torch.float64)
    points = POINTS.double()[None].repeat(6, 1, 1)
    points[4] = float("nan")
    halves = [gaze_loss(net, prediction[h], truth[h], points[h]) for h in (slice(0, 3), slice(3, 6))]
    whole = gaze_loss(net, prediction, truth, points)
    torch.testing.assert_close(torch.stack(halves).mean(), whole, atol=1e-12, rtol=1e-12)
