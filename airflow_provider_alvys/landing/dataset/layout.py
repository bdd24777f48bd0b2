"""The names of all files and folders of a data set."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.read.windows import Window

# Other characters are unsafe in some file system, object store or shell.
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_LENGTH = 80

PACE_FILE = "_pace.json"
MANIFEST = "_manifest.json"


def fingerprint(*parts: Any) -> str:
    """Return a short hash of JSON values that does not depend on the machine or the order of keys."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:16]


def cursor_file(stream: Stream, tenant: str, filters: Mapping[str, Any], window_by: str) -> str:
    """Return the name of the cursor of a tenant, stream, set of filters and window kind."""
    return f"{stream.name}/_cursor-{fingerprint(tenant, stream.normalize_filters(filters), window_by)}.json"


def run_file(stream: str, run_hash: str) -> str:
    """Return the name of the checkpoint of a sync."""
    return f"{stream}/_runs/{run_hash}.json"


def batch_file(run_hash: str) -> str:
    """Return the name of the file that a batch of syncs keeps its progress in."""
    return f"_runs/{run_hash}.json"


def run_folder(stream: str, started: datetime, window: Window | None, run_hash: str, attempt: int) -> str:
    """Return the folder of one attempt, below the date on which the first attempt started."""
    end = _compact(window.until) if window and window.until else "open"
    period = f"{_compact(window.since)}-{end}" if window else "all"
    return f"{stream}/{started:%Y-%m-%d}/{period}-{run_hash}-{attempt}"


def documents_folder(parent_type: str) -> str:
    """Return the folder of all documents of a parent type."""
    return f"documents/{parent_type}"


def document_file(parent_type: str, parent: str, id: str, file_name: str) -> str:
    """Return the name of a document's file: id, hyphen, and the uploaded name without hyphens."""
    stem, dot, extension = file_name.rpartition(".")
    if not (dot and stem and re.fullmatch(r"[A-Za-z0-9]{1,8}", extension)):
        stem, extension = file_name, ""
    words = _UNSAFE.sub("_", stem).replace("-", "_").strip("._")[:_MAX_LENGTH].rstrip("._") or "file"
    suffix = f".{extension}" if extension else ""
    return f"{parent_folder(parent_type, parent)}/{safe_name(id)}-{words}{suffix}"


def parent_folder(parent_type: str, parent: str) -> str:
    """Return the folder of a parent's documents."""
    return f"{documents_folder(parent_type)}/{safe_name(parent)}"


def documents_index(parent_type: str, run_hash: str) -> str:
    """Return the name of the list of documents that a task instance downloads."""
    return f"{documents_folder(parent_type)}/_index/{run_hash}.jsonl"


def documents_run_file(parent_type: str, run_hash: str) -> str:
    """Return the name of the checkpoint of a download."""
    return f"{documents_folder(parent_type)}/_runs/{run_hash}.json"


def safe_name(text: str) -> str:
    """Return an id as the name of a file or folder. If characters are replaced, a hash keeps it unique."""
    safe = _UNSAFE.sub("_", text)[:_MAX_LENGTH]
    if safe == text and text[:1] not in ("", ".", "_"):
        return safe
    return f"{safe.strip('._-')}-{fingerprint(text)}".lstrip("-")


def landing_date(name: str) -> date:
    """Return the landing date in the name of a file of a run."""
    return date.fromisoformat(name.split("/")[1])


def _compact(time: datetime) -> str:
    return f"{time:%Y%m%dT%H%M%S}Z"
