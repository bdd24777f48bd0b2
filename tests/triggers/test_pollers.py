from __future__ import annotations

import asyncio
import gc

from airflow_provider_alvys.triggers.pollers import open_poller


async def open_and_close() -> int:
    async with open_poller("alvys_default"):
        return gc.get_freeze_count()


def test_what_was_loaded_is_kept_from_the_garbage_collector_once() -> None:
    gc.unfreeze()
    loaded: list[list[int]] = [[] for _ in range(1000)]
    frozen = asyncio.run(open_and_close())
    assert frozen > len(loaded)
    # What comes later must be freed when it is of no use any more.
    later: list[list[int]] = [[] for _ in range(100_000)]
    assert asyncio.run(open_and_close()) < frozen + len(later)
