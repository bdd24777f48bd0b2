"""AlvysHook: an Airflow connection made into an Alvys client."""

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
from airflow_provider_alvys.api.errors import (
    AlvysPermissionError,
    AlvysRateLimitError,
    AlvysUnknownOutcomeError,
)
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.read.queries import make_queries, make_search_queries
from airflow_provider_alvys.retry_policy import as_non_retryable

if TYPE_CHECKING:
    import requests

    from airflow_provider_alvys.api.http.client import AlvysClient
    from airflow_provider_alvys.api.read.cost import StreamPlan
    from airflow_provider_alvys.api.read.search import Search
    from airflow_provider_alvys.api.write.prepare import Write
    from airflow_provider_alvys.api.write.upload import FileSource
    from airflow_provider_alvys.hooks.settings import ConnectionSettings, make_client, read_settings

__all__ = ["AlvysHook", "ConnectionSettings", "make_client", "read_settings"]

log = logging.getLogger(__name__)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Public here as well, and imported when they are asked for.
        if name in __all__:
            from airflow_provider_alvys.hooks import settings

            return getattr(settings, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class AlvysHook(BaseHook):
    """
    Call the Alvys API with the credentials of an Airflow connection.

    Nothing is looked up or sent before the first call. Within a task all hooks of one connection share a token and a pace.

    :param alvys_conn_id: the connection, of type ``alvys``: host (API base URL), login (client id), password (client secret)
        and the extra fields of the form.
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
        Return the client for the connection; the same one at every call.

        :raises AlvysValueError: the connection lacks something, or would send credentials in clear text.
        """
        if self._client is None:
            self._client = self._make_client()
        return self._client

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
        Call any endpoint and return its answer, whose status is below 300.

        Reads are tried again after a failure that may pass; writes only where they surely did not arrive.

        :param method: HTTP method.
        :param path: below the API base (``loads/search``), or on the host when it begins with ``/`` (``/v1/me``).
        :param json: body, sent as JSON.
        :param params: query parameters.
        :param headers: further headers, such as ``If-Match``.
        :raises AlvysValueError: the path leads to another host; nothing was sent.
        :raises AlvysError: a subclass says what went wrong and what to do.
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
        Iterate over the rows of a stream, once each, in no order.

        :param stream: name in the catalogue, such as ``loads``.
        :param filters: Alvys's own search fields, such as ``{"Status": ["Delivered"]}``.
        :param since: start of the window; aware datetime or ISO 8601 text with a zone. None means everything.
        :param until: end of the window; None means no end. Business dates are asked for in whole UTC days.
        :param window_by: which of the stream's windows; None means its regular one, ``updated`` for loads; ``whole`` none.
        :param parents: for streams that are read per parent, whose children: load numbers for ``load_documents``, ids of trips
            for ``trip_stops``, and so on as ``docs/streams.md`` says.
        :return: decoded rows: numbers with a fraction are Decimal, times are Alvys's texts.
        :raises AlvysValueError: at the call, before anything is sent.
        :raises AlvysIncompleteError: a window in the past could not be proved whole. A set that may grow (no window, or no
            ``until``) and kept moving ends with a warning in the log instead.
        """
        search = self.open_search(
            stream, filters, since=since, until=until, window_by=window_by, parents=parents
        )
        return self._rows(search)

    def _rows(self, search: Search) -> Iterator[dict[str, Any]]:
        for page in search:
            for row in page:
                yield decode_row(row)
        if search.proof == "open":
            log.warning("%s kept moving while it was read: rows may be missing", search.stream.name)

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
        Return how many rows :meth:`search` would find, by one request of one row (two where a stream takes two searches).

        :raises AlvysValueError: as :meth:`search`; and for a window that unites several searches with rows in common.
        """
        search = self.open_search(
            stream, filters, since=since, until=until, window_by=window_by, parents=parents
        )
        return search.count()

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
        Return the search behind :meth:`search`: it yields pages of raw rows, and knows its totals and proof at the end.

        :raises AlvysValueError: an argument is wrong; nothing was sent.
        """
        from airflow_provider_alvys.api.read.search import Search

        row = get_stream(stream)
        queries = make_search_queries(
            row, filters or {}, since=since, until=until, window_by=window_by, parents=parents
        )
        return Search(self.get_conn(), row, queries, page_size=self.settings.page_size)

    def get(self, stream: str, **selector: Any) -> dict[str, Any]:
        """
        Look up one record.

        :param stream: name in the catalogue, such as ``loads``.
        :param selector: what names the record, in Alvys's spelling or Python's: ``hook.get("loads", loadNumber="1001")``,
            ``hook.get("trips", trip_number="2001", include_deleted=True)``, ``hook.get("drivers", id="DR…")``.
        :return: the decoded record: numbers with a fraction are Decimal, times are Alvys's texts.
        :raises AlvysValueError: the stream has no look-up, or none by this selector; nothing was sent.
        :raises AlvysNotFoundError: there is no such record.
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
        Send a write of the catalogue, such as ``hook.write("trips.dispatch", path_params={"tripId": "…"})``.

        It is made again after an answer was lost only where that cannot make a second effect.

        :param operation: name in the catalogue, as ``docs/operations.md`` lists them.
        :param path_params: what its path names; ``trip_id`` means the same as ``tripId``.
        :param body: its fields, in Alvys's spelling. Numbers may be Decimal, and are sent digit by digit; times are aware
            datetimes or ISO 8601 texts with a zone.
        :param if_match: ``auto`` reads the record's ETag right before, where Alvys requires one, and sends none elsewhere. An
            ETag is sent as it is. None sends none.
        :param file: of an upload: a file of this machine, or a :class:`~airflow_provider_alvys.api.write.upload.FileSource`.
        :return: the decoded answer, with numbers as in :meth:`search`; None where there is none.
        :raises AlvysValueError: something given is wrong; nothing was sent.
        :raises AlvysPreconditionError: the record has changed since the version that was sent.
        :raises AlvysUnknownOutcomeError: an answer was lost, and whether the write took place is not known. Airflow makes no
            retry after it, where that might write twice.
        """
        from airflow_provider_alvys.api.write.prepare import prepare
        from airflow_provider_alvys.api.write.upload import file_source

        source = file_source(file) if isinstance(file, (str, os.PathLike)) else file
        write = prepare(operation, path_params=path_params, body=body, if_match=if_match)
        return self.send(write.with_file(source))

    def send(self, write: Write) -> Any:
        """Send what :func:`airflow_provider_alvys.api.write.prepare.prepare` returned, and return what :meth:`write` does."""
        from airflow_provider_alvys.api.write.send import send

        try:
            return send(self.get_conn(), write, interruptions=(AirflowTaskTimeout,))
        except AlvysUnknownOutcomeError as error:
            raise as_non_retryable(error) from error

    def plan(
        self,
        streams: Sequence[str] | None = None,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
    ) -> list[StreamPlan]:
        """
        Tell what a first load would cost, by one request of one row per stream.

        :param streams: names in the catalogue; None means those that a company needs (with a tier in ``docs/streams.md``).
        :param since: start of what is to be loaded, for streams whose sync has a window; None means everything.
        :param until: its end; None means no end.
        :return: for each stream rows, requests, hours at the documented and at the connection's pace, and the scope that the
            token lacks. What cannot be told is None, and the note says why.
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
        Get a token, and read one row where the token allows it. Airflow's Test button calls this.

        :return: whether it worked, and a sentence that says what did, or what to change.
        """
        from airflow_provider_alvys.api.read.search import Search
        from airflow_provider_alvys.hooks.settings import test_options

        try:
            client = self._make_client(**test_options(self.settings))
            scopes = client.scopes
            testable = [
                row
                for row in STREAMS.values()
                if row.scope and row.response_type == "page" and not row.parent and row.full_read
            ]
            readable = [row for row in testable if scopes is None or row.scope in scopes]
            if not readable:
                wanted = ", ".join(sorted({row.scope for row in testable if row.scope}))
                return False, (
                    f"Alvys gave a token, but it holds none of the scopes that this provider reads with ({wanted}); it holds "
                    f"{', '.join(sorted(scopes or ())) or 'none'}. Grant what you need to this API client in Alvys."
                )
            stream = readable[0]
            total = Search(client, stream, make_queries(stream, {})[:1]).count()
        except (AlvysPermissionError, AlvysRateLimitError) as error:
            return False, f"Alvys gave a token, but: {error}"
        except Exception as error:  # The button shows whatever it was; it must not raise.
            return False, str(error) or type(error).__name__
        return True, f"Alvys gave a token and answered at {client.host}: {total} {stream.name}."

    @property
    def settings(self) -> ConnectionSettings:
        """What the connection says."""
        if self._settings is None:
            from airflow_provider_alvys.hooks.settings import read_settings

            self._settings = read_settings(self.get_connection(self.alvys_conn_id))
        return self._settings

    def _make_client(self, **options: Any) -> AlvysClient:
        from airflow_provider_alvys.hooks.settings import make_client

        return make_client(self.settings, **options)
