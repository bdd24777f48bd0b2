"""AlvysHook: calls Alvys with the credentials of an Airflow connection."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_alvys import connection_form
from airflow_provider_alvys._compat import AirflowTaskTimeout
from airflow_provider_alvys.api.catalogue.operation_spec import AUTO
from airflow_provider_alvys.api.catalogue.streams import STREAMS, get_stream, get_streams
from airflow_provider_alvys.api.errors import AlvysUnknownOutcomeError
from airflow_provider_alvys.api.read.page_decoder import decode_record
from airflow_provider_alvys.api.read.queries import make_search_queries
from airflow_provider_alvys.retry_policy import as_non_retryable
from airflow_provider_alvys.tracebacks import short_traceback

if TYPE_CHECKING:
    import requests

    from airflow_provider_alvys.api.http.client import AlvysClient
    from airflow_provider_alvys.api.read.cost import StreamPlan
    from airflow_provider_alvys.api.read.page_decoder import Row
    from airflow_provider_alvys.api.read.search import Search
    from airflow_provider_alvys.api.write.prepare import Write
    from airflow_provider_alvys.api.write.upload import FileSource
    from airflow_provider_alvys.hooks.settings import ConnectionSettings, make_client, read_settings

__all__ = ["AlvysHook", "ConnectionSettings", "make_client", "read_settings"]

log = logging.getLogger(__name__)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Also public here, and imported on first use.
        if name in __all__:
            from airflow_provider_alvys.hooks import settings

            return getattr(settings, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class AlvysHook(BaseHook):
    """
    Call the Alvys API with the credentials of an Airflow connection.

    The connection is read at the first call. Within a task, all hooks of a connection share a token and a
    pace.

    :param alvys_conn_id: the Alvys connection: host (API base URL), login (client id), password (client
        secret) and the extra fields of the form.
    """

    conn_name_attr = "alvys_conn_id"
    default_conn_name = "alvys_default"
    conn_type = connection_form.CONN_TYPE
    hook_name = connection_form.HOOK_NAME

    def __init__(self, alvys_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.alvys_conn_id = alvys_conn_id
        self._settings: ConnectionSettings | None = None
        self._client: AlvysClient | None = None

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's extra fields, for Airflow 3.1."""
        return connection_form.build_form_widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the form's standard fields, for Airflow 3.1."""
        return connection_form.build_ui_field_behaviour()

    def get_conn(self) -> AlvysClient:
        """
        Return the client for the connection, the same one at every call.

        :raises AlvysValueError: a field is missing, or the connection would send credentials in clear text.
        """
        if self._client is None:
            self._client = self._make_client()
        return self._client

    @short_traceback
    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """
        Call any endpoint and return its successful response.

        Reads are retried after a failure that may pass; writes only if they cannot have reached Alvys.

        :param method: HTTP method.
        :param path: path of the call, below the API base (``loads/search``), or on the host if it begins with
            ``/`` (``/v1/me``).
        :param json: body to send as JSON; None sends none.
        :param params: query parameters; None means none.
        :param headers: further headers, such as ``If-Match``; None means none.
        :return: the response, with a status below 400.
        :raises AlvysValueError: the path is on another host; nothing was sent.
        :raises AlvysError: a subclass says what failed and what to do.
        """
        return self.get_conn().request(method, path, json=json, params=params, headers=headers)

    def search(
        self,
        stream: str,
        filters: Mapping[str, Any] | None = None,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        window_by: str | None = None,
        parents: Sequence[str] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """
        Iterate over the rows of a stream, each once, in no particular order.

        :param stream: a stream of the catalogue, such as ``loads``; see ``docs/reference/streams.md``.
        :param filters: Alvys's search fields, such as ``{"Status": ["Delivered"]}``; None means all rows.
        :param since: start of the window, with a time zone: a datetime, or an ISO 8601 text; None means no
            window.
        :param until: end of the window; None means no end. For business dates the window covers complete
            UTC days.
        :param window_by: window kind, such as ``created``; None means the stream's regular one, ``updated``
            for loads; ``whole`` reads the stream without a window.
        :param parents: parents of a stream that is read per parent: load numbers for ``load_documents``, Ids
            of trips for ``trip_stops``. See ``docs/reference/streams.md``.
        :return: decoded rows. Fractions are Decimal, times are strings in Alvys's spelling.
        :raises AlvysValueError: an argument is wrong; raised by the call, before anything is sent.
        :raises AlvysIncompleteError: rows of a window in the past may be missing. A search that may still
            grow (no window, or no ``until``) logs a warning instead.
        """
        search = self.open_search(
            stream, filters, since=since, until=until, window_by=window_by, parents=parents
        )
        return self._rows(search)

    def _rows(self, search: Search) -> Iterator[dict[str, Any]]:
        from airflow_provider_alvys.api.read.search_progress import SearchProgress

        pages, progress, rows = iter(search), SearchProgress(self.get_conn(), search), 0

        @short_traceback
        def read() -> list[Row] | None:
            return next(pages, None)

        while (page := read()) is not None:
            rows += len(page)
            progress.update(rows)
            for row in page:
                yield decode_record(row, search.stream)
        if search.proof == "open":
            log.warning("Some %s may be missing: rows moved while they were read", search.stream.name)

    @short_traceback
    def count(
        self,
        stream: str,
        filters: Mapping[str, Any] | None = None,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        window_by: str | None = None,
        parents: Sequence[str] | None = None,
    ) -> int:
        """
        Return the number of rows that :meth:`search` would find. Costs one request for each of its searches,
        or reads all rows where it is not certain that their filters have an effect.

        The arguments are those of :meth:`search`.

        :return: the number of rows.
        :raises AlvysValueError: as :meth:`search`, and for a window of several searches that share rows.
        """
        search = self.open_search(
            stream, filters, since=since, until=until, window_by=window_by, parents=parents
        )
        return search.count()

    @short_traceback
    def open_search(
        self,
        stream: str,
        filters: Mapping[str, Any] | None = None,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        window_by: str | None = None,
        parents: Sequence[str] | None = None,
    ) -> Search:
        """
        Return the search behind :meth:`search`: pages of raw rows, and at the end totals and proof.

        The arguments are those of :meth:`search`.

        :return: the search, from which nothing is read yet.
        :raises AlvysValueError: an argument is wrong; nothing was sent.
        """
        from airflow_provider_alvys.api.read.search import Search

        row = get_stream(stream)
        queries = make_search_queries(
            row,
            {} if filters is None else filters,
            since=since,
            until=until,
            window_by=window_by,
            parents=parents,
        )
        return Search(self.get_conn(), row, queries, page_size=self.settings.page_size)

    @short_traceback
    def get(self, stream: str, **selector: Any) -> dict[str, Any]:
        """
        Read one record.

        :param stream: a stream of the catalogue, such as ``loads``; see ``docs/reference/streams.md``.
        :param selector: the record, in Alvys's spelling or Python's: ``hook.get("loads",
            loadNumber="1001")``, ``hook.get("trips", trip_number="2001", include_deleted=True)``,
            ``hook.get("drivers", id="DR…")``.
        :return: the decoded record. Fractions are Decimal, times are strings in Alvys's spelling.
        :raises AlvysValueError: the stream has no lookup by this selector; nothing was sent.
        :raises AlvysNotFoundError: the record does not exist.
        """
        from airflow_provider_alvys.api.read.lookup import look_up

        return look_up(self.get_conn(), get_stream(stream), selector)

    def write(
        self,
        operation: str,
        *,
        path_params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        if_match: str | None = AUTO,
        file: FileSource | str | os.PathLike[str] | None = None,
    ) -> Any:
        """
        Send a write, such as ``hook.write("trips.dispatch", path_params={"tripId": "…"})``.

        It is retried after a lost response only if that cannot have a second effect.

        :param operation: name of the operation, such as ``trips.assign``; see
            ``docs/reference/operations.md``.
        :param path_params: values for the operation's path; ``trip_id`` is the same as ``tripId``.
        :param body: fields in Alvys's spelling. Decimals are sent digit by digit; times are aware datetimes,
            or ISO 8601 strings with a time zone.
        :param if_match: ``auto`` reads the record's ETag just before the write if Alvys requires one, and
            else sends none. An ETag is sent as given. None sends none.
        :param file: file of an upload: a local file, or a
            :class:`~airflow_provider_alvys.api.write.upload.FileSource`.
        :return: the decoded response, with numbers as in :meth:`search`; None if it is empty.
        :raises AlvysValueError: an argument is wrong; nothing was sent.
        :raises AlvysPreconditionError: the record has changed since the version of the ETag.
        :raises AlvysUnknownOutcomeError: the response was lost, and whether the write took place is unknown.
            Airflow does not retry it if that might write twice.
        """
        from airflow_provider_alvys.api.write.upload import file_source

        source = file_source(file) if isinstance(file, (str, os.PathLike)) else file
        write = self.check_write(operation, path_params=path_params, body=body, if_match=if_match)
        return self.send(write.with_file(source))

    def check_write(
        self,
        operation: str,
        *,
        path_params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        if_match: str | None = AUTO,
    ) -> Write:
        """
        Check a write as :meth:`write` does, and send nothing.

        The arguments are those of :meth:`write`.

        :return: the write for :meth:`send`. Its ``markdown()`` shows it to a person who approves it, and its
            ``fingerprint``, a hash of operation, path and body, is what ``approved`` of AlvysWriteOperator
            takes.
        :raises AlvysValueError: an argument is wrong.
        """
        from airflow_provider_alvys.api.write.prepare import prepare

        return prepare(operation, path_params=path_params, body=body, if_match=if_match)

    @short_traceback
    def send(self, write: Write) -> Any:
        """
        Send a prepared write.

        :param write: the write, as :meth:`check_write` returns it.
        :return: the decoded response, as :meth:`write` returns it.
        :raises AlvysUnknownOutcomeError: as :meth:`write`.
        """
        from airflow_provider_alvys.api.write.send import send

        try:
            return send(self.get_conn(), write, interruptions=(AirflowTaskTimeout,))
        except AlvysUnknownOutcomeError as error:
            raise as_non_retryable(error) from None

    @short_traceback
    def plan(
        self,
        streams: Sequence[str] | None = None,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
    ) -> list[StreamPlan]:
        """
        Estimate the cost of an initial load. Costs one request per stream.

        :param streams: streams of the catalogue; None means all with a tier in ``docs/reference/streams.md``.
        :param since: start of the window, for streams whose sync has one; None means no window.
        :param until: end of the window; None means no end.
        :return: for each stream the rows, the requests, the hours at the documented pace and at the
            connection's, and the scope that the token lacks. Unknown figures are None, and the note says why.
        :raises AlvysValueError: an argument is wrong; nothing was sent.
        """
        from airflow_provider_alvys.api.read.cost import plan_streams

        rows = [row for row in STREAMS.values() if row.tiers] if streams is None else get_streams(streams)
        settings = self.settings
        return plan_streams(
            self.get_conn(),
            rows,
            since=since,
            until=until,
            page_size=settings.page_size,
            requests_per_minute=settings.requests_per_minute,
        )

    def test_connection(self) -> tuple[bool, str]:
        """
        Get a token and read one row. Airflow's Test button calls this.

        :return: whether it worked, and sentences that say what worked, which scopes are missing, or what to
            change.
        """
        from airflow_provider_alvys.hooks.connection_check import check_settings

        try:
            return check_settings(self.settings)
        except Exception as error:  # It must not raise: the button shows any error.
            return False, str(error) or type(error).__name__

    @property
    def settings(self) -> ConnectionSettings:
        """The settings of the connection."""
        if self._settings is None:
            from airflow_provider_alvys.hooks.settings import read_settings

            self._settings = read_settings(self.get_connection(self.alvys_conn_id))
        return self._settings

    def _make_client(self, **options: Any) -> AlvysClient:
        from airflow_provider_alvys.hooks.settings import make_client

        return make_client(self.settings, **options)
