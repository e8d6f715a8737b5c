"""Progress bars."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def shown(frames: Iterable[Item], what: str, total: int | None, on: bool) -> Iterator[Item]:
    """The frames; a bar with the word `what` counts them where `on`, and where standard error is a terminal."""
    yield from tqdm(frames, what, total, unit="frame", leave=False, disable=None if on else True)
