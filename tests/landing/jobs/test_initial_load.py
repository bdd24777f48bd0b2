from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.errors import AlvysIncompleteError, AlvysStorageError
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.read.windows import as_utc, format_time
from airflow_provider_alvys.landing.dataset import cursor as cursor_module
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.transfers.first_load import AlvysBeginFirstLoadOperator, AlvysHandOverOperator
from tests.conftest import Land, QuickHook
from tests.lake import cursors, manifests, read_lines, read_manifest


class TaskInstance:
    """A task instance that keeps pushed XComs."""

    dag_id, task_id, map_index = "dag", "begin", -1

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


class Begun(NamedTuple):
    begun: str
    total: int


def begin(
    hook: QuickHook, lake: Path, stream: str, start: str = "2026-01-01T00:00:00Z"
) -> tuple[Begun, list[dict[str, str]]]:
    operator = AlvysBeginFirstLoadOperator(task_id="begin", stream=stream, path=str(lake), start=start)
    operator.hook = hook
    ti = TaskInstance()
    windows = operator.execute({"ti": ti})  # type: ignore[typeddict-item]
    return Begun(**ti.pushed), windows


def reconcile_and_set_cursor(
    hook: QuickHook,
    lake: Path,
    stream: str,
    begun: Begun,
    landed: list[dict[str, Any]],
    context: dict[str, Any] | None = None,
    **arguments: Any,
) -> dict[str, Any]:
    operator = AlvysHandOverOperator(
        task_id="reconcile_and_set_cursor",
        stream=stream,
        path=str(lake),
        landed=landed,
        begun=begun.begun,
        total=begun.total,
        **arguments,
    )
    operator.hook = hook
    return operator.execute(context or {})


def first_load(hook: QuickHook, land: Land, lake: Path, stream: str, **arguments: Any) -> dict[str, Any]:
    begun, windows = begin(hook, lake, stream)
    by = {"loads": "created", "trips": "pickup", "invoices": "invoiced"}[stream]
    landed = [land(stream=stream, window_by=by, **window, **arguments) for window in windows]
    return reconcile_and_set_cursor(hook, lake, stream, begun, landed, **arguments)


def landed_keys(lake: Path) -> set[str]:
    return {json.loads(line)["Id"] for path in manifests(lake) for line in read_lines(path)}


@pytest.mark.parametrize(
    ("stream", "file_format"), [("loads", "jsonl"), ("trips", "jsonl"), ("loads", "parquet")]
)
def test_a_first_load_lands_every_month_and_sets_the_cursor_to_its_start(
    alvys: Simulator, hook: QuickHook, land: Land, lake: Path, stream: str, file_format: str
) -> None:
    alvys.reset(loads=450, without_stamp=0.02)
    before = datetime.now(timezone.utc)
    result = first_load(hook, land, lake, stream, file_format=file_format)
    keys = alvys.truth_keys(stream=stream)
    assert landed_keys(lake) == set(keys)
    assert result["total"] == result["rows"] == len(keys) >= 450
    (cursor,) = cursors(lake).values()
    assert format_time(as_utc(cursor, "cursor")) == result["cursor"]
    assert timedelta(0) <= before - as_utc(cursor, "cursor") < timedelta(minutes=2)
    assert result["as_of"] == result["cursor"]
    cadence = STREAMS[stream].cadence_of(STREAMS[stream].default_window)
    assert cadence
    assert (result["proof"], result["cadence"]) == ("whole", cadence.total_seconds())
    runs = [read_manifest(path) for path in result["manifests"]]
    assert (result["requests"], result["bytes"]) == tuple(
        sum(run[name] for run in runs) for name in ("requests", "bytes")
    )
    # The regular sync continues from there.
    alvys.change(stream=stream, rows=5, at=format_time(as_utc(cursor, "cursor") + timedelta(seconds=10)))
    again = land(stream=stream, initial_since=None, overlap=0, settling=0)
    assert again["since"] == result["cursor"]
    assert again["rows"] >= 5


def test_rows_that_no_window_finds_are_read_before_the_cursor_is_set(
    alvys: Simulator, hook: QuickHook, land: Land, lake: Path
) -> None:
    # Trips without a pickup date are outside all windows.
    keys = alvys.truth_keys(stream="trips")
    alvys.change(stream="trips", keys=keys[:3], at="2026-10-01T00:00:00Z", columns={"PickupDate": None})
    result = first_load(hook, land, lake, "trips")
    assert landed_keys(lake) == set(keys)
    assert result["rows"] == result["total"] == len(keys)
    assert len(cursors(lake)) == 1


def test_rows_of_unknown_statuses_do_not_hide_rows_that_no_window_found(
    alvys: Simulator, hook: QuickHook, land: Land, lake: Path
) -> None:
    keys = alvys.truth_keys(stream="trips")
    alvys.change(stream="trips", keys=keys[:3], at="2026-10-01T00:00:00Z", columns={"PickupDate": None})
    # The windows of pickup times find them, and a search by a list of all known statuses does not.
    alvys.change(stream="trips", keys=keys[10:20], at="2026-10-01T00:00:00Z", columns={"Status": "On Hold"})
    result = first_load(hook, land, lake, "trips")
    assert landed_keys(lake) == set(keys)
    assert result["rows"] == result["total"] == len(keys) - 10


