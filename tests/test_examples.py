"""Run every example DAG in a real Airflow, and compare the results with a simulated Alvys."""

from __future__ import annotations

import json
import os
import re
import runpy
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.tables.schema import build_schema
from tests.conftest import CONNECTION, ROOT, SECRET, Airflow, DataSet
from tests.lake import ids, manifests, read_lines, read_manifest
from tests.tables.databases import Db, postgres_server

EXAMPLES = sorted((ROOT / "dags_examples").glob("*.py"))

OTHER = "AIRFLOW_CONN_ALVYS_BLUEBIRD"
BUCKET = "AIRFLOW_CONN_AWS_LAKE"
BOUNDS = {"window_by": "by", "since": "since", "until": "until"}
# The streams that each example lands.
STREAMS_OF = {
    "alvys_to_lake_hourly": {"loads", "trips", "invoices", "tenders"},
    "alvys_to_lake_daily": {
        "carriers",
        "carrier_settlement_statements",
        "customers",
        "deductions",
        "driver_settlement_statements",
        "drivers",
        "fuel",
        "maintenance",
        "tolls",
        "trailers",
        "trucks",
        "users",
    },
    "alvys_to_lake_weekly": {
        name for name, row in STREAMS.items() if any(tier.name == "weekly" for tier in row.tiers)
    },
    "alvys_first_load": {"loads", "trips"},
    "alvys_delivered_documents": {"loads", "load_documents", "load_notes"},
    "alvys_two_tenants": {"loads", "trips", "customers", "drivers"},
}


# The other examples add nothing on the oldest Airflow, where each takes a minute.
ON_EVERY_AIRFLOW = pytest.mark.every_airflow
LATER_EXAMPLES = [
    pytest.param("alvys_to_lake_hourly", {}, marks=ON_EVERY_AIRFLOW),
    pytest.param("alvys_to_lake_daily", {}),
    pytest.param("alvys_to_lake_weekly", {}, marks=ON_EVERY_AIRFLOW),
    pytest.param(
        "alvys_first_load", {"ALVYS_FIRST_LOAD_START": "2026-05-01T00:00:00Z"}, marks=ON_EVERY_AIRFLOW
    ),
    pytest.param("alvys_delivered_documents", {}, marks=ON_EVERY_AIRFLOW),
    pytest.param("alvys_two_tenants", {}),
]


@pytest.mark.parametrize(("dag_id", "settings"), LATER_EXAMPLES)
def test_an_example_lands_exactly_the_rows_of_alvys(
    airflow: Airflow, home: Path, own_alvys: Simulator, dag_id: str, settings: dict[str, str], tmp_path: Path
) -> None:
    own_alvys.reset(loads=120, fleet=70, client_secret=SECRET, now=time.time() - 3600)
    lake = tmp_path / "lake"
    connection = own_alvys.connection_json(requests_per_minute=0)
    airflow(
        "dags",
        "test",
        dag_id,
        ALVYS_LAKE=str(lake),
        **{CONNECTION: connection, OTHER: connection},
        **settings,
    )
    found = manifests(lake)
    assert found
    for path in found:
        manifest = read_manifest(path)
        check_rows(own_alvys, manifest, read_lines(path))
    landed = {read_manifest(path)["stream"] for path in found}
    assert landed == STREAMS_OF[dag_id]
    assert own_alvys.stats()["rate_limited"] == 0


