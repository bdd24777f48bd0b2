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
# Empty, hidden, an option of a command, reserved in a data set, or a device of Windows.
_UNSAFE_AS_A_WHOLE = re.compile(r"|[._-].*|.*\.|(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_MAX_LENGTH = 80

PACE_FILE = "_pace.json"
MANIFEST = "_manifest.json"
CURSOR_PREFIX = "_cursor-"


def fingerprint(*parts: Any) -> str:
    """Return a short hash of JSON values that does not depend on the machine or the order of keys."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:16]


def cursor_file(stream: Stream, tenant: str, filters: Mapping[str, Any], window_by: str) -> str:
    """Return the name of the cursor of a tenant, stream, set of filters and window kind."""
    digest = fingerprint(tenant, stream.normalize_filters(filters), window_by)
    return f"{stream.name}/{CURSOR_PREFIX}{digest}.json"


def run_file(stream: str, run_hash: str) -> str:
    """Return the name of the checkpoint of a sync."""
    return f"{stream}/_runs/{run_hash}.json"


def checks_file(stream: str, run_hash: str) -> str:
    """Return the name of the file with the results of a reconciliation."""
    return f"{stream}/_checks/{run_hash}.json"


def batch_file(run_hash: str) -> str:
    """Return the name of the file that a batch of syncs keeps its progress in."""
    return f"_runs/{run_hash}.json"


def run_folder(stream: str, started: datetime, window: Window | None, run_hash: str, attempt: int) -> str:
    """Return the folder of one attempt, below the date on which the first attempt started."""
    end = _compact(window.until) if window and window.until else "open"
    period = f"{_compact(window.since)}-{end}" if window else "all"
    return f"{stream}/{started:%Y-%m-%d}/{period}-{run_hash}-{attempt}"


def documents_folder(parent_type: str, tenant: str | None = None) -> str:
    """
    Return the folder of a tenant's documents of a parent type.

    :param tenant: None for the folder of all tenants, in which version 0.2.0 and earlier wrote documents.
    """
    folder = f"documents/{parent_type}"
    # Nothing else has an equals sign in its name.
    return folder if tenant is None else f"{folder}/tenant={safe_name(tenant)}"


def document_file(folder: str, parent: str, id: str, file_name: str) -> str:
    """
    Return the name of a document's file: id, hyphen, and the uploaded name without hyphens.

    :param folder: of the tenant's documents.
    """
    stem, dot, extension = file_name.rpartition(".")
    if not (dot and stem and re.fullmatch(r"[A-Za-z0-9]{1,8}", extension)):
        stem, extension = file_name, ""
    words = _UNSAFE.sub("_", stem).replace("-", "_").strip("._")[:_MAX_LENGTH].rstrip("._") or "file"
    suffix = f".{extension}" if extension else ""
    return f"{folder}/{safe_name(parent)}/{safe_name(id)}-{words}{suffix}"


def documents_index(folder: str, run_hash: str) -> str:
    """Return the name of the list of documents that a task instance downloads."""
    return f"{folder}/_index/{run_hash}.jsonl"


def documents_run_file(folder: str, run_hash: str) -> str:
    """Return the name of the checkpoint of a download."""
    return f"{folder}/_runs/{run_hash}.json"


def safe_name(text: str) -> str:
    """Return an id as the name of a file or folder. A hash keeps it unique if it cannot stay as it is."""
    safe = _UNSAFE.sub("_", text)[:_MAX_LENGTH]
    if safe == text and not _UNSAFE_AS_A_WHOLE.fullmatch(text):
        return safe
    return f"{safe.strip('._-')}-{fingerprint(text)}".lstrip("-")


def landing_date(name: str) -> date:
    """Return the landing date in the name of a file of a run."""
    return date.fromisoformat(name.split("/")[1])


def _compact(time: datetime) -> str:
    return f"{time:%Y%m%dT%H%M%S}Z"
