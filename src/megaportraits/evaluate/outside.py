"""Other systems in the table: their inputs as files, their results from a folder, or by a command for each sample.

Files of sample i (`%03d`): inputs `iii/source.png`, `iii/driver/0000.png` ... and the same frames as `iii/driver.mp4`;
results `iii.mp4` (or another video), or a folder `iii` of pictures that sort in the driver's order.
"""

import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from megaportraits.data.pictures import read_picture
from megaportraits.data.video import READABLE, read_frames
from megaportraits.data.video_writer import write_video
from megaportraits.errors import UserError
from megaportraits.evaluate.protocols import Sample
from megaportraits.files import file_hash, replacing

_FPS = 25
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def write_inputs(samples: Sequence[Sample], folder: str | Path) -> None:
    """Write what every method is given, background included, so that other systems can be run on the same."""
    for sample in tqdm(samples, "writing", disable=None):
        with replacing(Path(folder) / f"{sample.number:03d}") as place:
            (place / "driver").mkdir(parents=True)
            _save(place / "source.png", sample.source.rgb[0])
            for i, picture in enumerate(sample.driver.rgb):
                _save(place / "driver" / f"{i:04d}.png", picture)
            write_video(place / "driver.mp4", (_bytes(p) for p in sample.driver.rgb), Fraction(_FPS), crf=10)


class FolderMethod:
    """Results that another system left in a folder.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise UserError(f"there is no folder {folder}; give --outputs NAME=FOLDER with results of another system")

    def made_of(self, sample: Sample) -> bytes:
        """Stands for the files of a sample's results."""
        place = _found(self.folder, f"{sample.number:03d}")
        files = sorted(p for p in place.iterdir() if p.is_file()) if place.is_dir() else [place]
        return " ".join(file_hash(file) for file in files).encode()

    def __call__(self, sample: Sample) -> Float[Tensor, "T 3 S S"]:
        """The results of a sample, at the size of the comparison.

        Raises:
            UserError: the sample's results are missing, unreadable, or of another number.
        """
        return read_output(_found(self.folder, f"{sample.number:03d}"), sample)


class CommandMethod:
    """A command that is run for each sample, with {source}, {driver} (video), {frames} (folder) and {output} filled in;
    {output} is a folder's path, into which it writes `output.mp4`, another video, or pictures."""

    def __init__(self, template: str):
        try:
            self.words = shlex.split(template)
        except ValueError as error:
            raise UserError(f"the command '{template}' is not complete ({error}); close its quotes") from error
        if not any("{output}" in word for word in self.words):
            raise UserError(
                f"the command '{template}' does not say where it writes; put {{source}}, {{driver}} (or {{frames}}) "
                "and {output} into it"
            )

    def made_of(self, sample: Sample) -> bytes:
        """Stands for what the command makes of a sample: the command."""
        return shlex.join(self.words).encode()

    def __call__(self, sample: Sample) -> Float[Tensor, "T 3 S S"]:
        """What the command makes of a sample.

        Raises:
            UserError: it fails, or leaves other than the wanted pictures.
        """
        with tempfile.TemporaryDirectory() as scratch:
            write_inputs([sample], scratch)
            place, output = Path(scratch) / f"{sample.number:03d}", Path(scratch) / "output"
            output.mkdir()
            names = {"source": place / "source.png", "driver": place / "driver.mp4", "frames": place / "driver"}
            self._run([_filled(word, names | {"output": output}) for word in self.words])
            videos = [p for p in output.iterdir() if p.suffix.lower() in READABLE]
            if len(videos) > 1:
                raise UserError(f"the command left {len(videos)} videos in {{output}}; one is wanted")
            return read_output(videos[0] if videos else output, sample)

    def _run(self, words: list[str]) -> None:
        try:
            done = subprocess.run(words, capture_output=True, text=True)
        except OSError as error:
            raise UserError(f"cannot run '{words[0]}' ({error.strerror}); give a command of this machine") from error
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "nothing was printed").splitlines()[-1]
            raise UserError(f"'{' '.join(words)}' ended with code {done.returncode}: {last}")


def _filled(word: str, names: dict[str, Path]) -> str:
    for name, path in names.items():
        word = word.replace(f"{{{name}}}", str(path))
    return word


def read_output(path: Path, sample: Sample) -> Float[Tensor, "T 3 S S"]:
    """A video or a folder of pictures as a method's result, resized to the size of the comparison.

    Raises:
        UserError: unreadable, or not as many square pictures as the driver has.
    """
    if path.is_dir():
        frames = [read_picture(p) for p in sorted(path.iterdir()) if p.suffix.lower() in _PICTURES]
    else:
        frames = list(read_frames(path))
    wanted, size = len(sample.driver.numbers), sample.driver.rgb.shape[-1]
    if len(frames) != wanted:
        raise UserError(f"{path} holds {len(frames)} pictures; sample {sample.name} has {wanted} driver frames")
    if any(frame.shape[0] != frame.shape[1] for frame in frames):
        height, width = frames[0].shape[:2]
        raise UserError(f"{path} is {width} x {height}; give squares, framed like the source picture")
    resized = [np.asarray(Image.fromarray(f).resize((size, size), Image.Resampling.BICUBIC)) for f in frames]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() / 255


def _found(folder: Path, name: str) -> Path:
    if (folder / name).is_dir():
        return folder / name
    videos = [folder / f"{name}{suffix}" for suffix in READABLE if (folder / f"{name}{suffix}").is_file()]
    if not videos:
        raise UserError(f"{folder} has neither a folder {name} nor a video {name}.mp4; every sample needs its results")
    return videos[0]


def _bytes(picture: UInt8[Tensor, "3 S S"]) -> UInt8[np.ndarray, "S S 3"]:
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())


def _save(path: Path, picture: UInt8[Tensor, "3 S S"]) -> None:
    Image.fromarray(_bytes(picture)).save(path)
