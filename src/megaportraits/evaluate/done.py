"""Samples that are done, on disk, so that a killed evaluation goes on where it was."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from megaportraits.checkpoint import read_json, write_json
from megaportraits.errors import UserError
from megaportraits.evaluate.protocols import Sample
from megaportraits.evaluate.results import Row
from megaportraits.files import replacing

Features = dict[str, Tensor]
"""By method: `T D`, one row for each frame; empty where no network of set distances is at hand."""


class Done:
    """Rows and features of each sample in `folder/samples`; those made with other settings or data do not
    count."""

    def __init__(self, folder: Path, settings: str):
        self.folder, self.settings = folder / "samples", settings

    def read(self, sample: Sample) -> tuple[list[Row], Features] | None:
        """The sample's rows and features; None where they are still to be made."""
        file, features = self._files(sample)
        if not file.is_file() or not features.is_file():
            return None
        try:
            kept = read_json(file)
        except UserError:
            return None
        if kept.get("made_of") != self._made_of(sample):
            return None
        return [Row(**row) for row in kept["rows"]], load_file(features)

    def write(self, sample: Sample, rows: list[Row], features: Features) -> None:
        """Keep a sample's rows and features."""
        file, place = self._files(sample)
        with replacing(place) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in features.items()}, temporary)
        write_json(file, {"made_of": self._made_of(sample), "rows": [asdict(row) for row in rows]})

    def _files(self, sample: Sample) -> tuple[Path, Path]:
        return self.folder / f"{sample.number:03d}.json", self.folder / f"{sample.number:03d}.safetensors"

    def _made_of(self, sample: Sample) -> str:
        digest = hashlib.sha256(f"{self.settings} {sample.number} {sample.name}".encode())
        for frames in (sample.source, sample.driver, sample.wanted):
            for tensor in (frames.rgb, frames.matte, torch.as_tensor(frames.numbers)):
                digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()
