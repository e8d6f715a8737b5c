"""Differences of two evaluations whose answer is known."""

import dataclasses
import json

import numpy as np
import pytest

from megaportraits.config.compare import CompareConfig
from megaportraits.errors import UserError
from megaportraits.evaluate.compare import bootstrap_interval, compare, compared
from megaportraits.evaluate.results import Results, Row, write_results
from megaportraits.options import parse

CONFIG = CompareConfig("a", "b")
SAMPLES, FRAMES = 12, 4


def results(gain: float = 0.0, seed: int = 0, noise: float = 1.0, **changes) -> Results:
    """PSNR around 20 + gain, L1 around 0.5 - gain; also an opening and a pose error."""
    rng = np.random.default_rng(seed)
    rows = []
    for sample in range(SAMPLES):
        for frame in range(FRAMES):
            value = float(noise * rng.normal())
            scores = {"head_psnr_db": 20 + gain + value, "head_l1": 0.5 - gain - value, "mouth_opening": gain + value}
            rows.append(Row(f"s{sample}", frame, "model", 5.0, 0.1, 0.1, scores | {"head_pose_deg": 3.0}))
            rows.append(Row(f"s{sample}", frame, "source unchanged", 5.0, 0.1, 0.1, {"head_psnr_db": 15.0}))
    networks = {"pose_deg": {"file": "net", "sha256": "12" * 32}}
    made = Results("truth", "2024-01-01", "ab" * 32, 64, {}, [], [], networks, {}, {}, rows)
    return dataclasses.replace(made, **changes)


def test_a_constant_difference_has_no_width():
    found = compared(results(), results(0.25), CONFIG).scores["head_psnr_db"]
    assert (found.difference, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))
    assert (found.frames, found.samples) == (SAMPLES * FRAMES, SAMPLES)


@pytest.mark.parametrize(("gain", "verdicts"), [
    (0.25, ("better", "better", "higher")),
    (-0.25, ("worse", "worse", "lower")),
    (0.0, ("no difference shown",) * 3),
])  # fmt: skip
def test_verdict_follows_the_direction_of_the_metric(gain, verdicts):
    found = compared(results(), results(gain), CONFIG).scores
    assert tuple(found[key].verdict for key in ("head_psnr_db", "head_l1", "mouth_opening")) == verdicts


def test_noise_shows_no_difference_and_swapping_turns_the_sign():
    a, b = results(seed=1), results(0.1, seed=2)
    there, back = (compared(*pair, CONFIG).scores["head_psnr_db"] for pair in ((a, b), (b, a)))
    assert there.verdict == "no difference shown"
    assert (there.a, there.b) == (back.b, back.a)
    assert (there.difference, there.low, there.high) == pytest.approx((-back.difference, -back.high, -back.low))
    assert there.low < there.difference < there.high


def test_interval_covers_the_truth_as_often_as_it_says_even_though_frames_of_a_sample_are_alike():
    """Means of samples vary by 1, frames inside by 0.2; one that takes frames as draws covers about 6 in 10."""
    rng, clusters = np.random.default_rng(0), np.repeat(np.arange(20), 4)
    hits = {"samples": 0, "frames": 0}
    for i in range(200):
        values = rng.normal(size=20)[clusters] + 0.2 * rng.normal(size=80)
        for name, groups in (("samples", clusters), ("frames", np.arange(80))):
            low, high = bootstrap_interval(values, groups, 200, i, 0.9)
            hits[name] += low <= 0 <= high
    assert 0.81 <= hits["samples"] / 200 <= 0.96
    assert hits["frames"] / 200 < 0.7


def test_interval_of_independent_values_is_the_known_one():
    values = np.random.default_rng(0).normal(2, 3, 400)
    low, high = bootstrap_interval(values, np.arange(400), 4000, 0, 0.95)
    width = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - width, values.mean() + width), abs=0.02)


def test_samples_of_several_lengths_count_by_their_frames():
    """One sample of three frames and one of one: resamples have the mean of either, or of all frames."""
    values, clusters = np.array([0.0, 0.0, 0.0, 4.0]), np.array([0, 0, 0, 1])
    assert bootstrap_interval(values, clusters, 1000, 0, 0.98) == (0.0, 4.0)
    assert bootstrap_interval(values, clusters, 1000, 0, 0.2) == (1.0, 1.0)


