"""All alarms together: measured on the averaged weights next to the losses, and before and after each leg."""

from collections.abc import Sequence
from pathlib import Path

import torch

from megaportraits.config import AlarmConfig
from megaportraits.data.clips import find_clips
from megaportraits.data.pairs import FrameStore
from megaportraits.training.alarms import linear, measures
from megaportraits.training.alarms.measures import Puppet
from megaportraits.training.alarms.probe import choose_pool, choose_scenes
from megaportraits.training.alarms.rules import ringing_rules

CACHE_GB = 0.5
PORTRAITS = 8
"""Clips of each kind whose first frame is reconstructed."""


class Alarms:
    """Chooses and decodes what it looks at when it is made; `measure` reads no file.

    Raises:
        UserError: a folder of the configuration holds no clips of its kind.
    """

    def __init__(self, config: AlarmConfig, store: FrameStore):
        self.config = config
        self.scenes, self.pool = choose_scenes(store, config), choose_pool(store, config)
        held_out = self._open(config.held_out, "held_out", store.size_px)
        self.unseen = None if held_out is None else choose_scenes(held_out, config)
        recorded = self._open(config.recorded, None, store.size_px)
        self.recorded = None if recorded is None else choose_pool(recorded, config)

    def _open(self, folders: Sequence[str], split: str | None, size_px: int) -> FrameStore | None:
        return FrameStore(find_clips(map(Path, folders), split), size_px, CACHE_GB) if folders else None

    @torch.no_grad()
    def measure(self, model: Puppet) -> dict[str, float]:
        """All values by name (docs/alarms.md) of a model in evaluation mode; what the data cannot tell is left out."""
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        batch = self.config.batch
        take = measures.rehearse(model, self.scenes.to(device), batch)
        values = measures.collapse(take) | measures.leakage(take) | measures.hidden_code(take)
        if self.unseen is not None:
            unseen = measures.self_driving_db(model, self.unseen.to(device), batch)
            values |= {"held_out_db": unseen, "seen_gap_db": values["self_db"] - unseen}
        pools = {"rendered": self.pool, "recorded": self.recorded}
        for kind, pool in ((k, p.to(device)) for k, p in pools.items() if p is not None):
            code = measures.see(model, pool.shots, batch).expression.cpu()
            values |= linear.controls_in_code(code, pool) if kind == "rendered" else {}
            values |= linear.openings_in_code(code, pool, kind)
        return values | self._appearance(model, device)

    def _appearance(self, model: Puppet, device: torch.device) -> dict[str, float]:
        if self.recorded is None:
            return {}
        rendered, recorded = (
            measures.reconstruction_db(model, pool.portraits(PORTRAITS).to(device), self.config.batch)
            for pool in (self.pool, self.recorded)
        )
        return {
            "appearance_rendered_db": rendered,
            "appearance_recorded_db": recorded,
            "appearance_gap_db": rendered - recorded,
        }

    def ringing(self, values: dict[str, float], step: int) -> list[str]:
        """A sentence for each alarm that rings: what it means and what to do."""
        if step < self.config.quiet_steps:
            return []
        return [rule.sentence.format(**values) for rule in ringing_rules(values)]
