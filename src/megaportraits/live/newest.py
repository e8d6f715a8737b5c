"""A place for one item: a new one takes the old one's place, so that whoever is slow never falls behind."""

import asyncio
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Newest(Generic[Item]):
    """A queue that keeps the newest item and drops the older ones. For one event loop."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._there = asyncio.Event()

    def put(self, item: Item) -> None:
        """Leave an item, in place of the one that is there."""
        self._items = [item]
        self._there.set()

    async def get(self) -> Item:
        """Take the item; wait for one where there is none."""
        await self._there.wait()
        self._there.clear()
        return self._items.pop()
