"""Pairs of clips or videos for the protocols in which another person drives."""

import itertools
import random
from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path

from megaportraits.data.clips import read_info
from megaportraits.errors import UserError


@dataclass(frozen=True)
class TruthPair:
    """The clips of one cross-driven sample."""

    source: Path
    driver: Path
    target: Path


def truth_pairs(clips: list[Path], count: int, seed: int) -> list[TruthPair]:
    """At most `count` cross-driven pairs, drawn by the seed; every identity is a source equally often.

    Raises:
        UserError: no identity shares a motion with another and has a second motion.
    """
    by_identity: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in clips:
        info = read_info(path)
        by_identity[info.identity][info.motion] = path
    draw = random.Random(seed)
    choices = []
    for name, own in by_identity.items():
        candidates = [
            TruthPair(own[still], driver[motion], own[motion])
            for other, driver in by_identity.items()
            for still, motion in itertools.permutations(own, 2)
            if other != name and motion in driver
        ]
        draw.shuffle(candidates)
        choices.append(candidates)
    draw.shuffle(choices)
    in_turn = [pair for turn in itertools.zip_longest(*choices) for pair in turn if pair is not None]
    if not in_turn:
        raise UserError(
            "no two identities share a motion beside which one of them has another; protocol 'truth' needs clips of "
            "the same motions on several identities (or choose --protocol self)"
        )
    return in_turn[:count]


def cross_pairs(people: Mapping[Path, Hashable], count: int, seed: int) -> list[tuple[Path, Path]]:
    """At most `count` pairs (source, driver) of two people, drawn by the seed; every file is a source equally often.

    Raises:
        UserError: all files are of one person.
    """
    draw = random.Random(seed)
    choices = []
    for source, person in people.items():
        others = [path for path, other in people.items() if other != person]
        draw.shuffle(others)
        choices.append([(source, driver) for driver in others])
    draw.shuffle(choices)
    in_turn = [pair for turn in itertools.zip_longest(*choices) for pair in turn if pair is not None]
    if not in_turn:
        raise UserError("all files are of one person; protocol 'cross' needs two (or choose --protocol self)")
    return in_turn[:count]
