"""
Compare a sync of 20,000 loads with two hand-written loops, and a paced read with the shortest possible time.

``make bench`` calls this. The ratios are medians of interleaved rounds; the seconds depend on the machine.
"""

from __future__ import annotations

import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import requests

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.http.auth import TokenSource, make_credentials
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.pacing import Pacer
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity
from airflow_provider_alvys.landing.jobs.spec import SyncSpec
from airflow_provider_alvys.landing.jobs.sync import land
from airflow_provider_alvys.simulator.process import Simulator

LOADS = 20_000
PAGE = 200
ROUNDS = 5
MINUTE = 4.0
BODY = {
    "Status": list(get_stream("loads").filters[0].values or ()),
    "IncludeDeleted": True,
    "UpdatedAtRange": {"Start": "2020-01-01T00:00:00Z", "End": "2100-01-01T00:00:00Z"},
    "PageSize": PAGE,
}


def raw(alvys: Simulator, folder: Path) -> None:
    """Write each response to disk without decoding it: the lower bound of requests."""
    with requests.Session() as session, (folder / "raw").open("wb") as file:
        headers = authorize(session, alvys)
        for page in range(LOADS // PAGE):
            answer = session.post(
                f"{alvys.url}/api/p/v2.0/loads/search", json={**BODY, "Page": page}, headers=headers
            )
            file.write(answer.content)


def by_hand(alvys: Simulator, folder: Path) -> None:
    """Decode each response and write a line for each row, as hand-written code does."""
    with requests.Session() as session, (folder / "by_hand").open("w") as file:
        headers = authorize(session, alvys)
        for page in range(LOADS // PAGE):
            answer = session.post(
                f"{alvys.url}/api/p/v2.0/loads/search", json={**BODY, "Page": page}, headers=headers
            )
            for row in answer.json()["Items"]:
                file.write(json.dumps(row) + "\n")


def authorize(session: requests.Session, alvys: Simulator) -> dict[str, str]:
    """Return the Authorization header."""
    fields = {
        "client_id": alvys.options.client_id,
        "client_secret": alvys.options.client_secret,
        "grant_type": "client_credentials",
        "audience": "https://api.alvys.com/public/",
    }
    token = session.post(f"{alvys.url}/oauth/token", json=fields).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def sync(alvys: Simulator, folder: Path, requests_per_minute: float = 0, page_size: int = PAGE) -> None:
    """Land a closed window as AlvysToObjectStorageOperator does."""
    credentials = make_credentials(
        alvys.options.client_id, alvys.options.client_secret, auth_url=f"{alvys.url}/oauth/token"
    )
    client = AlvysClient(
        credentials, host=alvys.url, pacer=Pacer(requests_per_minute), token_source=TokenSource(credentials)
    )
    spec = SyncSpec(
        get_stream("loads"),
        "bench",
        initial_since=datetime(2020, 1, 1, tzinfo=timezone.utc),
        full_refresh=True,
        overlap=timedelta(0),
        settling=timedelta(0),
        page_size=page_size,
    )
    identity = RunIdentity(dag_id="bench", task_id="bench", map_index=-1, run_id=str(time.time()))
    result = land(client, Store(str(folder / "lake")), spec, identity)
    if result["rows"] != alvys.options.loads or result["proof"] != "whole":
        raise SystemExit(f"wrong: {result}")


def measure(run: Callable[[], None]) -> tuple[float, float]:
    """Return wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Print the figures."""
    logging.disable(logging.INFO)
    an_hour_ago = time.time() - 3600
    methods = {"raw": raw, "by_hand": by_hand, "sync": sync}
    with Simulator(loads=LOADS, now=an_hour_ago) as alvys, tempfile.TemporaryDirectory() as name:
        alvys.truth_rows()
        rounds = [
            {label: measure(partial(run, alvys, Path(name))) for label, run in methods.items()}
            for _ in range(ROUNDS)
        ]
        print(f"{LOADS:,} loads, {PAGE} a page, medians of {ROUNDS} rounds")
        for label in methods:
            wall, cpu = (statistics.median(seconds[label][kind] for seconds in rounds) for kind in (0, 1))
            walls, cpus = (
                statistics.median(seconds["sync"][kind] / seconds[label][kind] for seconds in rounds)
                for kind in (0, 1)
            )
            ratios = f"sync/{label}: wall {walls:.2f}, CPU {cpus:.2f}"
            print(f"  {label:8} wall {wall:5.2f} s, CPU {cpu:5.2f} s; {ratios}")

        alvys.reset(loads=500, now=an_hour_ago, limits=True, minute=MINUTE)
        wall, _ = measure(lambda: sync(alvys, Path(name), requests_per_minute=600 / MINUTE, page_size=10))
        stats = alvys.stats()
        # Ten pages at once, and ten more after each of four minutes.
        shortest = 4 * MINUTE
        print(
            f"50 pages at 10 a minute of {MINUTE:g} s: {wall:.2f} s, {wall / shortest:.3f} of the shortest "
            f"possible {shortest:g} s; searches={stats['requests']['POST loads/search']} "
            f"refused={stats['rate_limited']}"
        )


if __name__ == "__main__":
    main()
