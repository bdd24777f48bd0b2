from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.__main__ import main
from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysServerError
from airflow_provider_alvys.api.read.windows import format_time
from airflow_provider_alvys.cli.status import status_rows
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.overview import read_overview
from airflow_provider_alvys.simulator.process import Simulator
from tests.cli.conftest import Rows
from tests.cli.test_cursor import STARTS, cursor_of, land_days
from tests.conftest import DataSet, Land
from tests.lake import manifests, read_manifest
from tests.transfers.test_alvys_to_object_storage import in_run

Run = Callable[..., Rows]


def test_status_shows_the_newest_run_of_each_stream(
    alvys: Simulator, land: Land, lake: Path, run: Run
) -> None:
    land_days(land)
    drivers = land(stream="drivers_list")
    newest, loads = run("status")[::-1]
    if newest["stream"] == "loads":
        newest, loads = loads, newest
    manifest = read_manifest(drivers["manifest"])
    assert (newest["stream"], newest["rows"], newest["proof"]) == ("drivers_list", drivers["rows"], "whole")
    assert (newest["window_by"], newest["cursor"], newest["since"]) == (None, None, None)
    assert newest["as_of"] == manifest["read_from"]
    manifest = read_manifest(loads["manifest"])
    assert manifest["as_of"] == loads["as_of"] == loads["cursor"] == STARTS[2]
    assert (loads["rows"], loads["proof"]) == (manifest["rows"], "whole")
    assert (loads["since"], loads["until"]) == ("2026-11-20T23:55:00Z", STARTS[2])
    assert (loads["open"], loads["unfinished"]) == (0, [])
    assert [row["stream"] for row in run("status", "--stream", "loads")] == ["loads"]


def test_the_age_of_a_cursor_is_measured_from_now(alvys: Simulator, land: Land, lake: Path) -> None:
    land_days(land, days=1)
    store, now = Store(str(lake)), datetime(2026, 11, 20, 7, 30, tzinfo=timezone.utc)
    (row,) = status_rows(store, read_overview(store, [get_stream("loads")]), now=now)
    assert row["age"] == timedelta(hours=7, minutes=30)


def test_the_freshness_is_that_of_the_regular_sync(alvys: Simulator, land: Land, lake: Path) -> None:
    land_days(land, days=1)
    land(in_run("some"), filters={"Status": ["Open"]}, initial_since=STARTS[0])
    store = Store(str(lake))

    def freshness(**age: float) -> list[str]:
        now = datetime(2026, 11, 20, tzinfo=timezone.utc) + timedelta(**age)
        return [
            row["freshness"]
            for row in sorted(
                status_rows(store, read_overview(store, [get_stream("loads")]), now=now),
                key=lambda row: len(row["filters"]),
            )
        ]

    assert freshness(minutes=30) == ["fresh", "unknown"]
    assert freshness(hours=2) == ["late", "unknown"]


def test_a_damaged_file_is_a_problem_of_one_row(alvys: Simulator, land: Land, lake: Path, run: Run) -> None:
    land_days(land)
    land(stream="drivers_list")
    land(stream="trucks")
    (manifest,) = (lake / "drivers_list").rglob("_manifest.json")
    manifest.write_text("{")
    cursor_of(lake).write_text("{")
    rows = {row["stream"]: row for row in run("status")}
    assert {name: row["freshness"] for name, row in rows.items()} == {
        "loads": "unknown",
        "drivers_list": "unknown",
        "trucks": "fresh",
    }
    assert "_cursor-" in rows["loads"]["problem"]
    assert (rows["loads"]["tenant"], rows["loads"]["until"]) == ("alvys_default", STARTS[2])
    assert rows["drivers_list"]["manifest"] == str(manifest)
    assert "damaged" in rows["drivers_list"]["problem"]
    assert rows["trucks"]["problem"] is None


