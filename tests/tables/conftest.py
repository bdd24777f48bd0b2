from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tables.databases import KINDS, Db, mariadb_server, postgres_server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[dict[str, Any]]:
    with postgres_server() as connection:
        yield connection


@pytest.fixture(scope="session")
def mariadb() -> Iterator[dict[str, Any]]:
    with mariadb_server() as connection:
        yield connection


@pytest.fixture
def make_db(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Db]:
    """Create an empty database, and the connection ``sql`` to it."""

    def make(kind: str) -> Db:
        name = f"alvys_{next(_numbers)}"
        if kind in ("sqlite", "duckdb"):
            db = Db(kind, {"conn_type": kind, "host": str(tmp_path / f"{name}.{kind}")})
        elif kind == "postgres":
            server = request.getfixturevalue("postgres")
            monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps(server))
            Db(kind, server).query(f"CREATE SCHEMA {name}")
            db = Db(kind, {**server, "extra": {"options": f"-c search_path={name}"}})
        else:
            server = request.getfixturevalue("mariadb")
            monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps({**server, "schema": "mysql"}))
            Db(kind, server).query(f"CREATE DATABASE {name}")
            db = Db(kind, {**server, "schema": name})
        monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps(db.connection))
        return db

    return make


@pytest.fixture(params=KINDS)
def db(request: pytest.FixtureRequest, make_db: Callable[[str], Db]) -> Db:
    """An empty database of each kind."""
    return make_db(request.param)


@pytest.fixture
def sqlite(make_db: Callable[[str], Db]) -> Db:
    """An empty SQLite database, for tests that are the same for every database."""
    return make_db("sqlite")
