"""Task groups that sync many streams, read the past, and load for the first time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from airflow.sdk import Asset, AssetAlias, BaseOperator, TaskGroup

from airflow_provider_alvys.api.catalogue.stream_spec import WHOLE
from airflow_provider_alvys.api.catalogue.streams import Stream, get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.windows import as_timedelta, as_utc
from airflow_provider_alvys.assets import alvys_asset, alvys_table_asset
from airflow_provider_alvys.landing.formats.registry import JSONL, check_format
from airflow_provider_alvys.landing.jobs.initial_load import backfill_window, check_first_load, cut_windows
from airflow_provider_alvys.landing.jobs.parents import RecentParents
from airflow_provider_alvys.landing.jobs.spec import SETTLING
from airflow_provider_alvys.parse_checks import check_data_set, check_search, has_template
from airflow_provider_alvys.task_groups.tiers import Sync, choose_syncs
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

# The time from which on the run could have begun: the same for all its tasks, their retries, and after clearing.
_RUN_TIME = "dag_run.run_after"
SWEEP_TASK = "sweep"


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
    sql_conn_id: str | None = None,
    schema: str | None = None,
    exclude: Mapping[str, Sequence[str]] | None = None,
    group_id: str = "alvys_sync",
    **arguments: Any,
) -> TaskGroup:
    """
    Sync many streams into a data set: a task group for use inside a DAG.

    Each stream has an asset as its outlet (:func:`airflow_provider_alvys.assets.alvys_asset`) and a task of its name: ``loads``;
    by another window than its regular one ``loads_created``, ``maintenance_whole``. Where two or more streams are read whole,
    without parents and without filters, they share the task ``sweep``, unless ``on_missing_scope="skip"``. Windows end at the
    same moment for all of them: when the run became due, less ``settling``. Parents come before their children, and no two tasks
    of the group call the same endpoint at once.

    :param path: root of the data set, absolute, the same for every run; may have a template. See
        AlvysToObjectStorageOperator.
    :param streams: names in the catalogue; None means all that have the tier.
    :param tier: how often this runs, one or several of those in ``docs/streams.md``: ``hourly``, ``daily``, ``weekly`` and so on.
        It chooses the window, how far back it reaches, and, without ``streams``, the streams; those that are named must have one
        of them. None means each stream's first.
    :param alvys_conn_id: the Alvys connection; None means that of ``default_args``, else ``alvys_default``.
    :param tenant: name of the tenant in manifests; None means the connection id.
    :param initial_since: start of the first window, while a stream has no cursor, or none that knows a parent yet.
    :param filters: by stream: ``{"loads": {"CustomerId": "…"}}``.
    :param parents: by stream that has parents, whose children; None means those of which the catalogue expects news, found in
        this data set: documents of loads delivered in the last 14 days, say. See AlvysToObjectStorageOperator.
    :param settling: how long before the run's time the windows end; timedelta or seconds. None means 1 minute.
    :param overlap: how far windows reach back before the cursor; timedelta or seconds. None means the catalogue's.
    :param file_format: ``jsonl`` or ``parquet``, see AlvysToObjectStorageOperator; None means that of ``default_args``, else
        ``jsonl``.
    :param compression: of the files: ``gzip`` or None; inside of Parquet ``gzip``, ``zstd`` or None, which is snappy.
    :param on_missing_scope: ``fail`` or ``skip`` the task of a stream whose scope the token lacks; None means that of
        ``default_args``, else ``fail``.
    :param sql_conn_id: of a database into whose tables each stream is loaded once it has landed, by a task ``load_<stream>`` with
        the asset :func:`airflow_provider_alvys.assets.alvys_table_asset`; None for no database. See
        AlvysObjectStorageToSqlOperator.
    :param schema: of the tables; None means the connection's own.
    :param exclude: by stream: fields to keep out of the database, such as ``{"customers": ["Email", "Contacts"]}``.
    :param group_id: the group's name.
    :param arguments: of the group, such as ``default_args`` (whose entries reach every task) or ``tooltip``.
    :return: the group.
    :raises AlvysValueError: an unknown stream or tier, or an argument for a stream that is not in the group.
    """
    syncs = choose_syncs(streams, tier)
    names = [sync.stream.name for sync in syncs]
    for given, name in ((filters, "filters"), (parents, "parents"), (exclude, "exclude")):
        strangers = sorted(set(given or ()) - set(names))
        if strangers:
            raise AlvysValueError(
                f"{name} names {', '.join(strangers)}, but the group syncs {', '.join(names)}"
            )
    if sql_conn_id is None and (schema is not None or exclude is not None):
        raise AlvysValueError("schema and exclude are for the tables of a database: give sql_conn_id, too")
    settled = as_timedelta(SETTLING if settling is None else settling, "settling").total_seconds()
    common: dict[str, Any] = {
        "path": path,
        "max_active_tis_per_dag": 1,
        **_given(alvys_conn_id=alvys_conn_id, tenant=tenant, on_missing_scope=on_missing_scope),
        **_given(file_format=file_format, compression=compression),
    }
    tasks: dict[Sync, BaseOperator] = {}
    with TaskGroup(group_id, **arguments) as group:
        shared = [
            sync
            for sync in syncs
            if sync.is_whole and not sync.stream.parent and sync.stream.name not in (filters or {})
        ]
        # Skipped on its own, so that no event tells of what was not landed.
        if len(shared) > 1 and (on_missing_scope or _default(group, "on_missing_scope")) != "skip":
            sweep = AlvysSweepToObjectStorageOperator(
                task_id=SWEEP_TASK,
                streams=[sync.stream.name for sync in shared],
                outlets=[alvys_asset(sync.stream.name, path) for sync in shared],
                **common,
            )
            tasks |= dict.fromkeys(shared, sweep)
        endpoints = {sync.stream.endpoint for sync in tasks}
        for sync in syncs:
            if sync not in tasks:
                # Children are asked for whether their parents' task had anything to do or not, and so is what only waits for its
                # turn at the endpoint.
                is_behind = sync.stream.parent is not None or sync.stream.endpoint in endpoints
                endpoints.add(sync.stream.endpoint)
                tasks[sync] = AlvysToObjectStorageOperator(
                    task_id=sync.task_id,
                    stream=sync.stream.name,
                    outlets=[alvys_asset(sync.stream.name, path)],
                    **_given(
                        filters=(filters or {}).get(sync.stream.name),
                        parents=_parents_of(sync.stream, parents),
                    ),
                    **(
                        {"window_by": WHOLE}
                        if sync.is_whole
                        else _window(sync, initial_since, settled, overlap)
                    ),
                    **_given(trigger_rule="none_failed" if is_behind else None),
                    **common,
                )
        _put_in_order(tasks)
        if sql_conn_id is not None:
            _add_loads(tasks, path, sql_conn_id, schema, exclude or {})
    return group


def _parents_of(stream: Stream, given: Mapping[str, Any] | None) -> Any:
    if stream.parent is None or stream.name in (given or {}):
        return (given or {}).get(stream.name)
    return RecentParents()


def _given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are given: the others are left to ``default_args``."""
    return {name: value for name, value in arguments.items() if value is not None}


