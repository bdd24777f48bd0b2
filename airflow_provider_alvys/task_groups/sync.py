"""Task groups: sync many streams, backfill, first load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from airflow.sdk import Asset, AssetAlias, BaseOperator, TaskGroup

from airflow_provider_alvys.api.catalogue.stream_spec import WHOLE
from airflow_provider_alvys.api.catalogue.streams import Stream, get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.windows import as_timedelta, as_utc
from airflow_provider_alvys.api.suggestions import suggest
from airflow_provider_alvys.assets import alvys_asset, alvys_table_asset
from airflow_provider_alvys.landing.formats.registry import JSONL, check_format
from airflow_provider_alvys.landing.jobs.initial_load import backfill_window, check_first_load, cut_windows
from airflow_provider_alvys.landing.jobs.parents import RecentParents
from airflow_provider_alvys.landing.jobs.spec import SETTLING
from airflow_provider_alvys.parse_checks import CURSOR, check_data_set, check_search, has_template
from airflow_provider_alvys.task_groups.groups import (
    defaults_of,
    explain_duplicates,
    make_group,
    unless_default,
)
from airflow_provider_alvys.task_groups.labels import (
    describe_load,
    landing_label,
    load_name,
    sweep_label,
    windows_label,
    words,
)
from airflow_provider_alvys.task_groups.tiers import Sync, choose_syncs, put_in_order
from airflow_provider_alvys.transfers.alvys_to_object_storage import (
    AlvysSweepToObjectStorageOperator,
    AlvysToObjectStorageOperator,
)
from airflow_provider_alvys.transfers.first_load import (
    BEGUN,
    TOTAL,
    AlvysBeginFirstLoadOperator,
    AlvysHandOverOperator,
)
from airflow_provider_alvys.transfers.object_storage_to_sql import AlvysObjectStorageToSqlOperator

SWEEP_TASK = "sweep"


@explain_duplicates("group_id")
def alvys_sync(
    *,
    path: str,
    streams: Sequence[str] | None = None,
    tier: str | Sequence[str] | None = None,
    alvys_conn_id: str | None = None,
    tenant: str | None = None,
    initial_since: datetime | str | None = None,
    filters: Mapping[str, Mapping[str, Any]] | None = None,
    parents: Mapping[str, Any] | None = None,
    settling: timedelta | float | None = None,
    overlap: timedelta | float | None = None,
    file_format: str | None = None,
    compression: str | None = None,
    on_missing_scope: str | None = None,
    fail_on_open: bool | None = None,
    sql_conn_id: str | None = None,
    schema: str | None = None,
    exclude: Mapping[str, Sequence[str]] | None = None,
    group_id: str = "alvys_sync",
    **arguments: Any,
) -> TaskGroup:
    """
    Sync many streams into a data set: a task group for use inside a DAG.

    Each stream has a task and an asset (:func:`airflow_provider_alvys.alvys_asset`). The task's id is the
    stream, ``loads``, and the window if it is not the regular one, ``loads_created``. Streams that are read
    in full, without parents and filters, share the task ``sweep`` if there are two or more, unless
    ``on_missing_scope="skip"``. The UI shows longer names, such as "Land loads by created", and lists the
    streams in the description of a task. All windows end ``settling`` before the run's scheduled time.
    Parents come before their children, and tasks on the same endpoint run one after the other. All tasks on
    one machine keep one pace; for several workers, ``docs/limits.md`` describes the pool of tasks that land.

    :param path: root of the data set, absolute: ``/data/alvys`` or ``s3://aws_default@bucket/alvys``. It must
        be the same for every run; may be a template.
    :param streams: streams of the catalogue, such as ``["loads", "trips"]``; None means all of the tier.
    :param tier: how often the DAG runs: one or several of ``docs/reference/streams.md``, such as ``hourly``.
        Selects the windows, their lookback and, without ``streams``, the streams; each of ``streams`` must
        have one of the tiers. None means the first of each stream.
    :param alvys_conn_id: the Alvys connection; None means that of ``default_args``, else ``alvys_default``.
    :param tenant: name of the tenant in manifests; None means the connection id.
    :param initial_since: start of the first window of a stream, or of a parent, without a cursor.
    :param filters: Alvys's search fields, by stream: ``{"loads": {"CustomerId": "…"}}``.
    :param parents: parents of a stream that is read per parent, by stream; None means the catalogue's recent
        parents in this data set, such as loads delivered in the last 14 days for documents. See
        AlvysToObjectStorageOperator.
    :param settling: time between the end of the window and the run's time; timedelta or seconds. None means 1
        minute.
    :param overlap: lookback before the cursor; timedelta or seconds. None means the catalogue's.
    :param file_format: ``jsonl`` or ``parquet``; None means that of ``default_args``, else ``jsonl``.
    :param compression: ``gzip`` or None; for Parquet ``gzip``, ``zstd`` or None (snappy).
    :param on_missing_scope: ``fail`` or ``skip`` if the token lacks the scope of a stream; None means that of
        ``default_args``, else ``fail``.
    :param fail_on_open: whether to fail if rows may be missing; None means that of ``default_args``.
    :param sql_conn_id: Airflow connection of the database. Each stream is loaded into its tables by a task
        ``load_<stream>`` with an asset (:func:`airflow_provider_alvys.alvys_table_asset`), "Load loads into
        warehouse" in the UI. The connection and its provider are checked before anything is landed; the
        message says what to install and restart. None means no database. See AlvysObjectStorageToSqlOperator.
    :param schema: database schema of the tables; None means the connection's own.
    :param exclude: fields to leave out of the tables, by stream: ``{"customers": ["Email", "Contacts"]}``.
    :param group_id: name of the group. A DAG with several groups needs one for each.
    :param arguments: further arguments of the group, such as ``default_args`` or ``tooltip``.
    :return: the group.
    :raises AlvysValueError: an unknown stream or tier, an argument for a stream that is not in the group, or
        a group_id that the DAG already has.
    """
    syncs = choose_syncs(streams, tier)
    names = [sync.stream.name for sync in syncs]
    for given, name in ((filters, "filters"), (parents, "parents"), (exclude, "exclude")):
        others = sorted(set(given or ()) - set(names))
        if others:
            hint = suggest(others[0], names, "The group syncs")
            raise AlvysValueError(f"{name} names {', '.join(others)}, which the group does not sync.{hint}")
    if sql_conn_id is None and (schema is not None or exclude is not None):
        raise AlvysValueError("schema and exclude are for the tables of a database: give sql_conn_id, too")
    seconds = as_timedelta(SETTLING if settling is None else settling, "settling").total_seconds()
    common: dict[str, Any] = {
        "path": path,
        "max_active_tis_per_dag": 1,
        **_given(alvys_conn_id=alvys_conn_id, tenant=tenant, on_missing_scope=on_missing_scope),
        **_given(file_format=file_format, compression=compression, fail_on_open=fail_on_open),
    }
    tasks: dict[Sync, BaseOperator] = {}
    with make_group(group_id, arguments) as group:
        simple = [sync for sync in syncs if sync.is_whole and not sync.stream.parent]
        shared = [sync for sync in simple if sync.stream.name not in (filters or {})]
        # With its own task, a skipped stream emits no asset event.
        if len(shared) > 1 and (on_missing_scope or defaults_of(group).get("on_missing_scope")) != "skip":
            sweep = AlvysSweepToObjectStorageOperator(
                task_id=SWEEP_TASK,
                streams=[sync.stream.name for sync in shared],
                **unless_default(group, sweep_label([sync.stream for sync in shared], path)),
                outlets=[alvys_asset(sync.stream.name, path) for sync in shared],
                **common,
            )
            tasks |= dict.fromkeys(shared, sweep)
        endpoints = {sync.stream.endpoint for sync in tasks}
        for sync in syncs:
            if sync not in tasks:
                # Skipped parents, or another stream of the endpoint, do not skip a task.
                is_behind = sync.stream.parent is not None or sync.stream.endpoint in endpoints
                endpoints.add(sync.stream.endpoint)
                given_filters = (filters or {}).get(sync.stream.name)
                tasks[sync] = AlvysToObjectStorageOperator(
                    task_id=sync.task_id,
                    stream=sync.stream.name,
                    **unless_default(group, landing_label(sync, path)),
                    outlets=[alvys_asset(sync.stream.name, path)],
                    **_given(filters=given_filters, parents=_parents_of(sync.stream, parents)),
                    **_window(sync, initial_since, seconds, overlap),
                    **_given(trigger_rule="none_failed" if is_behind else None),
                    **common,
                )
        put_in_order(tasks)
        if sql_conn_id is not None:
            _add_loads(tasks, path, sql_conn_id, schema, exclude or {})
    return group


def _parents_of(stream: Stream, given: Mapping[str, Any] | None) -> Any:
    if stream.parent is None or stream.name in (given or {}):
        return (given or {}).get(stream.name)
    return RecentParents()


def _given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are not None. ``default_args`` may set the others."""
    return {name: value for name, value in arguments.items() if value is not None}


