"""Known landmark errors, openings and movements of the mean face."""

import pytest
import torch

from megaportraits import geometry
from megaportraits.data.keypoints import INNER_LIPS, LEFT_EYE, RIGHT_EYE
from megaportraits.metrics import (
    expression_measures,
    expression_movement,
    eye_distance,
    eye_opening,
    landmark_error,
    mouth_opening,
    movement,
)
from megaportraits.metrics.landmarks import EYES, MOUTH


@pytest.fixture
def face() -> torch.Tensor:
    return torch.from_numpy(geometry.mean_head()[:, :2]).float()[None]


def pulled_apart(face: torch.Tensor, ring: tuple[int, ...], gap: float) -> torch.Tensor:
    """The ring's lower half on a line between its corners, its upper half `gap` above it."""
    moved, half = face.clone(), len(ring) // 2
    start, end = face[0, ring[0]], face[0, ring[half]]
    across = torch.tensor([end[1] - start[1], start[0] - end[0]])
    across = across / across.norm()
    for i in range(1, half):
        moved[0, ring[i]] = start + (end - start) * i / half
        moved[0, ring[-i]] = moved[0, ring[i]] + gap * across
    return moved


def test_error_is_in_eye_distances(face):
    shifted = face.clone()
    shifted[:, list(MOUTH)] += 0.1 * eye_distance(face).item() * torch.tensor([0.6, 0.8])
    assert landmark_error(shifted, face, MOUTH).item() == pytest.approx(0.1, rel=1e-5)
    assert landmark_error(shifted, face, EYES).item() == 0.0


def test_error_does_not_depend_on_the_unit(face, generator):
    found = face + 0.02 * torch.randn(face.shape, generator=generator)
    once, scaled = (landmark_error(found * unit, face * unit, EYES) for unit in (1.0, 256.0))
    torch.testing.assert_close(once, scaled)


def test_mouth_opening_is_the_gap_in_face_heights(face):
    height = (face[0, 10] - face[0, 152]).norm().item()
    assert mouth_opening(pulled_apart(face, INNER_LIPS, 0.15 * height)).item() == pytest.approx(0.15, rel=1e-5)
    assert mouth_opening(pulled_apart(face, INNER_LIPS, 0.0)).item() == pytest.approx(0.0, abs=1e-7)


def test_eye_opening_is_the_mean_ratio_of_both_eyes(face):
    widths = [(face[0, ring[0]] - face[0, ring[8]]).norm().item() for ring in (RIGHT_EYE, LEFT_EYE)]
    winking = pulled_apart(pulled_apart(face, RIGHT_EYE, 0.3 * widths[0]), LEFT_EYE, 0.1 * widths[1])
    assert eye_opening(winking).item() == pytest.approx(0.2, rel=1e-5)


def test_movement_is_in_face_heights(face):
    height = (face[0, 10] - face[0, 152]).norm().item()
    after = torch.cat([face, face + torch.tensor([0.0, 0.05 * height])])
    assert movement(face, after).tolist() == pytest.approx([0.0, 0.05], rel=1e-4)


def test_expression_movement_leaves_the_head_out(face):
    """A head that turns, tilts, grows and moves in the plane, and one that is foreshortened, do not act."""
    turn = torch.tensor([[0.8, -0.3], [0.3, 0.8]])
    squeezed = torch.tensor([[0.7, 0.0], [0.0, 1.0]])
    for map_ in (turn, squeezed):
        moved = face @ map_ + torch.tensor([0.1, -0.2])
        assert expression_movement(face, moved, range(468)).item() == pytest.approx(0.0, abs=1e-5)
    talking = pulled_apart(face, INNER_LIPS, 0.2)
    assert expression_movement(face, talking, range(468)).item() > 0.01
    assert expression_movement(face, talking @ turn, range(468)) > expression_movement(face, face @ turn, range(468))


def test_expression_measures_do_not_depend_on_place_roll_and_size(face):
    angle = torch.tensor(0.4)
    roll = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    measures = expression_measures(face)
    torch.testing.assert_close(expression_measures(1.7 * face @ roll + 3.0), measures, atol=1e-4, rtol=0)
    smiling = face.clone()
    smiling[:, [61, 291], 1] -= 0.05
    change = expression_measures(smiling) - measures
    assert change[0, 2] > 0.05
    assert change[0, 3:].abs().max() < 1e-6
