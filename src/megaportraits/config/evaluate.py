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
    pose_net: str = ""
    """Head pose net that measures the pose of results: a base model or a checkpoint of `train pose`; empty takes the
    evaluated model's own. Name one to compare models by the same measure."""
    gaze_net: str = ""
    """Checkpoint of `train gaze` that measures the gaze of results; empty leaves it out."""
    lpips: str = ""
    """File of LPIPS weights (alex); empty leaves LPIPS out."""
    recogniser: str = ""
    """Measures the likeness to the source (CSIM): a checkpoint of `train identity`, or the file of MobileFaceNet; empty
    leaves it out."""
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
