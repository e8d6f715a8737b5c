"""Settings of the alarms: what training measures about itself beside its losses."""

from dataclasses import dataclass

from megaportraits.config.checks import at_least


@dataclass(frozen=True)
class AlarmConfig:
    """The alarms of docs/alarms.md, measured on the averaged weights over a probe that is chosen once."""

    every: int = 500
    """Steps between measurements; 0 turns the alarms off."""
    groups: int = 2
    """Groups of people who perform the same motion. The first of a group is driven by all the others."""
    people: int = 6
    """People in a group; fewer where the data has fewer."""
    frames: int = 4
    """Driven frames of each performance, and frames of each clip of the linear probes."""
    clips: int = 32
    """Clips of the linear probes from z, of each kind (rendered, recorded); of fewer clips more frames are taken."""
    portraits: int = 16
    """Clips of each kind (seen, held out, recorded) that are compared for the gaps, from the first frame of each."""
    data: tuple[str, ...] = ()
    """Folders of rendered clips for the probe; empty takes clips of the training data."""
    held_out: tuple[str, ...] = ()
    """Folders of rendered clips (split "held_out" is used), for the gap between seen and held-out assets."""
    recorded: tuple[str, ...] = ()
    """Folders of recorded clips of real people, for the gaps of appearance and motion."""
    batch: int = 16
    """Frames computed at a time."""
    quiet_steps: int = 3000
    """Steps before which no alarm rings."""

    def __post_init__(self):
        at_least(self, 0, "every", "quiet_steps")
        at_least(self, 1, "groups", "portraits", "batch")
        at_least(self, 2, "people", "frames", "clips")

    def due(self, step: int) -> bool:
        """Whether to measure after this step."""
        return self.every > 0 and step % self.every == 0