@pytest.mark.every_airflow
def test_the_example_fetches_the_proof_of_delivery_and_records_payments_once(
    airflow: Airflow, home: Path, own_alvys: Simulator, tmp_path: Path
) -> None:
    own_alvys.reset(loads=300, client_secret=SECRET, now=time.time() - 3600)
    trips = [json.loads(row) for row in own_alvys.truth_rows(stream="trips")]
    trip = next(
        row for row in trips if row["Status"] == "Delivered" and row.get("Carrier", {}).get("TotalPayable")
    )
    number = trip["LoadNumber"]
    own_alvys.change(keys=[number], columns={"Status": "Delivered"})
    (proof,) = own_alvys.add(
        stream="load_documents", parent=number, columns={"AttachmentType": "Proof of Delivery (POD)"}
    )
    payable = [
        row for row in trips if row["LoadNumber"] == number and row.get("Carrier", {}).get("TotalPayable")
    ]
    lake = tmp_path / "lake"
    settings = {"ALVYS_LAKE": str(lake), CONNECTION: own_alvys.connection_json(requests_per_minute=0)}
    for _ in range(2):
        # A second run for the same load changes nothing.
        printed = airflow(
            "dags", "test", "alvys_pod_and_payment", "--conf", json.dumps({"load_number": number}), **settings
        )
        assert own_alvys.effects() == {"invoices.record_carrier_payment": len(payable)}
        assert "X-Signature" not in printed
    documents = [
        json.loads(row) for row in own_alvys.truth_rows(stream="load_documents", parents=json.dumps([number]))
    ]
    expected = {
        row["id"]: row["AttachmentSize"]
        for row in documents
        if row["AttachmentType"].startswith("Proof of Delivery")
    }
    assert proof in expected
    files = list((lake / "documents" / "load" / "tenant=alvys_default" / number).iterdir())
    assert sorted(file.stat().st_size for file in files) == sorted(expected.values())
    stats = own_alvys.stats()
    assert (stats["requests"]["GET storage"], stats["bearer_at_storage"]) == (len(expected), 0)


