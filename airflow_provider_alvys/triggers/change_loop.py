"""The watch of a stream in the triggerer. Apart from the triggers, since to import it takes a while."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, Clock
from airflow_provider_alvys.api.poll.batching import Poller
from airflow_provider_alvys.api.poll.change_feed import (
    ChangeRequest,
    ChangeResult,
    ChangesQuery,
    ChangeTracker,
    RowChange,
    TrackerState,
    get_watch_window,
    matches,
)
from airflow_provider_alvys.api.read.windows import format_time
from airflow_provider_alvys.triggers.pollers import next_poll_time, open_poller

if TYPE_CHECKING:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor

log = logging.getLogger(__name__)

# An event stands in a row of Airflow's database.
_MAX_CHANGES = 100
# Seconds after which an event that was yielded has surely come into Airflow's database.
_COMMIT_SECONDS = 5.0


@dataclass
class ChangeLoop:
    """
    Look for changes for ever.

    :param where: the values that each field may have.
    :param stores: of the assets that are told; none before Airflow 3.3.
    """

    alvys_conn_id: str
    stream: str
    window_by: str
    where: Mapping[str, Sequence[Any]]
    poll_interval: float
    stores: Sequence[AssetStateStoreAccessor]
    clock: Clock = SYSTEM_CLOCK
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def payloads(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what the events tell."""
        # Before the state store is asked, which may take a while.
        began = self._now()
        state = await self._load() or TrackerState(watermark=began, is_new=True)
        # A triggerer that dies before the first look should not forget when this began.
        await self._save(state)
        stream = get_stream(self.stream)
        window = get_watch_window(stream, self.window_by)
        tracker = ChangeTracker(window, state)
        told: list[tuple[float, TrackerState]] = []
        async with open_poller(self.alvys_conn_id, clock=self.clock, sleep=self.sleep) as poller:
            while True:
                since = tracker.watermark
                found = await self._poll(poller, tracker, ChangesQuery(stream, window, tracker.day))
                # What was yielded a look ago is in Airflow's database by now.
                settled = [state for moment, state in told if self.clock.time() - moment >= _COMMIT_SECONDS]
                if settled:
                    await self._save(settled[-1])
                    told = told[len(settled) :]
                if found is not None:
                    changes = [change for change in tracker.advance(found) if matches(change, self.where)]
                    for at in range(0, len(changes), _MAX_CHANGES):
                        yield self._payload(changes[at : at + _MAX_CHANGES], since, found.until)
                    told.append((self.clock.time(), tracker.save()))
                now = self.clock.time()
                await self.sleep(next_poll_time(now, self.alvys_conn_id, self.poll_interval) - now)

    async def _poll(self, poller: Poller, tracker: ChangeTracker, query: ChangesQuery) -> ChangeResult | None:
        """Return what has changed; None when it cannot be told now, and has to be asked for again later."""
        try:
            return await poller.poll(
                query, ChangeRequest(tracker.watermark, frozenset(self.where), tracker.is_new)
            )
        except Exception:
            # A watcher has nobody to fail: Airflow would start it again a second later, and again. The next look asks for the
            # same span once more.
            log.exception(
                "Cannot tell what has changed in %s since %s", self.stream, format_time(tracker.watermark)
            )
            return None

    def _payload(self, changes: Sequence[RowChange], since: datetime, until: datetime) -> dict[str, Any]:
        keys = "\n".join(sorted(change.key for change in changes))
        return {
            "stream": self.stream,
            "alvys_conn_id": self.alvys_conn_id,
            "changes": msgspec.to_builtins(changes),
            "since": format_time(since),
            "until": format_time(until),
            "key": hashlib.blake2b(keys.encode(), digest_size=12).hexdigest(),
        }

    @property
    def _state_key(self) -> str:
        """The name of its state: another connection, stream, window or filter begins anew."""
        known = [self.alvys_conn_id, self.stream, self.window_by, sorted(self.where.items())]
        return f"alvys-changes-{hashlib.blake2b(msgspec.json.encode(known), digest_size=8).hexdigest()}"

    async def _load(self) -> TrackerState | None:
        """
        Return how far it has come: by the asset that has come least far, where several have the same watcher.

        None for one that has just begun.
        """
        kept = [await store.aget(self._state_key) for store in self.stores]
        states = [msgspec.convert(value, TrackerState) for value in kept if value is not None]
        if states:
            return min(states, key=lambda state: state.watermark)
        if not self.stores:
            log.warning(
                "Airflow keeps no state for watchers before 3.3: %s are watched from now on, and what changes while no triggerer "
                "runs is not told",
                self.stream,
            )
        return None

    async def _save(self, state: TrackerState) -> None:
        for store in self.stores:
            await store.aset(self._state_key, msgspec.to_builtins(state))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.time(), timezone.utc)
