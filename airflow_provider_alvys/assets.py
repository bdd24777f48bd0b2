"""The assets that stand for what is landed, one a stream and path, and for what is loaded, one a table."""

from __future__ import annotations

from airflow.sdk import Asset

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.documents.listing import document_stream_of
from airflow_provider_alvys.landing.dataset.layout import documents_folder
from airflow_provider_alvys.landing.dataset.store import check_path
from airflow_provider_alvys.tables.schema import default_table_name


def alvys_asset(stream: str, path: str) -> Asset:
    """
    Return the asset for a stream in a data set, for ``outlets`` and for the ``schedule`` of DAGs that use it.

    It is named after the stream's folder, without the storage's connection id: ``s3://bucket/alvys/loads``. Its events' extra
    says where the manifest is.

    :param stream: name in the catalogue, such as ``loads``.
    :param path: root of the data set, as the sync has it. A template in it stays as it stands.
    :return: an asset that equals every other of that stream and path.
    :raises AlvysValueError: there is no such stream, or the path is none, or relative.
    """
    return Asset(f"{_root(path)}/{get_stream(stream).name}")


def alvys_documents_asset(parent_type: str, path: str) -> Asset:
    """
    Return the asset for the documents of one kind of parents, for ``outlets`` and for the ``schedule`` of DAGs that use them.

    It is named after their folder, without the storage's connection id: ``s3://bucket/alvys/documents/load``. Its events'
    extra is what AlvysDocumentsToObjectStorageOperator returns.

    :param parent_type: such as ``load``.
    :param path: as the operator has it. A template in it stays as it stands.
    :return: an asset that equals every other of that kind and path.
    :raises AlvysValueError: that has no documents, or the path is none, or relative.
    """
    document_stream_of(parent_type)
    return Asset(f"{_root(path)}/{documents_folder(parent_type)}")


def _root(path: str) -> str:
    if not str(path).startswith("{"):
        check_path(path)
    scheme, separator, rest = str(path).strip().rstrip("/").partition("://")
    # Airflow takes what stands before an @ for a password, and drops it with a warning.
    return f"{scheme}://{rest.rpartition('@')[2]}" if separator else scheme


def alvys_table_asset(
    stream: str, sql_conn_id: str, *, schema: str | None = None, table: str | None = None
) -> Asset:
    """
    Return the asset for a stream's table in a database, for ``outlets`` and for the ``schedule`` of DAGs that use it.

    :param stream: name in the catalogue, such as ``loads``.
    :param sql_conn_id: Airflow connection of the database.
    :param schema: of the table; None means the connection's own.
    :param table: its name; None means the stream's.
    :return: an asset that equals every other of that table: ``alvys-table://warehouse/loads``. Its events' extra is what
        AlvysObjectStorageToSqlOperator returns.
    :raises AlvysValueError: there is no such stream.
    """
    names = [sql_conn_id, schema, table or default_table_name(get_stream(stream))]
    return Asset(f"alvys-table://{'/'.join(filter(None, names))}")
