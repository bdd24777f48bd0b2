"""Missing rows: records that Alvys no longer returns, missed by two complete reads in a row."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.schema.values import snake_case
from airflow_provider_alvys.landing.dataset.manifest import Manifest, ManifestSearch, ManifestWindow
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.ledger import format_timestamp
from airflow_provider_alvys.tables.schema import (
    MISSED_AT,
    MISSING_SINCE,
    PARENT,
    READ_AT,
    TENANT,
    Column,
    StreamSchema,
)

log = logging.getLogger(__name__)

_PARENTS_STAGE = "alvys_new_parents"
_MISSED_STAGE = "alvys_gone"


@dataclass(frozen=True)
class DeleteScope:
    """
    The rows of a table that a manifest must contain if they still exist.

    :param windows: time columns with windows, ends excluded: the rows in any of them; empty for all rows.
    :param parents: the column with the parent's key, and the keys of the parents; None for all.
    """

    windows: Sequence[tuple[Column, ManifestWindow]] = ()
    parents: tuple[str, Sequence[str]] | None = None


def find_delete_scope(schema: StreamSchema, manifest: Manifest) -> DeleteScope | None:
    """Return the rows whose absence from a manifest proves a delete; None if it proves nothing."""
    stream = schema.stream
    # Only a complete, unfiltered read proves a delete, and only if no value of its filters is guessed.
    if manifest.filters or manifest.proof != "whole" or any(filter.guessed for filter in stream.filters):
        return None
    parents = None
    if stream.parent is not None:
        column = _parent_column(schema)
        if column is None:
            return None
        # A parent that Alvys does not find may be hidden: its children may still exist.
        not_found = set(manifest.missing_parents)
        parents = (column, [id for group in manifest.parents for id in group.ids if id not in not_found])
    inner = [search.window for search in manifest.searches] + [group.window for group in manifest.parents]
    if manifest.window is None and not any(inner):
        return DeleteScope(parents=parents)
    if parents is not None:
        windows = _common_window(manifest)
    else:
        windows = [
            search.window for search in manifest.searches if search.window and _is_plain(stream, search)
        ]
    columns = {column.field: column for column in schema.main.columns if column.kind in ("timestamp", "date")}
    # In a window of changes, a row is absent when it changed again.
    kinds = {
        window.name: window
        for window in stream.windows
        if window.column_is_certain and not window.tracks_changes and window.column in columns
    }
    bounds = [(columns[kinds[window.by].column], window) for window in windows if window.by in kinds]
    return DeleteScope(windows=bounds, parents=parents) if bounds else None


def _is_plain(stream: Stream, search: ManifestSearch) -> bool:
    """Return whether a search finds all rows of its window."""
    # Earlier versions sent the list of all statuses with each window.
    by = next(
        (window for window in stream.windows if search.window and window.name == search.window.by), None
    )
    return search.asked in (stream.search_fields({}), stream.search_fields({}, by))


def _common_window(manifest: Manifest) -> list[ManifestWindow]:
    """Return the intersection of the parents' windows; empty if a parent has none."""
    windows = [group.window for group in manifest.parents if group.window is not None]
    if not windows or len(windows) < len(manifest.parents):
        return []
    ends = [window.until for window in windows if window.until is not None]
    since = max(window.since for window in windows)
    return [ManifestWindow(by=windows[0].by, since=since, until=min(ends, default=None))]


def _parent_column(schema: StreamSchema) -> str | None:
    stream = schema.stream
    assert stream.parent is not None  # noqa: S101
    if stream.is_child:
        return PARENT
    target = f"{stream.parent.stream}.{stream.parent.column}"
    found = next((name for name, referred in stream.references.items() if referred == target), None)
    column = snake_case(found) if found else None
    return column if column in {known.name for known in schema.main.columns} else None


