"""One file up to Alvys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_alvys.api.documents.listing import document_stream_of
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.operators.writes import AlvysWriteOperator, stored_file
from airflow_provider_alvys.parse_checks import normalize_path

if TYPE_CHECKING:
    from airflow_provider_alvys.api.write.prepare import Write
    from airflow_provider_alvys.api.write.upload import FileSource


class AlvysUploadDocumentOperator(AlvysWriteOperator):
    """
    Keep a file with a load, trip, carrier, driver, truck or trailer, as a document of one of the types that Alvys has for it.

    The file is read bit by bit while it is sent. Alvys keeps each upload as a further file, so that it is never sent again after
    its answer was lost: the task fails for good, and says how to find out whether the file is there.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param parent_type: ``load``, ``trip``, ``carrier``, ``driver``, ``truck`` or ``trailer``.
    :param parent_id: the number of the load, or the id of the other. (templated)
    :param path: of the file, absolute, local or on object storage: ``s3://aws_default@bucket/pod.pdf``. (templated)
    :param document_type: as Alvys writes it, such as ``Proof of Delivery``. (templated)
    :param file_name: as Alvys shall know it, with an ending that tells what it is; None for the file's own. (templated)
    :return: the document as Alvys lists it, without the URL that it can be fetched from.
    :raises AlvysValueError: a type that Alvys does not have, while the DAG is parsed where it is not templated; or a file that is
        missing, empty, too large or of another kind than Alvys takes, or than its name says: before anything is sent.
    :raises AlvysUnknownOutcomeError: an answer was lost, and whether the file was kept is not known.
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
            path_params=_path_params(operation, parent_id),
            body=_body(document_type, file_name),
            file=normalize_path(path),  # type: ignore[arg-type]
            **kwargs,
        )
        self.parent_type = parent_type
        self.parent_id = parent_id
        self.path = normalize_path(path)
        self.document_type = document_type
        self.file_name = file_name

    def _prepare(self) -> Write:
        # As they have been rendered.
        self.path_params = _path_params(self.operation, self.parent_id)
        self.body = _body(self.document_type, self.file_name)
        self.file = str(self.path)
        return super()._prepare()

    def _source(self) -> FileSource:
        from airflow_provider_alvys.api.write.upload import check_beginning

        source = stored_file(str(self.path), name=self.file_name)
        check_beginning(source)
        return source

    def _result(self, write: Write, answer: Any) -> Any:
        # The URL is a secret for the minutes that it lives.
        flags = document_stream_of(self.parent_type).fields.flags
        result = super()._result(write, answer)
        # Alvys may answer with nothing: the file is kept all the same.
        return result and {
            name: value for name, value in result.items() if "volatile" not in flags.get(name, ())
        }


def _path_params(operation: str, parent_id: Any) -> dict[str, Any]:
    from airflow_provider_alvys.api.catalogue.operations import get_operation

    (name,) = get_operation(operation).path_params
    return {name: parent_id}


def _body(document_type: Any, file_name: Any) -> dict[str, Any]:
    return {"DocumentType": document_type} | ({} if file_name is None else {"FileName": file_name})