def test_one_sample_has_no_interval():
    a, b = (dataclasses.replace(r, rows=[x for x in r.rows if x.sample == "s0"]) for r in (results(), results(1.0)))
    found = compared(a, b, CONFIG)
    assert (found.scores["head_psnr_db"].low, found.scores["head_psnr_db"].verdict) == (None, "no difference shown")
    assert found.scores["head_psnr_db"].difference == pytest.approx(1.0)
    assert "few samples (1)" in found.warnings[0]


def test_unknown_values_leave_their_frames_out():
    a, b = results(), results(1.0)
    a.rows[0].scores["head_psnr_db"] = None
    b.rows[2].scores["head_psnr_db"] = None
    for row in b.rows:
        row.scores.pop("mouth_opening", None)
    found = compared(a, b, CONFIG)
    assert found.scores["head_psnr_db"].frames == SAMPLES * FRAMES - 2
    assert found.scores["head_psnr_db"].difference == pytest.approx(1.0)
    assert found.left_out == {"mouth_opening": "no common frame has it in both"}


def test_scores_by_other_networks_are_left_out():
    other = {"pose_deg": {"file": "other", "sha256": "34" * 32}}
    for networks, name in ((other, "other (343434343434)"), ({}, "no named network")):
        found = compared(results(), results(networks=networks), CONFIG)
        assert found.left_out == {"head_pose_deg": f"judged by net (121212121212) in A and by {name} in B"}
        assert set(found.scores) == {"head_psnr_db", "head_l1", "mouth_opening"}
    assert "head_pose_deg" in compared(results(), results(), CONFIG).scores


def test_frames_in_one_only_are_told():
    short = results()
    del short.rows[-2:]
    found = compared(results(), short, CONFIG)
    assert found.warnings == ["frames only in A: 1, only in B: 0; they are left out"]
    assert found.frames == SAMPLES * FRAMES - 1


def test_other_data_under_the_same_names_are_told():
    other = results()
    other.rows[0] = dataclasses.replace(other.rows[0], yaw_deg=9.0)
    assert "want other heads in 1 of 48 frames" in compared(results(), other, CONFIG).warnings[0]


@pytest.mark.parametrize(
    ("changes", "method", "reason"),
    [
        ({"protocol": "self"}, "model", "protocol truth, B of self"),
        ({"size_px": 256}, "model", "64 px, B of 256 px"),
        ({"rows": [Row("x", 0, "model", 0.0, 0.0, 0.0, {})]}, "model", "no frame of any sample in common"),
        ({}, "muddle", "A has no method 'muddle'; it has 'model', 'source unchanged'"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes, method, reason):
    with pytest.raises(UserError, match=reason):
        compared(results(), results(**changes), CompareConfig("a", "b", method))


def test_from_words_to_table_and_json(tmp_path, capsys):
    for name, gain in (("a", 0.0), ("b", 0.25)):
        (tmp_path / name).mkdir()
        write_results(tmp_path / name / "scores.json", results(gain))
    words = ["--a", str(tmp_path / "a"), "--b", str(tmp_path / "b" / "scores.json"), "--output", str(tmp_path / "c")]
    compare(**parse(compare, "megaportraits compare", words))
    said, file = capsys.readouterr().out, (tmp_path / "c").read_text()
    assert "| head L1 ↓ |" in said
    assert "| +0.25 | +0.25 to +0.25 | better | 48 |" in said
    assert str(tmp_path) not in file
    data = json.loads(file)
    assert data["scores"]["head_psnr_db"]["verdict"] == "better"
    assert (data["a"]["file"], data["b"]["file"], data["frames"]) == ("a", "scores.json", 48)


def test_two_methods_of_one_file(tmp_path, capsys):
    write_results(tmp_path / "scores.json", results(noise=0.0))
    path = str(tmp_path)
    compare(CompareConfig(path, path, method_b="source unchanged"))
    said = capsys.readouterr().out
    assert "| head PSNR dB ↑ | 20.00 | 15.00 | -5.00 | -5.00 to -5.00 | worse | 48 |" in said
    assert "Left out: head L1: no common frame has it in both." in said


@pytest.mark.parametrize("wrong", [{"confidence": 1.0}, {"confidence": 0.0}, {"resamples": 1}, {"seed": -1}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        CompareConfig("a", "b", **wrong)
