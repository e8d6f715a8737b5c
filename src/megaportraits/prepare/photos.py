"""One photo -> a clip of one frame. Paper: A.2 ("filtered FFHQ": one person, no children)."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from megaportraits.animate.sightings import Sighting, sighting
from megaportraits.config import PreparePhotos
from megaportraits.data.crop import SquareCrop, clip_crop
from megaportraits.data.faces import FaceTracker, PersonMatte
from megaportraits.data.pictures import read_picture
from megaportraits.errors import UserError
from megaportraits.prepare.candidates import OTHER_FACE, part_outside, too_small
from megaportraits.prepare.head_clip import THUMB_PX, HeadClip, Take, blank_record, rounded
from megaportraits.prepare.lists import Item
from megaportraits.prepare.records import Record

_MOST_FACES = 4


def prepare_photo(item: Item, folder: Path, config: PreparePhotos, take: Take) -> list[Record]:
    """Write the clip of a photo into `folder`; whether it was taken, and if not, why.

    Args:
        item: the photo.
        folder: of the clips.
        config: size and limits.
        take: gets a picture for the record, by its name.

    Raises:
        UserError: not a readable picture, or no face in it.
    """
    picture = read_picture(item.path)
    tracker, person = _nets()
    faces = tracker.all_landmarks(picture)
    seen = sorted((sighting(0, points) for points in faces), key=lambda face: -float(face.box[3]))
    if not seen:
        raise UserError("no face was found")
    points = next(p for p in faces if np.array_equal(sighting(0, p).box, seen[0].box))
    square = clip_crop(points[None, :, :2])
    scores = {"crop_px": square.side, "outside": part_outside(square, picture.shape)}
    scores |= dict(zip(("yaw_deg", "pitch_deg", "roll_deg"), seen[0].angles_deg.tolist(), strict=True))
    record = replace(
        blank_record(item, config, 0), frames=1, size_px=config.size, crop_px=round(square.side, 1),
        scores=rounded(scores), reason=_reason(item, seen, scores, config),
    )  # fmt: skip
    if record.reason:
        take(record.name, square.cut(picture, THUMB_PX))
        return [record]
    return [_written(record, folder, config, take, picture, square, points, person)]


def _written(
    record: Record, folder: Path, config: PreparePhotos, take: Take, picture: UInt8[np.ndarray, "H W 3"],
    square: SquareCrop, points: Float[np.ndarray, "478 3"], person: PersonMatte,
) -> Record:  # fmt: skip
    with HeadClip(folder, record, points[None], person, config, take) as clip:
        clip.add_head(picture, square)
        return clip.finished()


def _reason(item: Item, seen: list[Sighting], scores: dict[str, float], config: PreparePhotos) -> str:
    limits = config.filters
    if item.adult is False:
        return "not an adult"
    if len(seen) > 1 and seen[1].box[3] > OTHER_FACE * seen[0].box[3]:
        return "more than one face"
    if abs(scores["yaw_deg"]) > limits.most_yaw_deg:
        return f"the head is turned more than {limits.most_yaw_deg:g} degrees"
    if scores["outside"] > limits.most_outside:
        return f"more than {limits.most_outside:.0%} of the square is outside the picture"
    return too_small(scores["crop_px"], config.size, limits)


@cache
def _nets() -> tuple[FaceTracker, PersonMatte]:
    """Made once in a process: photos are many and small."""
    return FaceTracker(video=False, most=_MOST_FACES), PersonMatte()