def _default(group: TaskGroup, name: str) -> Any:
    """Return an argument that ``default_args`` have for the tasks of a group: its own and its outer groups', else the DAG's."""
    return {**(group.dag.default_args if group.dag else {}), **group.default_args}.get(name)


def _window(
    sync: Sync, initial_since: datetime | str | None, settled: float, overlap: timedelta | float | None
) -> dict[str, Any]:
    tier = sync.tier
    begins = initial_since
    if tier.sweep and tier.window not in (None, sync.stream.default_window) and tier.look_back is not None:
        # It has a cursor of its own, and what lies before it is known from elsewhere.
        begins = _run_time(tier.look_back.total_seconds())
    return _given(
        window_by=tier.window,
        until=_run_time(settled),
        initial_since=begins,
        settling=settled,
        overlap=tier.overlap if overlap is None else overlap,
        look_back=tier.look_back,
        look_ahead=tier.look_ahead,
    )


def _run_time(seconds_before: float) -> str:
    return f"{{{{ ({_RUN_TIME} - macros.timedelta(seconds={seconds_before!r})).isoformat() }}}}"


def _put_in_order(tasks: Mapping[Sync, BaseOperator]) -> None:
    """Let parents come before their children, and tasks for one endpoint one after the other."""
    last: dict[str, BaseOperator] = {}
    for sync, task in tasks.items():
        before = last.get(str(sync.stream.endpoint))
        if before is not None and before is not task:
            before >> task
        last[str(sync.stream.endpoint)] = task
        for other, parent in tasks.items():
            if sync.stream.parent and other.stream.name == sync.stream.parent.stream and parent is not task:
                parent >> task


