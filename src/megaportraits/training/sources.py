"""Where stage one's pairs come from: rendered clips, clips rendered on line, recorded clips and stills, mixed.

Paper: 4.1 (pairs from recorded videos). Rendered heads, stills and the mixture are ours (docs/data.md).
"""

import contextlib
from collections.abc import Mapping

from torch.utils.data import Dataset

from megaportraits.config import BaseTraining
from megaportraits.data.clips import find_clips
from megaportraits.data.mixture import Mixture
from megaportraits.data.pairs import FrameStore, PairDataset
from megaportraits.data.stills import StillPairs, find_stills
from megaportraits.errors import UserError
from megaportraits.synth.online import OnlineStore


class Sources(contextlib.ExitStack):
    """The data of a run. As a context manager it starts the on-line renderers, and ends them."""

    def __init__(self, config: BaseTraining, size_px: int):
        """
        Raises:
            UserError: no data came, or a folder holds none of its kind.
        """
        super().__init__()
        self.config, self.size_px = config, size_px
        self.stores: dict[str, FrameStore] = {}
        for name, folders in (("rendered", config.data), ("recorded", config.recorded)):
            if folders:
                self.stores[name] = FrameStore(find_clips(folders, "train"), size_px, config.cache_gb)
        if config.online.assets:
            self.stores["online"] = OnlineStore(config.online, size_px, config.cache_gb)
        self.stills = find_stills(config.stills) if config.stills else []
        if not self.stores and not self.stills:
            raise UserError("no training data came; give --data, --recorded, --stills or --online.assets")

    def __enter__(self) -> "Sources":
        online = self.stores.get("online")
        if isinstance(online, OnlineStore):
            self.enter_context(online)
        return self

    @property
    def probe(self) -> FrameStore | None:
        """Clips for the alarms: rendered ones, whose answers are known."""
        return self.stores.get("rendered") or self.stores.get("online")

    def report(self) -> dict[str, float]:
        """What the on-line renderers did, where there are any."""
        online = self.stores.get("online")
        return online.report() if isinstance(online, OnlineStore) else {}

    def dataset(self, length: int) -> Dataset:
        """`length` pairs."""
        config = self.config
        parts: dict[str, PairDataset] = {
            name: PairDataset(store, config.augment, config.drivers_per_source, config.loop.seed, length)
            for name, store in self.stores.items()
        }
        if self.stills:
            parts["stills"] = StillPairs(
                self.stills,
                self.size_px,
                config.augment,
                config.drivers_per_source,
                config.loop.seed,
                length,
                config.cache_gb,
            )
        return Mixture(list(parts.values()), self._weights(parts), config.loop.seed, length)

    def _weights(self, parts: Mapping[str, PairDataset]) -> list[float]:
        return [getattr(self.config.mixture, name) for name in parts]
