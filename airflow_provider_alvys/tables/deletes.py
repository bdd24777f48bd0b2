"""Rows that have gone from Alvys without a word: missed by two whole readings in a row."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_alvys.api.schema.values import snake_case
from airflow_provider_alvys.landing.dataset.manifest import Manifest, ManifestWindow
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

PARENTS_STAGE = "alvys_new_parents"


@dataclass(frozen=True)
class DeleteScope:
    """
    Which rows of a table a manifest would hold if Alvys still had them.

    :param windows: a column, and strictly between which two times, any of them; none for every row.
    :param parents: of these, whose children only, and the column that names them; None for everyone's.
    """

    windows: Sequence[tuple[Column, ManifestWindow]] = ()
    parents: tuple[str, Sequence[str]] | None = None


def find_delete_scope(schema: StreamSchema, manifest: Manifest) -> DeleteScope | None:
    """Return of which rows a manifest proves that they have gone; None where it proves nothing."""
    stream = schema.stream
    # What was filtered, was not whole, or was searched for by values that are guessed, tells nothing of what it lacks.
    if manifest.filters or manifest.proof != "whole" or any(filter.guessed for filter in stream.filters):
        return None
    parents = None
    if stream.parent is not None:
        column = _parent_column(schema)
        if column is None:
            return None
        # One that Alvys does not know may be hidden: it says nothing of its children.
        unknown = set(manifest.missing_parents)
        asked = [id for group in manifest.parents for id in group.ids if id not in unknown]
        parents = (column, asked)
    inner = [search.window for search in manifest.searches] + [group.window for group in manifest.parents]
    if manifest.window is None and not any(inner):
        return DeleteScope(parents=parents)
    if parents is not None:
        windows = _common_window(manifest)
    else:
        plain = stream.search_fields({})
        windows = [search.window for search in manifest.searches if search.window and search.asked == plain]
    columns = {column.field: column for column in schema.main.columns if column.kind in ("timestamp", "date")}
    kinds = {window.name: window for window in stream.windows}
    bounds = [
        (columns[kinds[window.by].column], window)
        for window in windows
        # A row leaves a window of changes by being changed.
        if window.by in kinds and not kinds[window.by].tracks_changes and kinds[window.by].column in columns
    ]
    return DeleteScope(windows=bounds, parents=parents) if bounds else None


def _common_window(manifest: Manifest) -> list[ManifestWindow]:
    """Return the window that all parents were asked for within: each may have had one of its own."""
    windows = [group.window for group in manifest.parents if group.window is not None]
    if not windows or len(windows) < len(manifest.parents):
        return []
    ends = [window.until for window in windows if window.until is not None]
    common = ManifestWindow(
        by=windows[0].by, since=max(window.since for window in windows), until=min(ends) if ends else None
    )
    return [common]


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
    Mark rows that a manifest misses: at the second time in a row they are missing, since the first.

    :param stage: the table of the rows that it has.
    :param max_share: of the rows that it could have: if more are missed, the manifest is not believed.
    :return: rows that are missing from now on, and rows that it misses but is not believed in.
    """
    quote, dialect = database.dialect.quote, database.dialect
    pairs = [(name, name) for name in schema.main.primary_key]
    target = database.table(schema.main.name)
    read_at = database.render("timestamp", format_timestamp(manifest.read_from))
    condition, values = _scope_condition(database, scope, manifest.tenant)
    # What was read later is not missed by it.
    values.append(read_at)
    here = f"FROM {target} AS t WHERE {condition} AND t.{quote(READ_AT)} <= ? AND t.{quote(MISSING_SINCE)} IS NULL"
    absent = f"NOT EXISTS (SELECT 1 FROM {stage} AS s WHERE {dialect.join_on('t', 's', pairs)})"
    ((known,),) = database.execute(f"SELECT COUNT(*) AS known {here}", values)
    ((missed, before),) = database.execute(
        f"SELECT COUNT(*) AS missed, COUNT(t.{quote(MISSED_AT)}) AS earlier {here} AND {absent}", values
    )
    if not missed:
        return 0, 0
    # Of a small table one row is more than its share; but a reading of none at all is not believed.
    if missed - before > max(max_share * known, 1 if manifest.rows else 0):
        log.error(
            "%d of %d rows of %s are not in a reading that is whole, more than a share of %s: none of them is marked as missing. "
            "See whether the token has lost a scope. If they have gone, raise max_missing_share for one run",
            missed - before,
            known,
            target,
            max_share,
        )
        return 0, int(missed - before)
    keys = ", ".join(quote(name) for name in schema.main.primary_key)
    gone = "alvys_gone"
    database.execute(dialect.drop_stage(gone))
    for statement in dialect.create_stage(gone, target, schema.main.primary_key, schema.main.primary_key):
        database.execute(statement)
    chosen = ", ".join(f"t.{quote(name)}" for name in schema.main.primary_key)
    database.execute(f"INSERT INTO {quote(gone)} ({keys}) SELECT {chosen} {here} AND {absent}", values)
    database.analyze(gone, schema.main.primary_key)
    second = f"t.{quote(MISSED_AT)} < ? AND {_in(database, gone, schema)}"
    ((marked,),) = database.execute(
        f"SELECT COUNT(*) AS marked FROM {target} AS t WHERE {second}", (read_at,)
    )
    database.execute(
        f"UPDATE {target} AS t SET {quote(MISSING_SINCE)} = {quote(MISSED_AT)} WHERE {second}",
        (read_at,),
    )
    database.execute(
        f"UPDATE {target} AS t SET {quote(MISSED_AT)} = ? WHERE t.{quote(MISSED_AT)} IS NULL AND {_in(database, gone, schema)}",
        (read_at,),
    )
    database.execute(dialect.drop_stage(gone))
    log.info(
        "%d rows of %s were missed; %d are missing now, for the second time in a row", missed, target, marked
    )
    return int(marked), 0


def _in(database: Database, source: str, schema: StreamSchema) -> str:
    quote = database.dialect.quote
    names = [quote(name) for name in schema.main.primary_key]
    theirs = ", ".join(f"t.{name}" for name in names)
    return f"({theirs}) IN (SELECT {', '.join(names)} FROM {quote(source)})"


def _scope_condition(database: Database, scope: DeleteScope, tenant: str) -> tuple[str, list[Any]]:
    """Return the condition that a row ``t`` is covered, and its values."""
    quote = database.dialect.quote
    parts, values = [f"t.{quote(TENANT)} = ?"], [tenant]
    if scope.parents is not None:
        column, ids = scope.parents
        stage = quote(PARENTS_STAGE)
        database.execute(database.dialect.drop_stage(PARENTS_STAGE))
        options = database.dialect.table_options
        database.execute(
            f"CREATE TEMPORARY TABLE {stage} ({quote(PARENT)} {database.dialect.types['key']}){options}"
        )
        if ids:
            database.fill(PARENTS_STAGE, [(PARENT, "key")], [[id] for id in ids])
            database.analyze(PARENTS_STAGE, (PARENT,))
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
