"""The pace of the last task on a data set, for the next one to go on from."""

from __future__ import annotations

import logging

import msgspec

from airflow_provider_alvys.api.client import AlvysClient
from airflow_provider_alvys.landing.layout import PACE_FILE, fingerprint
from airflow_provider_alvys.landing.store import AlvysStorageError, Store

log = logging.getLogger(__name__)


class Pace(msgspec.Struct):
    """When requests were answered, in seconds since 1970: by budget (a hash of client id and host) and endpoint."""

    version: int = 1
    stamps: dict[str, dict[str, list[float]]] = {}


def _read(store: Store) -> Pace:
    try:
        return store.get_json(PACE_FILE, Pace) or Pace()
    except AlvysStorageError as error:
        # It only saves a wait: no reason to fail, and the next write mends it.
        log.warning("%s Going on without it.", error)
        return Pace()


def load_pace(store: Store, client: AlvysClient) -> None:
    """Let the client's pacer count the requests of earlier tasks."""
    client.pacer.remember(_read(store).stamps.get(fingerprint(client.budget), {}))


def save_pace(store: Store, client: AlvysClient) -> None:
    """Keep when this task made its last requests. Tasks at the same time may overwrite each other: it is advice, not data."""
    stamps = client.pacer.stamps()
    if not stamps:
        return
    pace = _read(store)
    known = pace.stamps.setdefault(fingerprint(client.budget), {})
    known.update(stamps)
    store.put_json(PACE_FILE, pace)
