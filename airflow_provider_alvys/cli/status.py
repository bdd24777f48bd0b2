"""``status``: the newest run, the cursor and the freshness of each stream of a data set."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.cli.connections import find_streams, open_store
from airflow_provider_alvys.cli.console import print_rows
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.freshness import read_freshness
from airflow_provider_alvys.landing.jobs.overview import SyncOverview, read_overview

# Only in JSON and YAML: a table would be too wide.
_DETAILS = ("filters", "manifest")


def status(options: argparse.Namespace) -> None:
    """Print an overview of each sync of a data set. Reads files only, and few of them."""
    store = open_store(options.path)
    streams = find_streams(store, options.streams)
    syncs = read_overview(store, streams, tenant=options.tenant)
    rows = status_rows(store, syncs, now=datetime.now(timezone.utc))
    print_rows(rows, options.output, details=_DETAILS)


def status_rows(store: Store, syncs: Iterable[SyncOverview], *, now: datetime) -> list[dict[str, Any]]:
    """Return overviews as rows."""
    syncs, rows = list(syncs), []
    streams = list(dict.fromkeys(sync.stream for sync in syncs))
    fresh = {
        (row["tenant"], row["stream"]): row["freshness"]
        for row in read_freshness(store, streams=streams, now=now)
    }
    for sync in syncs:
        is_regular = not sync.filters and sync.window_by in (None, get_stream(sync.stream).default_window)
        manifest, cursor = sync.manifest, sync.cursor
        window = manifest.window if manifest else None
        as_of = manifest and (manifest.as_of if window else manifest.read_from)
        rows.append(
            {
                "stream": sync.stream,
                "tenant": sync.tenant,
                "filters": sync.filters,
                "window_by": sync.window_by,
                "since": window and window.since,
                "until": window and window.until,
                "rows": manifest and manifest.rows,
                "proof": manifest and manifest.proof,
                "as_of": as_of,
                "cursor": cursor and cursor.until,
                "age": cursor and now - cursor.until,
                # A sync of some rows, or by another window, does not show how fresh the stream is.
                "freshness": fresh.get((sync.tenant, sync.stream), "unknown") if is_regular else "unknown",
                "open": sync.open_runs,
                "unfinished": sync.unfinished,
                "manifest": store.url(sync.name) if sync.name else None,
                "problem": sync.problem or None,
            }
        )
    return rows
