"""Plots of hand-made rows: what stands in the SVG, and the error behind the bands."""

import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from megaportraits.evaluate.plots import expression_plot, mean_and_error, yaw_plot
from megaportraits.evaluate.results import Results, Row

SVG = "{http://www.w3.org/2000/svg}"


def results(
    yaws: list[float], expressions: list[float] | None = None, methods: tuple[str, ...] = ("model",)
) -> Results:
    """A sample for each two frames."""
    moves = expressions or [0.1] * len(yaws)
    rows = [
        Row(f"s{i // 2}", i, method, yaw, 0.0, moves[i], {"head_psnr_db": 20.0 + i, "face_csim": None})
        for method in methods
        for i, yaw in enumerate(yaws)
    ]
    return Results("truth", "2024-01-01", "ab" * 32, 64, {}, [], [], {}, {}, {}, rows)


def texts(svg: str) -> list[str]:
    """Everything that is written in the plot; the SVG is well-formed."""
    return ["".join(e.itertext()).strip() for e in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_yaw_bins_count_frames_on_both_sides_once():
    written = texts(yaw_plot(results([-1.0, 9.9, 10.0, 35.0], methods=("model", "<b> & $x$")), "head_psnr_db"))
    assert [t for t in written if " to " in t] == ["0 to 10", "10 to 20", "20 to 30", "30 to 40"]
    assert [t for t in written if t.startswith("n = ")] == ["n = 2", "n = 1", "n = 0", "n = 1"]
    assert {"model", "<b> & $x$", "head PSNR dB ↑"} <= set(written)
    assert any("degrees" in t for t in written)


def test_expression_bins_hold_equally_many():
    written = texts(expression_plot(results([0.0] * 20, [0.01 * i for i in range(20)]), "head_psnr_db"))
    assert [t for t in written if t.startswith("n = ")] == ["n = 4"] * 5
    assert "0.190" in written


@pytest.mark.parametrize(("moves", "counts"), [([0.0, 1.0], [1, 1]), ([0.0] * 4, [4]), ([0.0, 0.0, 0.0, 1.0], [3, 1])])
def test_few_or_equal_expressions_make_fewer_bins(moves, counts):
    written = texts(expression_plot(results([0.0] * len(moves), moves), "head_psnr_db"))
    assert [t for t in written if t.startswith("n = ")] == [f"n = {count}" for count in counts]


def test_nothing_to_plot():
    assert yaw_plot(results([1.0, 2.0]), "face_csim") == ""
    assert yaw_plot(results([math.nan]), "head_psnr_db") == ""


def test_svg_is_the_same_each_time_and_stands_alone():
    first, second = (yaw_plot(results([1.0, 12.0, 25.0, 3.0]), "head_psnr_db") for _ in range(2))
    assert first == second
    assert first.startswith('<svg role="img"')
    assert "currentColor" in first
    for alien in ("<metadata", "<style", "#010203", "matplotlib"):
        assert alien not in first
    ids = [e.get("id") for e in ElementTree.fromstring(first).iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert all(f"#{name}" in first for name in ids)


def test_error_of_independent_frames_is_the_usual_one():
    values = np.array([1.0, 2.0, 4.0, 7.0])
    mean, error = mean_and_error(values, np.arange(4))
    assert (mean, error) == pytest.approx((3.5, values.std(ddof=1) / 2))


def test_equal_frames_of_a_sample_add_no_certainty():
    values = np.array([1.0, 2.0, 4.0])
    once, repeated = mean_and_error(values, np.arange(3)), mean_and_error(values.repeat(5), np.arange(3).repeat(5))
    assert once == pytest.approx(repeated)
    assert math.isnan(mean_and_error(values, np.zeros(3, int))[1])
