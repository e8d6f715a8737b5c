"""Which frames of a video become clips, by numbers alone."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from megaportraits.animate.sightings import Sighting
from megaportraits.animate.tracking import DriverTrack, FaceTrack
from megaportraits.config import FilterConfig, PrepareVideos
from megaportraits.data.crop import SquareCrop
from megaportraits.prepare.candidates import candidates, part_outside

FRAMES = 60
CONFIG = PrepareVideos(("a",), "b", size=64, step=1, filters=FilterConfig(least_s=0.3))


def face(x: float = 300.0, shift: float = 0.5, yaw: np.ndarray | None = None, seen: range = range(FRAMES)) -> FaceTrack:
    """A face of 100 x 120 px that moves to the right; with looks at every 20th frame."""
    box = np.stack([x + shift * np.arange(FRAMES), *(np.full(FRAMES, v) for v in (180.0, 100.0, 120.0))], 1)
    angles = np.zeros((FRAMES, 3))
    angles[:, 0] = 0 if yaw is None else yaw
    gone = ~np.isin(np.arange(FRAMES), seen)
    box[gone] = angles[gone] = np.nan
    plain = np.where(gone, np.nan, 0.1)
    look = torch.nn.functional.normalize(torch.ones(8), dim=0)
    sightings = [
        Sighting(i, box[i], 0.1, 0.3, angles[i], look if i % 20 == 0 else None, row=i)
        for i in range(FRAMES)
        if i in seen
    ]
    return FaceTrack(box, plain, plain, angles, tuple(sightings))


def track(*faces: FaceTrack, shot: np.ndarray | None = None) -> DriverTrack:
    zeros = np.zeros(FRAMES)
    times = tuple(Fraction(i, 25) for i in range(FRAMES))
    everything = [s for one in faces for s in one.sightings]
    for row, sighting in enumerate(everything):
        sighting.row = row
    by_frame = tuple(tuple(s for s in everything if s.frame == i) for i in range(FRAMES))
    shots = np.zeros(FRAMES, int) if shot is None else shot
    return DriverTrack((800, 600), times, shots, faces, zeros, zeros, by_frame)


def test_one_steady_face_is_one_clip():
    (found,) = candidates(track(face()), CONFIG, None)
    assert (found.reason, found.frames, found.rows) == ("", tuple(range(FRAMES)), tuple(range(FRAMES)))
    assert found.scores["likeness"] == pytest.approx(1)
    assert found.scores["motion"] == pytest.approx(0.5 * 59 * 0.9 / 120, rel=0.01)


def test_turned_frames_divide_a_run():
    yaw = np.zeros(FRAMES)
    yaw[20:30] = 70
    found = candidates(track(face(yaw=yaw)), CONFIG, None)
    assert [(c.frames[0], c.frames[-1]) for c in found] == [(0, 19), (30, 59)]
    (all_turned,) = candidates(track(face(yaw=np.full(FRAMES, -70.0))), CONFIG, None)
    assert all_turned.reason == "the head is turned more than 60 degrees"


def test_shots_and_gaps_divide_a_run():
    shot = (np.arange(FRAMES) >= 25).astype(int)
    found = candidates(track(face(), shot=shot), CONFIG, None)
    assert [(c.frames[0], c.frames[-1]) for c in found] == [(0, 24), (25, 59)]
    seen = [*range(22), *range(24, FRAMES)]
    found = candidates(track(face(seen=seen)), CONFIG, None)
    assert [(c.frames[0], c.frames[-1]) for c in found] == [(0, 21), (24, 59)]


def test_another_face_in_the_square_is_told_and_one_beside_it_is_not():
    near, far = face(x=420.0), face(x=640.0)
    assert candidates(track(face(), near), CONFIG, None)[0].reason == "another face is in the square"
    assert [c.reason for c in candidates(track(face(x=100.0), far), CONFIG, None)] == ["", ""]


def test_a_face_that_is_seen_for_a_moment_only_counts_too():
    whole = track(face(), face(x=420.0, seen=range(30, 33)))
    (before, after) = candidates(replace(whole, faces=whole.faces[:1]), CONFIG, None)
    assert (before.frames[-1], after.frames[0]) == (29, 33)
    tiny = face(x=420.0)
    for sighting in tiny.sightings:
        sighting.box = sighting.box * (1, 1, 0.1, 0.1)
    assert [c.reason for c in candidates(track(face(), tiny), CONFIG, None)[:1]] == [""]


def test_pieces_are_neither_too_long_nor_too_short():
    config = replace(CONFIG, most_frames=25)
    assert [len(c.frames) for c in candidates(track(face()), config, None)] == [20, 20, 20]
    config = replace(CONFIG, most_frames=50, filters=FilterConfig(least_s=0.3, least_frames=40))
    assert [len(c.frames) for c in candidates(track(face()), config, None)] == [50]


def test_a_box_chooses_the_person():
    both = track(face(x=100.0), face(x=600.0))
    (found,) = candidates(both, CONFIG, (0.5, 0.0, 1.0, 1.0))
    assert found.face == 0, "the first of those that were asked for"
    assert found.crop.x[0] > 400
    assert candidates(both, CONFIG, (0.45, 0.0, 0.55, 1.0)) == []


def test_a_person_who_changes_is_told():
    changing = face()
    for i, sighting in enumerate(changing.sightings):
        if sighting.look is not None:
            sighting.look = torch.nn.functional.one_hot(torch.tensor(i // 20), 8).float()
    (found,) = candidates(track(changing), CONFIG, None)
    assert found.scores["likeness"] == pytest.approx(3**-0.5)
    strict = PrepareVideos(("a",), "b", size=64, filters=FilterConfig(least_likeness=0.6))
    assert candidates(track(changing), strict, None)[0].reason == "the person seems to change"


def test_part_outside():
    assert part_outside(SquareCrop(10.0, 10.0, 50.0), (100, 100)) == pytest.approx(0)
    assert part_outside(SquareCrop(-25.0, 10.0, 50.0), (100, 100)) == pytest.approx(0.5)
    assert part_outside(SquareCrop(-25.0, 75.0, 50.0), (100, 100)) == pytest.approx(0.75)
    assert part_outside(SquareCrop(200.0, 0.0, 50.0), (100, 100)) == 1
