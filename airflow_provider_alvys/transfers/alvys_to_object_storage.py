"""Alvys's rows into files on local disk or object storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetAlias, ObjectStoragePath

from airflow_provider_alvys._compat import AirflowSkipException
from airflow_provider_alvys.api.catalogue.stream_spec import WHOLE
from airflow_provider_alvys.api.catalogue.streams import Stream, get_stream, get_streams
from airflow_provider_alvys.api.errors import AlvysError, AlvysPermissionError, AlvysValueError, is_hopeless
from airflow_provider_alvys.api.read.windows import ALL_TIME, MAX_WINDOW_ROWS, Window, as_timedelta, as_utc
from airflow_provider_alvys.assets import alvys_asset
from airflow_provider_alvys.base_operator import DEFERRABLE, emit_asset_event, outlet_events, run_identity_of
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.formats.registry import JSONL, check_format
from airflow_provider_alvys.landing.jobs.parents import AlvysParentsError, RecentParents, check_parents
from airflow_provider_alvys.landing.jobs.spec import OVERLAP, SETTLING, TIMES, SyncSpec
from airflow_provider_alvys.parse_checks import check_data_set, check_search, has_template, normalize_path
from airflow_provider_alvys.transfers.base import DEFER_AFTER, AlvysLandingTask

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.api.http.client import AlvysClient


class AlvysToObjectStorageOperator(AlvysLandingTask):
    """
    Land a stream's rows as files: every row of the window, once, as Alvys sent it.

    Without ``since`` the window begins where the last whole run ended. That cursor is kept with the data, and moves only when
    this run was proved whole. A retry reads the same window again. A stream that has no window on its changes is read whole.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param stream: name in the catalogue, such as ``loads``; ``docs/streams.md`` lists them.
    :param path: root of the data set, absolute: ``/data/alvys`` or ``s3://aws_default@bucket/alvys``. With a cursor it must be
        the same for every run. (templated)
    :param filters: Alvys's own search fields; None means everything. (templated)
    :param window_by: which of the stream's windows; None means its regular one, ``updated`` for loads; ``whole`` means none:
        everything there is. (templated)
    :param since: start of the window, with a zone; None means the cursor. (templated)
    :param until: end of the window; None means now, less ``settling``. Where the cursor is there already, the task skips.
        (templated)
    :param initial_since: start of the first window, while there is no cursor; of events that are read per parent, the first for
        each parent, which may be new at any run. (templated)
    :param full_refresh: True to start over from ``initial_since``; not with ``since``.
    :param overlap: how far a window reaches back before the cursor; timedelta or seconds. None means 5 minutes.
    :param settling: how long before now a window ends; timedelta or seconds. None means 1 minute.
    :param look_back: for business dates: how far before the cursor the window begins, in whole UTC days; timedelta or seconds.
        None means the catalogue's.
    :param look_ahead: for business dates: how far after now it ends. None means the catalogue's.
    :param parents: for streams that are read per parent, whose children: a list of ids; what the parent's sync returned (its
        XCom), or the path of its manifest, for the children of what changed; or RecentParents. (templated)
    :param tenant: name of the tenant in manifests; None means the connection id. (templated)
    :param file_format: ``jsonl``: a row a line, byte for byte as Alvys sent it; or ``parquet``: typed columns, for which
        pyarrow must be installed.
    :param compression: ``gzip`` or None; inside of Parquet ``gzip``, ``zstd`` or None, which is snappy.
    :param part_rows: rows to a part file; None means 20 pages.
    :param page_size: rows asked for at once; None means the connection's, else the catalogue's (200).
    :param max_window_rows: a window with more rows is cut in half, and again, down to a minute.
    :param skip_when_empty: skip when there are no rows, so that nothing downstream runs.
    :param on_missing_scope: ``fail`` or ``skip`` when the token lacks the stream's scope, or that of parents of which none was
        ever landed. Another refusal fails.
    :param defer_after: seconds of waiting from which a deferrable task frees its slot.
    :param deferrable: free the slot during long waits for the rate limit.
    :return: ``{"manifest", "path", "stream", "tenant", "since", "until", "rows", "proof"}``: texts, and ``rows`` a number. The
        events of outlet assets carry the same.
    :raises AlvysValueError: an argument is wrong, while the DAG is parsed where it can be told then; or RecentParents looks where
        none was ever landed.
    :raises AlvysIncompleteError: the window could not be proved whole; the cursor stays.
    """

    template_fields: Sequence[str] = (
        "alvys_conn_id",
        "path",
        "filters",
        "window_by",
        "since",
        "until",
        "initial_since",
        "parents",
        "tenant",
    )
    template_fields_renderers = {"filters": "json"}  # noqa: RUF012
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
        self._window_is_given = since is not None
        self._templates = {
            name: time
            for name, time in self._given_times().items()
            if isinstance(time, str) and has_template(time)
        }
        self._check_arguments()

    def _check_arguments(self) -> None:
        """Refuse what is wrong already, where it is not templated."""
        row = get_stream(self.stream)
        check_search(row, self.filters, self.window_by)
        check_format(self.file_format, self.compression)
        check_on_missing_scope(self.on_missing_scope)
        for name in ("part_rows", "page_size", "max_window_rows"):
            value = getattr(self, name)
            if value is not None and not (
                isinstance(value, int) and not isinstance(value, bool) and value >= 1
            ):
                raise AlvysValueError(f"{name}={value!r} must be a number of rows, 1 or more")
        if not isinstance(self.full_refresh, bool):
            raise AlvysValueError(f"full_refresh={self.full_refresh!r} must be True or False")
        if self.full_refresh and self.since is not None:
            raise AlvysValueError(
                "full_refresh starts over from initial_since: leave since out, or full_refresh"
            )
        if row.max_page_size and (self.page_size or 0) > row.max_page_size:
            raise AlvysValueError(
                f"page_size={self.page_size} is more than Alvys takes for {self.stream}: {row.max_page_size}"
            )
        if not has_template(self.parents):
            check_parents(row, self.parents)
        given = self._given_times()
        known = {name: as_utc(time, name) for name, time in given.items() if not has_template(time)}
        self._check_times(known)
        # All the rest that an order can tell, as soon as no template is in the way. Of times it tells whether they are given.
        order = self._make_order(row, dict.fromkeys(given, ALL_TIME.since) | known, page_size=self.page_size)
        if not (has_template(self.window_by) or has_template(self.filters) or has_template(self.parents)):
            order.check()
        uses_cursor = self.since is None and (
            has_template(self.window_by) or row.window(self.window_by) is not None
        )
        check_data_set(self.path, uses_cursor=uses_cursor)

    def _given_times(self) -> dict[str, Any]:
        return {name: time for name in TIMES if (time := getattr(self, name)) is not None}

    def _check_times(self, known: Mapping[str, datetime]) -> None:
        if "since" in known and "until" in known:
            Window(known["since"], known["until"])
        if "initial_since" in known and "until" in known and known["initial_since"] > known["until"]:
            raise AlvysValueError(
                f"initial_since={self.initial_since} is after until={self.until}: give the start of all that is wanted"
            )

    def land(self, context: Context, client: AlvysClient, *, is_resumed: bool) -> dict[str, Any]:
        """Read the window, write parts and manifest, move the cursor."""
        from airflow_provider_alvys.landing.jobs.sync import NothingDueError, land

        if self._window_is_given and self.since is None:
            raise AlvysValueError(
                "The template of since gave None: give a time, or leave since out to use the cursor"
            )
        events = outlet_events(context, self)
        store = Store(self.path)
        times = {name: as_utc(time, name) for name, time in self._given_times().items()}
        order = self._make_order(
            get_stream(self.stream), times, page_size=self.page_size or self.hook.settings.page_size
        )
        config_hash = order.fingerprint(store.path, **self._templates)
        try:
            result = land(
                client,
                store,
                order,
                run_identity_of(context, self),
                config_hash=config_hash,
                is_resumed=is_resumed,
            )
        except NothingDueError as nothing:
            raise AirflowSkipException(str(nothing)) from nothing
        except AlvysPermissionError as error:
            if self.on_missing_scope == "skip" and error.missing_scope:
                raise AirflowSkipException(str(error)) from error
            raise
        except AlvysParentsError as error:
            scope = error.stream.scope
            if self.on_missing_scope == "skip" and client.scopes is not None and scope not in client.scopes:
                raise AirflowSkipException(f"{error}. The token lacks the scope {scope}") from error
            raise
        for outlet, event in events:
            emit_asset_event(outlet, event, result)
        if self.skip_when_empty and not result["rows"]:
            raise AirflowSkipException(f"There are no {self.stream} in the window")
        return result

    def _make_order(
        self, stream: Stream, times: Mapping[str, datetime], *, page_size: int | None
    ) -> SyncSpec:
        return SyncSpec(
            stream=stream,
            tenant=self.tenant or self.alvys_conn_id,
            filters=self.filters or {},
            window_by=self.window_by,
            since=times.get("since"),
            until=times.get("until"),
            initial_since=times.get("initial_since"),
            full_refresh=self.full_refresh,
            overlap=as_timedelta(OVERLAP if self.overlap is None else self.overlap, "overlap"),
            settling=as_timedelta(SETTLING if self.settling is None else self.settling, "settling"),
            look_back=None if self.look_back is None else as_timedelta(self.look_back, "look_back"),
            look_ahead=None if self.look_ahead is None else as_timedelta(self.look_ahead, "look_ahead"),
            parents=self.parents,
            file_format=self.file_format,
            compression=self.compression,
            part_rows=self.part_rows,
            page_size=page_size,
            max_window_rows=self.max_window_rows,
        )


class AlvysSweepToObjectStorageOperator(AlvysLandingTask):
    """
    Land several small streams, each whole and on its own, one after the other in one task.

    A stream that fails does not keep the others from being landed; the task fails afterwards.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param streams: names in the catalogue, such as ``["drivers", "trucks"]``, of what can be read whole and has no parents.
    :param path: root of the data set, absolute. (templated)
    :param tenant: name of the tenant in manifests; None means the connection id. (templated)
    :param file_format: ``jsonl`` or ``parquet``; see AlvysToObjectStorageOperator.
    :param compression: of the files; see AlvysToObjectStorageOperator.
    :param on_missing_scope: ``fail`` or ``skip`` when the token lacks a stream's scope. Another refusal fails. Airflow sends the
        event of a skipped stream's asset all the same, without an extra: give each a task of its own where that matters.
    :param defer_after: seconds of waiting from which a deferrable task frees its slot.
    :param deferrable: free the slot during long waits for the rate limit.
    :return: a list of what AlvysToObjectStorageOperator returns for one stream. The event of each asset made by
        :func:`airflow_provider_alvys.assets.alvys_asset` carries its stream's.
    :raises AlvysValueError: while the DAG is parsed: a stream that there is not, that stands there twice or that cannot be read
        whole, or another argument that is wrong.
    :raises AlvysError: the first error of a stream, when the others have been landed.
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
        # As the outlets are named: their templates stay as they stand.
        self._stream_of = {alvys_asset(stream, str(self.path)).name: stream for stream in self.streams}
        check_data_set(self.path, uses_cursor=False)
        check_format(file_format, compression)
        check_on_missing_scope(on_missing_scope)
        for order in self._make_orders(page_size=None):
            if order.stream.parent is not None:
                raise AlvysValueError(
                    f"{order.stream.name} are read per row of {order.stream.parent.stream}, not whole: use "
                    "AlvysToObjectStorageOperator, and give parents"
                )
            order.check()

    def land(self, context: Context, client: AlvysClient, *, is_resumed: bool) -> list[dict[str, Any]]:
        """Land each stream."""
        from airflow_provider_alvys.landing.jobs.batch import SyncBatch

        events = outlet_events(context, self)
        landings = SyncBatch(client, Store(self.path), run_identity_of(context, self), is_resumed=is_resumed)
        results: list[dict[str, Any]] = []
        failed: list[AlvysError] = []
        for order in self._make_orders(page_size=self.hook.settings.page_size):
            try:
                results.append(landings.land(order))
            except AlvysPermissionError as error:
                self.log.warning("%s cannot be landed: %s", order.stream.name, error)
                if self.on_missing_scope == "fail" or not error.missing_scope:
                    failed.append(error)
            except AlvysError as error:
                self.log.exception("%s failed", order.stream.name)
                failed.append(error)
        if failed:
            self.log.error("%d of %d streams failed", len(failed), len(self.streams))
            # One that a retry can mend, if there is one: the retry reads what is not landed yet.
            raise next((error for error in failed if not is_hopeless(error)), failed[0])
        landings.end()
        if not results:
            raise AirflowSkipException(f"The token may read none of {', '.join(self.streams)}")
        stream_of = self._stream_of | {
            alvys_asset(result["stream"], result["path"]).name: result["stream"] for result in results
        }
        for outlet, event in events:
            for result in results:
                if isinstance(outlet, AssetAlias) or stream_of.get(outlet.name) == result["stream"]:
                    emit_asset_event(outlet, event, result)
        return results

    def _make_orders(self, *, page_size: int | None) -> list[SyncSpec]:
        tenant = self.tenant or self.alvys_conn_id
        return [
            SyncSpec(
                stream,
                tenant,
                window_by=WHOLE,
                file_format=self.file_format,
                compression=self.compression,
                page_size=page_size,
            )
            for stream in map(get_stream, self.streams)
        ]


def check_on_missing_scope(value: str) -> None:
    """Refuse anything but the two choices."""
    if value not in ("fail", "skip"):
        raise AlvysValueError(f"on_missing_scope={value!r} must be 'fail' or 'skip'")
