"""Openings of the result against those of the driver."""

import pytest
import torch

from megaportraits import geometry
from megaportraits.data.keypoints import INNER_LIPS, LEFT_EYE, RIGHT_EYE
from megaportraits.evaluate.frames import Frames
from megaportraits.evaluate.openings import ENOUGH, opening_agreements
from megaportraits.evaluate.protocols import Sample
from megaportraits.evaluate.scores import Row
from megaportraits.metrics import eye_opening, mouth_opening


def faces(openings: list[float]) -> torch.Tensor:
    """Mean faces whose lips and lids are further apart by `openings`."""
    out = torch.from_numpy(geometry.mean_head()[:, :2]).float().repeat(len(openings), 1, 1)
    for ring in (INNER_LIPS, RIGHT_EYE, LEFT_EYE):
        upper = [ring[-i] for i in range(1, len(ring) // 2)]
        out[:, upper, 1] -= torch.tensor(openings)[:, None]
    return out


def sample(name: str, openings: list[float]) -> Sample:
    landmarks, count = faces(openings), len(openings)
    grey = torch.zeros(count, 3, 8, 8, dtype=torch.uint8)
    frames = Frames(grey, grey[:, :1], landmarks, tuple(range(468)), tuple(range(count)), None)
    return Sample(name, frames.pick([0]), frames, frames)


def rows(name: str, openings: list[float], blind: tuple[int, ...] = ()) -> list[Row]:
    """What a tracker would say of a result; no face in the `blind` frames."""
    mouth, eyes = mouth_opening(faces(openings)).tolist(), eye_opening(faces(openings)).tolist()
    return [
        Row(name, i, "model", 0.0, {f"{p}_opening": None if i in blind else v[i] for p, v in parts.items()})
        for parts in ({"mouth": mouth, "eyes": eyes},)
        for i in range(len(openings))
    ]


def test_a_faithful_result_agrees_and_a_contrary_one_does_not():
    wide = [0.0, 0.1, 0.2, 0.3]
    same = opening_agreements(rows("a", wide), [sample("a", wide)])["model"]
    contrary = opening_agreements(rows("a", wide[::-1]), [sample("a", wide)])["model"]
    for part in ("mouth", "eyes"):
        assert same[part].pooled == pytest.approx(1.0, abs=1e-4)
        assert contrary[part].by_clip["a"] == pytest.approx(-1.0, abs=0.01)
        assert same[part].frames == 4


def test_still_clips_do_not_count():
    still = [0.0, ENOUGH / 10, 0.0, ENOUGH / 10]
    wide = [0.0, 0.1, 0.2, 0.3]
    found = opening_agreements(
        rows("still", wide) + rows("wide", wide), [sample("still", still), sample("wide", wide)]
    )["model"]["mouth"]
    assert list(found.by_clip) == ["wide"]
    assert found.frames == 4


def test_frames_without_a_face_are_left_out():
    wide = [0.0, 0.1, 0.2, 0.3]
    found = opening_agreements(rows("a", wide, blind=(1,)), [sample("a", wide)])["model"]["mouth"]
    assert found.frames == 3
    assert found.pooled == pytest.approx(1.0, abs=1e-4)


def test_a_result_that_never_moves_has_no_agreement_within_clips():
    wide, wider = [0.0, 0.1, 0.2], [0.1, 0.2, 0.3]
    both = [sample("a", wide), sample("b", wider)]
    found = opening_agreements(rows("a", [0.0] * 3) + rows("b", [0.1] * 3), both)["model"]["eyes"]
    assert found.within_clips is None
    assert found.by_clip == {"a": None, "b": None}
    assert found.pooled is not None
    assert found.pooled > 0.3
