"""The operator for uploads of documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_alvys.api.documents.listing import document_stream_of
from airflow_provider_alvys.api.schema.fields import without_fields
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.operators.writes import AlvysWriteOperator, stored_file
from airflow_provider_alvys.parse_checks import normalize_path

if TYPE_CHECKING:
    from airflow_provider_alvys.api.write.prepare import Write
    from airflow_provider_alvys.api.write.upload import FileSource


class AlvysUploadDocumentOperator(AlvysWriteOperator):
    """
    Upload a file as a document of a load, trip, carrier, driver, truck or trailer.

    Each upload creates another document. If its response is lost, the task therefore fails without retries,
    and the error says how to find out whether the document exists.

    Cost: one request.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param parent_type: kind of the parent: ``load``, ``trip``, ``carrier``, ``driver``, ``truck`` or
        ``trailer``.
    :param parent_id: the load's number, or the Id of any other parent (not a trip's number). (templated)
    :param path: file to upload, absolute, local or on object storage: ``s3://aws_default@bucket/pod.pdf``.
        (templated)
    :param document_type: type in Alvys's spelling, such as ``Proof of Delivery``. (templated)
    :param file_name: name in Alvys, with an extension; None for the file's own. (templated)
    :return: the document as Alvys lists it, without its temporary download URL.
    :raises AlvysValueError: the document type is unknown (raised while the DAG is parsed if it is not
        templated); or the file is missing, empty, too large, or of a type that Alvys does not accept.
    :raises AlvysUnknownOutcomeError: the response was lost, and whether the document was created is unknown.
    """

    template_fields: Sequence[str] = ("alvys_conn_id", "parent_id", "path", "document_type", "file_name")
    template_fields_renderers = {}  # noqa: RUF012

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        parent_type: str,
        parent_id: str,
        path: str | ObjectStoragePath | PurePath,
        document_type: str,
        file_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        operation = f"{document_stream_of(parent_type).name}.upload"
        super().__init__(
            alvys_conn_id=alvys_conn_id,
            operation=operation,
            file=normalize_path(path),  # type: ignore[arg-type]
            **_arguments(operation, parent_id, document_type, file_name),
            **kwargs,
        )
        self.parent_type = parent_type
        self.parent_id = parent_id
        self.path = normalize_path(path)
        self.document_type = document_type
        self.file_name = file_name
        self.remember_given()

    def _prepare(self) -> Write:
        # The attributes are rendered by now.
        rendered = _arguments(self.operation, self.parent_id, self.document_type, self.file_name)
        self.path_params, self.body, self.file = rendered["path_params"], rendered["body"], str(self.path)
        return super()._prepare()

    def _source(self) -> FileSource:
        from airflow_provider_alvys.api.write.upload import check_signature

        source = stored_file(str(self.path), name=self.file_name)
        check_signature(source)
        return source

    def _result(self, write: Write, answer: Any) -> Any:
        # The download URL gives access without a login while it is valid.
        flags = document_stream_of(self.parent_type).fields.flags
        temporary = {name.casefold() for name in flags if "volatile" in flags[name]}
        return without_fields(super()._result(write, answer), temporary)


def _arguments(operation: str, parent_id: Any, document_type: Any, file_name: Any) -> dict[str, Any]:
    from airflow_provider_alvys.api.catalogue.operations import get_operation

    (name,) = get_operation(operation).path_params
    body = {"DocumentType": document_type} | ({} if file_name is None else {"FileName": file_name})
    return {"path_params": {name: parent_id}, "body": body}
