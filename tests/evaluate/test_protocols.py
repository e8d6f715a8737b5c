"""Who drives whom."""

import shutil
from pathlib import Path

import pytest

from megaportraits.config import EvaluateConfig
from megaportraits.data.clips import find_clips
from megaportraits.errors import UserError
from megaportraits.evaluate.frames import spread
from megaportraits.evaluate.pairing import cross_pairs, truth_pairs
from megaportraits.evaluate.protocols import load_samples, possible_protocols


def test_spread_is_even_and_bounded():
    assert spread(1, 9, 3) == [1, 5, 9]
    assert spread(0, 3, 8) == [0, 1, 2, 3]
    assert spread(2, 2, 5) == [2]


def test_truth_pairs_cross_identities_and_motions(crossed_clips):
    pairs = truth_pairs(find_clips([crossed_clips]), 100, seed=0)
    assert len(pairs) == 3 * 2 * 2
    for pair in pairs:
        source, driver, target = (tuple(p.name.split("_")) for p in (pair.source, pair.driver, pair.target))
        assert source[0] == target[0] != driver[0]
        assert driver[1] == target[1] != source[1]


def test_truth_pairs_follow_the_seed_and_use_every_source(crossed_clips):
    clips = find_clips([crossed_clips])
    assert truth_pairs(clips, 6, seed=1) == truth_pairs(clips, 6, seed=1)
    assert truth_pairs(clips, 6, seed=1) != truth_pairs(clips, 6, seed=2)
    sources = [p.source.name.split("_")[0] for p in truth_pairs(clips, 6, seed=1)]
    assert sorted(sources) == ["id0", "id0", "id1", "id1", "id2", "id2"]


def test_truth_samples_share_frame_numbers(crossed_clips):
    samples = load_samples(EvaluateConfig(str(crossed_clips), "out", count=4, frames=3), "truth", 64).samples
    assert [s.driver.numbers for s in samples] == [s.target.numbers for s in samples] == [(0, 2, 3)] * 4
    assert all(s.source.rgb.shape == (1, 3, 64, 64) for s in samples)


def test_self_samples_drive_with_later_frames(crossed_clips):
    samples = load_samples(EvaluateConfig(str(crossed_clips), "out", count=2), "self", 64).samples
    assert len(samples) == 2
    assert samples[0].source.numbers == (0,)
    assert samples[0].target.numbers == (1, 2, 3)


def test_cross_samples_have_two_people_and_no_answer(crossed_clips):
    samples = load_samples(EvaluateConfig(str(crossed_clips), "out", count=100, frames=3), "cross", 64).samples
    assert len(samples) == 6 * 4
    for sample in samples:
        source, driver = sample.name.split(" by ")
        assert source.split("_")[0] != driver.split("_")[0]
        assert sample.target is None
        assert sample.wanted is sample.driver
        assert (sample.source.numbers, sample.driver.numbers) == ((0,), (0, 2, 3))
    assert [s.number for s in samples] == list(range(24))


def test_frames_are_neighbours_where_asked(crossed_clips):
    samples = load_samples(EvaluateConfig(str(crossed_clips), "out", count=1, frames=2, step=1), "self", 64).samples
    assert samples[0].target.numbers == (1, 2)


def test_one_person_cannot_be_crossed(crossed_clips):
    alone = {p: "anna" for p in find_clips([crossed_clips])}
    with pytest.raises(UserError, match="all files are of one person"):
        cross_pairs(alone, 5, seed=0)


def test_what_the_data_allows(crossed_clips, tmp_path):
    assert possible_protocols(EvaluateConfig(str(crossed_clips), "out")) == ["truth", "self", "cross"]
    for name in ("id0_motion0", "id0_motion1"):
        shutil.copytree(crossed_clips / name, tmp_path / name)
    assert possible_protocols(EvaluateConfig(str(tmp_path), "out")) == ["self"]
    shutil.copytree(crossed_clips / "id1_motion0", tmp_path / "id1_motion0")
    shutil.rmtree(tmp_path / "id0_motion1")
    assert possible_protocols(EvaluateConfig(str(tmp_path), "out")) == ["self", "cross"]


def test_steps_that_leave_too_few_frames_are_refused(crossed_clips):
    with pytest.raises(UserError, match="has 4 frames, of which --step 9 leaves 1; 2 are needed"):
        load_samples(EvaluateConfig(str(crossed_clips), "out", step=9), "self", 64)
    assert len(load_samples(EvaluateConfig(str(crossed_clips), "out", step=9, count=1), "cross", 64).samples) == 1


def test_clips_that_cannot_be_used_are_left_out_and_named(crossed_clips, tmp_path, capsys):
    shutil.copytree(crossed_clips, tmp_path / "clips")
    (tmp_path / "clips/id1_motion0/truth.safetensors").write_bytes(b"damaged")
    found = load_samples(EvaluateConfig(str(tmp_path / "clips"), "out"), "self", 64)
    assert [sample.number for sample in found.samples] == [0, 1, 2, 3, 4]
    assert "id1_motion0" not in {sample.name for sample in found.samples}
    assert "id1_motion0" in found.left_out[0]
    assert "left out:" in capsys.readouterr().err


@pytest.mark.parametrize("protocol", ["truth", "self", "cross"])
def test_folders_without_clips_are_refused(tmp_path, protocol):
    with pytest.raises(UserError, match=r"no .*clips"):
        load_samples(EvaluateConfig(str(tmp_path), "out"), protocol, 64)
    with pytest.raises(UserError, match="no folder"):
        load_samples(EvaluateConfig(str(tmp_path / "absent"), "out"), protocol, 64)


def test_identities_without_a_common_motion_are_refused(crossed_clips):
    lonely = [p for p in find_clips([crossed_clips]) if p.name in ("id0_motion0", "id1_motion1")]
    with pytest.raises(UserError, match="protocol 'truth' needs"):
        truth_pairs(lonely, 5, seed=0)


def test_other_splits_are_refused(crossed_clips: Path):
    with pytest.raises(UserError, match="no train clips"):
        load_samples(EvaluateConfig(str(crossed_clips), "out", split="train"), "truth", 64)


def test_nonsense_counts_are_refused():
    with pytest.raises(UserError, match="at least 1"):
        EvaluateConfig("data", "out", count=0)
