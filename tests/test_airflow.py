"""Run tasks in a real Airflow, and check its database and logs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys._compat import HAS_RESCHEDULE
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import CONNECTION, SECRET, Airflow, read_xcoms
from tests.lake import ids, manifests, read_lines, read_manifest

# A task without retries.
ONCE = """
import os
from airflow.sdk import DAG, Asset, AssetAlias
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator

with DAG("once", schedule=None):
    AlvysToObjectStorageOperator(
        task_id="loads", stream="loads", path=os.environ["ALVYS_LAKE"], tenant="once",
        initial_since="2026-01-01T00:00:00Z",
        outlets=[Asset.ref(name="alvys_loads"), AssetAlias("lake")],
    )
"""

# A task that defers: ten pages at once, then a wait.
DEFERRED = """
import os
from airflow.sdk import DAG
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator

with DAG("deferred", schedule=None):
    AlvysToObjectStorageOperator(
        task_id="loads", stream="loads", path=os.environ["ALVYS_LAKE"], page_size=10, deferrable=True,
        defer_after=2, since="2020-01-01T00:00:00Z",
        until="{{ macros.datetime.now(macros.datetime.now().astimezone().tzinfo).isoformat() }}",
    )
"""

# Sensors in the triggerer: one that succeeds, one that times out, one with more rows than a page.
WAITING = """
import os
from airflow.sdk import DAG
from airflow_provider_alvys.sensors.alvys import AlvysLoadStatusSensor, AlvysSearchSensor

with DAG("waiting", schedule=None, params={"load": os.environ.get("ALVYS_LOAD", "none")}):
    AlvysLoadStatusSensor(
        task_id="found", load_number="{{ params.load }}", statuses="Delivered", deferrable=True
    )
    AlvysLoadStatusSensor(
        task_id="missed", load_number="none", statuses="Delivered", deferrable=True, timeout=0, soft_fail=True
    )
    AlvysSearchSensor(task_id="rows", stream="loads", at_least=200, deferrable=True)
"""

# A sync for a database to which there is no connection.
UNCONNECTED = """
import os
from airflow.sdk import DAG
from airflow_provider_alvys import alvys_sync

with DAG("unconnected", schedule=None):
    alvys_sync(
        path=os.path.join(os.environ["ALVYS_LAKE"], "unconnected"), streams=["loads", "drivers", "trucks"],
        initial_since="2026-01-01T00:00:00Z", sql_conn_id="nowhere",
    )
"""

# A task without retries that is rate-limited, and asks again after a second.
LIMITED = """
import os
from datetime import timedelta
from airflow.sdk import DAG
from airflow_provider_alvys import AlvysRetryPolicy, AlvysToObjectStorageOperator

with DAG("limited", schedule=None):
    AlvysToObjectStorageOperator(
        task_id="loads", stream="loads", path=os.environ["ALVYS_LAKE"], since="2026-01-01T00:00:00Z",
        until="2026-02-01T00:00:00Z", retries=0,
        retry_policy=AlvysRetryPolicy(
            timedelta(seconds=1), timedelta(seconds=float(os.environ.get("ALVYS_BOUND", "3600")))
        ),
    )
"""

# DAGs in addition to the examples.
DAGS = {
    "once": ONCE,
    "deferred": DEFERRED,
    "waiting": WAITING,
    "unconnected": UNCONNECTED,
    **({"limited": LIMITED} if HAS_RESCHEDULE else {}),
}


def query(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Query Airflow's database in a new process: SQLite in this one may have cached the file."""
    code = (
        "import json, sqlite3, sys; "
        "print(json.dumps(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))"
    )
    command = [sys.executable, "-c", code, str(home / "airflow.db"), sql]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout
    return [tuple(row) for row in json.loads(answer)]


# The runs are fixtures, so that each test can run alone.
@pytest.fixture(scope="module")
def two_syncs(airflow: Airflow, home: Path, own_alvys: Simulator) -> list[Path]:
    """Run the example before and after rows change, and return the manifests."""
    airflow("dags", "test", "alvys_loads_to_files")
    (first,) = manifests(home / "lake")
    own_alvys.change(rows=7)
    airflow("dags", "test", "alvys_loads_to_files")
    (second,) = set(manifests(home / "lake")) - {first}
    return [first, second]


@pytest.fixture(scope="module")
def synced_once(airflow: Airflow, two_syncs: list[Path]) -> str:
    return airflow("dags", "test", "once")


