"""Settings of on-line rendering: clips that are made while a network trains (synth/online.py)."""

from dataclasses import dataclass

from megaportraits.config.checks import at_least
from megaportraits.errors import UserError


@dataclass(frozen=True)
class OnlineConfig:
    """Rendered clips for training, made by worker processes on this machine."""

    assets: str = ""
    """A MakeHuman data folder (or the CC0 heads folder); empty renders nothing."""
    folder: str = ""
    """Folder of the ring of clips, kept between runs with the same settings; empty takes a temporary one for each
    process. One folder, one set of renderers: other processes that name it read along."""
    workers: int = 2
    """Renderer processes."""
    clips: int = 64
    """Clips in the ring; each new one takes the place of the oldest. Each loading process decodes the whole ring, see
    `cache_gb`."""
    first_clips: int = 8
    """Clips that must be there before training starts."""
    frames: int = 48
    """Frames of each clip."""
    step: int = 4
    """Frames of the 25 fps motion from one stored frame to the next."""
    people_per_motion: int = 3
    """People who perform the same motion before the same camera; from 2 on, true cross pairs exist. The alarm for
    leaking identity wants 3."""
    frames_served: int = 200
    """A clip is replaced only after so many of its frames were given to training; until then renderers wait."""
    size_px: int = 256
    """Side of the pictures."""
    skin_px: int = 1024
    """Side of the skin texture."""
    seed: int = 0
    """Another seed gives other people and other motions. With temporary rings, process r of a run renders with
    seed + r."""
    cloth_patterns: bool = True
    """Random colours and patterns on clothes (domain randomisation)."""
    wide_colors: bool = True
    """Hair of any colour, skin of more colours than people's (domain randomisation)."""

    def __post_init__(self):
        at_least(self, 1, "workers", "people_per_motion", "first_clips")
        at_least(self, 2, "frames", "clips")
        at_least(self, 0, "frames_served", "seed")
        if self.clips < self.people_per_motion:
            raise UserError(
                f"clips is {self.clips}, fewer than the {self.people_per_motion} people of a motion; "
                "give a larger ring or fewer people per motion"
            )
        if self.first_clips > self.clips:
            raise UserError(f"first_clips is {self.first_clips}, but the ring holds {self.clips} clips; give less")
