"""The operators for requests, searches, writes and documents."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.catalogue.endpoints import endpoint_of
from airflow_provider_alvys.api.catalogue.streams import SECRET_FIELDS, get_stream
from airflow_provider_alvys.api.errors import AlvysResponseError, AlvysValueError
from airflow_provider_alvys.api.read.page_decoder import decode_plain, decode_record
from airflow_provider_alvys.api.read.queries import make_search_queries
from airflow_provider_alvys.api.schema.fields import without_fields
from airflow_provider_alvys.api.scrubbing import scrub
from airflow_provider_alvys.base_operator import AlvysTask
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.operators.documents import AlvysUploadDocumentOperator
from airflow_provider_alvys.operators.writes import AlvysWriteOperator, without_secrets
from airflow_provider_alvys.parse_checks import check_search, has_template
from airflow_provider_alvys.retry_policy import fail_if_not_retryable

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.operators.reconcile import AlvysReconcileOperator
    from airflow_provider_alvys.transfers.documents_to_object_storage import (
        AlvysDocumentsToObjectStorageOperator,
    )

__all__ = [
    "AlvysDocumentsToObjectStorageOperator",
    "AlvysReconcileOperator",
    "AlvysRequestOperator",
    "AlvysSearchOperator",
    "AlvysUploadDocumentOperator",
    "AlvysWriteOperator",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Public addresses. Imported lazily, because few DAGs need what they depend on.
        if name == "AlvysDocumentsToObjectStorageOperator":
            from airflow_provider_alvys.transfers.documents_to_object_storage import (
                AlvysDocumentsToObjectStorageOperator,
            )

            return AlvysDocumentsToObjectStorageOperator
        if name == "AlvysReconcileOperator":
            from airflow_provider_alvys.operators.reconcile import AlvysReconcileOperator

            return AlvysReconcileOperator
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class AlvysRequestOperator(AlvysTask):
    """
    Call any Alvys endpoint and return its JSON response.

    Cost: one request.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param method: HTTP method. (templated)
    :param path: path of the call, below the API base (``loads/search``), or on the host if it begins with
        ``/`` (``/v1/me``). (templated)
    :param json: body to send as JSON; None sends none. (templated)
    :param query_params: query parameters; None means none. (templated)
    :param headers: further headers, such as ``If-Match``; None means none. (templated)
    :return: the decoded response, without secret fields such as a webhook's ``Secret``; a string if Alvys
        responds with text; None if the response is empty, or is itself a secret.
    :raises AlvysResponseError: the response is a file or HTML, which does not belong into an XCom.
    :raises AlvysValueError: an argument is not valid; nothing was sent.
    """

    template_fields: Sequence[str] = ("alvys_conn_id", "method", "path", "json", "query_params", "headers")
    template_fields_renderers = {"json": "json", "query_params": "json", "headers": "json"}  # noqa: RUF012
    ui_color = "#d7ebf7"

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        method: str = "GET",
        path: str,
        json: Any = None,
        query_params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(alvys_conn_id=alvys_conn_id, **kwargs)
        self.method = method
        self.path = path
        self.json = json
        self.query_params = query_params
        self.headers = headers
        self.remember_given()

    @fail_if_not_retryable
    def execute(self, context: Context) -> Any:
        """Call the endpoint."""
        self.check_rendered()
        for name, value in (("method", self.method), ("path", self.path)):
            if not isinstance(value, str) or not value.strip():
                raise AlvysValueError(f"{name} must be a text that is not blank, not {type(value).__name__}")
        for name, mapping in (("query_params", self.query_params), ("headers", self.headers)):
            if mapping is not None and not isinstance(mapping, Mapping):
                raise AlvysValueError(
                    f"{name} is a {type(mapping).__name__}, not a dict. A template renders to a string: put "
                    "templates into the dict's values, or set render_template_as_native_obj=True on the DAG"
                )
        response = self.hook.request(
            self.method, self.path, json=self.json, params=self.query_params, headers=self.headers
        )
        if not response.content:
            return None
        content_type = response.headers.get("content-type", "")
        kind = scrub(content_type, 100) or "no content type"
        problem = f"with {kind}, not with JSON: check the path"
        try:
            if "json" in content_type:
                # As bytes: a byte order mark is skipped.
                return self._result(jsonlib.loads(response.content))
            if content_type.startswith("text/") and "html" not in content_type:
                return self._result(response.text)
        except (ValueError, RecursionError) as error:
            # Also for text: the name of its encoding comes from the server.
            problem = f"with {kind} that cannot be read: {scrub(str(error))}"
        raise AlvysResponseError(
            f"{endpoint_of(self.method, self.path)} answered {response.status_code} {problem}",
            status_code=response.status_code,
        )

    def _result(self, answer: Any) -> Any:
        if isinstance(answer, str):
            # JSON with another content type, or in a text.
            with suppress(ValueError, RecursionError):
                inner = jsonlib.loads(answer)
                answer = answer if without_fields(inner, SECRET_FIELDS) == inner else inner
        is_secret = endpoint_of(self.method, self.path).returns_secret
        return without_secrets(answer, SECRET_FIELDS, is_secret=is_secret, instead="hook.request")


class AlvysSearchOperator(AlvysTask):
    """
    Search a stream and return its rows; for larger results use AlvysToObjectStorageOperator.

    Cost: one request per page of 200 rows; one per parent for a stream that is read per parent.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param stream: a stream of the catalogue, such as ``loads``; see ``docs/reference/streams.md``.
        (templated)
    :param filters: Alvys's search fields, such as ``{"LoadNumbers": ["1001"]}``; None means all rows.
        (templated)
    :param window_by: window kind, such as ``created``; None means the stream's regular one. (templated)
    :param since: start of the window, with a time zone; None means no window. (templated)
    :param until: end of the window; None means no end. (templated)
    :param parents: parents of a stream that is read per parent: load numbers for ``load_documents``.
        (templated)
    :param limit: maximum number of rows. A single search with more fails after its first page.
    :return: a list of rows as plain JSON values, without secret fields.
    :raises AlvysValueError: there are more rows than ``limit``, or an argument is wrong; raised while the DAG
        is parsed if no argument is templated.
    """

    template_fields: Sequence[str] = (
        "alvys_conn_id",
        "stream",
        "filters",
        "window_by",
        "since",
        "until",
        "parents",
    )
    template_fields_renderers = {"filters": "json"}  # noqa: RUF012
    none_fields = ("window_by", "since", "until")
    ui_color = "#d7ebf7"

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        stream: str,
        filters: Mapping[str, Any] | None = None,
        window_by: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        parents: Sequence[str] | None = None,
        limit: int = 200,
        **kwargs: Any,
    ) -> None:
        super().__init__(alvys_conn_id=alvys_conn_id, **kwargs)
        self.stream = stream
        self.filters = filters
        self.window_by = window_by
        self.since = since
        self.until = until
        self.parents = parents
        self.limit = limit
        if not has_template(stream):
            row = get_stream(stream)
            check_search(row, filters, window_by)
            if not has_template([filters, window_by, since, until, parents]):
                make_search_queries(
                    row, filters or {}, since=since, until=until, window_by=window_by, parents=parents
                )
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise AlvysValueError(f"limit={limit!r} must be an integer of 1 or more")
        self.remember_given()

    @fail_if_not_retryable
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Search and return the rows."""
        self.check_rendered()
        window: dict[str, Any] = {"since": self.since, "until": self.until, "window_by": self.window_by}
        search = self.hook.open_search(self.stream, self.filters, parents=self.parents, **window)
        # Several searches may find the same rows: only the total of a single one is exact.
        is_one = len(search.queries) == 1
        rows: list[dict[str, Any]] = []
        for page in search:
            found = max(search.total if is_one else 0, len(rows) + len(page))
            if found > self.limit:
                raise AlvysValueError(
                    f"The search finds {found}{'' if is_one else ' or more'} {self.stream}, more than "
                    f"limit={self.limit}: narrow it, raise limit, or use AlvysToObjectStorageOperator"
                )
            read = [decode_record(row, search.stream, decode=decode_plain) for row in page]
            rows += without_fields(read, search.stream.secret_fields)
        from airflow_provider_alvys.api.figures import counted

        self.log.info("Found %s", counted(len(rows), self.stream))
        return rows
