"""Where things stand in a data set: every name in one place."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.read.windows import Window

# What file systems and object stores all take for a letter of a name, and shells for one word.
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_ID = 80
_LONGEST_STEM = 80

PACE_FILE = "_pace.json"
MANIFEST = "_manifest.json"


def fingerprint(*parts: Any) -> str:
    """Return a short hash of JSON values, the same on every machine and for every order of a mapping's keys."""
    text = msgspec.json.encode(parts, order="deterministic")
    return hashlib.sha256(text).hexdigest()[:16]


def cursor_file(stream: Stream, tenant: str, filters: Mapping[str, Any], window_by: str) -> str:
    """Return where the cursor of one tenant, stream, set of filters and kind of window is kept, whosever children are read."""
    return f"{stream.name}/_cursor-{fingerprint(tenant, stream.normalize_filters(filters), window_by)}.json"


def run_file(stream: str, run_hash: str) -> str:
    """Return where a task instance notes what it reads."""
    return f"{stream}/_runs/{run_hash}.json"


def batch_file(run_hash: str) -> str:
    """Return where a task instance that lands several streams notes which it has landed."""
    return f"_runs/{run_hash}.json"


def run_folder(stream: str, started: datetime, window: Window | None, run_hash: str, attempt: int) -> str:
    """Return the folder for one attempt's parts: below the date on which the task first started."""
    if window is None:
        span = "all"
    else:
        span = f"{_compact(window.since)}-{_compact(window.until) if window.until else 'open'}"
    return f"{stream}/{started:%Y-%m-%d}/{span}-{run_hash}-{attempt}"


def documents_folder(parent_type: str) -> str:
    """Return where the files of one kind of parents are, each parent's in a folder of its own."""
    return f"documents/{parent_type}"


def document_file(parent_type: str, parent: str, id: str, file_name: str) -> str:
    """
    Return where a document's file is put, the same for ever: told apart by its id, whatever it is called.

    The last hyphen ends the id: another id has another file, though it begins like this one and goes on like its name.

    :param file_name: as it was uploaded, whatever is in it.
    """
    stem, dot, extension = file_name.rpartition(".")
    if not (dot and stem and re.fullmatch(r"[A-Za-z0-9]{1,8}", extension)):
        stem, extension = file_name, ""
    words = _UNSAFE.sub("_", stem).replace("-", "_").strip("._")[:_LONGEST_STEM].rstrip("._") or "file"
    return (
        f"{parent_folder(parent_type, parent)}/{safe_name(id)}-{words}{f'.{extension}' if extension else ''}"
    )


def parent_folder(parent_type: str, parent: str) -> str:
    """Return where the files of one parent are."""
    return f"{documents_folder(parent_type)}/{safe_name(parent)}"


def documents_index(parent_type: str, run_hash: str) -> str:
    """Return where a task instance lists the documents that it was to fetch."""
    return f"{documents_folder(parent_type)}/_index/{run_hash}.jsonl"


def documents_run_file(parent_type: str, run_hash: str) -> str:
    """Return where a task instance notes which documents it has fetched."""
    return f"{documents_folder(parent_type)}/_runs/{run_hash}.json"


def safe_name(text: str) -> str:
    """Return an id as the name of a file or folder. Another id has another one: where something had to go, a hash says which."""
    safe = _UNSAFE.sub("_", text)[:_LONGEST_ID]
    if safe == text and text[:1] not in ("", ".", "_"):
        return safe
    return f"{safe.strip('._-')}-{fingerprint(text)}".lstrip("-")


def landing_date(name: str) -> date:
    """Return the date in the name of a file in a run's folder, relative to the data set."""
    return date.fromisoformat(name.split("/")[1])


def _compact(time: datetime) -> str:
    return f"{time:%Y%m%dT%H%M%S}Z"