def _add_loads(
    tasks: Mapping[Sync, BaseOperator],
    path: str,
    sql_conn_id: str,
    schema: str | None,
    exclude: Mapping[str, Sequence[str]],
) -> None:
    """Let each stream be loaded when all that is landed of it has come."""
    loads: dict[str, BaseOperator] = {}
    for sync, task in tasks.items():
        name = sync.stream.name
        if name not in loads:
            loads[name] = AlvysObjectStorageToSqlOperator(
                task_id=f"load_{name}",
                sql_conn_id=sql_conn_id,
                path=path,
                stream=name,
                outlets=[alvys_table_asset(name, sql_conn_id, schema=schema)],
                max_active_tis_per_dag=1,
                # What an earlier run has landed is loaded, though this one had nothing to land.
                trigger_rule="none_failed",
                **_given(schema=schema, exclude=exclude.get(name)),
            )
        task >> loads[name]


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
    Read a stretch of the past, in windows that are mapped task instances.

    No cursor is looked at or moved. One window at a time is read, since they share an endpoint and its limit. (Airflow 3.1 does
    not count deferred tasks: put them into a pool of one slot with ``include_deferred`` there.)

    :param stream: name in the catalogue.
    :param start: start of the first window; aware datetime or ISO 8601 text. No template: the windows are made while
        the DAG is parsed.
    :param end: end of the last one; no template either.
    :param every: how long each is: a timedelta, or ``day``, ``week``, ``month`` or ``year`` of the calendar.
    :param path: root of the data set, absolute.
    :param window_by: which of the stream's windows; None means the first that an update does not move: ``created`` for loads,
        ``pickup`` for trips. (A backfill of March is what was created then, not what was touched.)
    :param filters: Alvys's own search fields.
    :param alvys_conn_id: the Alvys connection; None means that of ``default_args``, else ``alvys_default``.
    :param tenant: name of the tenant in manifests; None means the connection id.
    :param task_id: None means ``backfill_<stream>``.
    :param max_active_tis_per_dag: how many windows are read at once; more only make sense where the limit was raised.
    :param arguments: of AlvysToObjectStorageOperator and of every Airflow task, such as ``file_format``, ``compression`` or
        ``retries``; ``outlets`` are added to the stream's own.
    :return: the mapped task; its ``output`` is the list of what was landed.
    :raises AlvysValueError: the stream is read whole or per parent, or a time or length is wrong.
    """
    for name, time in (("start", start), ("end", end)):
        if has_template(time):
            raise AlvysValueError(
                f"{name}={time!r} cannot be a template: the windows of alvys_backfill are made while the DAG is parsed. Give a "
                "fixed time, or one window to AlvysToObjectStorageOperator, whose since and until may be templates"
            )
    row = get_stream(stream)
    by = backfill_window(row, window_by)
    check_search(row, filters, None)
    check_data_set(path, uses_cursor=False)
    windows = cut_windows(as_utc(start, "start"), as_utc(end, "end"), every, whole_days=by.whole_days)
    task = AlvysToObjectStorageOperator.partial(
        task_id=task_id or f"backfill_{stream}",
        stream=stream,
        path=path,
        window_by=by.name,
        max_active_tis_per_dag=max_active_tis_per_dag,
        **_given(alvys_conn_id=alvys_conn_id, filters=filters, tenant=tenant),
        outlets=[
            alvys_asset(stream, path),
            *([outlets] if isinstance(outlets, (Asset, AssetAlias)) else outlets or ()),
        ],
        **arguments,
    ).expand_kwargs(windows)
    # A mapped task is not made before it runs, and checks nothing of what it is given.
    defaults = {
        name: _default(task.task_group, name) if task.task_group else None
        for name in ("file_format", "compression")
    }
    given = {**defaults, **arguments}
    check_format(given["file_format"] or JSONL, given["compression"])
    return task


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
    Load a stream for the first time, and hand over to the sync with a cursor: a task group for use inside a DAG.

    It reads by creation or pickup (older rows lack ``UpdatedAt``), month by month until now, compares what was landed with the
    total that Alvys gives without a window, reads what is missing, and sets the cursor to when it began. The next run of the
    regular sync goes on from there.

    :param stream: name in the catalogue.
    :param start: from when on; nothing is older; aware datetime or ISO 8601 text.
    :param every: how long each window is: a timedelta, or ``day``, ``week``, ``month`` or ``year`` of the calendar.
    :param path: root of the data set, absolute: that of the regular sync.
    :param window_by: see :func:`alvys_backfill`.
    :param filters: Alvys's own search fields: those of the regular sync.
    :param alvys_conn_id: the Alvys connection; None means that of ``default_args``, else ``alvys_default``.
    :param tenant: that of the regular sync.
    :param file_format: ``jsonl`` or ``parquet``, see AlvysToObjectStorageOperator; None means that of ``default_args``, else
        ``jsonl``.
    :param compression: of the files: ``gzip`` or None; inside of Parquet ``gzip``, ``zstd`` or None, which is snappy.
    :param group_id: None means ``first_load_<stream>``.
    :param arguments: of the group, such as ``default_args``.
    :return: the group.
    :raises AlvysValueError: the stream is read whole at every sync, and needs no first load.
    """
    row = get_stream(stream)
    by = backfill_window(row, window_by)
    check_first_load(row)
    check_search(row, filters, None)
    check_data_set(path, uses_cursor=True)
    common: dict[str, Any] = {"stream": stream, **_given(alvys_conn_id=alvys_conn_id)}
    landing: dict[str, Any] = {
        "path": path,
        **_given(filters=filters, tenant=tenant, file_format=file_format, compression=compression),
    }
    with TaskGroup(group_id or f"first_load_{stream}", **arguments) as group:
        begin = AlvysBeginFirstLoadOperator(
            task_id="begin",
            path=path,
            start=start,
            every=every,
            window_by=by.name,
            **common,
            **_given(filters=filters),
        )
        output = cast("Any", begin.output)
        windows = AlvysToObjectStorageOperator.partial(
            task_id="windows",
            window_by=by.name,
            max_active_tis_per_dag=1,
            outlets=[alvys_asset(stream, path)],
            **common,
            **landing,
        ).expand_kwargs(begin.output)
        AlvysHandOverOperator(
            task_id="reconcile_and_set_cursor",
            begun=output[BEGUN],
            total=output[TOTAL],
            landed=windows.output,
            outlets=[alvys_asset(stream, path)],
            **common,
            **landing,
        )
    return group
