"""Knobs of `megaportraits synth`. Nothing heavy is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from megaportraits.errors import UserError


@dataclass(frozen=True)
class SynthConfig:
    """What to render.

    Clip k shows identity k with motion k, from its own camera. With `motion_of`, identity k shows each of those
    motions instead, all from one neutral camera: the same motion on many identities is the truth for cross-driving.
    """

    assets: Path
    """A MakeHuman data folder (or the CC0 heads folder), plain or gzipped."""
    out: Path
    """Dataset folder; each clip becomes a folder idI_motionJ in it. Complete clips are kept."""
    clips: int = 200
    """Clips; with `motion_of`, identities."""
    frames: int = 48
    """Frames of each clip."""
    size: int = 256
    """Side of the pictures in pixels."""
    seed: int = 0
    """Another seed gives other people and other motions."""
    step: int = 4
    """Frames of the 25 fps motion from one stored frame to the next."""
    split: Literal["train", "held_out"] = "train"
    """Which assets people wear (synth/splits.json); motions differ between the splits too."""
    motion_of: str = ""
    """Numbers of the motions that every identity performs, e.g. 0,3; empty: identity k performs motion k."""
    workers: int = 1
    """Processes that render side by side."""
    skin: int = 2048
    """Side of the skin texture in pixels."""
    camera: Literal["auto", "own", "neutral", "motion"] = "auto"
    """own: each clip has its own; neutral: all share one, straight from the front; motion: all performers of a motion
    share one; auto: neutral with `motion_of`, own without."""
    expression_gain: float = 1.0
    """Each motion's expressions are made up to this much stronger; 1 is a conversation."""
    cloth_patterns: bool = False
    """Random colours and patterns on clothes; people are otherwise the same as without."""
    wide_colors: bool = False
    """Hair of any colour, skin of more colours than people's; people are otherwise the same as without."""

    def __post_init__(self):
        for name in ("clips", "frames", "step", "workers"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; give at least 1")
        if self.expression_gain < 1:
            raise UserError(f"expression_gain is {self.expression_gain}; give at least 1")
        if self.size < 32 or self.size % 2:
            raise UserError(f"size is {self.size} pixels; give an even number of at least 32")
        if self.skin < 64 or self.skin % 8:
            raise UserError(f"skin is {self.skin} pixels; give a multiple of 8 of at least 64")
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}; give a number of at least 0")
        if self.motion_of and not all(number.strip().isdecimal() for number in self.motion_of.split(",")):
            raise UserError(f"motion_of is '{self.motion_of}'; give numbers with commas between them, such as 0,3")
        if self.camera not in ("auto", "own", "neutral", "motion"):
            raise UserError(f"there is no camera '{self.camera}'; choose auto, own, neutral or motion")
        if self.split not in ("train", "held_out"):
            raise UserError(f"there is no split '{self.split}'; choose train or held_out")

    @property
    def shared_camera(self) -> str:
        """`camera` with auto resolved."""
        return self.camera if self.camera != "auto" else "neutral" if self.motion_of else "own"

    @property
    def motions(self) -> tuple[int, ...]:
        """The numbers in `motion_of`, each once."""
        return tuple(dict.fromkeys(int(number) for number in self.motion_of.split(","))) if self.motion_of else ()