def _window(
    sync: Sync, initial_since: datetime | str | None, seconds: float, overlap: timedelta | float | None
) -> dict[str, Any]:
    if sync.is_whole:
        return {"window_by": WHOLE}
    tier = sync.tier
    begins = initial_since
    if tier.sweep and tier.window not in (None, sync.stream.default_window) and tier.look_back is not None:
        # It has a cursor of its own. The regular window reads earlier rows.
        begins = _run_time(tier.look_back.total_seconds())
    return _given(
        window_by=tier.window,
        until=_run_time(seconds),
        initial_since=begins,
        settling=seconds,
        overlap=tier.overlap if overlap is None else overlap,
        look_back=tier.look_back,
        look_ahead=tier.look_ahead,
    )


def _run_time(seconds_before: float) -> str:
    # run_after is the same for all tasks and retries, and after clearing.
    return f"{{{{ (dag_run.run_after - macros.timedelta(seconds={seconds_before!r})).isoformat() }}}}"


def _add_loads(
    tasks: Mapping[Sync, BaseOperator],
    path: str,
    sql_conn_id: str,
    schema: str | None,
    exclude: Mapping[str, Sequence[str]],
) -> None:
    """Add the loading of each stream after all its landing tasks."""
    loads: dict[str, AlvysObjectStorageToSqlOperator] = {}
    for sync, task in tasks.items():
        name = sync.stream.name
        if name not in loads:
            loads[name] = AlvysObjectStorageToSqlOperator(
                task_id=f"load_{name}",
                task_display_name=load_name(sync.stream, sql_conn_id),
                sql_conn_id=sql_conn_id,
                path=path,
                stream=name,
                outlets=[alvys_table_asset(name, sql_conn_id, schema=schema)],
                max_active_tis_per_dag=1,
                # A skipped sync still loads what earlier runs have landed.
                trigger_rule="none_failed",
                **_given(schema=schema, exclude=exclude.get(name)),
            )
            loads[name].doc_md = loads[name].doc_md or describe_load(loads[name])
        task >> loads[name]


