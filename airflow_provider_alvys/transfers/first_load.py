"""The two ends of a first load: where it begins, and where it hands over to the cursor."""

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
from airflow_provider_alvys.parse_checks import check_data_set, check_search, has_template
from airflow_provider_alvys.retry_policy import fail_if_not_retryable
from airflow_provider_alvys.transfers.base import AlvysLandingTask

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.api.http.client import AlvysClient

# Under this key of its XCom the beginning says when it was.
BEGUN = "begun"
# And under this one, how many rows there were.
TOTAL = "total"


class AlvysBeginFirstLoadOperator(AlvysTask):
    """
    Note when a first load begins, and return the windows that it reads.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param stream: name in the catalogue.
    :param path: root of the data set, which keeps the pace. (templated)
    :param start: from when on; aware datetime or ISO 8601 text. (templated)
    :param every: how long each window is: a timedelta, or ``day``, ``week``, ``month`` or ``year``.
    :param window_by: which of the stream's windows; None means the first that an update does not move, ``created`` for loads
        and ``pickup`` for trips.
    :param filters: those of the first load. (templated)
    :return: a list of ``{"since", "until"}``, for ``expand_kwargs``. The XCom ``begun`` holds the time, ``total`` the number of
        rows that there were.
    :raises AlvysValueError: the stream needs no first load, or an argument is wrong; while the DAG is parsed where it is not
        templated.
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
        check_data_set(path, uses_cursor=True)
        by = backfill_window(row, window_by)
        # Refuses an `every` that is none, and a start without a zone.
        first = ALL_TIME.since if has_template(start) else as_utc(start, "start")
        cut_windows(first, first + timedelta(days=2), every, whole_days=by.whole_days)

    @fail_if_not_retryable
    def execute(self, context: Context) -> list[dict[str, str]]:
        """Look at the clock, and count."""
        stream = get_stream(self.stream)
        by = backfill_window(stream, self.window_by)
        begun, total, windows = begin_first_load(
            self.hook.get_conn(),
            Store(self.path),
            stream,
            by,
            as_utc(self.start, "start"),
            self.every,
            filters=self.filters or {},
        )
        context["ti"].xcom_push(key=BEGUN, value=format_time(begun))
        context["ti"].xcom_push(key=TOTAL, value=total)
        self.log.info("Reading %s by %s in %d windows", self.stream, by.name, len(windows))
        return windows


class AlvysHandOverOperator(AlvysLandingTask):
    """
    Compare what a first load has landed with Alvys's own total, read what is missing, and set the cursor to when it began.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param stream: name in the catalogue.
    :param path: root of the data set. (templated)
    :param begun: when the first load began. (templated)
    :param total: how many rows there were then. (templated)
    :param landed: what the landing of each window returned. (templated)
    :param filters: those of the first load, and of the cursor. (templated)
    :param tenant: name of the tenant in manifests; None means the connection id. (templated)
    :param file_format: ``jsonl`` or ``parquet``; see AlvysToObjectStorageOperator.
    :param compression: of the files; see AlvysToObjectStorageOperator.
    :return: ``{"stream", "tenant", "path", "total", "rows", "manifests", "cursor"}``.
    :raises AlvysIncompleteError: rows are still missing; the cursor stays.
    """

    template_fields: Sequence[str] = (
        "alvys_conn_id",
        "path",
        "begun",
        "total",
        "landed",
        "filters",
        "tenant",
    )
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
        check_data_set(path, uses_cursor=True)
        check_format(file_format, compression)

    def land(self, context: Context, client: AlvysClient, *, is_resumed: bool) -> dict[str, Any]:
        """Compare, read on, set the cursor."""
        from airflow_provider_alvys.landing.jobs.batch import SyncBatch

        if self.begun is None or self.total is None or self.landed is None:
            raise AlvysValueError(
                "begun, total and landed are what the tasks before returned: clear those, too"
            )
        events = outlet_events(context, self)
        order = SyncSpec(
            get_stream(self.stream),
            self.tenant or self.alvys_conn_id,
            filters=self.filters or {},
            file_format=self.file_format,
            compression=self.compression,
            page_size=self.hook.settings.page_size,
        )
        store = Store(self.path)
        landings = SyncBatch(client, store, run_identity_of(context, self), is_resumed=is_resumed)
        result = reconcile_and_set_cursor(
            client,
            store,
            order,
            landings,
            begun=as_utc(self.begun, BEGUN),
            total_then=int(self.total),
            landed=self.landed,
        )
        landings.end()
        for outlet, event in events:
            emit_asset_event(outlet, event, result)
        return result
