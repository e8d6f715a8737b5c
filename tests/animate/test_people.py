"""Who is who, on sightings made of numbers."""

import time

import numpy as np
import torch

from megaportraits.animate.people import Person, overlap, people, stretches
from megaportraits.animate.sightings import Sighting

ANNE, BERT = torch.eye(2)


def seen(frame: int, x: float, look: torch.Tensor | None = None, height: float = 100.0) -> Sighting:
    return Sighting(frame, np.array([x, 20.0, 80.0, height]), 0.0, 0.3, np.zeros(3), look)


def frames_of(found: list[Person]) -> list[list[int]]:
    return [sorted(s.frame for s in person.sightings()) for person in found]


def test_overlap_is_intersection_over_union():
    a = np.array([0.0, 0.0, 10.0, 10.0])
    assert overlap(a, a) == 1
    assert overlap(a, a + np.array([5, 0, 0, 0])) == 1 / 3
    assert overlap(a, a + np.array([20, 0, 0, 0])) == 0


def test_faces_keep_their_tracks_while_they_change_rank():
    sightings = [[seen(i, 10), seen(i, 300)] if i % 2 else [seen(i, 300), seen(i, 10)] for i in range(10)]
    parts = stretches(sightings, np.zeros(10, int))
    assert sorted({s.box[0] for s in part.sightings} == {x} for part, x in zip(parts, (300, 10), strict=True)) == [
        True,
        True,
    ]


def test_a_cut_ends_a_stretch():
    parts = stretches([[seen(i, 10)] for i in range(6)], np.array([0, 0, 0, 1, 1, 1]))
    assert [(p.shot, len(p.sightings)) for p in parts] == [(0, 3), (1, 3)]


def test_people_are_known_again_after_a_cut_wherever_they_sit():
    shot = np.repeat([0, 1], 4)
    sightings = [[seen(i, 10, ANNE, 101), seen(i, 300, BERT)] for i in range(4)]
    sightings += [[seen(i, 10, BERT), seen(i, 300, ANNE, 101)] for i in range(4, 8)]
    anne, bert = people(stretches(sightings, shot))
    assert [s.box[0] for s in sorted(anne.sightings(), key=lambda s: s.frame)] == [10] * 4 + [300] * 4
    assert [s.box[0] for s in sorted(bert.sightings(), key=lambda s: s.frame)] == [300] * 4 + [10] * 4


def test_another_person_after_a_cut_is_another_one():
    sightings = [[seen(i, 10, ANNE if i < 5 else BERT)] for i in range(8)]
    assert frames_of(people(stretches(sightings, np.repeat([0, 1], [5, 3])))) == [[0, 1, 2, 3, 4], [5, 6, 7]]


def test_a_face_lost_for_a_while_is_the_same_where_it_was_lost():
    blurred = torch.nn.functional.normalize(torch.tensor([0.4, 0.9]), dim=0)
    here = [[seen(i, 10, ANNE)] if i < 3 else [] if i < 5 else [seen(i, 30, blurred)] for i in range(9)]
    far = [[seen(i, 10, ANNE)] if i < 3 else [] if i < 5 else [seen(i, 600, blurred)] for i in range(9)]
    shot = np.zeros(9, int)
    assert frames_of(people(stretches(here, shot))) == [[0, 1, 2, 5, 6, 7, 8]]
    assert len(people(stretches(far, shot))) == 2


def test_two_faces_of_one_frame_are_never_one_person():
    sightings = [[seen(i, 10, ANNE), seen(i, 300, ANNE)] for i in range(4)]
    assert frames_of(people(stretches(sightings, np.zeros(4, int)))) == [[0, 1, 2, 3]] * 2


def test_the_most_prominent_comes_first_and_glimpses_are_left_out():
    sightings = [[seen(i, 10, BERT, 50)] for i in range(100)]
    for i in range(40):
        sightings[i].append(seen(i, 300, ANNE, 200))
    sightings[99].append(seen(99, 600, -ANNE, 50))
    found = people(stretches(sightings, np.zeros(100, int)))
    assert [len(person.sightings()) for person in found] == [40, 100]


def test_nobody_is_nobody():
    assert people(stretches([[], []], np.zeros(2, int))) == []


def test_a_face_found_again_a_thousand_times_is_known_at_once():
    sightings = [[seen(i, 10, ANNE)] if i % 2 else [] for i in range(3000)]
    parts = stretches(sightings, np.repeat(np.arange(6), 500))
    begin = time.process_time()
    found = people(parts)
    assert time.process_time() - begin < 3
    assert len(parts) == 1500
    assert frames_of(found) == [list(range(1, 3000, 2))]


def test_the_nearest_meeting_in_time_decides():
    """A face before which the person was lost elsewhere, and after which they come back in its place."""
    first, last = ([[seen(i, x, ANNE)] for i in range(3)] for x in (600, 30))
    blurred = torch.nn.functional.normalize(torch.tensor([0.4, 0.9]), dim=0)
    middle = [seen(i, 10, blurred) for i in range(2)]

    def count(gap_before: int, gap_after: int) -> int:
        empty: list[list[Sighting]] = [[]]
        rows = [*first, *gap_before * empty, *([s] for s in middle), *gap_after * empty, *last]
        numbered = [[Sighting(i, s.box, 0.0, 0.3, np.zeros(3), s.look) for s in row] for i, row in enumerate(rows)]
        return len(people(stretches(numbered, np.zeros(len(rows), int))))

    assert (count(1, 3), count(3, 1), count(2, 2)) == (2, 1, 2)


def test_people_take_stretches_in_any_order():
    parts = stretches([[seen(i, 10, ANNE)] if i % 5 else [] for i in range(20)], np.zeros(20, int))
    person = Person(parts[2])
    for part in (parts[0], parts[3], parts[1]):
        assert person.likeness(part) > 0.9
        person.add(part)
    assert [s.frame for s in person.sightings()] == [i for i in range(20) if i % 5]
    assert [person.likeness(part) for part in parts] == [0.0] * 4
