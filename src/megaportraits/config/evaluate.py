"""Settings of evaluation: what `megaportraits evaluate` takes as options."""

from dataclasses import dataclass
from typing import Literal

from megaportraits.config.checks import at_least


@dataclass(frozen=True)
class EvaluateConfig:
    """`megaportraits evaluate`: score a model against right answers."""

    data: str
    """Folder of rendered clips; for protocol "self" also a folder of videos."""
    output: str
    """Folder for scores.json, scores.md and contact_sheet.png."""
    protocol: Literal["truth", "self"] = "truth"
    """truth: rendered persons drive each other and the right answer is known; self: a clip's or video's first frame is
    driven by its later ones."""
    weights: str = ""
    """Checkpoint folder; empty takes the weights that came with the package."""
    split: Literal["all", "train", "held_out"] = "all"
    """Use only rendered clips of this split."""
    count: int = 32
    """Samples (source and driver) at most."""
    frames: int = 8
    """Driven frames of each sample at most."""
    seed: int = 0
    """Seed of the choice of sources and drivers."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU where there is one."""

    def __post_init__(self):
        at_least(self, 1, "count", "frames")
