"""The newest item is taken, older ones are dropped, and who waits is woken."""

import asyncio

from megaportraits.live.newest import Newest


def test_only_the_newest_is_taken():
    async def run() -> int:
        place: Newest[int] = Newest()
        for i in range(5):
            place.put(i)
        return await place.get()

    assert asyncio.run(run()) == 4


def test_it_waits_for_an_item():
    async def run() -> list[int]:
        place: Newest[int] = Newest()
        taking = asyncio.create_task(place.get())
        await asyncio.sleep(0.01)
        assert not taking.done()
        place.put(7)
        first = await taking
        place.put(8)
        return [first, await place.get()]

    assert asyncio.run(run()) == [7, 8]
