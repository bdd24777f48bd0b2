"""The log of a load into tables: manifests and rows to load, progress, and what has changed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.http.clock import Clock
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.tables.database import open_database
from airflow_provider_alvys.tables.dialects import get_dialect
from airflow_provider_alvys.tables.load import Loader
from airflow_provider_alvys.tables.schema import build_schema
from tests.tables.databases import Db
from tests.tables.runs import load, write_run


class TickingClock(Clock):
    """A clock that moves by 10 s whenever it is read."""

    now = 1_700_000_000.0

    def time(self) -> float:
        self.now += 10
        return self.now


def test_a_long_load_logs_its_progress(sqlite: Db, lake: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for at in range(3):
        write_run(lake, [{"Id": f"{at}-{number}"} for number in range(6000)], stream="drivers", at=at)
    schema = build_schema(get_stream("drivers"))
    with closing(open_database(sqlite.open(), get_dialect("sqlite"), None)) as database:
        loader = Loader(database, Store(str(lake)), schema, max_missing_share=0.02, clock=TickingClock())
        loader.prepare()
        for name in loader.pending():
            loader.load(name)
    lines = [record.getMessage() for record in caplog.records if "airflow_provider_alvys" in record.name]
    assert "Loading 3 manifests of 18,000 rows" in lines
    progress = [line for line in lines if line.startswith("Loaded ") and " of 18,000 rows" in line]
    done = [int(line.split()[1].replace(",", "")) for line in progress]
    assert len(done) >= 4
    assert done == sorted(set(done))
    assert all(" a minute" in line for line in progress[3:])
    assert all(line.endswith(" left") for line in progress if "18,000 of" not in line)
    assert lines.count("Loaded a manifest: 6,000 read, 6,000 changed") == 3


def test_unchanged_rows_are_read_and_not_changed(
    sqlite: Db, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for at in (0, 1):
        manifest = write_run(lake, [{"Id": f"L{number}"} for number in range(5000)], at=at)
    load(lake)
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("tables.load")]
    # The path has a line of its own.
    assert lines[-2:] == ["Loaded a manifest: 5,000 read, 0 changed", f"Manifest: {manifest}"]