def test_rows_created_since_the_start_need_no_read_as_a_whole(
    alvys: Simulator, hook: QuickHook, land: Land, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun, windows = begin(hook, lake, "loads")
    landed = [land(window_by="created", **window) for window in windows]
    # As if the load had taken an hour.
    begun = begun._replace(begun=format_time(as_utc(begun.begun, "begun") - timedelta(hours=1)))
    at = format_time(as_utc(begun.begun, "begun") + timedelta(minutes=30))
    alvys.add(stream="loads", rows=5, columns={"CreatedAt": at, "UpdatedAt": at})
    before = alvys.stats()["requests"]["POST loads/search"]
    with caplog.at_level("INFO"):
        result = reconcile_and_set_cursor(hook, lake, "loads", begun, landed)
    assert f"Missing 5 loads: reading by updated since {begun.begun}" in caplog.text
    assert result["rows"] == result["total"] == 455
    # The count, and a page of changes. A read in full has three pages.
    assert alvys.stats()["requests"]["POST loads/search"] - before == 2


def test_deleted_rows_do_not_hide_rows_that_no_window_found(
    alvys: Simulator, hook: QuickHook, land: Land, lake: Path
) -> None:
    keys = alvys.truth_keys(stream="tenders")
    alvys.change(stream="tenders", keys=keys[:3], columns={"DateImported": None})
    begun, windows = begin(hook, lake, "tenders")
    landed = [land(stream="tenders", window_by="created", **window) for window in windows]
    # As many as are outside all windows, so that Alvys has as many rows as have landed.
    alvys.remove(stream="tenders", keys=keys[10:13])
    result = reconcile_and_set_cursor(hook, lake, "tenders", begun, landed)
    assert landed_keys(lake) == set(keys)
    assert (result["total"], result["rows"]) == (len(keys) - 3, len(keys))


def test_all_tasks_of_a_first_load_share_the_pace(
    alvys: Simulator, connect: Callable[..., None], hook: QuickHook, land: Land, lake: Path
) -> None:
    connect(requests_per_minute=10)
    begun, _ = begin(hook, lake, "loads")
    assert len(read_stamps(lake)) == 1
    landed = [land(window_by="created", since="2026-01-01T00:00:00Z", until="2031-01-01T00:00:00Z")]
    before = len(read_stamps(lake))
    reconcile_and_set_cursor(hook, lake, "loads", begun, landed)
    assert len(read_stamps(lake)) == before + 1


def read_stamps(lake: Path) -> list[float]:
    (stamps,) = json.loads((lake / "_pace.json").read_bytes())["stamps"].values()
    return stamps["POST loads/search"]


def test_rows_that_are_still_missing_fail_and_set_no_cursor(
    alvys: Simulator, hook: QuickHook, land: Land, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, windows = begin(hook, lake, "loads")
    early = [window for window in windows if window["since"] < "2026-11-01"]
    landed = [land(window_by="created", **window) for window in early]
    # After the count, rows are deleted that no window has landed.
    gone = sorted(set(alvys.truth_keys()) - landed_keys(lake))[:5]
    count = AlvysClient.call

    def call(client: AlvysClient, method: str, path: str, **arguments: Any) -> Any:
        answer = count(client, method, path, **arguments)
        if gone and path == "loads/search":
            alvys.remove(stream="loads", keys=gone)
            gone.clear()
        return answer

    monkeypatch.setattr(AlvysClient, "call", call)
    context = {"run_id": "run", "ti": TaskInstance()}
    with pytest.raises(AlvysIncompleteError, match="450 rows, and only 445 different"):
        reconcile_and_set_cursor(hook, lake, "loads", begun, landed, context)
    assert cursors(lake) == {}
    # The next attempt counts and reads again.
    assert reconcile_and_set_cursor(hook, lake, "loads", begun, landed, context)["total"] == 445
    assert len(cursors(lake)) == 1


def test_a_retried_reconciliation_reads_nothing_twice_and_ignores_new_rows(
    alvys: Simulator, hook: QuickHook, land: Land, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = alvys.truth_keys(stream="trips")
    alvys.change(stream="trips", keys=keys[:3], at="2026-10-01T00:00:00Z", columns={"PickupDate": None})
    begun, windows = begin(hook, lake, "trips")
    landed = [land(stream="trips", window_by="pickup", **window) for window in windows]
    context = {"run_id": "run", "ti": TaskInstance()}
    advance = cursor_module.advance_cursor

    def fail(*arguments: Any, **more: Any) -> Any:
        monkeypatch.setattr(cursor_module, "advance_cursor", advance)
        raise AlvysStorageError("as ordered")

    monkeypatch.setattr(cursor_module, "advance_cursor", fail)
    with pytest.raises(AlvysStorageError):
        reconcile_and_set_cursor(hook, lake, "trips", begun, landed, context)
    trips = len(alvys.truth_keys(stream="trips"))
    alvys.add(stream="trips", rows=3, columns={"PickupDate": None})
    before = alvys.stats()["requests"]
    result = reconcile_and_set_cursor(hook, lake, "trips", begun, landed, context)
    assert alvys.stats()["requests"] == before
    assert result["rows"] == result["total"] == trips
    assert len(cursors(lake)) == 1


def test_a_first_load_does_not_move_a_later_cursor_back(
    alvys: Simulator, hook: QuickHook, land: Land, lake: Path
) -> None:
    begun, windows = begin(hook, lake, "loads")
    landed = [land(window_by="created", **window) for window in windows]
    land(settling=0)
    known = cursors(lake)
    reconcile_and_set_cursor(hook, lake, "loads", begun, landed)
    assert cursors(lake) == known
