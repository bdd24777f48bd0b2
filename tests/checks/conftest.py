from __future__ import annotations

from tests.tables.conftest import make_db, mariadb, postgres, sqlite

__all__ = ["make_db", "mariadb", "postgres", "sqlite"]
