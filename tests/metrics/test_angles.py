"""Known angles between rotations and between directions."""

import pytest
import torch

from megaportraits.geometry import rotation_from_angles
from megaportraits.metrics import axis_errors_deg, direction_error_deg


def angles(*values: float) -> torch.Tensor:
    return torch.tensor([values])


def test_axis_errors_are_signed_and_wrap():
    found = rotation_from_angles(*torch.tensor([[12.0, -20.0], [3.0, 0.0], [179.0, 5.0]]))
    truth = rotation_from_angles(*torch.tensor([[10.0, -10.0], [5.0, 0.0], [-179.0, 5.0]]))
    wanted = torch.tensor([[2.0, -2.0, -2.0], [-10.0, 0.0, 0.0]])
    torch.testing.assert_close(axis_errors_deg(found, truth), wanted, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        (angles(5.0, -3.0), angles(5.0, -3.0), 0.0),
        (angles(10.0, 0.0), angles(-10.0, 0.0), 20.0),
        (angles(0.0, 25.0), angles(0.0, -5.0), 30.0),
        (angles(90.0, 0.0), angles(0.0, 90.0), 90.0),
        (angles(40.0, 60.0), angles(-140.0, 60.0), 60.0),  # over the pole
    ],
)
def test_angle_between_directions(a, b, wanted):
    assert direction_error_deg(a, b).item() == pytest.approx(wanted, abs=1e-4)
