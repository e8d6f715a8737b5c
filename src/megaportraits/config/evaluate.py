"""Settings of evaluation: what `megaportraits evaluate` takes as options."""

from dataclasses import dataclass
from typing import Literal

from megaportraits.config.checks import at_least
from megaportraits.errors import UserError

Protocol = Literal["truth", "self", "cross", "enhance"]


@dataclass(frozen=True)
class EvaluateConfig:
    """`megaportraits evaluate`: score a model, baselines and other systems."""

    data: str
    """Folder of rendered clips; for all protocols but "truth" also a folder of videos."""
    output: str
    """Folder for the report; with protocol "all" it has a folder for each protocol."""
    protocol: Literal["truth", "self", "cross", "enhance", "all"] = "truth"
    """truth: rendered persons drive each other and the right answer is known; self: a clip's or video's first frame is
    driven by its later ones; cross: another person drives; enhance: self at twice the model's size, which the enhancer
    reaches; all: every one that the data allows, but enhance, which needs a second network."""
    weights: str = ""
    """Checkpoint folder; empty takes the weights that came with the package."""
    enhancer: str = ""
    """Checkpoint folder of `train enhance`, which protocol "enhance" evaluates behind the model; empty takes the
    enhancer that came with the package."""
    pose_net: str = ""
    """Head pose net that measures the pose of results: a base model or a checkpoint of `train pose`; empty takes the
    evaluated model's own. Name one to compare models by the same measure."""
    gaze_net: str = ""
    """Checkpoint of `train gaze` that measures the gaze of results, or `shipped` for that of the package; empty leaves
    it out."""
    lpips: str = ""
    """File of LPIPS weights (alex); empty leaves LPIPS out."""
    squeezenet: str = ""
    """File of SqueezeNet 1.0, for the distance between its features, which is not LPIPS; empty leaves it out."""
    recogniser: str = ""
    """Measures the likeness to the source (CSIM): a checkpoint of `train identity`, or the file of MobileFaceNet; empty
    leaves it out."""
    inception: str = ""
    """File of the Inception network of FID and KID; empty leaves both out."""
    iqa: str = ""
    """File of HyperIQA, the no-reference picture quality of the paper's tables; empty leaves it out."""
    outputs: tuple[str, ...] = ()
    """Results of other systems, each NAME=FOLDER (docs/evaluate.md)."""
    command: tuple[str, ...] = ()
    """Other systems that are run here, each NAME=COMMAND with {source}, {driver}, {frames} and {output} in it."""
    inputs: str = ""
    """Write what the methods are given into this folder, for other systems, and score nothing."""
    split: Literal["all", "train", "held_out"] = "all"
    """Use only rendered clips of this split."""
    count: int = 32
    """Samples (source and driver) at most."""
    frames: int = 8
    """Driven frames of each sample at most."""
    step: int = 0
    """Frames between driven frames, from the beginning on; 0 spreads them over the clip. Flicker and warp error
    need 1."""
    seed: int = 0
    """Seed of the choice of sources and drivers."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU where there is one."""

    def __post_init__(self):
        at_least(self, 1, "count", "frames")
        at_least(self, 0, "step")
        if self.inputs and self.protocol == "all":
            raise UserError(
                "--inputs writes the samples of one protocol; give --protocol truth, self, cross or enhance"
            )
        if self.enhancer and self.protocol != "enhance":
            raise UserError(
                f"an enhancer came with protocol '{self.protocol}', which scores the model alone; give --protocol "
                "enhance, or no --enhancer"
            )
