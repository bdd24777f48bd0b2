from __future__ import annotations

from tests.tables.conftest import make_db, postgres, sqlite  # noqa: F401
