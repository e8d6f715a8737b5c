"""Openings of the result against those of the driver."""

import pytest

from megaportraits.evaluate.openings import ENOUGH, opening_agreements
from megaportraits.evaluate.results import Row

OPENINGS = ("mouth_opening", "eyes_opening")
WIDE = [0.0, 0.1, 0.2, 0.3]


def rows(sample: str, method: str, openings: list[float], blind: tuple[int, ...] = ()) -> list[Row]:
    """What a tracker would say of both openings; no face in the `blind` frames."""
    return [
        Row(
            sample,
            i,
            method,
            0.0,
            0.0,
            0.0,
            dict.fromkeys(OPENINGS, None if i in blind else v),
        )
        for i, v in enumerate(openings)
    ]


def agreement(found: list[float], wanted: list[float], blind: tuple[int, ...] = ()) -> dict[str, float | None]:
    return opening_agreements(rows("a", "model", found, blind) + rows("a", "right answer", wanted))["model"]


def test_a_faithful_result_agrees_and_a_contrary_one_does_not():
    for part in ("mouth", "eyes"):
        assert agreement(WIDE, WIDE)[f"{part}_opening_r"] == pytest.approx(1.0)
        assert agreement(WIDE[::-1], WIDE)[f"{part}_opening_r"] == pytest.approx(-1.0)


def test_without_a_right_answer_the_driver_is_what_is_wanted():
    found = opening_agreements(rows("a", "model", WIDE) + rows("a", "driver", WIDE[::-1]))
    assert found["model"]["mouth_opening_r"] == pytest.approx(-1.0)
    assert found["driver"]["mouth_opening_r"] == pytest.approx(1.0)


def test_still_clips_do_not_count():
    still = [0.0, ENOUGH / 10, 0.0, ENOUGH / 10]
    assert agreement(still, still)["mouth_opening_r"] is None
    both = rows("still", "model", still[::-1]) + rows("still", "right answer", still)
    both += rows("wide", "model", WIDE) + rows("wide", "right answer", WIDE)
    assert opening_agreements(both)["model"]["mouth_opening_r"] == pytest.approx(1.0)


def test_frames_without_a_face_are_left_out():
    bent = [0.0, 9.0, 0.2, 0.3]
    assert agreement(bent, WIDE)["mouth_opening_r"] < 0.5
    assert agreement(bent, WIDE, blind=(1,))["mouth_opening_r"] == pytest.approx(1.0)


def test_a_result_that_never_moves_has_no_agreement_within_clips():
    wide, wider = [0.0, 0.1, 0.2], [0.1, 0.2, 0.3]
    made = rows("a", "model", [0.0] * 3) + rows("b", "model", [0.1] * 3)
    found = opening_agreements(made + rows("a", "right answer", wide) + rows("b", "right answer", wider))["model"]
    assert found["eyes_opening_r_within"] is None
    assert found["eyes_opening_r"] > 0.3
