from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_alvys.tables.database import Database, open_database
from airflow_provider_alvys.tables.dialects import DIALECTS, SQLITE, Dialect


def test_a_database_that_lacks_an_abstract_method_cannot_be_opened() -> None:
    class Half(Database):
        dialect = SQLITE

        def _begin(self, lock: str) -> None: ...

    connection: Any = object()
    with pytest.raises(TypeError, match="abstract method '?columns'?"):
        Half(connection)  # type: ignore[abstract]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_has_a_database_with_all_methods(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Database, "__init__", lambda self, connection, schema: None)
    assert open_database(object(), dialect).dialect is dialect
