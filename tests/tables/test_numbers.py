"""Load numbers that two rows carry are named in a warning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tables.databases import Db
from tests.tables.runs import load, write_run


def warnings(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record.args for record in caplog.records if record.name.endswith("tables.numbers")]


def test_two_loads_with_one_number_are_named(db: Db, lake: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = [{"Id": f"L{number}", "LoadNumber": str(1000 + number)} for number in range(20)]
    write_run(lake, first, at=0)
    load(lake)
    assert warnings(caplog) == []
    # In another manifest.
    write_run(lake, [{"Id": "other", "LoadNumber": "1003"}, {"Id": "none"}, {"Id": "none either"}], at=1)
    load(lake)
    assert warnings(caplog) == [("1 value", "loads.load_number", "1003"), ("id",)]


@pytest.mark.parametrize(
    ("stream", "rows", "arguments"),
    [
        pytest.param("loads", [{"Id": "A", "LoadNumber": "1"}], {}, id="another tenant"),
        pytest.param("loads", [{"Id": "B", "LoadNumber": "1"}], {"exclude": ["LoadNumber"]}, id="excluded"),
        pytest.param("drivers", [{"Id": "A"}], {}, id="no number"),
        pytest.param(
            "invoices",
            [{"Id": "A", "Number": "1"}, {"Id": "B", "Number": "1"}],
            {},
            id="unique by the documents",
        ),
    ],
)
def test_other_rows_cause_no_warning(
    sqlite: Db,
    lake: Path,
    caplog: pytest.LogCaptureFixture,
    stream: str,
    rows: list[dict[str, Any]],
    arguments: dict[str, Any],
) -> None:
    write_run(lake, rows, stream=stream, at=0)
    write_run(lake, [{**rows[0]}], stream=stream, at=1, tenant="other")
    load(lake, stream, **arguments)
    assert warnings(caplog) == []
