"""Tables."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from typing import Any
from unittest import mock

from airflow.sdk import Connection

from airflow_provider_alvys import AlvysReconcileOperator
from airflow_provider_alvys.checks import comparison
from airflow_provider_alvys.hooks import databases
from scripts.troubles.bench import Bench


def no_connection(bench: Bench) -> Any:
    """
    There is no connection to the database.

    Correct `sql_conn_id`. Or install the extra of the database first, restart Airflow, and then add the
    connection.
    """
    return bench.load(sql_conn_id="warehouse")


def untyped_connection(bench: Bench) -> Any:
    """
    The connection was added before the database's provider was installed.

    Install the extra, restart Airflow, open the connection and choose its type.
    """
    bench.environment["AIRFLOW_CONN_WAREHOUSE"] = json.dumps({"conn_type": "generic", "host": "db"})
    return bench.load(sql_conn_id="warehouse")


def no_provider(bench: Bench) -> Any:
    """
    The provider of the database is not installed, or was installed after Airflow had started.

    Install the extra on all machines of Airflow, and restart it.
    """
    bench.environment["AIRFLOW_CONN_WAREHOUSE"] = json.dumps({"conn_type": "mysql", "host": "db"})
    # As where it is not installed.
    with (
        mock.patch.object(Connection, "get_hook", side_effect=ValueError('Unknown hook type "mysql"')),
        mock.patch.object(databases, "version", side_effect=PackageNotFoundError),
    ):
        return bench.load(sql_conn_id="warehouse")


def other_database(bench: Bench) -> Any:
    """
    The operator does not load into this kind of database.

    For Snowflake, BigQuery, Redshift and SQL Server see [Warehouses](reference/warehouses.md).
    """
    bench.environment["AIRFLOW_CONN_WAREHOUSE"] = json.dumps({"conn_type": "oracle", "host": "db"})
    return bench.load(sql_conn_id="warehouse")


def no_file(bench: Bench) -> Any:
    """
    A SQLite or DuckDB connection names no file.

    Set the host of the connection to the path of the file.
    """
    bench.environment["AIRFLOW_CONN_WAREHOUSE"] = json.dumps({"conn_type": "sqlite"})
    return bench.load(sql_conn_id="warehouse")


def foreign_table(bench: Bench) -> Any:
    """
    The database has a table of this name, which is not of this package.

    Give another `schema` or `table`, or rename the existing table.
    """
    bench.sync()
    bench.sql("CREATE TABLE loads (number TEXT)")
    return bench.load()


def other_manifest(bench: Bench) -> Any:
    """
    The manifest that is to be loaded is of another stream or data set.

    Pass the output of the sync of the same stream.
    """
    landed = bench.sync("trips")
    return bench.load(manifest=landed)


def lost_manifest(bench: Bench) -> Any:
    """
    The tables lack data of manifests that the data set no longer has.

    Restore the files, or [read their period again](runbook.md#a-dropped-table), and then run the statement in
    the message.
    """
    bench.sync()
    bench.load()
    bench.sql("DELETE FROM loads")
    bench.file("loads/*/*/_manifest.json").unlink()
    return bench.load()


def damaged_part(bench: Bench) -> Any:
    """
    A file of rows is damaged or was edited.

    Restore the file. Or delete the folder of its run, and sync the period again.
    """
    bench.sync()
    bench.file("loads/*/*/part-*.jsonl").write_bytes(b"[]\n")
    return bench.load()


def missing_part(bench: Bench) -> Any:
    """
    A file of rows was deleted.

    Restore the file. Or delete the folder of its run, and sync the period again.
    """
    bench.sync()
    bench.file("loads/*/*/part-*.jsonl").unlink()
    return bench.load()


def differences(bench: Bench) -> Any:
    """
    Tables differ from Alvys.

    The table `_alvys_checks` names what differs. Run the syncs in the output `repairs`, and load, as the
    [runbook](runbook.md#a-hole) shows.
    """
    bench.sync()
    bench.load()
    bench.sql("DELETE FROM loads WHERE id IN (SELECT id FROM loads LIMIT 2)")
    # All months of the bench's company, which begins at a fixed time: another month would be another check.
    months = {"start": "2026-07-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"}
    return bench.run(AlvysReconcileOperator(task_id="compare", stream="loads", sql_conn_id="db", **months))


def many_changes(bench: Bench) -> Any:
    """
    Too many rows have changed since the last sync to be left out of a comparison.

    Compare soon after the sync and the load. Months that differ by no more than this number count as
    `moving`.
    """
    bench.sync()
    bench.load()
    bench.sql("DELETE FROM loads WHERE id IN (SELECT id FROM loads LIMIT 2)")
    bench.sql("UPDATE _alvys_loads SET window_until = '2020-01-01 00:00:00', read_at = '2020-01-01 00:00:00'")
    with mock.patch.object(comparison, "MAX_ROWS", 10):
        bench.run(AlvysReconcileOperator(task_id="compare", stream="loads", sql_conn_id="db"))
    return bench.warned("Compare sooner")