def test_the_example_of_single_tasks_uploads_a_file_and_loads_the_drivers(
    airflow: Airflow, own_alvys: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("airflow.providers.sqlite")
    own_alvys.reset(loads=60, fleet=5, client_secret=SECRET, now=time.time() - 3600)
    trips = [json.loads(row) for row in own_alvys.truth_rows(stream="trips")]
    trip = next(row for row in trips if row["Status"] == "Delivered")
    (tmp_path / f"{trip['LoadNumber']}.pdf").write_bytes(b"%PDF-1.4 a proof of delivery\n")
    db = Db("sqlite", {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.sqlite")})
    monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps(db.connection))
    numbers = {"trip_number": trip["TripNumber"], "load_number": trip["LoadNumber"]}
    airflow(
        *("dags", "test", "alvys_single_tasks", "--conf", json.dumps(numbers)),
        ALVYS_LAKE=str(tmp_path / "lake"),
        ALVYS_OUTBOX=str(tmp_path),
        AIRFLOW_CONN_WAREHOUSE=json.dumps(db.connection),
        **{CONNECTION: own_alvys.connection_json(requests_per_minute=0)},
    )
    assert own_alvys.effects() == {"load_documents.upload": 1}
    assert {row["id"] for row in db.rows("drivers")} == set(own_alvys.truth_keys(stream="drivers"))
    assert "phone_number" not in db.columns("drivers")


# At DEBUG the libraries of databases and S3 log so much that it takes time.
QUIET = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO"}
WAREHOUSES = {
    "sqlite": ["alvys_to_postgres_hourly", "alvys_revenue"],
    "postgres": [
        "alvys_to_postgres_hourly",
        "alvys_to_postgres_daily",
        "alvys_to_postgres_weekly",
        "alvys_revenue",
    ],
}
DAILY = {"invoices", "customers", "drivers", "trucks", "trailers", "users"}


@pytest.fixture(params=WAREHOUSES)
def warehouse(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Db]:
    """An empty database."""
    with ExitStack() as stack:
        if request.param == "postgres":
            connection = stack.enter_context(postgres_server())
        else:
            pytest.importorskip("airflow.providers.sqlite")
            connection = {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.sqlite")}
        monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps(connection))
        yield Db(request.param, connection)


def test_the_example_fills_a_database(
    airflow: Airflow, own_alvys: Simulator, warehouse: Db, tmp_path: Path
) -> None:
    own_alvys.reset(loads=120, fleet=30, client_secret=SECRET, now=time.time() - 3600)
    db, kind = warehouse, warehouse.kind
    settings = {
        **QUIET,
        "ALVYS_LAKE": str(tmp_path / "lake"),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps(db.connection),
        CONNECTION: own_alvys.connection_json(requests_per_minute=0),
    }
    for dag_id in WAREHOUSES[kind]:
        airflow("dags", "test", dag_id, **settings)
    loads = [json.loads(row) for row in own_alvys.truth_rows()]
    assert {row["id"] for row in db.rows("loads")} == {row["Id"] for row in loads}
    assert len(db.rows("load_stops")) == sum(len(row["Stops"]) for row in loads)
    streams = {"loads", "trips", *(DAILY if kind == "postgres" else ())}
    for stream in streams:
        keys = own_alvys.truth_keys(stream=stream)
        assert {row["id"] for row in db.rows(stream)} == set(keys)
    assert {row["stream"] for row in db.rows("_alvys_loads")} == streams
    earning = [row for row in db.rows("loads") if not row["is_deleted"] and row["status"] != "Cancelled"]
    assert sum(row["loads"] for row in db.rows("revenue_by_customer")) == len(earning) > 100
    if kind == "postgres":
        assert sum(row["revenue"] for row in db.rows("revenue_by_customer")) == sum(
            row["customer_rate_amount"] for row in earning
        )
        assert {"license_num", "address_city", "phone_number"}.isdisjoint(db.columns("drivers"))


def test_the_example_of_a_nightly_check_repairs_what_differs(
    airflow: Airflow, own_alvys: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("airflow.providers.sqlite")
    own_alvys.reset(loads=60, client_secret=SECRET, now=time.time() - 3600)
    db = Db("sqlite", {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.sqlite")})
    monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps(db.connection))
    settings = {
        **QUIET,
        "ALVYS_LAKE": str(tmp_path / "lake"),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps(db.connection),
        CONNECTION: own_alvys.connection_json(requests_per_minute=0),
    }
    airflow("dags", "test", "alvys_to_postgres_hourly", **settings)
    db.query("DELETE FROM loads WHERE id IN (SELECT id FROM loads LIMIT 3)")
    printed = airflow("dags", "test", "alvys_nightly_check", **settings)
    assert len(db.rows("loads")) == 60
    assert re.search(r"loads: [1-9]\d* differences found, 0 left; same as of 20", printed)
    verdicts: dict[str, set[str]] = {}
    for row in db.rows("_alvys_checks"):
        verdicts.setdefault(row["task_id"], set()).add(row["verdict"])
    assert verdicts == {"compare": {"same", "differs"}, "compare_again": {"same"}}
    # Nothing to repair: the mapped task is skipped, and the rest runs.
    printed = airflow("dags", "test", "alvys_nightly_check", **settings)
    assert re.search(r"loads: 0 differences found, 0 left; same as of 20", printed)


PHONE = re.compile("phone|mobile|fax", re.IGNORECASE)


def test_the_example_without_phone_numbers_excludes_every_one() -> None:
    example = runpy.run_path(str(ROOT / "dags_examples" / "alvys_without_phone_numbers.py"))
    for stream, excluded in example["PHONE_NUMBERS"].items():
        tables = build_schema(STREAMS[stream], exclude=excluded).tables
        assert [
            column.name for table in tables for column in table.all_columns if PHONE.search(column.name)
        ] == []
        assert [table.name for table in tables if PHONE.search(table.name)] == []


def test_the_example_without_phone_numbers_loads_none(
    airflow: Airflow, own_alvys: Simulator, tmp_path: Path
) -> None:
    pytest.importorskip("airflow.providers.sqlite")
    own_alvys.reset(loads=60, fleet=30, client_secret=SECRET, now=time.time() - 3600)
    database = tmp_path / "warehouse.sqlite"
    settings = {
        **QUIET,
        "ALVYS_LAKE": str(tmp_path / "lake"),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(database)}),
        CONNECTION: own_alvys.connection_json(requests_per_minute=0),
    }
    airflow("dags", "test", "alvys_without_phone_numbers", **settings)
    drivers = [json.loads(row) for row in own_alvys.truth_rows(stream="drivers")]
    numbers = {driver["PhoneNumber"] for driver in drivers if driver.get("PhoneNumber")}
    assert len(numbers) > 5
    content = database.read_bytes()
    assert all(driver["Id"].encode() in content for driver in drivers)
    assert [number for number in numbers if number.encode() in content] == []


def test_the_example_lands_parquet_in_a_bucket(
    airflow: Airflow, own_alvys: Simulator, bucket: Any, tmp_path: Path
) -> None:
    own_alvys.reset(loads=120, client_secret=SECRET, now=time.time() - 3600)
    data_set = DataSet(f"s3://aws_lake@lake/{tmp_path.name}", tmp_path / "mirror", bucket)
    settings = {
        **QUIET,
        "ALVYS_PARQUET_LAKE": data_set.path,
        # The environment of the forked Airflow may be older than the bucket.
        BUCKET: os.environ[BUCKET],
        CONNECTION: own_alvys.connection_json(requests_per_minute=0),
    }
    airflow("dags", "test", "alvys_to_parquet", **settings)
    found = manifests(data_set.files())
    assert sorted(read_manifest(path)["stream"] for path in found) == ["invoices", "loads", "trips"]
    for path in found:
        assert {file.suffix for file in path.parent.iterdir()} == {".json", ".parquet"}
        assert ids(read_lines(path)) == set(own_alvys.truth_keys(stream=read_manifest(path)["stream"]))


def check_rows(alvys: Simulator, manifest: dict[str, Any], lines: list[bytes]) -> None:
    """Compare a manifest's rows with the simulator's, search by search."""
    assert manifest["proof"] == "whole"
    query = {"stream": manifest["stream"]}
    if manifest["parents"]:
        query["parents"] = json.dumps([parent for entry in manifest["parents"] for parent in entry["ids"]])
    expected: set[bytes] = set()
    for search in manifest["searches"] or [{"window": manifest["window"], "asked": {}}]:
        window = search["window"] or {}
        bounds = {name: window[key] for name, key in BOUNDS.items() if window.get(key)}
        filters = {name: value for name, value in search["asked"].items() if value != []}
        expected |= set(alvys.truth_rows(**query, **bounds, filters=json.dumps(filters)))
    assert set(lines) == expected


def test_the_approval_example_blocks_carriers_that_are_still_expired(alvys: Simulator) -> None:
    # Without the approval: "make waiting" runs the whole DAG.
    example = runpy.run_path(str(ROOT / "dags_examples" / "alvys_block_carriers.py"))
    assert example["approve"].upstream_task_ids == {"describe"}
    assert example["approve"].downstream_task_ids == {"block"}
    expired = {"Status": "Expired Insurance"}
    chosen = alvys.change(stream="carriers", rows=3, columns=expired)
    carriers = example["expired"].execute({})
    assert set(chosen) <= {carrier["Id"] for carrier in carriers}
    assert all(key in example["describe"].function(carriers) for key in chosen)
    alvys.change(stream="carriers", keys=chosen[:1], columns={"Status": "Active"})
    assert example["block"].function(carriers) == len(carriers) - 1
    status = {row["Id"]: row["Status"] for row in map(json.loads, alvys.truth_rows(stream="carriers"))}
    assert [status[key] for key in chosen] == ["Active", "Do Not Load", "Do Not Load"]


# Text of a record that would be a link, a picture and the end of a block of code in Markdown.
HOSTILE = "```\n[Approve](https://example.org) ![](https://example.org/x.png) \u202e <b>A&B</b>"


@pytest.mark.every_airflow
@pytest.mark.parametrize(
    ("option", "changed", "states"),
    [
        ("Approve", None, {"check": "success", "approve": "success", "pay": "success"}),
        ("Reject", None, {"check": "success", "approve": "success", "pay": "skipped"}),
        # The checked payment becomes another while a person looks at it.
        ("Approve", "10000.01", {"check": "success", "approve": "success", "pay": "failed"}),
    ],
)
def test_the_payment_example_sends_exactly_what_a_person_has_approved(
    airflow: Airflow, own_alvys: Simulator, option: str, changed: str | None, states: dict[str, str]
) -> None:
    own_alvys.reset(loads=60, fleet=5, client_secret=SECRET, now=time.time() - 3600)
    trips = [json.loads(row) for row in own_alvys.truth_rows(stream="trips")]
    trip = next(row for row in trips if row.get("Carrier", {}).get("TotalPayable", {}).get("Amount"))
    own_alvys.change(
        stream="trips", keys=[trip["Id"]], columns={"Carrier": {**trip["Carrier"], "Name": HOSTILE}}
    )
    amount = trip["Carrier"]["TotalPayable"]["Amount"]
    printed = airflow(
        str(ROOT / "tests" / "answer_approval.py"),
        "alvys_approved_payment",
        json.dumps({"trip_number": trip["TripNumber"]}),
        *(option, str(amount), changed or str(amount)),
        succeeds="failed" not in states.values(),
        **{CONNECTION: own_alvys.connection_json(requests_per_minute=0)},
    )
    (shown,) = re.findall(r"^SHOWN (.*)$", printed, re.MULTILINE)
    facts, call, sent = json.loads(shown).split("\n\n")
    assert call == "`POST invoices/carrier-payments`"
    assert all(block.startswith("```json\n{\n") and block.endswith("\n}\n```") for block in (facts, sent))
    assert json.loads(facts[len("```json") : -len("```")])["carrier"] == HOSTILE
    assert "\u202e" not in facts
    assert f'"Amount": {amount}' in sent
    expected = [json.loads(sent[len("```json") : -len("```")])] if states["pay"] == "success" else []
    assert [effect["body"] for effect in own_alvys.effects_list()] == expected
    (found,) = re.findall(r"^STATES (.*)$", printed, re.MULTILINE)
    assert json.loads(found) == states
    assert ("AirflowFailException" in printed) == ("failed" in states.values())


@pytest.mark.parametrize("name", ["alvys_approved_payment", "alvys_block_carriers"])
def test_an_approval_asks_once_in_a_run(name: str) -> None:
    """Before 3.4 Airflow keeps the text of the first request when a task is retried or cleared."""
    approve = runpy.run_path(str(ROOT / "dags_examples" / f"{name}.py"))["approve"]
    assert approve.retries == 0
    ti = mock.Mock(try_number=2)
    with pytest.raises(RuntimeError):
        (approve._pre_execute_hook or approve.execute)({"ti": ti})
    assert not ti.xcom_push.called


def test_an_approval_that_nobody_has_given_approves_nothing() -> None:
    approve = runpy.run_path(str(ROOT / "dags_examples" / "alvys_approved_payment.py"))["approve"]
    stored = {"check": {"shown": "text", "fingerprint": "f"}}
    ti = mock.Mock(try_number=1)
    ti.xcom_pull = lambda task_ids, key=None: stored[key or task_ids]
    ti.xcom_push = lambda key, value: stored.update({key: value})
    with mock.patch.object(HITLOperator, "execute"):
        approve.execute({"ti": ti})
    assert approve.body == "text"
    # Somebody who marks the task as successful here has approved nothing.
    assert "approved" not in stored
    event = {"params_input": {}, "responded_at": datetime.now(timezone.utc), "responded_by_user": None}
    approve.skip = lambda **_: None
    approve.execute_complete({"ti": ti, "task": approve}, {**event, "chosen_options": ["Reject"]})
    assert "approved" not in stored
    approve.execute_complete({"ti": ti, "task": approve}, {**event, "chosen_options": ["Approve"]})
    assert stored["approved"] == "f"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_every_example_has_a_test(file: Path) -> None:
    dags = re.findall(r'(?:DAG\(\s*|dag_id=)"(\w+)"', file.read_text())
    assert dags
    # The last file is for the examples that need daemons.
    places = (
        "tests/test_examples.py",
        "tests/test_airflow.py",
        "docs/start.md",
        "tests/test_webhook_example.py",
        "tests/chaos/triggerer/examples.py",
    )
    tests = "".join((ROOT / data_set).read_text() for data_set in places)
    for dag_id in dags:
        assert f'"{dag_id}"' in tests
