"""The pace file: the times of the last requests, so that the next task on the data set continues counting."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import msgspec

from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.landing.dataset.layout import PACE_FILE, fingerprint
from airflow_provider_alvys.landing.dataset.store import Store

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient

log = logging.getLogger(__name__)

_MAX_STAMPS = 20
# Tolerated difference between the clocks of workers, in seconds.
_MAX_CLOCK_SKEW = 60.0


class Pace(msgspec.Struct):
    """Times of responses, in seconds since 1970, by budget (a hash of client id and host) and endpoint."""

    version: Literal[1] = 1
    stamps: dict[str, dict[str, list[float]]] = {}


def _read(store: Store) -> Pace:
    try:
        return store.get_json(PACE_FILE, Pace) or Pace()
    except AlvysStorageError as error:
        log.warning("Pace file not read: %s: %s", store.url(PACE_FILE), error)
        return Pace()


def _known(pace: Pace, client: AlvysClient) -> dict[str, list[float]]:
    """Return the times of a client's budget, without those of a clock that is far ahead."""
    latest = client.clock.time() + _MAX_CLOCK_SKEW
    known = pace.stamps.get(fingerprint(client.budget), {})
    return {endpoint: [stamp for stamp in stamps if stamp <= latest] for endpoint, stamps in known.items()}


def load_pace(store: Store, client: AlvysClient) -> None:
    """Make the client's pacer count the requests of earlier tasks."""
    client.pacer.add_timestamps(_known(_read(store), client))


def save_pace(store: Store, client: AlvysClient) -> None:
    """Save the times of this task's last requests."""
    # On object storage, one of two simultaneous writes is lost. That only costs a wait.
    stamps = client.pacer.timestamps()
    if not stamps:
        return
    with store.exclusive_lock():
        pace = _read(store)
        known = pace.stamps[fingerprint(client.budget)] = _known(pace, client)
        for endpoint, made in stamps.items():
            # Includes tasks that run at the same time.
            known[endpoint] = sorted({*known.get(endpoint, ()), *made})[-_MAX_STAMPS:]
        try:
            store.put_json(PACE_FILE, pace)
        except AlvysStorageError as error:
            log.warning("Pace file not written: %s: %s", store.url(PACE_FILE), error)
