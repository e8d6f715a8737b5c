"""Writing one clip of a head: square, matte, landmarks, pose, quality, hash."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from megaportraits.config import PreparePhotos, PrepareVideos
from megaportraits.data.clips import FILES, FPS, ClipInfo, ClipWriter
from megaportraits.data.crop import SquareCrop
from megaportraits.data.faces import PersonMatte
from megaportraits.data.recorded import LANDMARKS, truth_of
from megaportraits.files import file_hash
from megaportraits.metrics.landmarks import mouth_opening
from megaportraits.prepare.hashes import perceptual_hash
from megaportraits.prepare.judge import EVERY, judge
from megaportraits.prepare.lists import Item
from megaportraits.prepare.people import identity_of, split_of
from megaportraits.prepare.records import Record

THUMB_PX = 128
"""Side of the small pictures for the report."""
Take = Callable[[str, UInt8[np.ndarray, "S S 3"]], None]
"""Stores a small picture of what a record is about, by the record's name."""
_MATTE_NET_PX = 256
"""The matte net sees the head at this size at least."""
_MOMENTS = 24
"""Of `Record.mouth`."""


def blank_record(item: Item, config: PrepareVideos | PreparePhotos, face: int) -> Record:
    """What is known of a face before it is looked at."""
    return Record(
        item.name, item.source, identity=identity_of(item, face), licence=item.licence or config.licence,
        split=split_of(item, config),
    )  # fmt: skip


def rounded(scores: dict[str, float]) -> dict[str, float]:
    """Scores with four digits after the point."""
    return {name: round(value, 4) for name, value in scores.items()}


class HeadClip(ClipWriter):
    """A clip that is being written. Use as a context manager, and end it with `finished`.

    Args:
        folder: of the clips.
        record: what is known so far; its name is the clip's.
        landmarks_px: of the frames that will come, in pixels.
        person: the matte net.
        config: size, measure of quality.
        take: gets a picture of the clip.
    """

    def __init__(
        self, folder: Path, record: Record, landmarks_px: Float[np.ndarray, "T 478 3"], person: PersonMatte,
        config: PrepareVideos | PreparePhotos, take: Take,
    ):  # fmt: skip
        super().__init__(folder / record.name, FPS, config.size)
        self.record, self.landmarks_px, self.person = record, landmarks_px, person
        self.quality_net, self.take = config.quality_net, take
        count = len(landmarks_px)
        self._hashed = (0, count // 2, count - 1)
        self._pictures: dict[int, np.ndarray] = {}
        self._squares: list[SquareCrop] = []
        self._quality: list[float] = []

    @property
    def whole(self) -> bool:
        """Whether all frames have come."""
        return len(self._squares) == len(self.landmarks_px)

    def add_head(self, frame: UInt8[np.ndarray, "H W 3"], square: SquareCrop) -> None:
        """Take the head out of the next frame."""
        number, size = len(self._squares), self.size_px
        rgb = square.cut(frame, size)
        fine = self.person.matte(rgb if size >= _MATTE_NET_PX else square.cut(frame, _MATTE_NET_PX))
        matte = np.asarray(Image.fromarray(fine).resize((size, size), Image.Resampling.BOX))
        self.add(rgb, (matte * 255 + 0.5).astype(np.uint8))
        if number % EVERY == 0:
            self._quality.append(judge(frame, square, rgb, self.quality_net))
        if number in self._hashed:
            self._pictures[number] = rgb
        self._squares.append(square)

    def finished(self) -> Record:
        """Put the clip in its place; what became of it."""
        record, count = self.record, len(self._squares)
        quality = np.repeat(self._quality, EVERY)[:count]
        crops = np.array([(s.x, s.y, s.side) for s in self._squares], np.float32)
        landmarks = self._in_crops()
        self.finish(replace(truth_of(landmarks), crop=crops, quality=quality), self._info())
        self.close()
        small = Image.fromarray(self._pictures[self._hashed[1]]).resize((THUMB_PX, THUMB_PX), Image.Resampling.BOX)
        self.take(record.name, np.asarray(small))
        return replace(
            record,
            scores=rounded(record.scores | {"quality": float(np.mean(self._quality))}),
            mouth=_mouth(landmarks),
            hash=perceptual_hash([self._pictures[number] for number in self._hashed]),
            files={name: file_hash(self.path / name) for name in FILES},
        )

    def _in_crops(self) -> Float[np.ndarray, "T 478 3"]:
        """The landmarks in crop coordinates."""
        points = [
            np.concatenate([square.to_crop_coordinates(own[:, :2]), 2 * own[:, 2:] / square.side], 1)
            for square, own in zip(self._squares, self.landmarks_px, strict=True)
        ]
        return np.stack(points).astype(np.float32)

    def _info(self) -> ClipInfo:
        record, first = self.record, self._squares[0]
        steps = max(1, len(self._squares) - 1)
        facts: dict[str, Any] = {"x": first.x, "y": first.y, "side": first.side}
        return ClipInfo(
            identity=record.identity, motion=record.name, frame_step_s=(record.end_s - record.start_s) / steps,
            fps=FPS, size_px=self.size_px, crop=facts, source="recorded", licence=record.licence, split=record.split,
            landmark_ids=list(range(self.landmarks_px.shape[1])), control_names=[], identity_spec={},
        )  # fmt: skip


def _mouth(landmarks: Float[np.ndarray, "T 478 3"]) -> tuple[float, ...]:
    """Openings at evenly spread moments."""
    moments = np.linspace(0, len(landmarks) - 1, min(_MOMENTS, len(landmarks))).round().astype(int)
    openings = mouth_opening(torch.from_numpy(landmarks[moments, :LANDMARKS, :2]))
    return tuple(round(float(opening), 3) for opening in openings)
