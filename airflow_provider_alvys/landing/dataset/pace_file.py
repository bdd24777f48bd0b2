"""The pace of the last task on a data set, for the next one to go on from."""

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

_MOST_STAMPS = 20
# Clocks of workers differ by seconds.
_MOST_AHEAD = 60.0


class Pace(msgspec.Struct):
    """When requests were answered, in seconds since 1970: by budget (a hash of client id and host) and endpoint."""

    version: Literal[1] = 1
    stamps: dict[str, dict[str, list[float]]] = {}


def _read(store: Store) -> Pace:
    try:
        return store.get_json(PACE_FILE, Pace) or Pace()
    except AlvysStorageError as error:
        # It only saves a wait: no reason to fail.
        log.warning("%s cannot be read, going on without it: %s", store.url(PACE_FILE), error)
        return Pace()


def _known(pace: Pace, client: AlvysClient) -> dict[str, list[float]]:
    """Return what is known of a client's budget, but for stamps of a clock far ahead: they would count until it is that late."""
    latest = client.clock.time() + _MOST_AHEAD
    known = pace.stamps.get(fingerprint(client.budget), {})
    return {endpoint: [stamp for stamp in stamps if stamp <= latest] for endpoint, stamps in known.items()}


def load_pace(store: Store, client: AlvysClient) -> None:
    """Let the client's pacer count the requests of earlier tasks."""
    client.pacer.add_timestamps(_known(_read(store), client))


def save_pace(store: Store, client: AlvysClient) -> None:
    """
    Keep when this task made its last requests.

    It is advice, not data: on object storage, of two writes at once one is lost.
    """
    stamps = client.pacer.timestamps()
    if not stamps:
        return
    with store.alone():
        pace = _read(store)
        known = pace.stamps[fingerprint(client.budget)] = _known(pace, client)
        for endpoint, made in stamps.items():
            # Those of tasks that run beside this one, too; more than the last few matter to no limit.
            known[endpoint] = sorted({*known.get(endpoint, ()), *made})[-_MOST_STAMPS:]
        try:
            store.put_json(PACE_FILE, pace)
        except AlvysStorageError as error:
            log.warning("%s cannot be written, going on without it: %s", store.url(PACE_FILE), error)