@pytest.fixture(scope="module")
def forbidden(airflow: Airflow, own_alvys: Simulator, two_syncs: list[Path]) -> str:
    own_alvys.order_faults({"kind": "status", "status": 403, "times": 99})
    printed = airflow("dags", "test", "once", succeeds=False)
    own_alvys.order_faults()
    return printed


@pytest.fixture(scope="module")
def with_a_wrong_secret(airflow: Airflow, own_alvys: Simulator, two_syncs: list[Path]) -> str:
    connection = own_alvys.connection_json().replace(SECRET, SECRET + "-not")
    return airflow("dags", "test", "once", succeeds=False, **{CONNECTION: connection})


@pytest.mark.every_airflow
def test_the_example_lands_everything_then_the_changes(
    two_syncs: list[Path], airflow: Airflow, home: Path, own_alvys: Simulator
) -> None:
    first, second = two_syncs
    landed = ids(read_lines(first))
    window = json.loads(second.read_bytes())["window"]
    assert ids(read_lines(second)) == set(own_alvys.truth_keys(since=window["since"], until=window["until"]))
    assert len(landed | ids(read_lines(second))) == 300
    assert own_alvys.stats()["tokens"] == 2
    (state,) = {row[0] for row in query(home, "SELECT state FROM task_instance")}
    assert state == "success"
    airflow("dags", "reserialize")
    assert "No data found" in airflow("dags", "list-import-errors", AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING")


@pytest.mark.every_airflow
def test_the_result_is_in_the_xcom_and_the_asset_event(
    two_syncs: list[Path], airflow: Airflow, home: Path
) -> None:
    results = [value for _, value in read_xcoms(airflow, "alvys_loads_to_files")]
    events = [json.loads(row[0]) for row in query(home, "SELECT extra FROM asset_event")]
    assert len(results) == len(events) == 2
    for result in results:
        assert {name: result[name] for name in ("stream", "tenant", "proof")} == {
            "stream": "loads",
            "tenant": "alvys_default",
            "proof": "whole",
        }
        assert result in [{name: event[name] for name in result} for event in events]


def test_asset_references_and_aliases_get_the_result(synced_once: str, home: Path) -> None:
    sql = (
        "SELECT asset.name, asset_event.extra FROM asset_event JOIN asset ON asset.id = asset_id "
        "WHERE source_dag_id = 'once'"
    )
    events = {name: json.loads(extra) for name, extra in query(home, sql)}
    assert set(events) == {"alvys_loads", f"{home}/lake/loads"}
    assert {event["tenant"] for event in events.values()} == {"once"}


def test_a_failed_run_logs_its_error_and_writes_no_manifest(
    synced_once: str, forbidden: str, home: Path
) -> None:
    assert "AlvysPermissionError" in forbidden
    assert len(manifests(home / "lake")) == 3


def test_a_wrong_secret_fails_with_an_authentication_error(with_a_wrong_secret: str) -> None:
    assert "AlvysAuthError" in with_a_wrong_secret


@pytest.mark.usefixtures("two_syncs", "synced_once", "forbidden", "with_a_wrong_secret")
def test_no_file_contains_a_secret_or_token(home: Path, own_alvys: Simulator) -> None:
    # Three successful runs, one with a 403, one with a wrong secret, all at DEBUG.
    tokens = own_alvys.tokens()
    assert len(tokens) == 4
    files = [file for file in home.rglob("*") if file.is_file()]
    assert {"printed-0.log", "airflow.db", "_pace.json", "_manifest.json"} <= {file.name for file in files}
    for file in files:
        # SQLite deletes temporary files at any time.
        content = file.read_bytes() if file.exists() else b""
        for line in content.splitlines():
            # The supervisor of Airflow 3.3 logs this whenever a secret is masked.
            if b"MaskSecret(" in line:
                continue
            for secret in (SECRET, *tokens):
                assert secret.encode() not in line, f"{file}: {line[:300]!r}"


@pytest.mark.every_airflow
def test_a_deferred_task_resumes_at_the_right_page(
    airflow: Airflow, home: Path, own_alvys: Simulator, tmp_path: Path
) -> None:
    own_alvys.reset(loads=250, client_secret=SECRET, limits=True, minute=5, now=time.time() - 3600)
    connection = own_alvys.connection_json(requests_per_minute=10 * 60 / 5)
    printed = airflow(
        "dags", "test", "deferred", ALVYS_LAKE=str(tmp_path / "lake"), **{CONNECTION: connection}
    )
    assert printed.count("Freeing the slot until") == 2
    (manifest,) = manifests(tmp_path / "lake")
    assert ids(read_lines(manifest)) == set(own_alvys.truth_keys())
    assert (read_manifest(manifest)["requests"], own_alvys.stats()["requests"]["POST loads/search"]) == (
        25,
        25,
    )
    assert own_alvys.stats()["rate_limited"] == 0
    tries = query(home, "SELECT state, try_number FROM task_instance WHERE dag_id = 'deferred'")
    assert [(state, number) for state, number in tries] in ([("success", 0)], [("success", 1)])


@pytest.mark.every_airflow
@pytest.mark.skipif(not HAS_RESCHEDULE, reason="before Airflow 3.4 a retry policy cannot reschedule")
@pytest.mark.parametrize(("bound", "state"), [("3600", "success"), ("1", "failed")])
def test_a_429_reschedules_within_its_bound_and_spends_no_retry(
    airflow: Airflow, home: Path, own_alvys: Simulator, tmp_path: Path, bound: str, state: str
) -> None:
    own_alvys.reset(loads=20, client_secret=SECRET, now=time.time() - 3600)
    # Longer than a hook waits itself.
    blocked = {"kind": "status", "status": 429, "retry_after": "700", "endpoint": "POST loads/search"}
    own_alvys.order_faults({**blocked, "times": 2 if state == "success" else 99})
    printed = airflow(
        *("dags", "test", "limited"),
        succeeds=state == "success",
        ALVYS_LAKE=str(tmp_path / "lake"),
        ALVYS_BOUND=bound,
        **{CONNECTION: own_alvys.connection_json(requests_per_minute=0)},
    )
    own_alvys.order_faults()
    sql = "SELECT id, state, try_number FROM task_instance WHERE dag_id = 'limited' ORDER BY start_date"
    *_, (id, *found) = query(home, sql)
    assert found == [state, 1]
    sql = f"SELECT COUNT(*) FROM task_reschedule WHERE ti_id = '{id}'"
    ((reschedules,),) = query(home, sql)
    assert (reschedules == 2) if state == "success" else (1 <= reschedules <= 3)
    assert ("Reschedule limit reached" in printed) == (state == "failed")
    assert len(manifests(tmp_path / "lake")) == (state == "success")


@pytest.mark.every_airflow
def test_deferrable_sensors_succeed_time_out_and_return_rows(
    airflow: Airflow, home: Path, own_alvys: Simulator
) -> None:
    own_alvys.reset(loads=250, client_secret=SECRET, now=time.time() - 3600)
    load = json.loads(next(iter(own_alvys.truth_rows(filters={"IncludeDeleted": False}))))["LoadNumber"]
    own_alvys.change(keys=[load], columns={"Status": "Invoiced"})
    connection = own_alvys.connection_json(requests_per_minute=0)
    printed = airflow("dags", "test", "waiting", ALVYS_LOAD=load, **{CONNECTION: connection})
    states = dict(query(home, "SELECT task_id, state FROM task_instance WHERE dag_id = 'waiting'"))
    assert states == {"found": "success", "missed": "skipped", "rows": "success"}
    values = dict(read_xcoms(airflow, "waiting"))
    found, rows = values["found"], values["rows"]
    assert (found["load_number"], found["status"]) == (load, "Invoiced")
    assert set(rows) == set(own_alvys.truth_keys())
    # One poll for each sensor; for the rows two pages, and the first page again.
    assert own_alvys.stats()["requests"]["POST loads/search"] == 1 + 1 + 1 + 3
    lines = [line for line in printed.splitlines() if "MaskSecret(" not in line]
    for secret in (SECRET, *own_alvys.tokens()):
        assert not any(secret in line for line in lines)


@pytest.mark.every_airflow
def test_a_sync_for_a_database_without_a_connection_lands_nothing(
    airflow: Airflow, home: Path, two_syncs: list[Path]
) -> None:
    printed = airflow("dags", "test", "unconnected", succeeds=False)
    assert "Airflow has no connection 'nowhere'" in printed
    assert not (home / "lake" / "unconnected").exists()
    states = dict(query(home, "SELECT task_id, state FROM task_instance WHERE dag_id = 'unconnected'"))
    assert {name.partition(".")[2]: state for name, state in states.items()} == {
        **dict.fromkeys(("loads", "sweep"), "failed"),
        **dict.fromkeys(("load_loads", "load_drivers", "load_trucks"), "upstream_failed"),
    }
    shown = dict(query(home, "SELECT task_id, task_display_name FROM task_instance"))
    assert shown["alvys_sync.load_loads"] == "Load loads into nowhere"
