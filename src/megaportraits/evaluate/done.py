"""Samples that are done, on disk, so that a killed evaluation goes on where it was."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from megaportraits.checkpoint import read_json, write_json
from megaportraits.errors import UserError
from megaportraits.evaluate.frames import Frames
from megaportraits.evaluate.pictures import strip_path
from megaportraits.evaluate.protocols import Sample
from megaportraits.evaluate.results import Row
from megaportraits.files import replacing

Features = dict[str, Tensor]
"""By method: `T D`, one row for each frame; empty where no network of set distances is at hand."""


class Done:
    """Rows and features of each sample in `OUTPUT/samples`; those made with other settings or data do not
    count."""

    def __init__(self, output: Path, settings: str, samples: Sequence[Sample]):
        """`settings` says everything besides the samples on which scores depend."""
        self.output, self.folder = output, output / "samples"
        digest = hashlib.sha256(settings.encode())
        for sample in samples:  # the constant z is a mean over all of them
            digest.update(_digest(sample.driver))
        self.settings = digest.digest()

    def read(self, sample: Sample, others: bytes) -> tuple[list[Row], Features] | None:
        """The sample's rows and features; None where they are still to be made. `others`: see `write`."""
        file, features = self._files(sample)
        strips = [strip_path(self.output, sample.number, frame) for frame in sample.wanted.numbers]
        if not all(path.is_file() for path in (file, features, *strips)):
            return None
        try:
            kept = read_json(file)
        except UserError:
            return None
        if kept.get("made_of") != self._made_of(sample, others):
            return None
        return [Row(**row) for row in kept["rows"]], load_file(features)

    def write(self, sample: Sample, others: bytes, rows: list[Row], features: Features) -> None:
        """Keep a sample's rows and features; `others` stands for what other systems made of it."""
        file, place = self._files(sample)
        with replacing(place) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in features.items()}, temporary)
        write_json(file, {"made_of": self._made_of(sample, others), "rows": [asdict(row) for row in rows]})

    def _files(self, sample: Sample) -> tuple[Path, Path]:
        return self.folder / f"{sample.number:03d}.json", self.folder / f"{sample.number:03d}.safetensors"

    def _made_of(self, sample: Sample, others: bytes) -> str:
        digest = hashlib.sha256(self.settings + others + f"{sample.number} {sample.name}".encode())
        for frames in (sample.source, sample.driver, sample.wanted):
            digest.update(_digest(frames))
        return digest.hexdigest()


def _digest(frames: Frames) -> bytes:
    digest = hashlib.sha256(repr((frames.numbers, frames.landmark_ids, frames.rendered)).encode())
    pose = frames.pose
    for tensor in (frames.rgb, frames.matte, frames.landmarks, pose.rotation, pose.scale, pose.translation):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.digest()