def test_open_and_unfinished_runs_are_counted(alvys: Simulator, land: Land, lake: Path, run: Run) -> None:
    land_days(land, days=4)
    # As if the last two could not be proved.
    cursor = json.loads(cursor_of(lake).read_bytes())
    by_end = {str(read_manifest(file)["as_of"]): file for file in manifests(lake)}
    whole = by_end[STARTS[1]].relative_to(lake)
    cursor_of(lake).write_text(json.dumps(cursor | {"until": STARTS[1], "manifest": str(whole)}))
    for end in STARTS[2:]:
        by_end[end].write_text(json.dumps(read_manifest(by_end[end]) | {"proof": "open"}))
    alvys.order_faults(
        {"kind": "status", "status": 500, "endpoint": "POST loads/search", "skip": 2, "times": 50}
    )
    with pytest.raises(AlvysServerError):
        land(in_run("late"), until="2026-11-24T00:00:00Z", page_size=2, part_rows=2)
    (row,) = run("status")
    assert (row["cursor"], row["until"], row["proof"]) == (STARTS[1], STARTS[3], "open")
    assert (row["open"], len(row["unfinished"])) == (2, 1)
    (unfinished,) = row["unfinished"]
    parts = list((lake / unfinished["folder"]).iterdir())
    assert (unfinished["rows"], unfinished["parts"]) == (2 * len(parts), len(parts))
    assert parts


def test_a_sweep_beside_a_sync_does_not_take_its_place(
    alvys: Simulator, land: Land, lake: Path, run: Run
) -> None:
    land_days(land)
    land(window_by="whole")
    (row,) = run("status")
    assert (row["window_by"], row["until"]) == ("updated", STARTS[2])


def test_tenants_have_rows_of_their_own(alvys: Simulator, land: Land, lake: Path, run: Run) -> None:
    land_days(land, tenant="acme")
    land_days(land, tenant="globex", days=1)
    found = {row["tenant"]: row["cursor"] for row in run("status")}
    assert found == {"acme": STARTS[2], "globex": STARTS[0]}
    assert [row["tenant"] for row in run("status", "--tenant", "globex")] == ["globex"]


def test_a_tenant_whose_full_reads_have_stopped_is_still_shown(
    alvys: Simulator, land: Land, lake: Path, run: Run
) -> None:
    land_days(land, tenant="globex", days=1)
    land(stream="drivers_list", tenant="globex")
    (date,) = [folder for folder in (lake / "drivers_list").iterdir() if folder.name[:1] == "2"]
    date.rename(date.with_name("2026-01-01"))
    land(stream="drivers_list", tenant="acme")
    assert {row["tenant"] for row in run("status", "--stream", "drivers_list")} == {"acme", "globex"}


def test_a_year_of_hourly_runs_costs_few_reads(
    alvys: Simulator, land: Land, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_days(land)
    loads = lake / "loads"
    hours = [datetime(2025, 11, 1, tzinfo=timezone.utc) + timedelta(hours=number) for number in range(8_760)]
    for number, hour in enumerate(hours):
        end = hour + timedelta(hours=1)
        name = f"{hour:%Y%m%dT%H%M%SZ}-{end:%Y%m%dT%H%M%SZ}-{number:016x}-1"
        (loads / f"{hour:%Y-%m-%d}" / name).mkdir(parents=True)
    reads: list[str] = []
    get, entries = Store.get, Store._entries

    def counted_get(self: Store, name: str) -> bytes | None:
        reads.append(name)
        return get(self, name)

    def counted_entries(self: Store, folder: str) -> Any:
        reads.append(folder)
        return entries(self, folder)

    monkeypatch.setattr(Store, "get", counted_get)
    monkeypatch.setattr(Store, "_entries", counted_entries)
    (overview,) = read_overview(Store(str(lake)), [get_stream("loads")])
    assert overview.manifest
    assert overview.manifest.as_of
    assert len(reads) < 20


@pytest.mark.parametrize("output", ["table", "plain", "yaml"])
def test_every_form_prints_the_stream_and_names_in_brackets_as_they_are(
    alvys: Simulator, land: Land, lake: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    land_days(land, days=1, tenant="[bold]acme[/]")
    capsys.readouterr()
    main(["status", "--path", str(lake), "-o", output])
    printed = capsys.readouterr().out
    assert "[bold]acme[/]" in printed
    assert "loads" in printed
    assert STARTS[0] in printed


def test_status_reads_a_bucket(alvys: Simulator, land: Land, data_set: DataSet) -> None:
    for day in STARTS[:2]:
        land(in_run(day), path=data_set.path, until=day)
    store = Store(data_set.path)
    (row,) = status_rows(store, read_overview(store, [get_stream("loads")]), now=datetime.now(timezone.utc))
    assert (format_time(row["cursor"]), row["proof"], row["unfinished"]) == (STARTS[1], "whole", [])
