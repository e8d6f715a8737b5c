"""What a result may be written to: a video, a folder of numbered pictures, or one picture."""

import contextlib
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from megaportraits import __version__
from megaportraits.data.audio import Intervals
from megaportraits.data.pictures import WRITABLE, statement, write_picture
from megaportraits.data.provenance import read_statement
from megaportraits.data.video_writer import SUFFIXES, VideoWriter, check_video
from megaportraits.errors import UserError
from megaportraits.files import replacing, writing

_NUMBERED = re.compile(r"\d{6,}\.png")
_FAST = 3
MADE_BY = f"megaportraits {__version__}"
"""What every result says of itself (`data/provenance.py`)."""


class Output(Protocol):
    """Where finished frames go; all of one size."""

    def write(self, frame: UInt8[np.ndarray, "H W C"], time_s: Fraction | None = None) -> None:
        """Add a frame, RGB or RGBA, shown from `time_s` (seconds of the result); None is one period after the last."""


def is_picture(path: str | Path) -> bool:
    """Whether an output is one picture."""
    return Path(path).suffix.lower() in WRITABLE


def is_folder(path: str | Path) -> bool:
    """Whether an output is a folder of pictures: its name ends in / or has no suffix, or a folder is there already."""
    known = is_picture(path) or Path(path).suffix.lower() in SUFFIXES
    return str(path).endswith(("/", os.sep)) or (not known and (Path(path).is_dir() or not Path(path).suffix))


def check_output(path: str | Path, alpha: bool) -> None:
    """Refuse an output that cannot be written, before anything is computed.

    Raises:
        UserError: unknown suffix, one that cannot be transparent, something of another kind is there already, or its
            folder is not writable.
    """
    if is_folder(path):
        _check_folder(Path(path))
    elif is_picture(path):
        if alpha and Path(path).suffix.lower() in (".jpg", ".jpeg"):
            raise UserError(f"{path} cannot be transparent; choose an output that ends in .png or .webp")
        if Path(path).is_dir():
            raise UserError(f"{path} is a folder; choose the name of a file")
    elif Path(path).suffix.lower() in SUFFIXES:
        check_video(path, alpha)
    else:
        raise UserError(
            f"{path} is no kind of output; choose a video ({', '.join(SUFFIXES)}), a picture "
            f"({', '.join(WRITABLE)}), or a folder (a name without a suffix)"
        )
    standing = next(folder for folder in Path(path).absolute().parents if folder.exists())
    if not (standing.is_dir() and os.access(standing, os.W_OK | os.X_OK)):
        raise UserError(f"cannot write {path}, as {standing} is not a writable folder; choose another output path")


def _check_folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file, not a folder; choose another name for the folder of pictures")
    if path.is_dir() and (other := next((p for p in path.iterdir() if not _NUMBERED.fullmatch(p.name)), None)):
        raise UserError(f"the folder {path} holds other files ({other.name}); choose a new or an empty folder")
    if path.is_dir() and (first := min(path.iterdir(), default=None)) and not _is_ours(first):
        raise UserError(f"the folder {path} holds pictures of another program; choose a new or an empty folder")


def _is_ours(picture: Path) -> bool:
    """Whether a picture says that this program, in any version, generated it: a new result may take its place."""
    found = read_statement(picture)
    return found is not None and found.generated and found.tool.split()[:1] == MADE_BY.split()[:1]


@contextlib.contextmanager
def open_output(
    path: str | Path,
    fps: Fraction,
    width: int,
    height: int,
    alpha: bool = False,
    audio_from: Path | None = None,
    removed: Intervals = (),
    cut_sound: bool = False,
) -> Iterator[Output]:
    """Open an output; it appears at `path` only when the block ends well.

    Args:
        path: a video, a folder (pictures 000000.png and so on; without sound), or a picture (the first frame only).
        fps: frame rate of a video.
        width: pixels of the frames that will come.
        height: pixels of the frames that will come.
        alpha: RGBA frames will come, not RGB.
        audio_from: file whose first sound track a video gets, or None.
        removed: stretches of `audio_from`, in seconds, that are cut out; what follows moves forward.
        cut_sound: end the sound with the picture, where it is longer.

    Raises:
        UserError: as `check_output`, the sound cannot be read, the disk is full, frames are too large for the format,
            or no frame came.
    """
    check_output(path, alpha)
    if is_folder(path):
        with replacing(path) as folder:
            with writing(path):
                folder.mkdir()
            pictures = _Numbered(folder, Path(path))
            yield pictures
            if pictures.count == 0:
                raise _no_frame(path)
    elif is_picture(path):
        picture = _First()
        yield picture
        if picture.frame is None:
            raise _no_frame(path)
        write_picture(path, picture.frame, MADE_BY)
    else:
        with VideoWriter(
            path,
            fps,
            width,
            height,
            audio_from=audio_from,
            alpha=alpha,
            removed=removed,
            cut_sound=cut_sound,
            made_by=MADE_BY,
        ) as writer:
            yield writer


class _Numbered:
    def __init__(self, folder: Path, shown: Path):
        self.folder, self.shown, self.count = folder, shown, 0

    def write(self, frame: UInt8[np.ndarray, "H W C"], time_s: Fraction | None = None) -> None:
        name = f"{self.count:06d}.png"
        with writing(self.shown / name):
            Image.fromarray(frame).save(self.folder / name, compress_level=_FAST, **statement(".png", MADE_BY))
        self.count += 1


class _First:
    def __init__(self):
        self.frame: np.ndarray | None = None

    def write(self, frame: UInt8[np.ndarray, "H W C"], time_s: Fraction | None = None) -> None:
        self.frame = frame.copy() if self.frame is None else self.frame


def _no_frame(path: str | Path) -> UserError:
    return UserError(f"no frame was made for {path}; give a driver with at least one picture")
