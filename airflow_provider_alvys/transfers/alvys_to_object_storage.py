"""Operators that land rows as files on local disk or object storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetAlias, ObjectStoragePath

from airflow_provider_alvys._compat import AirflowSkipException
from airflow_provider_alvys.api.catalogue.stream_spec import WHOLE
from airflow_provider_alvys.api.catalogue.streams import get_stream, get_streams
from airflow_provider_alvys.api.errors import AlvysError, AlvysPermissionError, AlvysValueError, is_hopeless
from airflow_provider_alvys.api.read.windows import ALL_TIME, MAX_WINDOW_ROWS, Window, as_timedelta, as_utc
from airflow_provider_alvys.api.suggestions import suggest
from airflow_provider_alvys.assets import alvys_asset
from airflow_provider_alvys.base_operator import DEFERRABLE, emit_asset_event, outlet_events, run_identity_of
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.formats.registry import JSONL, check_format
from airflow_provider_alvys.landing.jobs.parents import AlvysParentsError, RecentParents, check_parents
from airflow_provider_alvys.landing.jobs.spec import TIMES, SyncSpec
from airflow_provider_alvys.parse_checks import (
    CURSOR,
    check_data_set,
    check_search,
    has_template,
    is_reference,
    normalize_path,
)
from airflow_provider_alvys.tracebacks import shorten
from airflow_provider_alvys.transfers.base import DEFER_AFTER, AlvysLandingTask

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.api.http.client import AlvysClient

__all__ = ["AlvysSweepToObjectStorageOperator", "AlvysToObjectStorageOperator"]


class AlvysToObjectStorageOperator(AlvysLandingTask):
    """
    Land the rows of a stream as files: every row of the window, once, as Alvys sent it.

    Without ``since`` the window starts at the cursor, which is stored with the data. The cursor moves only
    after a complete run. A retry resumes. Streams without a window on changes are read in full.

    Asset event: each outlet gets one, and its extra is the result. An asset alias gets the asset of the
    stream.

    Cost: one request per page of 200 rows, and one more to check the total of several pages; for a stream
    that is read per parent, one per parent. ``python -m airflow_provider_alvys plan`` counts them.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param stream: a stream of the catalogue, such as ``loads``; see ``docs/reference/streams.md``.
    :param path: root of the data set, absolute: ``/data/alvys`` or ``s3://aws_default@bucket/alvys``. With a
        cursor it must be the same for every run. (templated)
    :param filters: Alvys's search fields, such as ``{"CustomerId": "…"}``; None means all rows. (templated)
    :param window_by: window kind, such as ``created``; None means the stream's regular one, ``updated`` for
        loads; ``whole`` reads the stream without a window. (templated)
    :param since: start of the window, with a time zone; None means the cursor. (templated)
    :param until: end of the window; None means ``settling`` before now. If the cursor is already there, the
        task is skipped. (templated)
    :param initial_since: start of the first window of a stream, or of a parent, without a cursor. (templated)
    :param full_refresh: whether to start again at ``initial_since``; not with ``since``.
    :param overlap: lookback before the cursor; timedelta or seconds. None means 5 minutes.
    :param settling: time between the end of the window and now; timedelta or seconds. None means 1 minute.
    :param look_back: lookback for business dates, in complete UTC days; timedelta or seconds. None means the
        catalogue's.
    :param look_ahead: lookahead after now for business dates; timedelta or seconds. None means the
        catalogue's.
    :param parents: parents of a stream that is read per parent: a list of ids, the output of their sync (its
        XCom), the path of its manifest, or RecentParents. Other streams take none. (templated)
    :param tenant: name of the tenant in manifests; None means the connection id. (templated)
    :param file_format: ``jsonl`` or ``parquet``: one row per line, byte for byte as Alvys sent it, or typed
        columns, which need pyarrow.
    :param compression: ``gzip`` or None; for Parquet ``gzip``, ``zstd`` or None (snappy).
    :param part_rows: rows per part; None means 20 pages.
    :param page_size: rows per request; None means the connection's, else the catalogue's (200).
    :param max_window_rows: rows per window: a window with more is halved, down to a minute.
    :param skip_when_empty: whether to skip downstream tasks if there are no rows.
    :param on_missing_scope: ``fail`` or ``skip`` if the token lacks the scope of the stream, or of parents
        that have never landed. Other refusals fail.
    :param fail_on_open: whether to fail if rows may be missing (proof ``open``): the rows land, the cursor
        stays, and a retry reads the same rows again. If not, the task logs a warning.
    :param defer_after: a deferrable task frees its slot for waits of more seconds than this.
    :param deferrable: whether to free the slot during long waits for the rate limit. Airflow's ``[operators]
        default_deferrable`` is the default.
    :return: ``{"manifest", "path", "stream", "tenant", "since", "until", "rows", "proof", "as_of",
        "requests", "waited", "seconds", "attempt", "bytes", "cadence"}``: the path of the manifest, the root
        of the data set, stream and tenant, the window (None without one), the number of rows, and ``whole``
        or ``open``; the time at which the rows are the stream's state, without a window the start of the
        reading; the number of pages; the seconds of waiting for the rate limit and of the reading, both with
        deferrals; the number of the attempt; the size of the parts; the seconds between two regular syncs,
        or None if this is none.
    :raises AlvysValueError: an argument is wrong, raised while the DAG is parsed if it is not templated; or
        no parent has ever landed.
    :raises AlvysIncompleteError: the window could not be proved complete. The cursor did not move. A retry
        may help. With ``manifest`` set, the rows have landed (``fail_on_open``).
    :raises AlvysStorageError: a file of the data set is missing, damaged, or cannot be written.
    """

    template_fields: Sequence[str] = tuple(
        "alvys_conn_id path filters window_by since until initial_since parents tenant".split()
    )
    template_fields_renderers = {"filters": "json"}  # noqa: RUF012
    # Without since, a run would use the cursor.
    none_fields = ("window_by", "until", "initial_since")
    ui_color = "#d7ebf7"

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        stream: str,
        path: str | ObjectStoragePath | PurePath,
        filters: Mapping[str, Any] | None = None,
        window_by: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        initial_since: datetime | str | None = None,
        full_refresh: bool = False,
        overlap: timedelta | float | None = None,
        settling: timedelta | float | None = None,
        look_back: timedelta | float | None = None,
        look_ahead: timedelta | float | None = None,
        parents: RecentParents | Mapping[str, Any] | Sequence[Any] | None = None,
        tenant: str | None = None,
        file_format: str = JSONL,
        compression: str | None = None,
        part_rows: int | None = None,
        page_size: int | None = None,
        max_window_rows: int = MAX_WINDOW_ROWS,
        skip_when_empty: bool = False,
        on_missing_scope: str = "fail",
        fail_on_open: bool = False,
        defer_after: float = DEFER_AFTER,
        deferrable: bool = DEFERRABLE,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            alvys_conn_id=alvys_conn_id, defer_after=defer_after, deferrable=deferrable, **kwargs
        )
        self.stream = stream
        self.path = normalize_path(path)
        self.filters = filters
        self.window_by = window_by
        self.since = since
        self.until = until
        self.initial_since = initial_since
        self.full_refresh = full_refresh
        self.overlap = overlap
        self.settling = settling
        self.look_back = look_back
        self.look_ahead = look_ahead
        self.parents = parents
        self.tenant = tenant
        self.file_format = file_format
        self.compression = compression
        self.part_rows = part_rows
        self.page_size = page_size
        self.max_window_rows = max_window_rows
        self.skip_when_empty = skip_when_empty
        self.on_missing_scope = on_missing_scope
        self.fail_on_open = fail_on_open
        self.remember_given()
        times = self._given_times()
        self._templates = {
            name: time for name, time in times.items() if isinstance(time, str) and has_template(time)
        }
        self._check_arguments()

    def _check_arguments(self) -> None:
        """Raise AlvysValueError for arguments that are wrong and not templated."""
        row = get_stream(self.stream)
        check_search(row, self.filters, self.window_by)
        check_format(self.file_format, self.compression)
        check_on_missing_scope(self.on_missing_scope)
        check_fail_on_open(self.fail_on_open)
        for name in ("part_rows", "page_size", "max_window_rows"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise AlvysValueError(f"{name}={value!r} must be a number of rows, 1 or more")
        if not isinstance(self.full_refresh, bool):
            raise AlvysValueError(f"full_refresh={self.full_refresh!r} must be True or False")
        if self.full_refresh and self.since is not None:
            raise AlvysValueError("full_refresh starts at initial_since: leave out since, or full_refresh")
        if row.max_page_size and (self.page_size or 0) > row.max_page_size:
            size = f"page_size={self.page_size}"
            raise AlvysValueError(f"{size} is more than Alvys allows for {self.stream}: {row.max_page_size}")
        if not has_template(self.parents):
            check_parents(row, self.parents)
        given = self._given_times()
        known = {name: as_utc(time, name) for name, time in given.items() if not has_template(time)}
        since, until, start = map(known.get, TIMES)
        if since and until:
            Window(since, until)
        if start and until and start > until:
            raise AlvysValueError(f"initial_since={self.initial_since} is after until={self.until}")
        # For templated times the spec checks only whether they are given.
        spec = self._make_spec(dict.fromkeys(given, ALL_TIME.since) | known, page_size=self.page_size)
        if not any(map(has_template, (self.window_by, self.filters, self.parents))):
            spec.check()
        has_window = has_template(self.window_by) or row.window(self.window_by) is not None
        check_data_set(self.path, fixed_for=CURSOR if self.since is None and has_window else "")

    def _given_times(self) -> dict[str, Any]:
        return {name: time for name in TIMES if (time := getattr(self, name)) is not None}

    def land(self, context: Context, client: AlvysClient, *, is_resumed: bool) -> dict[str, Any]:
        """Read the window, write parts and manifest, and move the cursor."""
        from airflow_provider_alvys.landing.jobs.sync import NothingDueError, land

        events = outlet_events(context, self)
        store = Store(self.path)
        times = {name: as_utc(time, name) for name, time in self._given_times().items()}
        spec = self._make_spec(times, page_size=self.page_size or self.hook.settings.page_size)
        spec.check()
        config_hash = spec.fingerprint(store.path, **self._templates)
        identity = run_identity_of(context, self)
        try:
            result = land(client, store, spec, identity, config_hash=config_hash, is_resumed=is_resumed)
        except NothingDueError as error:
            raise AirflowSkipException(str(error)) from error
        except AlvysPermissionError as error:
            if self.on_missing_scope == "skip" and error.missing_scope:
                raise AirflowSkipException(str(error)) from error
            raise
        except AlvysParentsError as error:
            scope = error.stream.scope if error.stream else None
            is_missing = scope is not None and client.scopes is not None and scope not in client.scopes
            if self.on_missing_scope == "skip" and is_missing:
                raise AirflowSkipException(f"{error}. The token lacks the scope {scope}") from error
            raise
        for outlet, event in events:
            emit_asset_event(outlet, event, result)
        if self.skip_when_empty and not result["rows"]:
            raise AirflowSkipException(f"The window has no {self.stream}")
        return result

    def _make_spec(self, times: Mapping[str, Any], *, page_size: int | None) -> SyncSpec:
        plain = "window_by full_refresh parents file_format compression part_rows fail_on_open".split()
        lengths: dict[str, Any] = {
            name: as_timedelta(length, name)
            for name in ("overlap", "settling", "look_back", "look_ahead")
            if (length := getattr(self, name)) is not None
        }
        return SyncSpec(
            stream=get_stream(self.stream),
            tenant=self.tenant or self.alvys_conn_id,
            filters={} if self.filters is None else self.filters,
            page_size=page_size,
            max_window_rows=self.max_window_rows,
            **times,
            **{name: getattr(self, name) for name in plain},
            **lengths,
        )


class AlvysSweepToObjectStorageOperator(AlvysLandingTask):
    """
    Land several small streams in one task, each in full.

    If a stream fails, the others still land, and then the task fails.

    Asset event: the outlet of each stream (``alvys_asset``) gets one, and its extra is the result of that
    stream.

    Cost: one request per page of 200 rows of each stream, and one more to check the total of several pages.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param streams: streams of the catalogue that are read in full, without parents, such as ``["drivers",
        "trucks"]``.
    :param path: root of the data set, absolute: ``/data/alvys`` or ``s3://aws_default@bucket/alvys``.
        (templated)
    :param tenant: name of the tenant in manifests; None means the connection id. (templated)
    :param file_format: ``jsonl`` or ``parquet``; see AlvysToObjectStorageOperator.
    :param compression: ``gzip`` or None; for Parquet ``gzip``, ``zstd`` or None (snappy).
    :param on_missing_scope: ``fail`` or ``skip`` if the token lacks the scope of a stream. Other refusals
        fail. Airflow emits the asset event of a skipped stream, too, without an extra: use one task per
        stream if that matters.
    :param fail_on_open: whether to fail if rows may be missing (proof ``open``): the rows land, the cursor
        stays, and a retry reads the same rows again. If not, the task logs a warning.
    :param defer_after: a deferrable task frees its slot for waits of more seconds than this.
    :param deferrable: whether to free the slot during long waits for the rate limit. Airflow's ``[operators]
        default_deferrable`` is the default.
    :return: a list with the result of each stream, as of AlvysToObjectStorageOperator.
    :raises AlvysValueError: while the DAG is parsed: a stream is unknown, is given twice or cannot be read in
        full, or another argument is wrong.
    :raises AlvysError: the first error of a stream, after all others have landed.
    """

    template_fields: Sequence[str] = ("alvys_conn_id", "path", "tenant")
    ui_color = "#d7ebf7"

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        streams: Sequence[str],
        path: str | ObjectStoragePath | PurePath,
        tenant: str | None = None,
        file_format: str = JSONL,
        compression: str | None = None,
        on_missing_scope: str = "fail",
        fail_on_open: bool = False,
        defer_after: float = DEFER_AFTER,
        deferrable: bool = DEFERRABLE,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            alvys_conn_id=alvys_conn_id, defer_after=defer_after, deferrable=deferrable, **kwargs
        )
        self.streams = [stream.name for stream in get_streams(streams)]
        self.path = normalize_path(path)
        self.tenant = tenant
        self.file_format = file_format
        self.compression = compression
        self.on_missing_scope = on_missing_scope
        self.fail_on_open = fail_on_open
        # By the assets' names, whose templates are not rendered.
        named = [] if is_reference(self.path) else self.streams
        self._stream_of = {alvys_asset(stream, str(self.path)).name: stream for stream in named}
        check_data_set(self.path)
        check_format(file_format, compression)
        check_on_missing_scope(on_missing_scope)
        check_fail_on_open(fail_on_open)
        for spec in self._make_specs(page_size=None):
            if spec.stream.parent is not None:
                raise AlvysValueError(
                    f"{spec.stream.name} are read per row of {spec.stream.parent.stream}. Use "
                    "AlvysToObjectStorageOperator with parents"
                )
            spec.check()
        self.remember_given()

    def land(self, context: Context, client: AlvysClient, *, is_resumed: bool) -> list[dict[str, Any]]:
        """Land each stream."""
        from airflow_provider_alvys.landing.jobs.batch import SyncBatch

        events = outlet_events(context, self)
        store, identity = Store(self.path), run_identity_of(context, self)
        tenant = self.tenant or self.alvys_conn_id
        batch = SyncBatch(client, store, identity, tenant=tenant, is_resumed=is_resumed)
        results: list[dict[str, Any]] = []
        failed: list[AlvysError] = []
        for spec in self._make_specs(page_size=self.hook.settings.page_size):
            try:
                results.append(batch.land(spec))
            except AlvysPermissionError as error:
                self.log.warning("%s failed: %s", spec.stream.name, error)
                if self.on_missing_scope == "fail" or not error.missing_scope:
                    failed.append(error)
            except AlvysError as error:
                self.log.error("%s failed: %s", spec.stream.name, shorten(error))
                failed.append(error)
        if failed:
            self.log.error("%d of %d streams failed", len(failed), len(self.streams))
            # A retryable one if possible: a retry reads only the streams that have not landed.
            raise next((error for error in failed if not is_hopeless(error)), failed[0])
        batch.end()
        if not results:
            raise AirflowSkipException(f"The token lacks the scopes of {', '.join(self.streams)}")
        stream_of = self._stream_of | {
            alvys_asset(result["stream"], result["path"]).name: result["stream"] for result in results
        }
        for outlet, event in events:
            for result in results:
                if isinstance(outlet, AssetAlias) or stream_of.get(outlet.name) == result["stream"]:
                    emit_asset_event(outlet, event, result)
        return results

    def _make_specs(self, *, page_size: int | None) -> list[SyncSpec]:
        tenant = self.tenant or self.alvys_conn_id
        files: dict[str, Any] = {"file_format": self.file_format, "compression": self.compression}
        streams = map(get_stream, self.streams)
        files |= {"window_by": WHOLE, "page_size": page_size, "fail_on_open": self.fail_on_open}
        return [SyncSpec(stream, tenant, **files) for stream in streams]


def check_fail_on_open(value: bool) -> None:
    """Raise AlvysValueError unless the value is a bool."""
    if not isinstance(value, bool):
        raise AlvysValueError(f"fail_on_open={value!r} must be True or False")


def check_on_missing_scope(value: str) -> None:
    """Raise AlvysValueError unless the value is ``fail`` or ``skip``."""
    choices = ("fail", "skip")
    if value not in choices:
        raise AlvysValueError(f"on_missing_scope={value!r} is not known.{suggest(value, choices, 'Choices')}")