def mark_missing(
    database: Database,
    schema: StreamSchema,
    manifest: Manifest,
    scope: DeleteScope,
    *,
    stage: str,
    max_share: float,
) -> tuple[int, int]:
    """
    Mark missing rows: the first miss sets ``_missed_at``, the second in a row sets ``_missing_since`` to the
    first.

    :param stage: quoted name of the table with the manifest's rows.
    :param max_share: if more than this share of the rows in scope are newly missed, none is marked.
    :return: the number of rows marked as missing, and of newly missed rows that were too many to mark.
    """
    quote, dialect = database.dialect.quote, database.dialect
    key = schema.main.primary_key
    target = database.table(schema.main.name)
    missed_at, missing_since = quote(MISSED_AT), quote(MISSING_SINCE)
    read_at = database.render("timestamp", format_timestamp(manifest.read_from))
    condition, values = _scope_condition(database, scope, manifest.tenant)
    in_scope = f"FROM {target} AS t WHERE {condition} AND t.{missing_since} IS NULL"
    ((known,),) = database.execute(f"SELECT COUNT(*) AS known {in_scope}", values)
    # A row that was read later is not missed.
    values.append(read_at)
    in_scope += f" AND t.{quote(READ_AT)} <= ?"
    join = dialect.join_on("t", "s", [(name, name) for name in key])
    absent = f"NOT EXISTS (SELECT 1 FROM {stage} AS s WHERE {join})"
    ((missed, missed_before),) = database.execute(
        f"SELECT COUNT(*) AS missed, COUNT(t.{missed_at}) AS earlier {in_scope} AND {absent}", values
    )
    if not missed:
        return 0, 0
    new = int(missed - missed_before)
    # One row may exceed the share of a small table, unless the read found no rows at all.
    if new > max(max_share * known, 1 if manifest.rows else 0):
        absent_rows = f"{new:,} of {counted(known, 'rows')}"
        log.error("Missing rows not marked: %s of %s are absent from a complete read", absent_rows, target)
        log.error("That is above max_missing_share=%s. Check whether the token lost a scope", max_share)
        log.error("If the rows were deleted in Alvys, raise max_missing_share for one run")
        return 0, new
    database.execute(dialect.drop_stage(_MISSED_STAGE))
    for statement in dialect.create_stage(_MISSED_STAGE, target, key, key):
        database.execute(statement)
    names = ", ".join(map(quote, key))
    selected = ", ".join(f"t.{quote(name)}" for name in key)
    insert = f"INSERT INTO {quote(_MISSED_STAGE)} ({names})"
    database.execute(f"{insert} SELECT {selected} {in_scope} AND {absent}", values)
    database.analyze(_MISSED_STAGE, key)
    is_missed = f"({selected}) IN (SELECT {names} FROM {quote(_MISSED_STAGE)})"
    second = f"t.{missed_at} < ? AND {is_missed}"
    ((marked,),) = database.execute(f"SELECT COUNT(*) AS n FROM {target} AS t WHERE {second}", (read_at,))
    database.execute(f"UPDATE {target} AS t SET {missing_since} = {missed_at} WHERE {second}", (read_at,))
    first = f"t.{missed_at} IS NULL AND {is_missed}"
    database.execute(f"UPDATE {target} AS t SET {missed_at} = ? WHERE {first}", (read_at,))
    database.execute(dialect.drop_stage(_MISSED_STAGE))
    log.info("Missing rows of %s: %s absent, %s marked", target, f"{missed:,}", f"{marked:,}")
    return int(marked), 0


def _scope_condition(database: Database, scope: DeleteScope, tenant: str) -> tuple[str, list[Any]]:
    """Return the condition that a row ``t`` is in scope, and its values."""
    quote = database.dialect.quote
    parts, values = [f"t.{quote(TENANT)} = ?"], [tenant]
    if scope.parents is not None:
        column, ids = scope.parents
        stage = quote(_PARENTS_STAGE)
        database.execute(database.dialect.drop_stage(_PARENTS_STAGE))
        options = database.dialect.table_options
        key = f"{quote(PARENT)} {database.dialect.types['key']}"
        database.execute(f"CREATE TEMPORARY TABLE {stage} ({key}){options}")
        if ids:
            database.fill(_PARENTS_STAGE, [(PARENT, "key")], [[id] for id in ids])
            database.analyze(_PARENTS_STAGE, (PARENT,))
        parts.append(f"t.{quote(column)} IN (SELECT {quote(PARENT)} FROM {stage})")
    if scope.windows:
        within = []
        for bound, window in scope.windows:
            bounds = [f"t.{quote(bound.name)} > ?"]
            values.append(_bound(database, bound, format_timestamp(window.since)))
            if window.until is not None:
                bounds.append(f"t.{quote(bound.name)} < ?")
                values.append(_bound(database, bound, format_timestamp(window.until)))
            within.append(f"({' AND '.join(bounds)})")
        parts.append(f"({' OR '.join(within)})")
    return " AND ".join(parts), values


def _bound(database: Database, column: Column, time: str) -> str:
    return time[:10] if column.kind == "date" else str(database.render("timestamp", time))
