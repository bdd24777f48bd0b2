"""
Check that public names, stored names and data of earlier versions remain valid.

``contracts/`` contains data of version 0.1.0: a data set with interrupted runs (``lake``), dumps of its
tables, and the signatures of all public names. Never rewrite these files: add fixtures for a new format.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib
import inspect
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

import airflow_provider_alvys
from airflow_provider_alvys import alvys_backfill, alvys_first_load, alvys_sync
from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.get_provider_info import get_provider_info
from airflow_provider_alvys.tables.schema import build_schema
from tests.contracts import scenario
from tests.contracts.fixed_alvys import FILE, FixedAlvys
from tests.lake import read_lines
from tests.tables.conftest import make_db, postgres  # noqa: F401
from tests.tables.databases import Db, MakeDb
from tests.tables.runs import load, write_run

HERE = Path(__file__).parent / "contracts"
PUBLIC = json.loads((HERE / "public.json").read_bytes())
STORED = json.loads((HERE / "stored.json").read_bytes())
ROWS = json.loads(gzip.decompress((HERE / "rows.json.gz").read_bytes()))
LOADED = ("loads", "fuel", "load_documents", "drivers", "trucks")


def describe(value: Any) -> Any:
    """Return a value's interface: parameters with kinds and defaults, public members, bases of errors."""
    if inspect.isclass(value):
        members = {}
        for name, member in inspect.getmembers(value):
            owner = next((base for base in value.__mro__ if name in vars(base)), None)
            if (
                name.startswith("_")
                or owner is None
                or not owner.__module__.startswith("airflow_provider_alvys")
            ):
                continue
            members[name] = describe(member) if inspect.isroutine(member) else "attribute"
        bases = [
            base.__name__
            for base in value.__mro__[1:]
            if base.__module__.startswith("airflow_provider_alvys.api.errors")
        ]
        own = any(
            "__init__" in vars(base) and base.__module__.startswith("airflow_provider")
            for base in value.__mro__
        )
        return {"class": _parameters(value) if own else None, "members": members, "errors": bases}
    return {"function": _parameters(value)} if callable(value) else "value"


def _parameters(value: Any) -> dict[str, list[str]]:
    found = inspect.signature(value).parameters.values()
    return {
        one.name: [
            one.kind.name,
            "" if one.default is one.empty else re.sub(r" at 0x\w+", "", repr(one.default)),
        ]
        for one in found
        if one.name != "self"
    }


def assert_kept(known: Any, now: Any, where: str) -> None:
    """Compare with a recorded interface. Members and optional parameters may be added."""
    if isinstance(known, str):
        assert now == known, where
        return
    kind = "class" if "class" in known else "function"
    if known[kind] is not None:
        parameters = now[kind]
        assert {name: parameters.get(name) for name in known[kind]} == known[kind], where
        added = {name: kept for name, kept in parameters.items() if name not in known[kind]}
        required = [
            name for name, (how, default) in added.items() if default == "" and not how.startswith("VAR")
        ]
        assert not required, f"{where}: new required parameters {required}"
    for name, member in known.get("members", {}).items():
        assert name in now["members"], f"{where}.{name} is missing"
        assert_kept(member, now["members"][name], f"{where}.{name}")
    assert set(known.get("errors", ())) <= set(now.get("errors", ())), where


@pytest.mark.every_airflow
@pytest.mark.parametrize("address", PUBLIC["addresses"])
def test_a_public_name_keeps_its_address_and_signature(address: str) -> None:
    module, name = address.rsplit(".", 1)
    assert_kept(
        PUBLIC["addresses"][address], describe(getattr(importlib.import_module(module), name)), address
    )


@pytest.mark.every_airflow
def test_the_package_keeps_its_exports() -> None:
    assert set(PUBLIC["exports"]) <= set(airflow_provider_alvys.__all__)
    for name in PUBLIC["exports"]:
        assert getattr(airflow_provider_alvys, name) is not None


@pytest.mark.every_airflow
def test_the_provider_info_keeps_its_entries() -> None:
    def assert_within(known: Any, now: Any, where: str) -> None:
        if isinstance(known, dict):
            for name, value in known.items():
                assert_within(value, now[name], f"{where}.{name}")
        elif isinstance(known, list):
            for value in known:
                assert value in now or any(
                    isinstance(value, dict) and value.items() <= other.items() for other in now
                ), where
        elif where.endswith(".description"):
            assert now
        else:
            assert now == known, where

    info = json.loads(json.dumps(get_provider_info()))
    known = dict(PUBLIC["provider_info"])
    (known_type,), (type_now,) = known.pop("connection-types"), info.pop("connection-types")
    assert_within(known, info, "provider")
    for name in ("connection-type", "hook-class-name", "hook-name"):
        assert type_now[name] == known_type[name]
    assert {*known_type["conn-fields"]} <= {*type_now["conn-fields"]}


