"""Regions of the face: where they are, and what gains do there."""

import numpy as np
import torch

from megaportraits.animate.regions import EYES, MOUTH, region_gain_field, weight_in_head
from megaportraits.data.keypoints import INNER_LIPS, LEFT_EYE, RIGHT_EYE
from megaportraits.geometry import identity_grid, mean_head


def at(field: torch.Tensor, points: np.ndarray) -> np.ndarray:
    """The field at the voxels next to points of the head."""
    grid = identity_grid(field.shape[2:]).reshape(-1, 3)
    return field.reshape(-1)[torch.cdist(torch.from_numpy(points), grid).argmin(1)].numpy()


def test_regions_are_where_the_landmarks_are():
    head = torch.from_numpy(mean_head())
    lids, lips, nose = [33, 133, 159, 145, 263, 362], [61, 291, 13, 14, 0, 17], [5]
    eyes, mouth = weight_in_head(EYES, head), weight_in_head(MOUTH, head)
    assert min(eyes[lids].min(), mouth[lips].min()) > 0.8
    assert max(eyes[lips].max(), mouth[lids].max(), eyes[nose].max(), mouth[nose].max()) < 0.35


def test_regions_do_not_overlap():
    grid = identity_grid((8, 64, 64))
    assert (weight_in_head(EYES, grid) * weight_in_head(MOUTH, grid)).max() == 0
    assert weight_in_head(EYES, grid).max() == 1


def test_gains_act_on_their_region_only():
    head, field = mean_head(), region_gain_field(2.0, 0.5, (16, 32, 32))
    assert field.shape == (1, 1, 16, 32, 32)
    eyes, mouth = head[[*RIGHT_EYE, *LEFT_EYE]], head[list(INNER_LIPS)]
    assert at(field, eyes).min() > 1.9
    assert at(field, mouth).max() < 0.55
    nose_ears_forehead = head[[5, 234, 454, 10]]
    np.testing.assert_allclose(at(field, nose_ears_forehead), 1, atol=0.01)
    np.testing.assert_allclose(at(field, eyes * np.array([1, 1, -1], np.float32)), 1, atol=2e-5)
    assert (region_gain_field(1.0, 1.0, (4, 8, 8)) == 1).all()


def test_the_gain_field_is_smooth():
    field = region_gain_field(3.0, 0.0, (32, 64, 64))[0, 0]
    for axis in range(3):
        assert field.diff(dim=axis).abs().max() < 1.2
