"""Where pictures are scored."""

import numpy as np
import pytest
import torch

from megaportraits import geometry
from megaportraits.data.regions import box_mask, check_landmarks, hull_mask, regions
from megaportraits.errors import UserError

SIZE = 64
IDS = tuple(range(468))


@pytest.fixture
def landmarks() -> torch.Tensor:
    return torch.from_numpy(geometry.mean_head()[:, :2]).float()[None] * 0.8


def value_at(mask: torch.Tensor, point: torch.Tensor) -> float:
    column, row = ((point + 1) / 2 * SIZE).long().tolist()
    return mask[0, 0, row, column].item()


def test_hull_of_a_circle_has_its_area():
    angles = torch.linspace(0, 2 * np.pi, 200)
    circle = 0.6 * torch.stack([angles.cos(), angles.sin()], -1)[None]
    assert hull_mask(circle, 256).mean().item() * 4 == pytest.approx(np.pi * 0.36, rel=0.01)


def test_box_has_its_margin():
    mask = box_mask(torch.tensor([[[-0.25, -0.5], [0.25, 0.0]]]), torch.tensor([0.25]), SIZE)
    assert mask[0, 0].nonzero().amin(0).tolist() == [8, 16]
    assert mask[0, 0].nonzero().amax(0).tolist() == [39, 47]


def test_head_holds_face_and_hair_but_no_background(landmarks):
    matte = torch.ones(1, 1, SIZE, SIZE)
    matte[..., : SIZE // 2] = 0
    masks = regions(landmarks, IDS, matte, SIZE)
    assert list(masks) == ["head", "mouth", "eyes"]
    assert (masks["head"] * (1 - matte)).sum() == 0
    above = landmarks[0, 10] + torch.tensor([0.1, -0.3])
    assert value_at(masks["head"], above) == 1
    assert value_at(masks["head"], torch.tensor([0.9, 0.9])) == 0


def test_boxes_hold_their_parts_only(landmarks):
    masks = regions(landmarks, IDS, None, SIZE)
    assert list(masks) == ["face", "mouth", "eyes"]
    assert value_at(masks["mouth"], landmarks[0, 13]) == 1
    assert value_at(masks["mouth"], landmarks[0, 159]) == 0
    assert value_at(masks["eyes"], landmarks[0, [33, 133]].mean(0)) == 1
    assert value_at(masks["eyes"], landmarks[0, [362, 263]].mean(0)) == 1
    assert value_at(masks["eyes"], landmarks[0, 1]) == 0


def test_missing_landmarks_are_named():
    with pytest.raises(UserError, match="152"):
        check_landmarks([i for i in IDS if i != 152], "the clip")