@pytest.mark.every_airflow
@pytest.mark.parametrize("path", STORED["triggers"])
def test_a_stored_trigger_can_be_started(path: str) -> None:
    module, name = path.rsplit(".", 1)
    for arguments in STORED["triggers"][path]:
        trigger = getattr(importlib.import_module(module), name)(**arguments)
        assert json.loads(json.dumps(trigger.serialize(), default=str)) == [path, arguments]


@pytest.mark.every_airflow
def test_names_stored_by_airflow_are_kept() -> None:
    from airflow_provider_alvys._compat import HAS_RETRY_POLICY
    from airflow_provider_alvys.operators.alvys import AlvysWriteOperator

    operator = scenario.loads_operator("2026-03-01T00:00:00Z")
    assert callable(operator.resume)
    assert "in_vain" in inspect.getsource(type(operator).resume), "stored in next_kwargs"
    assert callable(
        importlib.import_module("airflow_provider_alvys.sensors.base").AlvysSensor.execute_complete
    )
    if HAS_RETRY_POLICY:
        policy = AlvysWriteOperator(
            task_id="w", operation="trips.dispatch", path_params={"tripId": "T"}
        ).retry_policy
        assert (
            f"{type(policy).__module__}.{type(policy).__qualname__}"
            == "airflow_provider_alvys.retry_policy.AlvysRetryPolicy"
        )


