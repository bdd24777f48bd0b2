"""The operator that downloads documents to local disk or object storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_alvys._compat import AirflowSkipException
from airflow_provider_alvys.api.documents.listing import (
    document_stream_of,
    parse_document_types,
    suggest_types,
)
from airflow_provider_alvys.api.errors import AlvysValueError
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
    Download the documents of loads, trips, carriers, drivers, trucks or trailers, each once.

    A document becomes ``<path>/documents/<parent_type>/tenant=<tenant>/<parent>/<id>-<name>``; unsafe
    characters of its name become underscores. A file that exists with the right size is not downloaded
    again.

    If documents fail, the others are downloaded, and then the task fails; a retry downloads the rest. After
    three failures of the storage in a row the task fails at once.

    Asset event: each outlet gets one, and its extra is the result.

    Cost: one request per parent for the list of its documents, and one more if its URLs have expired.
    Downloads come from the storage and do not count.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param parent_type: kind of the parents: ``load``, ``trip``, ``carrier``, ``driver``, ``truck`` or
        ``trailer``.
    :param parents: parents of the documents: a list of ids (load numbers for loads), the output of their sync
        (its XCom), the path of its manifest, or RecentParents. Or the output of a sync of the documents, such
        as ``load_documents``: no lists are requested while its URLs are valid. (templated)
    :param path: folder of the files, absolute: ``/data/alvys`` or ``s3://aws_default@bucket/alvys``. With
        another path all documents are downloaded again. (templated)
    :param document_types: one type or several, such as ``["Proof of Delivery"]``, in upper or lower case,
        with or without ``(POD)``, or ``POD`` alone; None means all. (templated)
    :param tenant: name of the tenant in manifests; None means the connection id. (templated)
    :param max_bytes: largest document in bytes; a longer one is an error.
    :param skip_when_empty: whether to skip downstream tasks if there are no documents.
    :param defer_after: a deferrable task frees its slot for waits of more seconds than this.
    :param deferrable: whether to free the slot during long waits for the rate limit. Airflow's ``[operators]
        default_deferrable`` is the default.
    :return: ``{"path", "index", "stream", "tenant", "parent_type", "parents", "missing_parents", "documents",
        "fetched", "already_there", "bytes", "gone", "renewals", "requests", "waited", "seconds"}``. ``index``
        is the path of a JSON lines file, written last, with ``id``, ``type``, ``parent``, ``name`` (relative
        to ``path``), ``file_name``, ``size`` and ``uploaded_at`` of each document. ``missing_parents`` are
        unknown to Alvys; ``bytes`` counts the downloads of all attempts; ``gone`` documents were deleted in
        Alvys meanwhile; ``renewals`` are lists that were read again for new URLs; ``requests`` counts all
        lists; ``waited`` are the seconds of waiting for the rate limit, ``seconds`` those since the first
        attempt began. Neither result nor index contains a URL.
    :raises AlvysValueError: an argument is wrong, raised while the DAG is parsed if it is not templated.
    :raises AlvysDownloadError: documents could not be downloaded.
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
        max_bytes: int = 2 * 1024**3,
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
        self.max_bytes = max_bytes
        self.skip_when_empty = skip_when_empty
        stream = document_stream_of(parent_type)
        if not has_template(parents):
            check_document_parents(stream, parents)
        if not has_template(document_types):
            parse_document_types(document_types)
        check_data_set(self.path)
        if not isinstance(max_bytes, int) or max_bytes < 1:
            raise AlvysValueError(f"max_bytes={max_bytes!r} must be a whole number above 0")
        self.remember_given()

    def land(self, context: Context, client: AlvysClient, *, is_resumed: bool) -> dict[str, Any]:
        """Download missing documents, and write the index."""
        from airflow_provider_alvys.api.documents.downloads import Downloader
        from airflow_provider_alvys.landing.jobs.document_checkpoint import DocumentSpec
        from airflow_provider_alvys.landing.jobs.documents import download_documents

        events = outlet_events(context, self)
        stream = document_stream_of(self.parent_type)
        check_document_parents(stream, self.parents)
        spec = DocumentSpec(
            parent_type=self.parent_type,
            stream=stream,
            tenant=self.tenant or self.alvys_conn_id,
            parents=self.parents,
            types=parse_document_types(self.document_types),
        )
        if hint := suggest_types(self.parent_type, self.document_types):
            self.log.warning("document_types=%r may be misspelled.%s", self.document_types, hint)
        settings = self.hook.settings
        downloader = Downloader(
            clock=client.clock,
            timeout=settings.timeout,
            allow_http=settings.allow_http,
            rules=settings.address_rules,
            max_bytes=self.max_bytes,
        )
        store, identity = Store(self.path), run_identity_of(context, self)
        try:
            result = download_documents(client, downloader, store, spec, identity, is_resumed=is_resumed)
        finally:
            downloader.close()
        asset = alvys_documents_asset(self.parent_type, result["path"])
        for outlet, event in events:
            emit_asset_event(outlet, event, result, asset=asset)
        if self.skip_when_empty and not result["documents"]:
            raise AirflowSkipException("No parent has a document of these types")
        return result

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what was read and written, for Airflow's OpenLineage provider."""
        from airflow_provider_alvys.lineage import documents_lineage, no_lineage

        return documents_lineage(self.hook.settings.host, self._landed) if self._landed else no_lineage()
