"""The pollers of a triggerer: one per connection, shared by its triggers."""

from __future__ import annotations

import asyncio
import logging
import math
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow.sdk import BaseHook, Connection

from airflow_provider_alvys._compat import amask_secret, has_async_connections, run_in_airflow_thread
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, Clock
from airflow_provider_alvys.api.poll.batching import Poller, non_blocking_options
from airflow_provider_alvys.hooks.settings import make_client, read_settings

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient

log = logging.getLogger(__name__)

# Reading a connection masks its secrets by a blocking call, which must not run on the event loop.
_pool = ThreadPoolExecutor(1, thread_name_prefix="alvys-connection")
# Seconds that a request waits until its token is masked: the event loop may be closing.
_MASK_TIMEOUT = 10.0


@dataclass
class _SharedPoller:
    poller: Poller
    users: int = 0


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _SharedPoller]] = WeakKeyDictionary()


@asynccontextmanager
async def open_poller(
    alvys_conn_id: str,
    *,
    clock: Clock = SYSTEM_CLOCK,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[Poller]:
    """Return this event loop's poller for a connection. Its first user creates it, its last one closes it."""
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    if alvys_conn_id not in pollers:
        poller = Poller(lambda: _connect(alvys_conn_id, clock), clock=clock, sleep=sleep)
        pollers[alvys_conn_id] = _SharedPoller(poller)
    shared = pollers[alvys_conn_id]
    shared.users += 1
    try:
        yield shared.poller
    finally:
        shared.users -= 1
        if shared.users == 0:
            del pollers[alvys_conn_id]
            await shared.poller.close()


async def _connect(alvys_conn_id: str, clock: Clock) -> AlvysClient:
    """Read the connection and return a client for it, without blocking the event loop."""
    loop = asyncio.get_running_loop()

    def mask(token: str) -> None:
        masking = asyncio.run_coroutine_threadsafe(amask_secret(token), loop)
        try:
            masking.result(_MASK_TIMEOUT)
        except FutureTimeoutError:
            log.warning("Airflow did not mask a token within %g s", _MASK_TIMEOUT)

    def make(connection: Connection) -> AlvysClient:
        return make_client(read_settings(connection), on_token=mask, **non_blocking_options(clock))

    if has_async_connections:
        connection = await BaseHook.aget_connection(alvys_conn_id)
        return await loop.run_in_executor(_pool, make, connection)
    return await run_in_airflow_thread(lambda: make(BaseHook.get_connection(alvys_conn_id)))


def next_poll_time(
    now: float, alvys_conn_id: str, interval: float, *, earliest: float | None = None
) -> float:
    """Return the time of the next poll, in seconds since 1970: the same for all loops on a connection."""
    step = max(interval, 1.0)
    offset = zlib.crc32(alvys_conn_id.encode()) % step
    after = now if earliest is None else earliest
    return (math.floor((after - offset) / step) + 1) * step + offset