class StateStore(dict[str, Any]):
    """A stand-in for the state store of Airflow 3.3."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value

    async def aget(self, key: str) -> Any:
        return self.get(key)

    async def aset(self, key: str, value: Any) -> None:
        self[key] = value


def test_a_retry_finds_the_write_journal_of_an_earlier_version(fixed: FixedAlvys) -> None:
    from airflow_provider_alvys.operators.alvys import AlvysWriteOperator

    journal = STORED["journal"]
    context = {**scenario.context("write", "first"), "task_state_store": StateStore(journal["store"])}
    context["ti"].max_tries = journal["max_tries"]
    assert AlvysWriteOperator(task_id="write", **journal["write"]).execute(context) == journal["answer"]
    assert fixed.requests == [], "sent again"


def test_a_watcher_continues_from_the_state_of_an_earlier_version(fixed: FixedAlvys) -> None:
    from airflow_provider_alvys.triggers.change_loop import ChangeLoop
    from airflow_provider_alvys.triggers.pollers import open_poller

    class Ended(Exception):
        pass

    async def sleep(seconds: float) -> None:
        raise Ended

    async def watch() -> None:
        loop = ChangeLoop(**STORED["watcher"]["arguments"], stores=[store], sleep=sleep)
        async with open_poller("alvys_default", sleep=lambda seconds: asyncio.sleep(0.01)):
            async for _ in loop.payloads():
                pass

    store: Any = StateStore(STORED["watcher"]["store"])
    with pytest.raises(Ended):
        asyncio.run(watch())
    assert set(store) == set(STORED["watcher"]["store"])
    assert fixed.requests[0][1]["UpdatedAtRange"]["Start"] == STORED["watcher"]["start"]


@pytest.fixture
def lake(bucket: Any) -> Any:
    """The data set, in a bucket at its original URL."""
    for page in bucket.get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix="contracts/"):
        for entry in page.get("Contents", ()):
            bucket.delete_object(Bucket="lake", Key=entry["Key"])
    for file in (HERE / "lake").rglob("*"):
        if file.is_file():
            key = f"contracts/{file.relative_to(HERE / 'lake').as_posix()}"
            bucket.put_object(Bucket="lake", Key=key, Body=file.read_bytes())
    return bucket


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> Iterator[FixedAlvys]:
    rows = {
        f"{stream}/search": ROWS[stream] for stream in ("fuel", "drivers", "trucks", "customers", "carriers")
    }
    rows |= {f"loads/{number}/documents": documents for number, documents in ROWS["documents"].items()}
    with FixedAlvys({**rows, "loads/search": ROWS["third"]}) as fixed:
        monkeypatch.setenv("AIRFLOW_CONN_ALVYS_DEFAULT", fixed.connection())
        yield fixed


def read_json(lake: Any, url: str) -> Any:
    key = url.split("@lake/")[-1]
    return json.loads(lake.get_object(Bucket="lake", Key=key)["Body"].read())


def folder_of(lake: Any, manifest: str, target: Path) -> Path:
    """Copy the folder of a manifest to disk."""
    prefix = manifest.split("@lake/")[1].rpartition("/")[0]
    target.mkdir()
    for entry in lake.list_objects_v2(Bucket="lake", Prefix=f"{prefix}/")["Contents"]:
        content = lake.get_object(Bucket="lake", Key=entry["Key"])["Body"].read()
        (target / entry["Key"].rpartition("/")[2]).write_bytes(content)
    return target / "_manifest.json"


def test_an_interrupted_sync_resumes_after_its_last_part(
    lake: Any, fixed: FixedAlvys, tmp_path: Path
) -> None:
    (part,) = list((HERE / "lake/loads").rglob("20260301*/part-*"))
    result = scenario.sync_loads("third", "2026-03-03T00:00:00Z")
    manifest = read_json(lake, result["manifest"])
    assert manifest["parts"][0]["name"] == part.name, "the existing part is not used"
    assert manifest["attempt"] == 1
    assert result["manifest"].split("/")[-2] == part.parent.name
    rows = [json.loads(line) for line in read_lines(folder_of(lake, result["manifest"], tmp_path / "run"))]
    assert sorted(rows, key=lambda row: row["Id"]) == sorted(ROWS["third"], key=lambda row: row["Id"])
    pages = [body["Page"] for path, body in fixed.requests if path == "loads/search"]
    assert pages == [2, 1], "page 0 is in the part"
    cursor = read_json(lake, f"@lake/contracts/{STORED['cursors']['loads']}")
    assert cursor["until"] == "2026-03-03T00:00:00Z"


def test_the_next_sync_starts_at_the_cursor(lake: Any, fixed: FixedAlvys) -> None:
    scenario.sync_loads("fourth", "2026-03-04T00:00:00Z")
    window = fixed.requests[0][1]["UpdatedAtRange"]
    # The cursor of the second run minus the overlap of five minutes.
    assert window["Start"].startswith("2026-03-01T23:55:00")


def test_an_interrupted_sweep_reads_only_the_remaining_streams(lake: Any, fixed: FixedAlvys) -> None:
    result = scenario.sweep("second", ["customers", "carriers"])
    assert result
    assert {path for path, _ in fixed.requests} == {"carriers/search"}


def test_an_interrupted_download_fetches_only_the_missing_documents(lake: Any, fixed: FixedAlvys) -> None:
    scenario.fetch_documents("second", list(ROWS["documents"]))
    assert [path for path, _ in fixed.requests if path.startswith("/files/")] == ["/files/5"]
    key = "contracts/documents/load/8000003/DO0005-scan_5___K_ln.pdf"
    assert lake.get_object(Bucket="lake", Key=key)["Body"].read() == FILE


def test_documents_that_an_earlier_version_downloaded_are_found_by_a_new_run(
    lake: Any, fixed: FixedAlvys
) -> None:
    result = scenario.fetch_documents("third", list(ROWS["documents"]))
    assert [path for path, _ in fixed.requests if path.startswith("/files/")] == ["/files/5"]
    key = result["index"].split("@lake/")[1]
    lines = lake.get_object(Bucket="lake", Key=key)["Body"].read().splitlines()
    names = [json.loads(line)["name"] for line in lines]
    assert [name.split("/")[2] for name in names] == [
        *("8000001", "8000001", "8000002", "8000002", "tenant=alvys_default", "8000003")
    ]
    for name in names:
        assert lake.get_object(Bucket="lake", Key=f"contracts/{name}")["Body"].read() == FILE


def test_a_task_deferred_by_an_earlier_version_resumes(lake: Any, fixed: FixedAlvys) -> None:
    operator = scenario.loads_operator("{{ until }}")
    state = {
        "rendered": {"until": "2026-03-03T00:00:00Z", "path": scenario.PATH},
        "deadline": None,
        "in_vain": 0,
    }
    result = operator.resume(scenario.context("loads", "deferred"), state=state)
    assert result["until"] == "2026-03-03T00:00:00Z"


@pytest.mark.parametrize(
    "manifest", sorted((HERE / "lake").rglob("_manifest.json")), ids=lambda path: path.parts[-4]
)
def test_landed_files_can_be_read(manifest: Path) -> None:
    assert read_lines(manifest)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_database_of_an_earlier_version_takes_new_loads(
    kind: str,
    lake: Any,
    fixed: FixedAlvys,
    make_db: MakeDb,  # noqa: F811
) -> None:
    scenario.sync_loads("third", "2026-03-03T00:00:00Z")
    fresh = make_db(kind)
    for stream in LOADED:
        load(scenario.PATH, stream)
    expected = contents(fresh)

    known = make_db(kind)
    restore(known)
    before = {table: known.columns(table) for table in known.tables()}
    drivers = known.rows("drivers")
    # Manifests are loaded again only if the catalogue has new fields of their stream.
    new = [
        stream
        for stream in LOADED
        for table in build_schema(get_stream(stream)).tables
        if not {column.name for column in table.all_columns} <= {*known.columns(table.name)}
    ]
    entries = [row["stream"] for row in known.rows("_alvys_loads")]
    results = {stream: load(scenario.PATH, stream) for stream in LOADED}
    assert {stream: result["manifests"] for stream, result in results.items()} == {
        stream: (stream == "loads") + (entries.count(stream) if stream in new else 0) for stream in LOADED
    }
    after = {table: known.columns(table) for table in known.tables()}
    for table, columns in before.items():
        assert after[table][: len(columns)] == columns
    assert known.rows("drivers") == drivers or "drivers" in new
    assert contents(known) == expected


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_database_of_an_earlier_version_gets_columns_for_new_fields(
    kind: str,
    lake: Any,
    tmp_path: Path,
    make_db: MakeDb,  # noqa: F811
) -> None:
    known = make_db(kind)
    restore(known)
    address = {"Street": "1 Main St", "City": "Reno", "State": "NV", "ZipCode": "89501"}
    stop = {"Id": "S1", "StopType": "Pickup", "Eta": {"Live": "2026-03-02T08:00:00Z"}}
    load_row = {
        **ROWS["third"][0],
        "UpdatedAt": "2027-01-01T00:00:00Z",
        "Origin": address,
        "Stops": [stop],
        "CustomerAccessorialsDetails": [{"Id": "A1", "StopId": "S1"}],
    }
    write_run(tmp_path, [load_row], at=24 * 365, tenant="acme")
    load(tmp_path)
    (row,) = [row for row in known.rows("loads") if row["origin_city"]]
    assert (row["id"], row["origin_zip_code"], row["destination_city"]) == (load_row["Id"], "89501", None)
    (stop_row,) = [row for row in known.rows("load_stops") if row["eta_live"]]
    assert stop_row["load_id"] == load_row["Id"]
    (charge,) = [row for row in known.rows("load_customer_accessorials_details") if row["stop_id"]]
    assert charge["stop_id"] == "S1"


def contents(db: Db) -> dict[str, list[dict[str, Any]]]:
    """Return all rows without the times of loading."""
    loads = db.rows("_alvys_loads")
    found = db.dump(without=("_loaded_at", "_changed_at"))
    return {**found, "_alvys_loads": sorted(row["manifest"] for row in loads)}


def restore(db: Db) -> None:
    sql = gzip.decompress((HERE / f"tables-{db.kind}.sql.gz").read_bytes()).decode()
    if db.kind == "sqlite":
        with closing(sqlite3.connect(db.connection["host"])) as connection:
            connection.executescript(sql)
        return
    schema = db.one("SELECT current_schema()")
    lines = [
        line
        for line in sql.splitlines()
        if not line.startswith("\\") and "set_config('search_path'" not in line
    ]
    with closing(db.open()) as connection:
        connection.cursor().execute("\n".join(lines).replace("public.", f"{schema}."))
        connection.commit()


@pytest.mark.every_airflow
def test_task_groups_keep_their_task_ids() -> None:
    since = "2026-01-01T00:00:00Z"
    with DAG("contracts", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        alvys_sync(
            streams=["loads", "drivers", "trucks"], path="/lake", initial_since=since, sql_conn_id="sql"
        )
        alvys_backfill("trips", since, "2026-02-01T00:00:00Z", "week", path="/lake")
        alvys_first_load("invoices", since, path="/lake")
    assert sorted(task.task_id for task in dag.tasks) == STORED["task_ids"]
