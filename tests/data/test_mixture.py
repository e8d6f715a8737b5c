"""Mixtures: proportions, determinism, clip numbers."""

import pytest
import torch
from torch.utils.data import Dataset

from megaportraits.config import AugmentConfig
from megaportraits.data.clips import find_clips
from megaportraits.data.mixture import Mixture
from megaportraits.data.pairs import FrameStore, PairDataset
from megaportraits.data.stills import StillPairs
from megaportraits.errors import UserError


@pytest.fixture(scope="module")
def parts(drawn_clips) -> list[Dataset]:
    clips = find_clips([drawn_clips], "train")
    pairs = PairDataset(FrameStore(clips, 32, 1.0), AugmentConfig(), 2, 1, 1000)
    return [pairs, StillPairs(clips, 32, AugmentConfig(), 2, 1, 1000, 0.1)]


def test_datasets_are_drawn_by_weight_as_a_function_of_seed_and_index(parts):
    mixture = Mixture(parts, [3, 1], seed=5, length=1000)
    choices = torch.tensor([mixture.choice(i) for i in range(1000)]).float()
    assert 0.21 < choices.mean() < 0.29
    assert abs(torch.corrcoef(torch.stack([choices[1:], choices[:-1]]))[0, 1]) < 0.1
    again, other = Mixture(parts, [3, 1], 5, 1000), Mixture(parts, [3, 1], 6, 1000)
    assert [again.choice(i) for i in (9, 2, 5)] == [int(choices[i]) for i in (9, 2, 5)]
    assert any(other.choice(i) != choices[i] for i in range(40))
    never = Mixture(parts, [0.0, 2.0], 5, 1000)
    assert {never.choice(i) for i in range(200)} == {1}


def test_items_are_those_of_the_datasets_with_clip_numbers_apart(parts):
    mixture = Mixture(parts, [1.0, 1.0], seed=5, length=40)
    clips: list[set[int]] = [set(), set()]
    assert len(mixture) == 40
    for index in range(20):
        number, pair = mixture.choice(index), mixture[index]
        assert torch.equal(pair.source.rgb, parts[number][index].source.rgb)
        assert pair.sample.tolist() == [index]
        clips[number].add(int(pair.clip))
    assert all(clips)
    assert not clips[0] & clips[1]


def test_weights_are_checked(parts):
    for weights, message in (([1.0], "1 weights came for 2"), ([1.0, -1.0], "from 0 up"), ([0.0, 0.0], "above 0")):
        with pytest.raises(UserError, match=message):
            Mixture(parts, weights, 0, 1)
