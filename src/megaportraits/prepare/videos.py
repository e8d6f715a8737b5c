"""One video -> clips: looked through once, then read again where there is something to keep; in constant memory."""

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from megaportraits.animate.crop_track import CropTrack
from megaportraits.animate.tracking import DriverTrack, look_through
from megaportraits.config import PrepareVideos
from megaportraits.data.faces import PersonMatte
from megaportraits.data.video import read_timed_frames
from megaportraits.errors import UserError
from megaportraits.prepare.candidates import Candidate, candidates
from megaportraits.prepare.head_clip import THUMB_PX, HeadClip, Take, blank_record, rounded
from megaportraits.prepare.landmark_file import LandmarkFile
from megaportraits.prepare.lists import Item
from megaportraits.prepare.records import Record

_NEARLY_S = 1e-3
"""Lists round their times."""


def prepare_video(item: Item, folder: Path, config: PrepareVideos, take: Take) -> list[Record]:
    """Write the clips of a video into `folder`; what was taken and what was not.

    Args:
        item: the video.
        folder: of the clips.
        config: size and limits.
        take: gets a picture for each record, by its name.

    Raises:
        UserError: not a readable video, or no face in it.
    """
    with LandmarkFile() as landmarks:
        track = look_through(_frames(item, config.step), take=landmarks.take)
        if not track.faces:
            raise UserError("no face was found")
        found = candidates(track, config, item.box)
        if not found:
            raise UserError("no face is in the box that the list gives")
        return list(_Reading(item, folder, config, take, track, landmarks).records(found))


def _frames(item: Item, step: int) -> Iterator[tuple[Fraction, UInt8[np.ndarray, "H W 3"]]]:
    """Every `step`-th frame of the item's part."""
    end = None if item.end_frame is None else item.end_frame + 1
    timed = itertools.islice(
        read_timed_frames(item.path, max(0.0, item.start_s - _NEARLY_S)), item.start_frame, end, step
    )
    return itertools.takewhile(lambda pair: item.end_s is None or pair[0] <= item.end_s + _NEARLY_S, timed)


class _Reading:
    """The second reading of a video."""

    def __init__(
        self, item: Item, folder: Path, config: PrepareVideos, take: Take, track: DriverTrack, landmarks: LandmarkFile
    ):
        self.item, self.folder, self.config, self.take = item, folder, config, take
        self.track, self.landmarks = track, landmarks

    def records(self, found: Sequence[Candidate]) -> Iterator[Record]:
        """A record of each candidate; those without a reason are written."""
        begins: dict[int, list[Candidate]] = defaultdict(list)
        for candidate in found:
            begins[_shown(candidate) if candidate.reason else candidate.frames[0]].append(candidate)
        last = max(_shown(c) if c.reason else c.frames[-1] for c in found)
        running: list[tuple[HeadClip, CropTrack]] = []
        frames = _frames(self.item, self.config.step)
        with PersonMatte() as person, _ended_with_the_block(running):
            for number, (_, frame) in enumerate(itertools.islice(frames, last + 1)):
                for candidate in begins.pop(number, ()):
                    if candidate.reason:
                        yield self._left_out(candidate, number, frame)
                    else:
                        running.append((self._clip(candidate, person).__enter__(), candidate.crop))
                for clip, crop in list(running):
                    clip.add_head(frame, crop.at(number))
                    if clip.whole:
                        running.remove((clip, crop))
                        yield clip.finished()
            if running or begins:
                raise UserError("it gave fewer frames when it was read again; copy it to a disk that does not fail")

    def _clip(self, candidate: Candidate, person: PersonMatte) -> HeadClip:
        landmarks = self.landmarks.rows(candidate.rows)
        return HeadClip(self.folder, self._record(candidate), landmarks, person, self.config, self.take)

    def _left_out(self, candidate: Candidate, number: int, frame: np.ndarray) -> Record:
        record = self._record(candidate)
        self.take(record.name, candidate.crop.at(number).cut(frame, THUMB_PX))
        return record

    def _record(self, candidate: Candidate) -> Record:
        """What is known of a candidate without its pictures."""
        first, last = (float(self.track.times_s[candidate.frames[end]]) for end in (0, -1))
        number = self.item.start_frame + candidate.frames[0] * self.config.step
        return replace(
            blank_record(self.item, self.config, candidate.face),
            name=f"{self.item.name}-{number:06d}-{candidate.face}", start_s=round(first, 3), end_s=round(last, 3),
            frames=len(candidate.frames), size_px=self.config.size, crop_px=round(candidate.scores["crop_px"], 1),
            scores=rounded(candidate.scores), reason=candidate.reason,
        )  # fmt: skip


@contextlib.contextmanager
def _ended_with_the_block(running: list[tuple[HeadClip, CropTrack]]) -> Iterator[None]:
    """Throw away the clips that are still being written when the block fails, or when the video ends early."""
    try:
        yield
    finally:
        for clip, _ in running:
            clip.__exit__(UserError, UserError("unfinished"), None)


def _shown(candidate: Candidate) -> int:
    """The frame that stands for a candidate."""
    return candidate.frames[len(candidate.frames) // 2]
