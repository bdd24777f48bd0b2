"""Where things stand in a data set: every name in one place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from airflow_provider_alvys.api.streams import Stream
from airflow_provider_alvys.api.windows import Window

PACE_FILE = "_pace.json"
MANIFEST = "_manifest.json"


def fingerprint(*parts: Any) -> str:
    """Return a short hash of JSON values, the same on every machine and for every order of a mapping's keys."""
    text = msgspec.json.encode(parts, order="deterministic")
    return hashlib.sha256(text).hexdigest()[:16]


def cursor_file(
    stream: Stream, tenant: str, filters: Mapping[str, Any], window_by: str, parents: Sequence[str] | None = None
) -> str:
    """
    Return where the cursor of one tenant, stream, set of filters and kind of window is kept.

    :param parents: a fixed list of them, each of which has been read until there; None for those that a sync finds.
    """
    what = (tenant, stream.plain_filters(filters), window_by, *([sorted(parents)] if parents is not None else []))
    return f"{stream.name}/_cursor-{fingerprint(*what)}.json"


def run_file(stream: str, run_hash: str) -> str:
    """Return where a task instance notes what it reads."""
    return f"{stream}/_runs/{run_hash}.json"


def round_file(run_hash: str) -> str:
    """Return where a task instance that lands several streams notes which it has landed."""
    return f"_runs/{run_hash}.json"


def run_folder(stream: str, started: datetime, window: Window | None, run_hash: str, attempt: int) -> str:
    """Return the folder for one attempt's parts: below the date on which the task first started."""
    if window is None:
        span = "all"
    else:
        span = f"{_compact(window.since)}-{_compact(window.until) if window.until else 'open'}"
    return f"{stream}/{started:%Y-%m-%d}/{span}-{run_hash}-{attempt}"


def landing_date(name: str) -> date:
    """Return the date in the name of a file in a run's folder, relative to the data set."""
    return date.fromisoformat(name.split("/")[1])


def _compact(time: datetime) -> str:
    return f"{time:%Y%m%dT%H%M%S}Z"
