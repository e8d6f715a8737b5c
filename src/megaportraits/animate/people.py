"""Who is who: sightings of faces in single frames become tracks of people."""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from megaportraits.animate.sightings import Sighting

_SAME_PLACE = 0.3
"""Boxes of one face in consecutive frames share at least this part of their common area."""
_LIKE = 0.6
"""Similarity of the mean embeddings of one person before and after a cut."""
_LIKE_IN_PLACE = 0.3
"""The same within a shot, where a face comes back in the place where it was lost."""
_NEAR = 1.0
"""In the place where it was lost: centres at most this many face heights apart."""
_LEAST_PART = 0.02
"""Tracks with less than this part of the most prominent one's prominence are mistakes of the detector."""


@dataclass
class Stretch:
    """One face without a gap, inside one shot."""

    shot: int
    sightings: list[Sighting] = field(default_factory=list)

    @property
    def first(self) -> Sighting:
        return self.sightings[0]

    @property
    def last(self) -> Sighting:
        return self.sightings[-1]

    @cached_property
    def look_sum(self) -> Float[Tensor, " D"] | None:
        """Sum of the embeddings, None where there is none; to be asked when the stretch is whole."""
        looks = [s.look for s in self.sightings if s.look is not None]
        return torch.stack(looks).sum(0) if looks else None

    @cached_property
    def look(self) -> Float[Tensor, " D"] | None:
        """Mean embedding, of length 1; as `look_sum`."""
        return None if self.look_sum is None else _direction(self.look_sum)


def stretches(sightings: Sequence[Sequence[Sighting]], shot: Int[np.ndarray, " T"]) -> list[Stretch]:
    """Chain the sightings of consecutive frames of a shot by the overlap of their boxes."""
    done: list[Stretch] = []
    running: list[Stretch] = []
    for number, seen in enumerate(sightings):
        running = [s for s in running if s.shot == shot[number] and s.last.frame == number - 1]
        continued = _continued(running, seen)
        following = []
        for i, sighting in enumerate(seen):
            stretch = continued.get(i)
            if stretch is None:
                stretch = Stretch(int(shot[number]))
                done.append(stretch)
            stretch.sightings.append(sighting)
            following.append(stretch)
        running = following
    return done


def _continued(running: Sequence[Stretch], seen: Sequence[Sighting]) -> dict[int, Stretch]:
    """Which stretch each sighting continues: the pairs that overlap most come first."""
    pairs = [(overlap(s.last.box, new.box), i, s) for s in running for i, new in enumerate(seen)]
    found: dict[int, Stretch] = {}
    for shared, i, stretch in sorted(pairs, key=lambda pair: -pair[0]):
        if shared >= _SAME_PLACE and i not in found and not any(stretch is s for s in found.values()):
            found[i] = stretch
    return found


def overlap(a: Float[np.ndarray, " 4"], b: Float[np.ndarray, " 4"]) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / max(float(np.prod(a[2:]) + np.prod(b[2:])) - shared, 1e-9)


class Person:
    """Stretches of one person, none at the same time as another."""

    def __init__(self, stretch: Stretch):
        self.parts: list[Stretch] = []
        """In the order of their frames."""
        self._look_sum: Float[Tensor, " D"] | None = None
        self._look: Float[Tensor, " D"] | None = None
        self.add(stretch)

    def add(self, stretch: Stretch) -> None:
        """Say that the stretch shows this person."""
        self.parts.insert(self._place(stretch), stretch)
        if stretch.look_sum is not None:
            self._look_sum = stretch.look_sum if self._look_sum is None else self._look_sum + stretch.look_sum
            self._look = _direction(self._look_sum)

    def sightings(self) -> list[Sighting]:
        """What was seen of the person, in the order of the frames."""
        return [s for part in self.parts for s in part.sightings]

    def likeness(self, stretch: Stretch) -> float:
        """How surely the stretch shows this person: 0 is not at all, 1 is certain."""
        place = self._place(stretch)
        before, after = self.parts[max(0, place - 1) : place], self.parts[place : place + 1]
        if any(p.last.frame >= stretch.first.frame for p in before):
            return 0.0
        if any(p.first.frame <= stretch.last.frame for p in after):
            return 0.0
        in_place = _takes_the_place(stretch, before, after)
        if self._look is None or stretch.look is None:
            return 0.5 if in_place else 0.0
        needed = _LIKE_IN_PLACE if in_place else _LIKE
        return max(0.0, (float(self._look @ stretch.look) - needed) / (1 - needed))

    def _place(self, stretch: Stretch) -> int:
        return bisect(self.parts, stretch.first.frame, key=lambda part: part.first.frame)


def _takes_the_place(stretch: Stretch, before: Sequence[Stretch], after: Sequence[Stretch]) -> bool:
    """Whether a neighbour in the same shot was lost where the stretch begins, or is found again where it ends."""
    meetings = [(stretch.first, p.last) for p in before if p.shot == stretch.shot]
    meetings += [(p.first, stretch.last) for p in after if p.shot == stretch.shot]
    gaps = [(later.frame - earlier.frame, _near(later.box, earlier.box)) for later, earlier in meetings]
    return min(gaps, default=(0, False))[1]


def people(parts: Sequence[Stretch]) -> list[Person]:
    """Gather stretches by person, the most prominent person first. Long stretches are asked first: they know best."""
    found: list[Person] = []
    for stretch in sorted(parts, key=lambda s: -len(s.sightings)):
        sure, who = max(((p.likeness(stretch), -i) for i, p in enumerate(found)), default=(0.0, 0))
        if sure > 0:
            found[-who].add(stretch)
        else:
            found.append(Person(stretch))
    prominence = [float(sum(s.box[3] for s in person.sightings())) for person in found]
    order = sorted(range(len(found)), key=lambda i: -prominence[i])
    return [found[i] for i in order if prominence[i] >= _LEAST_PART * prominence[order[0]]]


def _direction(look_sum: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
    return torch.nn.functional.normalize(look_sum, dim=0)


def _near(a: Float[np.ndarray, " 4"], b: Float[np.ndarray, " 4"]) -> bool:
    apart = np.linalg.norm((a[:2] + a[2:] / 2) - (b[:2] + b[2:] / 2))
    return bool(apart <= _NEAR * (a[3] + b[3]) / 2 and 0.5 < a[3] / b[3] < 2)
