"""Who a clip shows, and what it is for: a split by people, so that nobody is in two parts."""

import hashlib

from megaportraits.config import PrepareConfig
from megaportraits.prepare.lists import Item


def identity_of(item: Item, face: int) -> str:
    """Name of the person; further faces of a file, and other stretches of it, are other people.

    Args:
        item: where the person is seen.
        face: number among the faces that were asked for, from 0.
    """
    stretch = f"@{item.start_s:g}s" if item.start_s else f"@{item.start_frame}" if item.start_frame else ""
    own = item.identity or item.source + stretch
    return own if face == 0 else f"{own}#{face}"


def split_of(item: Item, config: PrepareConfig) -> str:
    """train, val or test by a hash of the item's identity, or what the settings say.

    All people of one file share its part: who they are is not known well enough to divide them.
    """
    if config.split != "by-identity":
        return config.split
    digest = hashlib.sha256((item.identity or item.source).encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < config.val_part:
        return "val"
    return "test" if place < config.val_part + config.test_part else "train"
