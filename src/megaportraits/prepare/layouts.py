"""Datasets as their authors publish them: folders and lists -> items. `docs/data.md` says what to download.

Each reader takes a folder or a list, and suffixes of files. Facts about the lists are of the authors' own scripts.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from megaportraits.errors import UserError
from megaportraits.prepare.lists import Box, Item, Reader, read_csv_rows, read_json_list, read_text, walk

_LEAST_AGE = 20
"""FFHQ-Aging's groups from 20-29 on are adults."""


def voxceleb2(path: Path, suffixes: Sequence[str]) -> Iterator[Item]:
    """`.../id00012/VIDEO/00001.mp4`: the folder above the video's names the person."""
    for file in walk(_folder(path, "voxceleb2", "the folder of the id folders"), suffixes):
        yield Item(file, file.relative_to(path).as_posix(), identity=_person(file))


def _person(file: Path) -> str:
    found = [part for part in file.parts if re.fullmatch(r"id\d{5}", part)]
    return found[-1] if found else ""


def vfhq(path: Path, suffixes: Sequence[str]) -> Iterator[Item]:
    """The folder of the `Clip+VIDEO+P0+C1+F100-250.txt`, with VIDEO.mp4 in it or in `videos` beside it.

    Lines `H`, `W`, `FPS` and `CROP left top right bottom` in pixels; the name holds the first and the last frame.
    """
    folder = _folder(path, "vfhq", "the folder of its .txt files")
    for file in walk(folder, (".txt",)):
        named = re.fullmatch(r"Clip\+(.+)\+P(\d+)\+C(\d+)\+F(\d+)-(\d+)", file.stem)
        if named is None:
            continue
        video, person, _, first, last = named.groups()
        heads = {line.split()[0].strip(":"): line.split() for line in read_text(file).splitlines() if line.strip()}
        try:
            height, width, fps = (float(heads[name][-1]) for name in ("H", "W", "FPS"))
            pixels = [float(number) for number in heads["CROP"][-4:]]
            start_s, end_s = int(first) / fps, int(last) / fps
        except (KeyError, ValueError, ZeroDivisionError) as error:
            raise UserError(f"{file} lacks a line H, W, FPS or CROP ({error}); download it again") from error
        yield Item(
            _video(folder, video, suffixes), f"{video}.mp4", file.stem, f"{video}-P{person}", start_s=start_s,
            end_s=end_s, box=_parts(pixels, width, height),
        )  # fmt: skip


def celebv_hq(path: Path, suffixes: Sequence[str]) -> Iterator[Item]:
    """`celebvhq_info.json`, with the videos named by their ids in its folder or in `videos` beside it."""
    whole = read_json_list(path) if path.suffix == ".json" else None
    clips = whole.get("clips") if isinstance(whole, dict) else None
    if not isinstance(clips, dict):
        raise UserError(f"{path} is not celebvhq_info.json; give that file")
    for name, clip in clips.items():
        try:
            video, box = clip["ytb_id"], clip["bbox"]
            times = [float(clip["duration"][end]) for end in ("start_sec", "end_sec")]
            edges = tuple(float(box[side]) for side in ("left", "top", "right", "bottom"))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"the clip {name} of {path} lacks {error}; download the list again") from error
        yield Item(
            _video(path.parent, video, suffixes), f"{video}.mp4", str(name), video, start_s=times[0], end_s=times[1],
            box=_box(edges),
        )  # fmt: skip


def talkinghead_1kh(path: Path, suffixes: Sequence[str]) -> Iterator[Item]:
    """`*_video_tubes.txt`, with the one-minute clips in its folder or in `videos` beside it.

    Lines: video, height, width, first frame, last frame, left, top, right, bottom (pixels), with commas.
    """
    if path.suffix != ".txt":
        raise UserError(f"{path} is not a list of TalkingHead-1KH; give its *_video_tubes.txt")
    for number, line in enumerate(filter(str.strip, read_text(path).splitlines()), 1):
        video, *words = line.strip().split(",")
        try:
            height, width, first, last, *pixels = (int(word) for word in words)
            box = _parts(pixels, width, height)
        except (ValueError, ZeroDivisionError) as error:
            raise UserError(f"line {number} of {path} is not a tube ({error}); download the list again") from error
        yield Item(
            _video(path.parent, video, suffixes), f"{video}.mp4", f"{video}-{first}-{last}",
            video.rsplit("_", 1)[0] or video, start_frame=first, end_frame=last, box=box,
        )  # fmt: skip


def ffhq(path: Path, suffixes: Sequence[str]) -> Iterator[Item]:
    """The folder of FFHQ's 1024 px pictures; beside them `ffhq_aging_labels.csv` (FFHQ-Aging) tells children."""
    folder = _folder(path, "ffhq", "the folder of its pictures")
    labels = next((at for at in (folder, folder.parent) if (at / "ffhq_aging_labels.csv").is_file()), None)
    rows = [] if labels is None else read_csv_rows(labels / "ffhq_aging_labels.csv")
    numbered = [row for row in rows if row.get("image_number", "").isdecimal()]
    adult = {int(row["image_number"]): _is_adult(row.get("age_group", "")) for row in numbered}
    for file in walk(folder, suffixes):
        known = adult.get(int(file.stem)) if file.stem.isdecimal() else None
        yield Item(file, file.relative_to(folder).as_posix(), identity=file.stem, adult=known)


def _is_adult(group: str) -> bool | None:
    lowest = re.match(r"\d+", group)
    return None if lowest is None else int(lowest[0]) >= _LEAST_AGE


READERS: dict[str, Reader] = {
    "voxceleb2": voxceleb2, "vfhq": vfhq, "celebv-hq": celebv_hq, "talkinghead-1kh": talkinghead_1kh, "ffhq": ffhq,
}  # fmt: skip
"""By the name of the layout."""


def _folder(path: Path, layout: str, what: str) -> Path:
    if not path.is_dir():
        raise UserError(f"{path} is no folder; with --layout {layout} give {what}")
    return path


def _video(folder: Path, name: str, suffixes: Sequence[str]) -> Path:
    """Where a video is; where it is not there, where it was expected."""
    folders = (folder, folder / "videos", folder.parent / "videos")
    places = [at / f"{name}{suffix}" for at in folders for suffix in suffixes]
    return next((place for place in places if place.is_file()), places[0])


def _parts(pixels: Sequence[float | int], width: float | int, height: float | int) -> Box:
    left, top, right, bottom = pixels
    return _box((left / width, top / height, right / width, bottom / height))


def _box(edges: Sequence[Any]) -> Box:
    left, top, right, bottom = (min(1.0, max(0.0, float(edge))) for edge in edges)
    return left, top, right, bottom