@explain_duplicates("task_id")
def alvys_backfill(
    stream: str,
    start: datetime | str,
    end: datetime | str,
    every: timedelta | str,
    *,
    path: str,
    window_by: str | None = None,
    filters: Mapping[str, Any] | None = None,
    alvys_conn_id: str | None = None,
    tenant: str | None = None,
    task_id: str | None = None,
    max_active_tis_per_dag: int = 1,
    outlets: Any = None,
    **arguments: Any,
) -> Any:
    """
    Read a period of the past, in windows that are mapped task instances.

    The cursor is not used. Windows are read one at a time, since they share the endpoint's rate limit.
    (Airflow 3.1 does not count deferred tasks: use a pool of one slot with ``include_deferred`` there.)

    :param stream: a stream of the catalogue, such as ``loads``; see ``docs/reference/streams.md``.
    :param start: start of the first window; aware datetime or ISO 8601 text. Not a template: the windows are
        computed while the DAG is parsed.
    :param end: end of the last window; not a template either.
    :param every: length of a window: a timedelta, or ``day``, ``week``, ``month`` or ``year`` of the
        calendar.
    :param path: root of the data set, absolute: ``/data/alvys`` or ``s3://aws_default@bucket/alvys``.
    :param window_by: window kind, such as ``created``; None means the first that an update does not move:
        ``created`` for loads, ``pickup`` for trips. (A backfill of March reads what was created in March, not
        what was updated.)
    :param filters: Alvys's search fields, such as ``{"CustomerId": "…"}``; None means all rows.
    :param alvys_conn_id: the Alvys connection; None means that of ``default_args``, else ``alvys_default``.
    :param tenant: name of the tenant in manifests; None means the connection id.
    :param task_id: name of the task; None means ``backfill_<stream>``.
    :param max_active_tis_per_dag: windows that are read at once; more than 1 helps only with a raised limit.
    :param outlets: further assets, besides the stream's; None means none.
    :param arguments: further arguments, of AlvysToObjectStorageOperator, such as ``file_format`` or
        ``retries``.
    :return: the mapped task; its ``output`` is the list of results.
    :raises AlvysValueError: the stream is read in full or per parent, or a time or length is wrong.
    """
    for name, time in (("start", start), ("end", end)):
        if has_template(time):
            raise AlvysValueError(
                f"{name}={time!r} cannot be a template: alvys_backfill computes its windows while the DAG is "
                "parsed. Give a fixed time, or use AlvysToObjectStorageOperator(since=..., until=...)"
            )
    row = get_stream(stream)
    by = backfill_window(row, window_by)
    check_search(row, filters, None)
    check_data_set(path)
    windows = cut_windows(as_utc(start, "start"), as_utc(end, "end"), every, whole_days=by.whole_days)
    more = [outlets] if isinstance(outlets, (Asset, AssetAlias)) else outlets or ()
    task = AlvysToObjectStorageOperator.partial(
        task_id=task_id or f"backfill_{stream}",
        stream=stream,
        path=path,
        window_by=by.name,
        max_active_tis_per_dag=max_active_tis_per_dag,
        **_given(alvys_conn_id=alvys_conn_id, filters=filters, tenant=tenant),
        outlets=[alvys_asset(stream, path), *more],
        **{**windows_label(row, path), **arguments},
    ).expand_kwargs(windows)
    # Airflow creates the operator of a mapped task only when it runs.
    names = ("file_format", "compression")
    known = defaults_of(task.task_group) if task.task_group else {}
    defaults = {name: known.get(name) for name in names}
    given = {**defaults, **arguments}
    check_format(given["file_format"] or JSONL, given["compression"])
    return task


