from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_alvys import AlvysReconcileOperator, AlvysToObjectStorageOperator
from airflow_provider_alvys._compat import HAS_RETRY_POLICY, AirflowFailException
from airflow_provider_alvys.api.errors import AlvysDifferenceError, AlvysValueError, is_hopeless
from airflow_provider_alvys.simulator.process import Simulator
from tests.checks.conftest import make_db, sqlite
from tests.checks.reconciled import checks, reconcile, sync, sync_and_load
from tests.conftest import SkippingClock
from tests.tables.databases import Db
from tests.transfers.test_deferral import Worker

__all__ = ["make_db", "sqlite"]

WRONG: dict[str, dict[str, Any]] = {
    "no place": {},
    "relative": {"path": "lake"},
    "a child": {"stream": "load_documents", "path": "/lake"},
    "a period": {"by": "fortnight", "path": "/lake"},
    "a sample": {"sample": -1, "path": "/lake"},
    "a truth": {"sample": True, "path": "/lake"},
    "an action": {"on_difference": "panic", "path": "/lake"},
    "a time": {"start": "yesterday", "path": "/lake"},
    "an empty window": {"start": "2026-02-01T00:00:00Z", "end": "2026-02-01T00:00:00Z", "path": "/lake"},
    "no window": {"stream": "users", "start": "2026-02-01T00:00:00Z", "path": "/lake"},
    "a status": {"statuses": ["Delivred"], "path": "/lake"},
    "no status": {"stream": "fuel", "statuses": ["Open"], "path": "/lake"},
    "a text": {"statuses": "Open", "path": "/lake"},
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_arguments_are_refused_while_the_dag_is_parsed(kind: str) -> None:
    with pytest.raises(AlvysValueError):
        AlvysReconcileOperator(task_id="check", **{"stream": "loads", **WRONG[kind]})


def test_a_table_that_does_not_exist_is_named(alvys: Simulator, sqlite: Db) -> None:
    with pytest.raises(AlvysValueError, match="loads"):
        reconcile(sql_conn_id="sql")


def test_another_tenant_is_refused_before_anything_is_sent(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=10)
    sync_and_load(lake)
    asked = alvys.stats()["requests"]
    places: tuple[dict[str, Any], ...] = ({"sql_conn_id": "sql"}, {"path": str(lake)})
    for place in places:
        with pytest.raises(AlvysValueError, match="acme"):
            AlvysReconcileOperator(task_id="check", stream="loads", tenant="acne", **place).execute({})
    with pytest.raises(AlvysValueError, match="trips"):
        reconcile("trips", path=str(lake))
    assert alvys.stats()["requests"] == asked


def test_what_cannot_be_compared_is_refused_before_anything_is_sent(
    alvys: Simulator, sqlite: Db, lake: Path
) -> None:
    alvys.reset(loads=40, days=60)
    sync_and_load(lake, filters={"Status": ["Invoiced"]})
    asked = alvys.stats()["requests"]
    places: tuple[dict[str, Any], ...] = ({"sql_conn_id": "sql"}, {"path": str(lake)})
    for place in places:
        with pytest.raises(AlvysValueError, match="filters"):
            reconcile(**place)
    assert alvys.stats()["requests"] == asked
    sync_and_load(lake)
    assert reconcile(sql_conn_id="sql")["verdict"] == "same"
    later = reconcile(sql_conn_id="sql", start="2036-01-01T00:00:00Z", end="2036-02-01T00:00:00Z")
    assert later["verdict"] == "unknown"
    # As the table of an earlier version.
    sqlite.query("ALTER TABLE loads DROP COLUMN _missed_at")
    with pytest.raises(AlvysValueError, match="_missed_at"):
        reconcile(sql_conn_id="sql")


def test_a_later_filtered_sync_does_not_make_other_rows_late(
    alvys: Simulator, sqlite: Db, lake: Path
) -> None:
    alvys.reset(loads=40, days=60)
    sync_and_load(lake)
    as_of = reconcile(sql_conn_id="sql")["as_of"]
    sync_and_load(lake, filters={"Status": ["Invoiced"]}, settling=0)
    assert reconcile(sql_conn_id="sql")["as_of"] == reconcile(path=str(lake))["as_of"] == as_of


class FakeTaskInstance(SimpleNamespace):
    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed = {key: value}


def test_a_difference_fails_the_task_after_its_results_are_stored(
    alvys: Simulator, sqlite: Db, lake: Path
) -> None:
    alvys.reset(loads=40, days=60)
    sync_and_load(lake)
    sqlite.query("DELETE FROM loads WHERE id IN (SELECT id FROM loads LIMIT 2)")
    ti = FakeTaskInstance(dag_id="dag", task_id="check", map_index=-1)
    operator = AlvysReconcileOperator(task_id="check", stream="loads", sql_conn_id="sql", tenant="acme")
    expected = AlvysDifferenceError if HAS_RETRY_POLICY else AirflowFailException
    with pytest.raises(expected) as caught:
        operator.execute({"ti": ti, "run_id": "run"})
    assert is_hopeless(caught.value) or not HAS_RETRY_POLICY
    assert len(checks(sqlite, "differs")) == len(ti.pushed["return_value"]["differences"]) >= 3
    assert {row["run_id"] for row in checks(sqlite)} == {"run"}


def test_repairs_are_the_arguments_of_a_mapped_task(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=60, days=60)
    sync_and_load(lake)
    sqlite.query("DELETE FROM loads WHERE id IN (SELECT id FROM loads LIMIT 2)")
    (arguments,) = reconcile(sql_conn_id="sql")["repairs"]

    @task
    def repairs(result: dict[str, Any]) -> list[dict[str, Any]]:
        return list(result["repairs"])

    with DAG("dag", schedule=None):
        check = AlvysReconcileOperator(task_id="check", stream="loads", sql_conn_id="sql")
        mapped = AlvysToObjectStorageOperator.partial(
            task_id="repair", path=str(lake), tenant="acme"
        ).expand_kwargs(repairs(check.output))
    operator = mapped.unmap(arguments)
    assert operator.execute({})["rows"] == 2


def test_a_long_wait_frees_the_slot_and_nothing_is_asked_twice(
    alvys: Simulator, connect: Any, clock: SkippingClock, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alvys.reset(loads=60, days=900)
    sync(lake, tenant="alvys_default")
    before = alvys.stats()["requests"]["POST loads/search"]
    connect(requests_per_minute=6)
    worker = Worker(
        alvys, monkeypatch, clock, AlvysReconcileOperator, stream="loads", path=str(lake), deferrable=True
    )
    result = worker.run()
    asked = alvys.stats()["requests"]["POST loads/search"] - before
    assert (result["verdict"], result["requests"]) == ("same", asked)
    assert 30 <= asked <= 40
    assert len(worker.waits) >= 3
