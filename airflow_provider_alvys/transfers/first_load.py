"""The first and the last task of a first load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.windows import ALL_TIME, as_utc, format_time
from airflow_provider_alvys.base_operator import AlvysTask, emit_asset_event, outlet_events, run_identity_of
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.formats.registry import JSONL, check_format
from airflow_provider_alvys.landing.jobs.initial_load import (
    backfill_window,
    begin_first_load,
    check_first_load,
    cut_windows,
    reconcile_and_set_cursor,
)
from airflow_provider_alvys.landing.jobs.spec import SyncSpec
from airflow_provider_alvys.parse_checks import CURSOR, check_data_set, check_search, has_template
from airflow_provider_alvys.retry_policy import fail_if_not_retryable
from airflow_provider_alvys.transfers.base import AlvysLandingTask

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.api.http.client import AlvysClient

# Keys of its XComs: the start, and the number of rows then.
BEGUN = "begun"
TOTAL = "total"


class AlvysBeginFirstLoadOperator(AlvysTask):
    """
    Record the start of a first load, and return its windows.

    Cost: one request, or some more for a stream that needs several searches.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param stream: a stream of the catalogue, such as ``loads``; see ``docs/reference/streams.md``.
    :param path: root of the data set, absolute, where the pace is stored. (templated)
    :param start: start of the first window; aware datetime or ISO 8601 text. (templated)
    :param every: length of a window: a timedelta, or ``day``, ``week``, ``month`` or ``year`` of the
        calendar.
    :param window_by: window kind, such as ``created``; None means the first that an update does not move:
        ``created`` for loads, ``pickup`` for trips.
    :param filters: Alvys's search fields, such as ``{"CustomerId": "…"}``; those of the regular sync.
        (templated)
    :return: a list of ``{"since", "until"}``, for ``expand_kwargs``. The XCom ``begun`` is the start of the
        load, ``total`` the number of rows at that time.
    :raises AlvysValueError: the stream needs no first load, or an argument is wrong; raised while the DAG is
        parsed if it is not templated.
    """

    template_fields: Sequence[str] = ("alvys_conn_id", "path", "start", "filters")
    template_fields_renderers = {"filters": "json"}  # noqa: RUF012
    ui_color = "#d7ebf7"

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        stream: str,
        path: str,
        start: datetime | str,
        every: timedelta | str = "month",
        window_by: str | None = None,
        filters: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(alvys_conn_id=alvys_conn_id, **kwargs)
        self.stream = stream
        self.path = path
        self.start = start
        self.every = every
        self.window_by = window_by
        self.filters = filters
        row = get_stream(stream)
        check_first_load(row)
        check_search(row, filters, window_by)
        check_data_set(path)
        by = backfill_window(row, window_by)
        # Validates start and every.
        first = ALL_TIME.since if has_template(start) else as_utc(start, "start")
        cut_windows(first, first + timedelta(days=2), every, whole_days=by.whole_days)
        self.remember_given()

    @fail_if_not_retryable
    def execute(self, context: Context) -> list[dict[str, str]]:
        """Count the rows, and split the time until now into windows."""
        self.check_rendered()
        stream = get_stream(self.stream)
        by = backfill_window(stream, self.window_by)
        start, filters = as_utc(self.start, "start"), {} if self.filters is None else self.filters
        begun, total, windows = begin_first_load(
            self.hook.get_conn(), Store(self.path), stream, by, start, self.every, filters=filters
        )
        context["ti"].xcom_push(key=BEGUN, value=format_time(begun))
        context["ti"].xcom_push(key=TOTAL, value=total)
        self.log.info("Reading %s by %s in %d windows", self.stream, by.name, len(windows))
        return windows


class AlvysHandOverOperator(AlvysLandingTask):
    """
    Compare a first load with Alvys's total, read missing rows, and set the cursor to the load's start.

    Asset event: each outlet gets one, and its extra is the result.

    Cost: one request to count, and those of a complete read if rows are missing.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param stream: a stream of the catalogue, such as ``loads``; see ``docs/reference/streams.md``.
    :param path: root of the data set, absolute; that of the first load. (templated)
    :param begun: start of the first load. (templated)
    :param total: number of rows at that time. (templated)
    :param landed: the results of all windows. (templated)
    :param filters: Alvys's search fields, such as ``{"CustomerId": "…"}``; those of the first load, and of
        the cursor. (templated)
    :param tenant: name of the tenant in manifests; None means the connection id. (templated)
    :param file_format: ``jsonl`` or ``parquet``; see AlvysToObjectStorageOperator.
    :param compression: ``gzip`` or None; for Parquet ``gzip``, ``zstd`` or None (snappy).
    :return: ``{"stream", "tenant", "path", "total", "rows", "manifests", "cursor", "as_of", "proof",
        "cadence", "requests", "waited", "bytes"}``: stream, tenant and the root of the data set, Alvys's
        total, the number of landed rows, the paths of all manifests, the position of the cursor, the start of
        the first load, ``whole``, the seconds between two regular syncs, and the sums of all windows.
    :raises AlvysIncompleteError: rows are still missing. No cursor was set.
    """

    template_fields: Sequence[str] = tuple("alvys_conn_id path begun total landed filters tenant".split())
    template_fields_renderers = {"filters": "json"}  # noqa: RUF012
    ui_color = "#d7ebf7"

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        stream: str,
        path: str,
        begun: Any,
        total: Any,
        landed: Any,
        filters: Mapping[str, Any] | None = None,
        tenant: str | None = None,
        file_format: str = JSONL,
        compression: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(alvys_conn_id=alvys_conn_id, **kwargs)
        self.stream = stream
        self.path = path
        self.begun = begun
        self.total = total
        self.landed = landed
        self.filters = filters
        self.tenant = tenant
        self.file_format = file_format
        self.compression = compression
        row = get_stream(stream)
        check_first_load(row)
        check_search(row, filters, None)
        check_data_set(path, fixed_for=CURSOR)
        check_format(file_format, compression)
        self.remember_given()

    def land(self, context: Context, client: AlvysClient, *, is_resumed: bool) -> dict[str, Any]:
        """Compare, read missing rows, and set the cursor."""
        from airflow_provider_alvys.landing.jobs.batch import SyncBatch

        if self.begun is None or self.total is None or self.landed is None:
            raise AlvysValueError("begun, total or landed is missing: clear the tasks before this one, too")
        begun, total, landed = as_utc(self.begun, BEGUN), _number_of_rows(self.total), _results(self.landed)
        events = outlet_events(context, self)
        spec = SyncSpec(
            get_stream(self.stream),
            self.tenant or self.alvys_conn_id,
            filters={} if self.filters is None else self.filters,
            file_format=self.file_format,
            compression=self.compression,
            page_size=self.hook.settings.page_size,
        )
        store = Store(self.path)
        identity = run_identity_of(context, self)
        batch = SyncBatch(client, store, identity, tenant=spec.tenant, is_resumed=is_resumed)
        result = reconcile_and_set_cursor(
            client, store, spec, batch, begun=begun, total_then=total, landed=landed
        )
        batch.end()
        for outlet, event in events:
            emit_asset_event(outlet, event, result)
        return result


def _number_of_rows(total: Any) -> int:
    # A template renders to a text.
    number = int(total) if isinstance(total, str) and total.isascii() and total.isdigit() else total
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise AlvysValueError(f"{TOTAL}={total!r} must be a number of rows")
    return number


def _results(landed: Any) -> list[Mapping[str, Any]]:
    if isinstance(landed, (str, bytes)) or not isinstance(landed, Sequence):
        raise AlvysValueError(f"landed={landed!r} must be a list of the results of all windows")
    for result in landed:
        if not isinstance(result, Mapping) or "manifest" not in result:
            raise AlvysValueError(f"landed contains {result!r}, which is not the result of a sync")
    return list(landed)
