"""One call, one search, one write; documents up and down."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysResponseError, AlvysValueError
from airflow_provider_alvys.api.read.queries import make_search_queries
from airflow_provider_alvys.base_operator import AlvysTask
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.operators.documents import AlvysUploadDocumentOperator
from airflow_provider_alvys.operators.writes import AlvysWriteOperator
from airflow_provider_alvys.parse_checks import check_search, has_template
from airflow_provider_alvys.retry_policy import fail_if_not_retryable

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.transfers.documents_to_object_storage import (
        AlvysDocumentsToObjectStorageOperator,
    )

__all__ = [
    "AlvysDocumentsToObjectStorageOperator",
    "AlvysRequestOperator",
    "AlvysSearchOperator",
    "AlvysUploadDocumentOperator",
    "AlvysWriteOperator",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Public here as well, and imported when it is asked for: operators do not need transfers.
        if name == "AlvysDocumentsToObjectStorageOperator":
            from airflow_provider_alvys.transfers.documents_to_object_storage import (
                AlvysDocumentsToObjectStorageOperator,
            )

            return AlvysDocumentsToObjectStorageOperator
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class AlvysRequestOperator(AlvysTask):
    """
    Call any Alvys endpoint and return its JSON answer.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param method: HTTP method. (templated)
    :param path: below the API base (``loads/search``), or on the host when it begins with ``/`` (``/v1/me``). (templated)
    :param json: body, sent as JSON. (templated)
    :param query_params: query parameters. (templated)
    :param headers: further headers, such as ``If-Match``. (templated)
    :return: the decoded answer; a text where Alvys answers with text; None where the answer is empty.
    :raises AlvysResponseError: the answer is a file, which has no place in an XCom.
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

    @fail_if_not_retryable
    def execute(self, context: Context) -> Any:
        """Call the endpoint."""
        response = self.hook.request(
            self.method, self.path, json=self.json, params=self.query_params, headers=self.headers
        )
        if not response.content:
            return None
        content_type = response.headers.get("content-type", "")
        if "json" in content_type:
            try:
                return response.json()
            except ValueError as error:
                raise AlvysResponseError(
                    f"{self.method} {self.path} answered {response.status_code} with JSON that cannot be read: {error}",
                    status_code=response.status_code,
                ) from error
        if content_type.startswith("text/") and "html" not in content_type:
            return response.text
        raise AlvysResponseError(
            f"{self.method} {self.path} answered {response.status_code} with {content_type or 'no content type'}, "
            "not with JSON: check the path",
            status_code=response.status_code,
        )


class AlvysSearchOperator(AlvysTask):
    """
    Search a stream and return its rows, for small results that steer a DAG.

    Larger ones belong into files: see AlvysToObjectStorageOperator.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param stream: name in the catalogue, such as ``loads``. (templated)
    :param filters: Alvys's own search fields, such as ``{"LoadNumbers": ["1001"]}``. (templated)
    :param window_by: which of the stream's windows; None means its default. (templated)
    :param since: start of the window, with a zone; None means no window. (templated)
    :param until: end of the window; None means no end. (templated)
    :param parents: for streams that are read per parent, whose children: a list of ids, such as load numbers for
        ``load_documents``. (templated)
    :param limit: more rows than this are refused; after the first page, which tells their number, where they are one search.
    :return: a list of rows as plain JSON values, without those that the catalogue calls secret.
    :raises AlvysValueError: there are more rows than ``limit``; or an argument is wrong, while the DAG is parsed where nothing
        is templated.
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
        row = None if has_template(stream) else get_stream(stream)
        if row is not None:
            check_search(row, filters, window_by)
        if row is not None and not has_template([filters, window_by, since, until, parents]):
            make_search_queries(
                row, filters or {}, since=since, until=until, window_by=window_by, parents=parents
            )
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise AlvysValueError(f"limit={limit!r} must be a number of rows, 1 or more")

    @fail_if_not_retryable
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Search."""
        search = self.hook.open_search(
            self.stream,
            self.filters,
            since=self.since,
            until=self.until,
            window_by=self.window_by,
            parents=self.parents,
        )
        secrets = {name for name, flags in search.stream.fields.flags.items() if "secret" in flags}
        # Searches that are united may find the same rows: only one alone tells how many there are.
        is_one = len(search.queries) == 1
        rows: list[dict[str, Any]] = []
        for page in search:
            found = max(search.total if is_one else 0, len(rows) + len(page))
            if found > self.limit:
                raise AlvysValueError(
                    f"The search finds {found}{'' if is_one else ' or more'} {self.stream}, more than limit={self.limit}: narrow "
                    "it, raise limit, or land the rows with AlvysToObjectStorageOperator"
                )
            read = [jsonlib.loads(bytes(row)) for row in page]
            rows += [{name: value for name, value in row.items() if name not in secrets} for row in read]
        self.log.info("Found %d %s", len(rows), self.stream)
        return rows
