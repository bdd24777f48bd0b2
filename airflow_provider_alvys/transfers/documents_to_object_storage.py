"""Alvys's documents into files on local disk or object storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_alvys._compat import AirflowSkipException
from airflow_provider_alvys.api.documents.listing import document_stream_of, parse_document_types
from airflow_provider_alvys.assets import alvys_documents_asset
from airflow_provider_alvys.base_operator import DEFERRABLE, emit_asset_event, outlet_events, run_identity_of
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.parents import RecentParents, check_document_parents
from airflow_provider_alvys.parse_checks import check_data_set, has_template, normalize_path
from airflow_provider_alvys.transfers.base import DEFER_AFTER, AlvysLandingTask

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.api.http.client import AlvysClient


class AlvysDocumentsToObjectStorageOperator(AlvysLandingTask):
    """
    Fetch the documents of loads, trips, carriers, drivers, trucks or trailers: each once, whole, under a name that stays.

    A document is the file ``<path>/documents/<parent_type>/<parent>/<id>-<its name>``; what is no letter, digit or dot in its
    name becomes an underscore. One that is there with the size that Alvys tells is not fetched again. Each parent
    costs one request for its list, at Alvys's pace (10 a minute), and one more when the URLs in it have expired.

    One that cannot be fetched keeps no other from being fetched. The task then fails, and says which; a retry tries those. After
    three in a row it takes the storage to be down, and fails at once.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param parent_type: ``load``, ``trip``, ``carrier``, ``driver``, ``truck`` or ``trailer``.
    :param parents: whose documents: a list of ids (load numbers for loads); what a sync of the parents returned (its XCom), or
        the path of its manifest; RecentParents; or what a sync of the documents (``load_documents``, …) returned: then a parent
        costs no request while all that this has listed is there, or its URLs still live. (templated)
    :param path: below which the files are put, absolute: ``/data/alvys`` or ``s3://aws_default@bucket/alvys``. The same at each
        run, or all is fetched again. (templated)
    :param document_types: one or several, such as ``["Proof of Delivery"]``, in any case, with or without ``(POD)`` behind it, or
        by that alone; None for all. (templated)
    :param tenant: name of the tenant in manifests; None means the connection id. (templated)
    :param skip_when_empty: skip when there are no documents, so that nothing downstream runs.
    :param defer_after: seconds of waiting from which a deferrable task frees its slot.
    :param deferrable: free the slot during long waits for the rate limit.
    :return: ``{"path", "index", "stream", "tenant", "parent_type", "parents", "missing_parents", "documents", "fetched",
        "already_there", "bytes", "gone", "renewals"}``: ``index`` is the path of a file of JSON lines, written last, with ``id``,
        ``type``, ``parent``, ``name`` (below ``path``), ``file_name``, ``size`` and ``uploaded_at`` of each document.
        ``missing_parents`` are those that Alvys does not know, which is no error; ``bytes`` were fetched, by all tries together;
        ``gone`` were deleted in Alvys meanwhile; ``renewals`` are lists read again for their URLs. No URL is in any of them.
    :raises AlvysValueError: an argument is wrong, while the DAG is parsed where it can be told then.
    :raises AlvysDownloadError: documents could not be fetched.
    """

    template_fields: Sequence[str] = ("alvys_conn_id", "parents", "path", "document_types", "tenant")
    ui_color = "#d7ebf7"

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        parent_type: str,
        parents: RecentParents | Mapping[str, Any] | Sequence[Any] | None,
        path: str | ObjectStoragePath | PurePath,
        document_types: str | Sequence[str] | None = None,
        tenant: str | None = None,
        skip_when_empty: bool = False,
        defer_after: float = DEFER_AFTER,
        deferrable: bool = DEFERRABLE,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            alvys_conn_id=alvys_conn_id, defer_after=defer_after, deferrable=deferrable, **kwargs
        )
        self.parent_type = parent_type
        self.parents = parents
        self.path = normalize_path(path)
        self.document_types = document_types
        self.tenant = tenant
        self.skip_when_empty = skip_when_empty
        stream = document_stream_of(parent_type)
        if not has_template(parents):
            check_document_parents(stream, parents)
        if not has_template(document_types):
            parse_document_types(document_types)
        check_data_set(self.path, uses_cursor=False)

    def land(self, context: Context, client: AlvysClient, *, is_resumed: bool) -> dict[str, Any]:
        """Fetch what is not there, and write the index."""
        from airflow_provider_alvys.api.documents.downloads import Downloader
        from airflow_provider_alvys.landing.jobs.document_checkpoint import DocumentSpec
        from airflow_provider_alvys.landing.jobs.documents import download_documents

        events = outlet_events(context, self)
        stream = document_stream_of(self.parent_type)
        check_document_parents(stream, self.parents)
        order = DocumentSpec(
            parent_type=self.parent_type,
            stream=stream,
            tenant=self.tenant or self.alvys_conn_id,
            parents=self.parents,
            types=parse_document_types(self.document_types),
        )
        settings = self.hook.settings
        downloader = Downloader(clock=client.clock, timeout=settings.timeout, allow_http=settings.allow_http)
        try:
            result = download_documents(
                client,
                downloader,
                Store(self.path),
                order,
                run_identity_of(context, self),
                is_resumed=is_resumed,
            )
        finally:
            downloader.close()
        for outlet, event in events:
            emit_asset_event(
                outlet, event, result, asset=alvys_documents_asset(self.parent_type, result["path"])
            )
        if self.skip_when_empty and not result["documents"]:
            raise AirflowSkipException("None of the parents has such a document")
        return result
