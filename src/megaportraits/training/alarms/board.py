"""All alarms together: measured on the averaged weights next to the losses, and before and after each leg."""

from collections.abc import Sequence
from pathlib import Path

import torch

from megaportraits.config import AlarmConfig
from megaportraits.data.clips import find_clips, is_complete
from megaportraits.data.pairs import FrameStore
from megaportraits.errors import UserError
from megaportraits.training.alarms import linear, measures
from megaportraits.training.alarms.measures import Puppet
from megaportraits.training.alarms.probe import Pool, Scenes, choose_pool, choose_scenes
from megaportraits.training.alarms.rules import ringing_rules

CACHE_GB = 0.5
TRIES = 5
"""Clips that are rendered while training may go while they are read; then others are chosen."""


class Alarms:
    """Chooses and decodes what it looks at when it is made; `measure` reads no file.

    Raises:
        UserError: a folder of the configuration holds no clips of its kind.
    """

    def __init__(self, config: AlarmConfig, store: FrameStore):
        """`store`: the training data; a probe comes from its present clips where `config.data` names none."""
        self.config = config
        self.scenes, self.seen = self._probe(store)
        self.pools = {"held_out": self._pool(config.held_out, "held_out", store.size_px)}
        self.pools["recorded"] = self._pool(config.recorded, None, store.size_px)

    def _probe(self, store: FrameStore) -> tuple[Scenes, Pool]:
        for attempt in range(TRIES):
            present = [store.clips[i] for i in range(len(store))]
            clips = find_clips(map(Path, self.config.data)) if self.config.data else present
            try:
                probe = FrameStore(clips, store.size_px, CACHE_GB)
                return choose_scenes(probe, self.config), choose_pool(probe, self.config)
            except UserError:
                if attempt == TRIES - 1 or all(is_complete(clip) for clip in clips):
                    raise
        raise AssertionError("the last try returns or raises")

    def _pool(self, folders: Sequence[str], split: str | None, size_px: int) -> Pool | None:
        if not folders:
            return None
        return choose_pool(FrameStore(find_clips(map(Path, folders), split), size_px, CACHE_GB), self.config)

    @torch.no_grad()
    def measure(self, model: Puppet) -> dict[str, float]:
        """All values by name (docs/alarms.md) of a model in evaluation mode; what the data cannot tell is left out."""
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        take = measures.rehearse(model, self.scenes.to(device), self.config.batch)
        values = measures.collapse(take) | measures.leakage(take) | measures.hidden_code(take)
        for kind, pool in (("rendered", self.seen), ("recorded", self.pools["recorded"])):
            if pool is not None:
                code = measures.see(model, pool.shots.to(device), self.config.batch).expression.cpu()
                values |= linear.controls_in_code(code, pool) if pool is self.seen else {}
                values |= linear.openings_in_code(code, pool, kind)
        return values | self._gaps(model, device)

    def _gaps(self, model: Puppet, device: torch.device) -> dict[str, float]:
        """Seen rendered clips against held-out and recorded ones."""
        others = {kind: pool for kind, pool in self.pools.items() if pool is not None}
        if not others:
            return {}
        values: dict[str, float] = {}
        for kind, pool in {"seen": self.seen, **others}.items():
            scenes = pool.portraits(self.config.portraits).to(device)
            kept, driven = measures.portraits(model, scenes, self.config.batch)
            values |= {f"portrait_{kind}_db": kept, f"driven_{kind}_db": driven}
        if "held_out" in others:
            values["seen_gap_db"] = values["driven_seen_db"] - values["driven_held_out_db"]
        if "recorded" in others:
            values["appearance_gap_db"] = values["portrait_seen_db"] - values["portrait_recorded_db"]
        return values

    def ringing(self, values: dict[str, float], step: int) -> list[str]:
        """A sentence for each alarm that rings: what it means and what to do."""
        if step < self.config.quiet_steps:
            return []
        return [rule.sentence.format(**values) for rule in ringing_rules(values)]


def check_folders(config: AlarmConfig) -> None:
    """Say before training, and in every process, that a folder of the alarms holds no clips of its kind.

    Raises:
        UserError: it does not.
    """
    for folders, split in ((config.data, None), (config.held_out, "held_out"), (config.recorded, None)):
        if folders and config.every:
            find_clips(map(Path, folders), split)