@explain_duplicates("group_id")
def alvys_first_load(
    stream: str,
    start: datetime | str,
    every: timedelta | str = "month",
    *,
    path: str,
    window_by: str | None = None,
    filters: Mapping[str, Any] | None = None,
    alvys_conn_id: str | None = None,
    tenant: str | None = None,
    file_format: str | None = None,
    compression: str | None = None,
    group_id: str | None = None,
    **arguments: Any,
) -> TaskGroup:
    """
    Load a stream for the first time, and set the cursor for the regular sync: a task group for use in a DAG.

    The stream is read by creation or pickup, since older rows may lack ``UpdatedAt``. Then the rows are
    compared with Alvys's total, missing rows are read, and the cursor is set to the start of this load.

    :param stream: a stream of the catalogue, such as ``loads``; see ``docs/reference/streams.md``.
    :param start: start of the first window, the time of the oldest row; aware datetime or ISO 8601 text.
    :param every: length of a window: a timedelta, or ``day``, ``week``, ``month`` or ``year`` of the
        calendar.
    :param path: root of the data set, absolute; that of the regular sync.
    :param window_by: window kind, such as ``created``; None means the first that an update does not move, as
        for :func:`alvys_backfill`.
    :param filters: Alvys's search fields, such as ``{"CustomerId": "…"}``; those of the regular sync.
    :param alvys_conn_id: the Alvys connection; None means that of ``default_args``, else ``alvys_default``.
    :param tenant: name of the tenant in manifests; that of the regular sync.
    :param file_format: ``jsonl`` or ``parquet``; None means that of ``default_args``, else ``jsonl``.
    :param compression: ``gzip`` or None; for Parquet ``gzip``, ``zstd`` or None (snappy).
    :param group_id: name of the group; None means ``first_load_<stream>``.
    :param arguments: further arguments of the group, such as ``default_args``.
    :return: the group.
    :raises AlvysValueError: each sync reads the stream in full, so that it needs no first load.
    """
    row = get_stream(stream)
    by = backfill_window(row, window_by)
    check_first_load(row)
    check_search(row, filters, None)
    check_data_set(path, fixed_for=CURSOR)
    common: dict[str, Any] = {"stream": stream, "path": path}
    common |= _given(alvys_conn_id=alvys_conn_id, filters=filters)
    landing = _given(tenant=tenant, file_format=file_format, compression=compression)
    with make_group(group_id or f"first_load_{stream}", arguments) as group:
        begin = AlvysBeginFirstLoadOperator(
            task_id="begin",
            task_display_name=f"Plan first load of {words(row)}",
            start=start,
            every=every,
            window_by=by.name,
            **common,
        )
        output = cast("Any", begin.output)
        windows = AlvysToObjectStorageOperator.partial(
            task_id="windows",
            **unless_default(group, windows_label(row, path)),
            window_by=by.name,
            max_active_tis_per_dag=1,
            outlets=[alvys_asset(stream, path)],
            **common,
            **landing,
        ).expand_kwargs(begin.output)
        AlvysHandOverOperator(
            task_id="hand_over",
            task_display_name=f"Check {words(row)} and set cursor",
            begun=output[BEGUN],
            total=output[TOTAL],
            landed=windows.output,
            outlets=[alvys_asset(stream, path)],
            **common,
            **landing,
        )
    return group
