from __future__ import annotations

import asyncio
import gc

import pytest

from airflow_provider_alvys.triggers import pollers


def test_what_was_loaded_is_kept_from_the_garbage_collector_once(monkeypatch: pytest.MonkeyPatch) -> None:
    freezes: list[None] = []
    monkeypatch.setattr(gc, "freeze", lambda: freezes.append(None))

    async def wait() -> None:
        async with pollers.open_poller("alvys_default"):
            pass

    pollers._spare_the_collector.cache_clear()
    for _ in range(3):
        asyncio.run(wait())
    assert len(freezes) == 1
