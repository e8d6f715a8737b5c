"""Which assets train and which are held out (`splits.json`): split by asset, not only by seed."""

import functools
import json
from importlib import resources
from typing import Literal

from megaportraits.errors import UserError
from megaportraits.synth.assets import AssetLibrary

Split = Literal["train", "held_out"]


@functools.cache
def held_out_assets() -> dict[str, frozenset[str]]:
    """kind -> names that training identities never wear (`splits.json`)."""
    data = json.loads(resources.files("megaportraits.synth").joinpath("splits.json").read_text())
    return {kind: frozenset(names) for kind, names in data.items()}


def allowed(library: AssetLibrary, kind: str, split: Split) -> list[str]:
    """Names of a kind that identities of a split may wear, sorted.

    Raises:
        UserError: the folder holds none.
    """
    names = sorted(library.skins if kind == "skins" else library.proxies[kind])
    reserved = held_out_assets().get(kind)
    if reserved is not None:
        names = [name for name in names if (name in reserved) == (split == "held_out")]
    if not names and kind == "skins":
        raise UserError(f"{library.folder} holds no skin for the split '{split}'; see splits.json for the names")
    return names
