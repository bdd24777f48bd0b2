"""In a real Airflow: its command line, its database, its logs."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.api.streams import STREAMS
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import CONNECTION, Place
from tests.lake import ids, manifests, read_lines, read_manifest
from tests.tables.databases import Db, postgres_server

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "dags_examples").glob("*.py"))
SECRET = "s3cret-of-the-simulator"

# A task that is not tried again.
ONCE = """
import os
from airflow.sdk import DAG, Asset, AssetAlias
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator

with DAG("once", schedule=None):
    AlvysToObjectStorageOperator(
        task_id="loads", stream="loads", path=os.environ["ALVYS_LAKE"], tenant="once", initial_since="2026-01-01T00:00:00Z",
        outlets=[Asset.ref(name="alvys_loads"), AssetAlias("lake")],
    )
"""

# A task that frees its slot: ten pages at once, and then a wait.
DEFERRED = """
import os
from airflow.sdk import DAG
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator

with DAG("deferred", schedule=None):
    AlvysToObjectStorageOperator(
        task_id="loads", stream="loads", path=os.environ["ALVYS_LAKE"], page_size=10, deferrable=True, defer_after=2,
        since="2020-01-01T00:00:00Z", until="{{ macros.datetime.now(macros.datetime.now().astimezone().tzinfo).isoformat() }}",
    )
"""

# Sensors in the triggerer: one that finds what it waits for, one whose time is up, one with more rows than a page.
WAITING = """
import os
from airflow.sdk import DAG
from airflow_provider_alvys.sensors.alvys import AlvysLoadStatusSensor, AlvysSearchSensor

with DAG("waiting", schedule=None, params={"load": os.environ.get("ALVYS_LOAD", "none")}):
    AlvysLoadStatusSensor(task_id="found", load_number="{{ params.load }}", statuses="Delivered", deferrable=True)
    AlvysLoadStatusSensor(
        task_id="missed", load_number="none", statuses="Delivered", deferrable=True, timeout=0, soft_fail=True
    )
    AlvysSearchSensor(task_id="rows", stream="loads", at_least=200, deferrable=True)
"""

# `airflow dags test`, of one DAG after the other: most of what a process takes is its start.
TEST_SEVERAL = """
import sys
from airflow.__main__ import main
for dag_id in sys.argv[1:]:
    sys.argv = ["airflow", "dags", "test", dag_id]
    main()
