"""
What a task has read and written, as OpenLineage datasets.

Airflow's OpenLineage provider asks the operators when they have ended. Before that nothing of it is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.landing.dataset.layout import documents_folder

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Connection
    from openlineage.client.event_v2 import InputDataset, OutputDataset

    from airflow_provider_alvys.tables.dialects import Dialect
    from airflow_provider_alvys.tables.schema import Table

    Lineage: TypeAlias = OperatorLineage[Any, Any]

# Namespace and name.
Place = tuple[str, str]


def api_place(host: str, path: str) -> Place:
    """
    Return the dataset of an endpoint, such as ``https://api.alvys.com`` and ``loads/search``.

    :param host: base URL of the API; a user, a password and a path in it are left out.
    :param path: of the catalogue, with names in place of ids.
    """
    url = urlsplit(host)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}", path


def folder_place(path: str, folder: str) -> Place:
    """
    Return the dataset of a folder below a path, such as ``s3://bucket`` and ``alvys/loads``.

    :param path: local or a URL. The id of its connection is left out.
    """
    scheme, separator, rest = path.rstrip("/").partition("://")
    if not separator or scheme == "file":
        return "file", f"{rest if separator else scheme}/{folder}"
    bucket, _, prefix = rest.partition("/")
    return f"{scheme}://{bucket.rpartition('@')[2]}", "/".join(filter(None, (prefix, folder)))


def table_place(connection: Connection, dialect: Dialect, schema: str | None, table: str) -> Place:
    """
    Return the dataset of a table, such as ``postgres://db:5432`` and ``alvys.public.loads``.

    Only host, port and database of the connection are in it.

    :param schema: of the tables; None means the connection's own.
    """
    host = (connection.host or "").partition("?")[0].rpartition("@")[2]
    database = connection.schema or None
    if dialect.is_file:
        # DuckDB in the cloud has a database and no host.
        path = f"/{host.lstrip('/')}" if host else f"md:{database or ''}"
        names = [schema, table]
        return f"{dialect.scheme}://{path}", ".".join(filter(None, names))
    if dialect.default_schema:
        names = [database, schema or dialect.default_schema, table]
    else:
        names = [schema or database, table]
    port = connection.port or dialect.port
    return f"{dialect.scheme}://{host or 'localhost'}:{port}", ".".join(filter(None, names))


def landed_lineage(host: str, results: Iterable[Mapping[str, Any]]) -> Lineage:
    """
    Return the lineage of syncs: from endpoints to folders of files.

    :param host: base URL of the API.
    :param results: of each stream.
    """
    inputs, outputs = [], []
    for result in results:
        # A first load counts the rows of all its windows, whose tasks have landed them.
        figures = {} if "manifests" in result else {"rows": result["rows"], "size": result["bytes"]}
        endpoint = api_place(host, get_stream(result["stream"]).path)
        inputs.append(_input(endpoint, **figures))
        outputs.append(_output(folder_place(result["path"], result["stream"]), **figures))
    return _lineage(inputs, outputs)


def documents_lineage(host: str, result: Mapping[str, Any]) -> Lineage:
    """Return the lineage of a download, from the endpoint that lists documents to their folder."""
    endpoint = api_place(host, get_stream(result["stream"]).path)
    folder = folder_place(result["path"], documents_folder(result["parent_type"]))
    figures = {"files": result["fetched"], "size": result["bytes"]}
    return _lineage([_input(endpoint, **figures)], [_output(folder, **figures)])


def loaded_lineage(
    result: Mapping[str, Any],
    connection: Connection,
    dialect: Dialect,
    schema: str | None,
    tables: Sequence[Table],
) -> Lineage:
    """
    Return the lineage of a load, from the files of a stream to its tables.

    :param tables: the main table first. Rows are counted there.
    """
    folder = folder_place(result["path"], result["stream"])
    read = _input(folder, rows=result["rows"], size=result["bytes"])
    written = [
        _output(
            table_place(connection, dialect, schema, table.name),
            rows=None if table.parent else result["merged"],
            columns={column.name: dialect.types[column.kind] for column in table.all_columns},
        )
        for table in tables
    ]
    return _lineage([read], written)


def written_lineage(host: str, path: str, file: str | None) -> Lineage:
    """
    Return the lineage of a write.

    :param path: of the operation, with names in place of ids.
    :param file: the file that was uploaded, if any.
    """
    inputs = []
    if file is not None:
        folder, _, name = file.rpartition("/")
        inputs.append(_input(folder_place(folder, name)))
    return _lineage(inputs, [_output(api_place(host, path))])


def checked_lineage(reads: Sequence[Place], writes: Place | None) -> Lineage:
    """Return the lineage of a comparison, from what it reads to the table of its results."""
    return _lineage(map(_input, reads), [] if writes is None else [_output(writes)])


def no_lineage() -> Lineage:
    """Return the lineage of a task that has read and written nothing."""
    return _lineage([], [])


def _lineage(inputs: Iterable[InputDataset], outputs: Iterable[OutputDataset]) -> Lineage:
    from airflow.providers.openlineage.extractors import OperatorLineage

    return OperatorLineage(inputs=list(inputs), outputs=list(outputs))


def _input(
    place: Place, *, rows: int | None = None, size: int | None = None, files: int | None = None
) -> InputDataset:
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import input_statistics_input_dataset as statistics

    figures = statistics.InputStatisticsInputDatasetFacet(rowCount=rows, size=size, fileCount=files)
    facets: dict[str, Any] = {} if rows is size is files is None else {"inputStatistics": figures}
    return InputDataset(*place, inputFacets=facets)


def _output(
    place: Place,
    *,
    rows: int | None = None,
    size: int | None = None,
    files: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> OutputDataset:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics
    from openlineage.client.facet_v2 import schema_dataset

    figures = statistics.OutputStatisticsOutputDatasetFacet(rowCount=rows, size=size, fileCount=files)
    fields = [
        schema_dataset.SchemaDatasetFacetFields(name=name, type=kind)
        for name, kind in (columns or {}).items()
    ]
    return OutputDataset(
        *place,
        facets={"schema": schema_dataset.SchemaDatasetFacet(fields=fields)} if fields else {},
        outputFacets={} if rows is size is files is None else {"outputStatistics": figures},
    )
