"""Assets: one per stream and data set, one per documents folder, one per table."""

from __future__ import annotations

from airflow.sdk import Asset

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.documents.listing import document_stream_of
from airflow_provider_alvys.landing.dataset.layout import documents_folder
from airflow_provider_alvys.landing.dataset.store import check_path
from airflow_provider_alvys.tables.schema import default_table_name


def alvys_asset(stream: str, path: str) -> Asset:
    """
    Return the asset of a stream in a data set, for ``outlets`` and for the ``schedule`` of DAGs that use it.

    Its URI is the stream's folder without the storage's connection id, such as ``s3://bucket/alvys/loads``.
    The extra of its events gives the manifest's path.

    :param stream: a stream of the catalogue, such as ``loads``; see ``docs/reference/streams.md``.
    :param path: root of the data set, absolute, as in the sync. A template in it is not rendered.
    :return: an asset equal to every other of this stream and path.
    :raises AlvysValueError: there is no such stream, or the path is empty or relative.
    """
    return Asset(f"{_root(path)}/{get_stream(stream).name}")


def alvys_documents_asset(parent_type: str, path: str) -> Asset:
    """
    Return the asset of a parent type's documents, for ``outlets`` and the ``schedule`` of DAGs that use them.

    Its URI is the documents' folder without the storage's connection id, such as
    ``s3://bucket/alvys/documents/load``. The extra of its events is the return value of
    AlvysDocumentsToObjectStorageOperator.

    :param parent_type: kind of the parents, such as ``load``.
    :param path: folder of the files, absolute, as in the operator. A template in it is not rendered.
    :return: an asset equal to every other of this parent type and path.
    :raises AlvysValueError: this type has no documents, or the path is empty or relative.
    """
    document_stream_of(parent_type)
    return Asset(f"{_root(path)}/{documents_folder(parent_type)}")


def _root(path: str) -> str:
    if not str(path).startswith("{"):
        check_path(path)
    scheme, separator, rest = str(path).strip().rstrip("/").partition("://")
    # Airflow takes the part before an @ for a password, and drops it with a warning.
    return f"{scheme}://{rest.rpartition('@')[2]}" if separator else scheme


def alvys_table_asset(
    stream: str, sql_conn_id: str, *, schema: str | None = None, table: str | None = None
) -> Asset:
    """
    Return the asset of a stream's table, for ``outlets`` and for the ``schedule`` of DAGs that use it.

    Its URI is ``alvys-table://<sql_conn_id>/[<schema>/]<table>``, such as ``alvys-table://warehouse/loads``.
    The extra of its events is the return value of AlvysObjectStorageToSqlOperator.

    :param stream: a stream of the catalogue, such as ``loads``; see ``docs/reference/streams.md``.
    :param sql_conn_id: Airflow connection of the database.
    :param schema: database schema of the tables; None means the connection's own.
    :param table: name of the main table; None means the stream's default.
    :return: an asset equal to every other of this table.
    :raises AlvysValueError: there is no such stream.
    """
    names = [sql_conn_id, schema, table or default_table_name(get_stream(stream))]
    return Asset(f"alvys-table://{'/'.join(filter(None, names))}")
