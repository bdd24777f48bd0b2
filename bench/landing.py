"""
Measure a sync of 20,000 loads side by side with two loops written by hand, and a paced walk against the least time possible.

``make bench`` calls this. The ratios are medians of rounds that interleave all three; the seconds are of this machine.
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
    """Write each answer to disk unread: the least that requests allows."""
    with requests.Session() as session, (folder / "raw").open("wb") as file:
        headers = authorize(session, alvys)
        for page in range(LOADS // PAGE):
            answer = session.post(
                f"{alvys.url}/api/p/v2.0/loads/search", json={**BODY, "Page": page}, headers=headers
            )
            file.write(answer.content)


def by_hand(alvys: Simulator, folder: Path) -> None:
    """Decode each answer and write a row a line: what most people write."""
    with requests.Session() as session, (folder / "by_hand").open("w") as file:
        headers = authorize(session, alvys)
        for page in range(LOADS // PAGE):
            answer = session.post(
                f"{alvys.url}/api/p/v2.0/loads/search", json={**BODY, "Page": page}, headers=headers
            )
            for row in answer.json()["Items"]:
                file.write(json.dumps(row) + "\n")


def authorize(session: requests.Session, alvys: Simulator) -> dict[str, str]:
    """Return the header with a token."""
    fields = {
        "client_id": alvys.options.client_id,
        "client_secret": alvys.options.client_secret,
        "grant_type": "client_credentials",
        "audience": "https://api.alvys.com/public/",
    }
    return {
        "Authorization": f"Bearer {session.post(f'{alvys.url}/oauth/token', json=fields).json()['access_token']}"
    }


def ours(alvys: Simulator, folder: Path, requests_per_minute: float = 0, page_size: int = PAGE) -> None:
    """Land a closed window as AlvysToObjectStorageOperator does."""
    credentials = make_credentials(
        alvys.options.client_id, alvys.options.client_secret, auth_url=f"{alvys.url}/oauth/token"
    )
    client = AlvysClient(
        credentials, host=alvys.url, pacer=Pacer(requests_per_minute), token_source=TokenSource(credentials)
    )
    order = SyncSpec(
        get_stream("loads"),
        "bench",
        initial_since=datetime(2020, 1, 1, tzinfo=timezone.utc),
        full_refresh=True,
        overlap=timedelta(0),
        settling=timedelta(0),
        page_size=page_size,
    )
    identity = RunIdentity(dag_id="bench", task_id="bench", map_index=-1, run_id=str(time.time()))
    result = land(client, Store(str(folder / "lake")), order, identity)
    if result["rows"] != alvys.options.loads or result["proof"] != "whole":
        raise SystemExit(f"wrong: {result}")


def measure(run: Callable[[], None]) -> tuple[float, float]:
    """Return wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Print the tables."""
    logging.disable(logging.INFO)
    an_hour_ago = time.time() - 3600
    contenders = {"raw": raw, "by_hand": by_hand, "ours": ours}
    with Simulator(loads=LOADS, now=an_hour_ago) as alvys, tempfile.TemporaryDirectory() as name:
        alvys.truth_rows()
        rounds = [
            {label: measure(partial(run, alvys, Path(name))) for label, run in contenders.items()}
            for _ in range(ROUNDS)
        ]
        print(f"{LOADS:,} loads, {PAGE} a page, medians of {ROUNDS} rounds")
        for label in contenders:
            wall, cpu = (statistics.median(turn[label][kind] for turn in rounds) for kind in (0, 1))
            walls, cpus = (
                statistics.median(turn["ours"][kind] / turn[label][kind] for turn in rounds)
                for kind in (0, 1)
            )
            print(
                f"  {label:8} wall {wall:5.2f} s, CPU {cpu:5.2f} s; ours takes {walls:.2f} of its wall, {cpus:.2f} of its CPU"
            )

        alvys.reset(loads=500, now=an_hour_ago, limits=True, minute=MINUTE)
        wall, _ = measure(lambda: ours(alvys, Path(name), requests_per_minute=600 / MINUTE, page_size=10))
        stats = alvys.stats()
        least = 4 * MINUTE
        print(
            f"50 pages at 10 a minute of {MINUTE:g} s: {wall:.2f} s, {wall / least:.3f} of the least possible {least:g} s; "
            f"{stats['requests']['POST loads/search']} searches, {stats['rate_limited']} refused"
        )


if __name__ == "__main__":
    main()
