"""How Airflow's UI names and describes the tasks of the groups, whose ids are short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.task_groups.tiers import Sync
from airflow_provider_alvys.transfers.object_storage_to_sql import AlvysObjectStorageToSqlOperator

# Streams that a name lists; the description lists all of them.
_LISTED = 3


def landing_label(sync: Sync, path: str) -> dict[str, Any]:
    """Return the name and the description of a task that lands one stream, as arguments of its operator."""
    window = "" if sync.is_regular else f" by {sync.tier.window}"
    sentence = f"Rows of this stream become files below `{path}`"
    return {
        "task_display_name": f"Land {words(sync.stream)}{window}",
        "doc_md": _document(sentence, [sync.stream]),
    }


def windows_label(stream: Stream, path: str) -> dict[str, Any]:
    """Return the same for a mapped task, an instance of which lands one window of the stream."""
    sentence = f"Each instance reads one window of this stream into files below `{path}`"
    return {
        "task_display_name": f"Land {words(stream)}, window by window",
        "doc_md": _document(sentence, [stream]),
    }


def sweep_label(streams: Sequence[Stream], path: str) -> dict[str, Any]:
    """Return the same for a task that lands several streams in full."""
    names = [words(stream) for stream in streams]
    more = [f"{len(names) - _LISTED} more"] if len(names) > _LISTED else []
    *first, last = names[:_LISTED] + more
    return {
        "task_display_name": f"Land all rows of {', '.join(first)} and {last}",
        "doc_md": _document(f"All rows of these streams become files below `{path}`", streams),
    }


def load_name(stream: Stream, sql_conn_id: str) -> str:
    """Return the name of a task that loads a stream into a database."""
    return f"Load {words(stream)} into {'the database' if '{' in sql_conn_id else sql_conn_id}"


def describe_load(load: AlvysObjectStorageToSqlOperator) -> str:
    """Return the description of a task that loads a stream into a database."""
    schema = load.stream_schema()
    tables = ", ".join(f"`{table.name}`" for table in schema.tables)
    sentence = f"The landed files of this stream go into tables of the connection `{load.sql_conn_id}`"
    return f"{_document(sentence, [schema.stream])}\n\nTables: {tables}"


def words(stream: Stream) -> str:
    """Return a stream's name as it is written in a sentence."""
    return stream.name.replace("_", " ")


def _document(sentence: str, streams: Sequence[Stream]) -> str:
    lines = [f"- `{stream.name}`: {stream.description}" for stream in streams]
    return "\n".join([f"{sentence}:", "", *lines])