"""

Airflow = Callable[..., str]

OTHER = "AIRFLOW_CONN_ALVYS_BLUEBIRD"
BUCKET = "AIRFLOW_CONN_AWS_LAKE"
BOUNDS = {"window_by": "by", "since": "since", "until": "until"}
# What each example lands.
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
    "alvys_to_lake_weekly": {name for name, row in STREAMS.items() if any(tier.name == "weekly" for tier in row.tiers)},
    "alvys_first_load": {"loads", "trips"},
    "alvys_delivered_documents": {"loads", "load_documents", "load_notes"},
    "alvys_two_tenants": {"loads", "trips", "customers", "drivers"},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def own_alvys() -> Iterator[Simulator]:
    with Simulator(loads=300, client_secret=SECRET) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def airflow(home: Path, own_alvys: Simulator) -> Airflow:
    """Run an Airflow command in a home of its own, with every log at DEBUG, and return all that it printed."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        CONNECTION: own_alvys.connection_json(),
        "ALVYS_LAKE": str(home / "lake"),
        "ALVYS_OVERLAP_SECONDS": "1",
        "ALVYS_SETTLING_SECONDS": "1",
    }

    def airflow(*arguments: str, succeeds: bool = True, command: tuple[str, ...] = ("airflow",), **more: str) -> str:
        done = subprocess.run(
            [*command, *arguments],
            env={**environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        assert (done.returncode == 0) == succeeds, done.stdout[-8000:]
        (home / "printed.log").open("a").write(done.stdout)
        return done.stdout

    shutil.copytree(ROOT / "dags_examples", home / "dags")
    (home / "dags" / "once.py").write_text(ONCE)
    (home / "dags" / "deferred.py").write_text(DEFERRED)
    (home / "dags" / "waiting.py").write_text(WAITING)
    airflow("db", "migrate")
    airflow("dags", "reserialize")
    return airflow


def query(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask Airflow's database, in a process of its own: in this one SQLite may keep in mind how the file was before."""
    code = "import json, sqlite3, sys; print(json.dumps(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))"
    command = [sys.executable, "-c", code, str(home / "airflow.db"), sql]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout
    return [tuple(row) for row in json.loads(answer)]


@pytest.mark.every_airflow
def test_the_example_dag_lands_everything_then_what_changed(airflow: Airflow, home: Path, own_alvys: Simulator) -> None:
    assert "No data found" in airflow("dags", "list-import-errors", AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING")
    airflow("dags", "test", "alvys_loads_to_files")
    (first,) = manifests(home / "lake")
    landed = ids(read_lines(first))
    own_alvys.change(rows=7)
    airflow("dags", "test", "alvys_loads_to_files")
    (second,) = set(manifests(home / "lake")) - {first}
    window = json.loads(second.read_bytes())["window"]
    assert ids(read_lines(second)) == set(own_alvys.truth_keys(since=window["since"], until=window["until"]))
    assert len(landed | ids(read_lines(second))) == 300
    assert own_alvys.stats()["tokens"] == 2
    (state,) = {row[0] for row in query(home, "SELECT state FROM task_instance")}
    assert state == "success"


@pytest.mark.every_airflow
def test_the_result_is_in_the_xcom_and_on_the_assets_event(airflow: Airflow, home: Path, own_alvys: Simulator) -> None:
    results = [
        json.loads(json.loads(row[0])) if isinstance(json.loads(row[0]), str) else json.loads(row[0])
        for row in query(home, "SELECT value FROM xcom WHERE key = 'return_value'")
    ]
    events = [json.loads(row[0]) for row in query(home, "SELECT extra FROM asset_event")]
    assert len(results) == len(events) == 2
    for result in results:
        assert {name: result[name] for name in ("stream", "tenant", "proof")} == {
            "stream": "loads",
            "tenant": "alvys_default",
            "proof": "whole",
        }
        assert result in [{name: event[name] for name in result} for event in events]


def test_assets_by_reference_and_aliases_get_the_result_too(airflow: Airflow, home: Path) -> None:
    airflow("dags", "test", "once")
    known = "SELECT asset.name, asset_event.extra FROM asset_event JOIN asset ON asset.id = asset_id WHERE source_dag_id = 'once'"
    events = {name: json.loads(extra) for name, extra in query(home, known)}
    assert set(events) == {"alvys_loads", f"{home}/lake/loads"}
    assert {event["tenant"] for event in events.values()} == {"once"}


def test_a_failing_run_says_why_and_leaves_no_manifest(airflow: Airflow, home: Path, own_alvys: Simulator) -> None:
    known = manifests(home / "lake")
    own_alvys.order_faults({"kind": "status", "status": 403, "times": 99})
    printed = airflow("dags", "test", "once", succeeds=False)
    own_alvys.order_faults()
    assert "AlvysPermissionError" in printed
    assert manifests(home / "lake") == known


def test_a_wrong_secret_says_what_to_check(airflow: Airflow, home: Path, own_alvys: Simulator) -> None:
    connection = own_alvys.connection_json().replace(SECRET, SECRET + "-not")
    printed = airflow("dags", "test", "once", succeeds=False, **{CONNECTION: connection})
    assert "Check the client id and the client secret" in printed


def test_no_secret_and_no_token_is_left_anywhere(airflow: Airflow, home: Path, own_alvys: Simulator) -> None:
    # After the runs above: three good ones, one refused, one with a wrong secret; all at DEBUG.
    tokens = own_alvys.tokens()
    assert len(tokens) == 4
    files = [file for file in home.rglob("*") if file.is_file()]
    assert {"printed.log", "airflow.db", "_pace.json", "_manifest.json"} <= {file.name for file in files}
    for file in files:
        # SQLite's side files come and go.
        content = file.read_bytes() if file.exists() else b""
        for line in content.splitlines():
            # Airflow 3.3's own supervisor prints this at DEBUG whenever a secret is masked.
            if b"MaskSecret(" in line:
                continue
            for secret in (SECRET, *tokens):
                assert secret.encode() not in line, f"{file}: {line[:300]!r}"


@pytest.mark.every_airflow
def test_a_deferred_task_goes_on_at_the_right_page(airflow: Airflow, home: Path, own_alvys: Simulator, tmp_path: Path) -> None:
    own_alvys.reset(loads=250, client_secret=SECRET, limits=True, minute=5, now=time.time() - 3600)
    connection = own_alvys.connection_json(requests_per_minute=10 * 60 / 5)
    printed = airflow("dags", "test", "deferred", ALVYS_LAKE=str(tmp_path / "lake"), **{CONNECTION: connection})
    assert printed.count("freeing the slot until") == 2
    (manifest,) = manifests(tmp_path / "lake")
    assert ids(read_lines(manifest)) == set(own_alvys.truth_keys())
    assert (read_manifest(manifest)["requests"], own_alvys.stats()["requests"]["POST loads/search"]) == (25, 25)
    assert own_alvys.stats()["rate_limited"] == 0
    tries = query(home, "SELECT state, try_number FROM task_instance WHERE dag_id = 'deferred'")
    assert [(state, number) for state, number in tries] in ([("success", 0)], [("success", 1)])


@pytest.mark.every_airflow
def test_a_sensor_waits_in_the_triggerer(airflow: Airflow, home: Path, own_alvys: Simulator) -> None:
    own_alvys.reset(loads=250, client_secret=SECRET, now=time.time() - 3600)
    load = json.loads(next(iter(own_alvys.truth_rows(filters={"IncludeDeleted": False}))))["LoadNumber"]
    own_alvys.change(keys=[load], columns={"Status": "Invoiced"})
    connection = own_alvys.connection_json(requests_per_minute=0)
    printed = airflow("dags", "test", "waiting", ALVYS_LOAD=load, **{CONNECTION: connection})
    states = dict(query(home, "SELECT task_id, state FROM task_instance WHERE dag_id = 'waiting'"))
    assert states == {"found": "success", "missed": "skipped", "rows": "success"}
    values = dict(query(home, "SELECT task_id, value FROM xcom WHERE dag_id = 'waiting' AND key = 'return_value'"))
    decoded = (json.loads(values[task]) for task in ("found", "rows"))
    found, rows = (value if isinstance(value, (dict, list)) else json.loads(value) for value in decoded)
    assert (found["load_number"], found["status"]) == (load, "Invoiced")
    assert set(rows) == set(own_alvys.truth_keys())
    # None before it went to the triggerer; two pages more, and the first again, where there is more than one.
    assert own_alvys.stats()["requests"]["POST loads/search"] == 1 + 1 + 1 + 3
    lines = [line for line in printed.splitlines() if "MaskSecret(" not in line]
    for secret in (SECRET, *own_alvys.tokens()):
        assert not any(secret in line for line in lines)


LATER_EXAMPLES = [
    pytest.param("alvys_to_lake_hourly", {}),
    pytest.param("alvys_to_lake_daily", {}),
    pytest.param("alvys_to_lake_weekly", {}),
    pytest.param("alvys_first_load", {"ALVYS_FIRST_LOAD_START": "2026-05-01T00:00:00Z"}),
    pytest.param("alvys_delivered_documents", {}),
    pytest.param("alvys_two_tenants", {}),
]


@pytest.mark.every_airflow
@pytest.mark.parametrize(("dag_id", "settings"), LATER_EXAMPLES)
def test_an_example_lands_just_what_is_true(
    airflow: Airflow, home: Path, own_alvys: Simulator, dag_id: str, settings: dict[str, str], tmp_path: Path
) -> None:
    own_alvys.reset(loads=120, fleet=70, client_secret=SECRET, now=time.time() - 3600)
    lake = tmp_path / "lake"
    connection = own_alvys.connection_json(requests_per_minute=0)
    airflow("dags", "test", dag_id, ALVYS_LAKE=str(lake), **{CONNECTION: connection, OTHER: connection}, **settings)
    found = manifests(lake)
    assert found
    for path in found:
        manifest = read_manifest(path)
        check_against_truth(own_alvys, manifest, read_lines(path))
    landed = {read_manifest(path)["stream"] for path in found}
    assert landed == STREAMS_OF[dag_id]
    assert own_alvys.stats()["rate_limited"] == 0


@pytest.mark.every_airflow
def test_a_delivered_load_has_its_proof_fetched_and_its_carrier_paid_once(
    airflow: Airflow, home: Path, own_alvys: Simulator, tmp_path: Path
) -> None:
    own_alvys.reset(loads=300, client_secret=SECRET, now=time.time() - 3600)
    trips = [json.loads(row) for row in own_alvys.truth_rows(stream="trips")]
    trip = next(row for row in trips if row["Status"] == "Delivered" and row.get("Carrier", {}).get("TotalPayable"))
    number = trip["LoadNumber"]
    own_alvys.change(keys=[number], columns={"Status": "Delivered"})
    (proof,) = own_alvys.add(stream="load_documents", parent=number, columns={"AttachmentType": "Proof of Delivery (POD)"})
    owed = [row for row in trips if row["LoadNumber"] == number and row.get("Carrier", {}).get("TotalPayable")]
    lake = tmp_path / "lake"
    settings = {"ALVYS_LAKE": str(lake), CONNECTION: own_alvys.connection_json(requests_per_minute=0)}
    for _ in range(2):
        # Another run for the same load changes nothing.
        printed = airflow("dags", "test", "alvys_pod_and_payment", "--conf", json.dumps({"load_number": number}), **settings)
        assert own_alvys.effects() == {"invoices.record_carrier_payment": len(owed)}
        assert "X-Signature" not in printed
    documents = [json.loads(row) for row in own_alvys.truth_rows(stream="load_documents", parents=json.dumps([number]))]
    wanted = {row["id"]: row["AttachmentSize"] for row in documents if row["AttachmentType"].startswith("Proof of Delivery")}
    assert proof in wanted
    files = list((lake / "documents" / "load" / number).iterdir())
    assert sorted(file.stat().st_size for file in files) == sorted(wanted.values())
    stats = own_alvys.stats()
    assert (stats["requests"]["GET storage"], stats["bearer_at_storage"]) == (len(wanted), 0)


# At DEBUG the libraries of databases and buckets say more than is worth waiting for.
QUIET = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO"}
WAREHOUSES = {
    "sqlite": ["alvys_to_postgres_hourly", "alvys_revenue"],
    "postgres": ["alvys_to_postgres_hourly", "alvys_to_postgres_daily", "alvys_to_postgres_weekly", "alvys_revenue"],
}
DAILY = {"invoices", "customers", "drivers", "trucks", "trailers", "users"}


@pytest.fixture(params=WAREHOUSES)
def warehouse(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Db]:
    """An empty database for the example that fills one."""
    with ExitStack() as stack:
        if request.param == "postgres":
            connection = stack.enter_context(postgres_server())
        else:
            pytest.importorskip("airflow.providers.sqlite")
            connection = {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.sqlite")}
        monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps(connection))
        yield Db(request.param, connection)


def test_the_example_fills_a_database(airflow: Airflow, own_alvys: Simulator, warehouse: Db, tmp_path: Path) -> None:
    own_alvys.reset(loads=120, fleet=30, client_secret=SECRET, now=time.time() - 3600)
    db, kind = warehouse, warehouse.kind
    settings = {
        **QUIET,
        "ALVYS_LAKE": str(tmp_path / "lake"),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps(db.connection),
        CONNECTION: own_alvys.connection_json(requests_per_minute=0),
    }
    airflow(*WAREHOUSES[kind], command=(sys.executable, "-c", TEST_SEVERAL), **settings)
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


def test_the_example_lands_parquet_in_a_bucket(airflow: Airflow, own_alvys: Simulator, bucket: Any, tmp_path: Path) -> None:
    own_alvys.reset(loads=120, client_secret=SECRET, now=time.time() - 3600)
    place = Place(f"s3://aws_lake@lake/{tmp_path.name}", tmp_path / "mirror", bucket)
    settings = {
        **QUIET,
        "ALVYS_PARQUET_LAKE": place.path,
        # Airflow's environment here may be older than the bucket.
        BUCKET: os.environ[BUCKET],
        CONNECTION: own_alvys.connection_json(requests_per_minute=0),
    }
    airflow("dags", "test", "alvys_to_parquet", **settings)
    found = manifests(place.files())
    assert sorted(read_manifest(path)["stream"] for path in found) == ["invoices", "loads", "trips"]
    for path in found:
        assert {file.suffix for file in path.parent.iterdir()} == {".json", ".parquet"}
        assert ids(read_lines(path)) == set(own_alvys.truth_keys(stream=read_manifest(path)["stream"]))


def check_against_truth(alvys: Simulator, manifest: dict[str, Any], lines: list[bytes]) -> None:
    """Ask the simulator for what the manifest says was asked for, search by search."""
    assert manifest["proof"] == "whole"
    query = {"stream": manifest["stream"]}
    if manifest["parents"]:
        query["parents"] = json.dumps([parent for entry in manifest["parents"] for parent in entry["ids"]])
    wanted: set[bytes] = set()
    for search in manifest["searches"] or [{"window": manifest["window"], "asked": {}}]:
        window = search["window"] or {}
        bounds = {name: window[key] for name, key in BOUNDS.items() if window.get(key)}
        asked = {name: value for name, value in search["asked"].items() if value != []}
        wanted |= set(alvys.truth_rows(**query, **bounds, filters=json.dumps(asked)))
    assert set(lines) == wanted


def test_the_example_that_asks_a_person_blocks_who_is_still_expired(alvys: Simulator) -> None:
    # All but the person: with one it runs in "make waiting".
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


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_every_example_is_run_by_a_test(file: Path) -> None:
    dags = re.findall(r'(?:DAG\(\s*|dag_id=)"(\w+)"', file.read_text())
    assert dags
    # Those that need daemons: by make waiting.
    places = (Path(__file__), Path(__file__).with_name("test_webhook_example.py"), ROOT / "scripts" / "torture" / "examples.py")
    tests = "".join(place.read_text() for place in places)
    for dag_id in dags:
        assert f'"{dag_id}"' in tests
