"""What watches Alvys for an asset."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import msgspec
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_alvys._compat import asset_stores
from airflow_provider_alvys.api.changes import (
    Asked,
    Change,
    ChangesLine,
    Found,
    Watch,
    WatchState,
    check_where,
    matches,
    watched_window,
)
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.polling import Poller
from airflow_provider_alvys.api.streams import get_stream
from airflow_provider_alvys.api.windows import format_time
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.triggers.pollers import next_look, open_poller

if TYPE_CHECKING:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor

# An event stands in a row of Airflow's database.
_MOST_CHANGES = 100
# Seconds after which an event that was yielded has surely come into Airflow's database.
_SETTLES = 5.0


class AlvysChangeTrigger(BaseEventTrigger):
    """
    Tell an asset which rows of a stream are new or have changed: for an ``AssetWatcher``.

    All watchers and sensors of a connection in a triggerer share one poller: watchers of one stream cost one request an interval
    together, whatever their filters. What was there when the watcher began is not told.

    An event's payload is ``{"stream", "alvys_conn_id", "changes", "since", "until", "key"}``; a change is ``{"id", "key", "number",
    "status", "updated_at", "fields"}``, what it lacks left out, and ``fields`` those of ``where``. On Airflow 3.3 how far it has come
    stands in the asset's state store, and is moved one look late: after a triggerer has died nothing is missed, and what is told
    again has the same ``key``. On 3.1 and 3.2 a triggerer that starts begins anew.

    Give the asset a name of its own: a sync that updates the same asset would wake what watches it.

    :param alvys_conn_id: the Alvys connection.
    :param stream: name in the catalogue, of a stream with a time window: ``loads`` and ``trips`` by their changes. Of a business date,
        as for ``fuel``, all rows that it looks back to are read at each look, and those that are new or differ are told.
    :param where: only rows with these values: ``{"Status": ["Delivered"], "CustomerId": "CU1"}``, a value or a list for each field,
        ``Fleet.Name`` for one inside an object. None means all.
    :param window_by: which of the stream's windows; None means its regular one.
    :param poll_interval: seconds between two looks. None means 60 for a window on changes, and 900 for others.
    :raises AlvysValueError: while the DAG is parsed: an unknown stream, window, field or value.
    """

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        stream: str = "loads",
        where: Mapping[str, Any] | None = None,
        window_by: str | None = None,
        poll_interval: float | None = None,
    ) -> None:
        super().__init__()
        row = get_stream(stream)
        window = watched_window(row, window_by)
        if poll_interval is not None and not (isinstance(poll_interval, (int, float)) and poll_interval > 0):
            raise AlvysValueError(f"poll_interval={poll_interval!r} must be seconds, more than 0")
        self.alvys_conn_id = alvys_conn_id
        self.stream = stream
        self.where = {name: list(values) for name, values in check_where(row, where).items()}
        self.window_by = window.name
        self.poll_interval = poll_interval or (60.0 if window.tracks_changes else 900.0)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and its arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "alvys_conn_id": self.alvys_conn_id,
            "stream": self.stream,
            "where": self.where,
            "window_by": self.window_by,
            "poll_interval": self.poll_interval,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look for changes for ever."""
        stores = asset_stores(self)
        state = await self._load(stores)
        # A triggerer that dies before the first look should not forget when this began.
        await self._save(stores, state)
        watch = Watch(watched_window(get_stream(self.stream), self.window_by), state)
        told: list[tuple[float, WatchState]] = []
        async with open_poller(self.alvys_conn_id) as poller:
            while True:
                since = watch.mark
                found = await self._look(poller, since)
                # What was yielded a look ago is in Airflow's database by now.
                settled = [state for moment, state in told if time.monotonic() - moment >= _SETTLES]
                if settled:
                    await self._save(stores, settled[-1])
                    told = told[len(settled) :]
                if found is not None:
                    changes = [change for change in watch.take(found, datetime.now(timezone.utc)) if matches(change, self.where)]
                    for at in range(0, len(changes), _MOST_CHANGES):
                        yield self._event(changes[at : at + _MOST_CHANGES], since, found.until)
                    told.append((time.monotonic(), watch.save()))
                await asyncio.sleep(next_look(time.time(), self.alvys_conn_id, self.poll_interval) - time.time())

    async def _look(self, poller: Poller, since: datetime) -> Found | None:
        """Return what has changed; None when it cannot be told now, and has to be asked for again later."""
        try:
            return await poller.ask(ChangesLine(self.stream, self.window_by), Asked(since, frozenset(self.where)))
        except Exception:
            # A watcher has nobody to fail: Airflow would start it again a second later, and again. The next look asks for the
            # same span once more.
            self.log.exception("Cannot tell what has changed in %s since %s", self.stream, format_time(since))
            return None

    def _event(self, changes: Sequence[Change], since: datetime, until: datetime) -> TriggerEvent:
        keys = "\n".join(sorted(change.key for change in changes))
        return TriggerEvent(  # type: ignore[no-untyped-call]
            {
                "stream": self.stream,
                "alvys_conn_id": self.alvys_conn_id,
                "changes": msgspec.to_builtins(changes),
                "since": format_time(since),
                "until": format_time(until),
                "key": hashlib.blake2b(keys.encode(), digest_size=12).hexdigest(),
            }
        )

    @property
    def _state_key(self) -> str:
        """The name of its state: another connection, stream, window or filter begins anew."""
        known = [self.alvys_conn_id, self.stream, self.window_by, sorted(self.where.items())]
        return f"alvys-changes-{hashlib.blake2b(msgspec.json.encode(known), digest_size=8).hexdigest()}"

    async def _load(self, stores: Sequence[AssetStateStoreAccessor]) -> WatchState:
        """Return how far it has come: by the asset that has come least far, where several have the same watcher."""
        kept = [await store.aget(self._state_key) for store in stores]
        states = [msgspec.convert(value, WatchState) for value in kept if value is not None]
        if states:
            return min(states, key=lambda state: state.mark)
        if not stores:
            self.log.warning(
                "Airflow keeps no state for watchers before 3.3: %s are watched from now on, and what changes while no triggerer "
                "runs is not told",
                self.stream,
            )
        return WatchState(mark=datetime.now(timezone.utc), is_new=True)

    async def _save(self, stores: Sequence[AssetStateStoreAccessor], state: WatchState) -> None:
        for store in stores:
            await store.aset(self._state_key, msgspec.to_builtins(state))
