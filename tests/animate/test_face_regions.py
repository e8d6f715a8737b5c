"""Regions of the face in a picture go with the head."""

import numpy as np
import pytest
import torch

from megaportraits.animate.regions import EYES, MOUTH, weight_in_head, weight_in_picture
from megaportraits.geometry import apply_matrix, identity_grid, mean_head, pose_matrix, rotation_from_angles
from megaportraits.tensors import HeadPose


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (30.0, 0.0, 0.0), (-20.0, 15.0, 40.0)])
def test_weights_are_where_the_posed_landmarks_are(angles):
    pose = HeadPose(
        rotation_from_angles(*torch.tensor([angles]).T), torch.tensor([0.9]), torch.tensor([[0.1, -0.05, 0.0]])
    )
    head = apply_matrix(pose_matrix(pose), torch.from_numpy(mean_head())[None])[0, :, :2]

    def at(weights: torch.Tensor, ids: list[int]) -> np.ndarray:
        pixels = identity_grid((128, 128)).reshape(-1, 2)
        return weights.reshape(-1)[torch.cdist(head[ids], pixels).argmin(1)].numpy()

    eyes, mouth = (weight_in_picture(region, pose, 128) for region in (EYES, MOUTH))
    assert eyes.shape == (1, 1, 128, 128)
    lids, lips, nose = [33, 133, 159, 145, 263, 362], [61, 291, 13, 14, 0, 17], [5]
    assert at(eyes, lids).min() > 0.8
    assert at(mouth, lips).min() > 0.8
    assert max(at(eyes, lips).max(), at(mouth, lids).max(), at(eyes, nose).max(), at(mouth, nose).max()) < 0.35
    assert eyes[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]].max() == 0


def test_regions_do_not_overlap():
    grid = identity_grid((8, 64, 64))
    assert (weight_in_head(EYES, grid) * weight_in_head(MOUTH, grid)).max() == 0
    assert weight_in_head(EYES, grid).max() == 1
