"""Known angles between rotations axis by axis."""

import torch

from megaportraits.geometry import rotation_from_angles
from megaportraits.metrics import axis_errors_deg


def test_axis_errors_are_signed_and_wrap():
    found = rotation_from_angles(*torch.tensor([[12.0, -20.0], [3.0, 0.0], [179.0, 5.0]]))
    truth = rotation_from_angles(*torch.tensor([[10.0, -10.0], [5.0, 0.0], [-179.0, 5.0]]))
    wanted = torch.tensor([[2.0, -2.0, -2.0], [-10.0, 0.0, 0.0]])
    torch.testing.assert_close(axis_errors_deg(found, truth), wanted, atol=1e-3, rtol=0)
