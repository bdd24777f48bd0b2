"""The polling loop of a watcher. Not in the triggers' module, since importing it is slow."""

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
from airflow_provider_alvys.api.scrubbing import mask_secrets
from airflow_provider_alvys.triggers.pollers import next_poll_time, open_poller

if TYPE_CHECKING:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor

log = logging.getLogger(__name__)

# Each event is stored in a row of Airflow's database.
_MAX_CHANGES = 100
# Seconds after which Airflow has certainly stored an event.
_COMMIT_SECONDS = 5.0


@dataclass
class ChangeLoop:
    """Poll a stream for changes, forever. ``stores`` keep the progress, from Airflow 3.3 on."""

    alvys_conn_id: str
    stream: str
    window_by: str
    where: Mapping[str, Sequence[Any]]
    poll_interval: float
    stores: Sequence[AssetStateStoreAccessor]
    clock: Clock = SYSTEM_CLOCK
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def payloads(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the payload of each event."""
        # The time before reading the state store, which may take a while.
        began = datetime.fromtimestamp(self.clock.time(), timezone.utc)
        state = await self._load() or TrackerState(watermark=began, is_new=True)
        # Saved now, so that a triggerer that dies before the first poll resumes from here.
        await self._save(state)
        stream = get_stream(self.stream)
        window = get_watch_window(stream, self.window_by)
        tracker = ChangeTracker(window, state)
        pending: list[tuple[float, TrackerState]] = []
        async with open_poller(self.alvys_conn_id, clock=self.clock, sleep=self.sleep) as poller:
            while True:
                since = tracker.watermark
                result = await self._poll(poller, tracker, ChangesQuery(stream, window, tracker.day))
                # Save progress only after Airflow has stored the events of an earlier poll.
                stored = [state for time, state in pending if self.clock.time() - time >= _COMMIT_SECONDS]
                if stored:
                    await self._save(stored[-1])
                    pending = pending[len(stored) :]
                if result is not None:
                    changes = [change for change in tracker.advance(result) if matches(change, self.where)]
                    for at in range(0, len(changes), _MAX_CHANGES):
                        yield self._payload(changes[at : at + _MAX_CHANGES], since, result.until)
                    pending.append((self.clock.time(), tracker.save()))
                now = self.clock.time()
                await self.sleep(next_poll_time(now, self.alvys_conn_id, self.poll_interval) - now)

    async def _poll(self, poller: Poller, tracker: ChangeTracker, query: ChangesQuery) -> ChangeResult | None:
        """Return the changes; None if the poll failed."""
        request = ChangeRequest(tracker.watermark, frozenset(self.where), tracker.is_new)
        try:
            return await poller.poll(query, request)
        except Exception:
            # A watcher has no task that could fail: Airflow would restart the trigger every second.
            since = format_time(tracker.watermark)
            log.exception("Poll failed; the next one reads changes of %s since %s again", self.stream, since)
            return None

    def _payload(self, changes: Sequence[RowChange], since: datetime, until: datetime) -> dict[str, Any]:
        keys = "\n".join(sorted(change.key for change in changes))
        return {
            "stream": self.stream,
            "alvys_conn_id": self.alvys_conn_id,
            "changes": mask_secrets(msgspec.to_builtins(changes)),
            "since": format_time(since),
            "until": format_time(until),
            "key": hashlib.blake2b(keys.encode(), digest_size=12).hexdigest(),
        }

    @property
    def _state_key(self) -> str:
        """The key in the state store. Another connection, stream, window or filter starts a new state."""
        identity = [self.alvys_conn_id, self.stream, self.window_by, sorted(self.where.items())]
        return f"alvys-changes-{hashlib.blake2b(msgspec.json.encode(identity), digest_size=8).hexdigest()}"

    async def _load(self) -> TrackerState | None:
        """Return the stored state, of several assets the earliest; None for a new watcher."""
        stored = [await store.aget(self._state_key) for store in self.stores]
        states = [msgspec.convert(value, TrackerState) for value in stored if value is not None]
        if states:
            return min(states, key=lambda state: state.watermark)
        if not self.stores:
            log.warning("Watching %s from now on: Airflow before 3.3 stores no state", self.stream)
            log.warning("Changes are missed while no triggerer runs")
        return None

    async def _save(self, state: TrackerState) -> None:
        for store in self.stores:
            await store.aset(self._state_key, msgspec.to_builtins(state))
