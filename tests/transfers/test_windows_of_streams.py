"""Windows of streams other than loads, and streams whose scope the token lacks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_provider_alvys import AlvysSweepToObjectStorageOperator, alvys_asset
from airflow_provider_alvys._compat import AirflowSkipException
from airflow_provider_alvys.api.errors import AlvysPermissionError, AlvysValueError
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import Land, QuickHook
from tests.lake import cursors, manifests, read_lines, read_manifest


def ago(**span: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(**span)).isoformat()


def test_a_window_that_has_landed_is_skipped(alvys: Simulator, land: Land, lake: Path) -> None:
    land(until=ago(minutes=5))
    known = cursors(lake)
    requests = alvys.stats()["requests"]["POST loads/search"]
    with pytest.raises(AirflowSkipException, match="Nothing is due: loads have landed until"):
        land(until=ago(minutes=6))
    assert cursors(lake) == known
    assert alvys.stats()["requests"]["POST loads/search"] == requests


def test_a_sweep_looks_back_though_another_dag_has_moved_the_cursor(
    alvys: Simulator, land: Land, lake: Path
) -> None:
    land(stream="fuel", until=ago(minutes=5))
    known = cursors(lake)
    sweep = land(stream="fuel", until=ago(days=1), look_back=timedelta(days=60))
    since = datetime.fromisoformat(sweep["since"].replace("Z", "+00:00"))
    assert datetime.now(timezone.utc) - since > timedelta(days=60.5)
    assert sweep["rows"] == len(alvys.truth_keys(stream="fuel", since=sweep["since"], until=sweep["until"]))
    assert cursors(lake) == known


def test_a_manifest_lists_each_search(alvys: Simulator, land: Land) -> None:
    result = land(stream="invoices")
    manifest = read_manifest(result["manifest"])
    assert [search["window"] and search["window"]["by"] for search in manifest["searches"]] == [
        None,
        "invoiced",
        "sent",
        "paid",
    ]
    invoices = len(alvys.truth_keys(stream="invoices"))
    assert sum(search["rows"] for search in manifest["searches"]) == manifest["rows"] == invoices > 300
    assert sum(search["total"] for search in manifest["searches"]) == manifest["total"] > invoices
    assert manifest["as_of"] < manifest["window"]["until"]


def test_the_cursor_of_business_dates_is_the_time_of_the_read(
    alvys: Simulator, land: Land, lake: Path
) -> None:
    result = land(stream="fuel")
    (cursor,) = cursors(lake).values()
    assert cursor == read_manifest(result["manifest"])["as_of"] < result["until"]


@pytest.mark.parametrize("arguments", [{"since": ago(days=1)}, {"until": ago(days=1)}, {"look_back": 5}])
def test_a_window_for_a_stream_read_as_a_whole_is_refused(land: Land, arguments: dict[str, object]) -> None:
    with pytest.raises(AlvysValueError, match="read in full"):
        land(stream="drivers", **arguments)


def test_a_stream_that_the_token_may_not_read_is_skipped_on_request(alvys: Simulator, land: Land) -> None:
    alvys.reset(loads=5, scopes="trip:read")
    with pytest.raises(AirflowSkipException, match="lacks the scope load:read"):
        land(on_missing_scope="skip")
    with pytest.raises(AlvysPermissionError, match="lacks the scope load:read"):
        land()


def test_another_refusal_is_not_a_missing_scope(
    alvys: Simulator, hook: QuickHook, land: Land, lake: Path
) -> None:
    alvys.order_faults({"kind": "status", "status": 403, "times": 9})
    with pytest.raises(AlvysPermissionError, match="load:read") as caught:
        land(on_missing_scope="skip")
    assert caught.value.missing_scope is None
    with pytest.raises(AlvysPermissionError, match="driver:read"):
        sweep(hook, lake, on_missing_scope="skip")


def test_if_the_tokens_scopes_are_unknown_a_refusal_is_a_missing_scope(
    alvys: Simulator, connect: Callable[..., None], land: Land
) -> None:
    connect(tenant_id="acme", auth_url=None)
    alvys.order_faults({"kind": "status", "status": 403, "times": 9, "endpoint": "POST loads/search"})
    with pytest.raises(AirflowSkipException, match="lacks the scope load:read"):
        land(on_missing_scope="skip")


def sweep(hook: QuickHook, lake: Path, **arguments: object) -> list[dict[str, object]]:
    streams = ["drivers", "trucks", "customers"]
    operator = AlvysSweepToObjectStorageOperator(
        task_id="sweep",
        streams=streams,
        path=str(lake),
        outlets=[alvys_asset(stream, str(lake)) for stream in streams],
        **arguments,  # type: ignore[arg-type]
    )
    operator.hook = hook
    return operator.execute({})


@pytest.mark.parametrize(
    ("streams", "says"),
    [
        pytest.param("drivers", "must be a list of names", id="a text"),
        pytest.param([], "streams is empty", id="empty"),
        pytest.param(["drivers", "drivers"], "drivers more than once", id="twice"),
        pytest.param(
            ["drivers", "visibility_outbound_errors"], "visibility_outbound_errors", id="by a window only"
        ),
        pytest.param(
            ["loads", "load_documents"],
            "per row of loads",
            id="children",
        ),
    ],
)
def test_an_impossible_sweep_is_refused_while_the_dag_is_parsed(streams: list[str], says: str) -> None:
    with pytest.raises(AlvysValueError, match=says):
        AlvysSweepToObjectStorageOperator(task_id="sweep", streams=streams, path="/lake")


def test_a_sweep_lands_each_stream_on_its_own(alvys: Simulator, hook: QuickHook, lake: Path) -> None:
    results = sweep(hook, lake)
    assert [result["stream"] for result in results] == ["drivers", "trucks", "customers"]
    for result in results:
        lines = read_lines(str(result["manifest"]))
        assert sorted(lines) == sorted(alvys.truth_rows(stream=str(result["stream"])))


@pytest.mark.parametrize("named", ["as it is written", "as it is rendered"])
def test_each_asset_event_of_a_sweep_has_the_result_of_its_stream(
    alvys: Simulator, hook: QuickHook, lake: Path, named: str
) -> None:
    path = "{{ var.value.lake }}"
    outlets = [
        alvys_asset(stream, path if named == "as it is written" else str(lake))
        for stream in ("drivers", "trucks")
    ]
    operator = AlvysSweepToObjectStorageOperator(
        task_id="sweep", streams=["drivers", "trucks"], path=path, outlets=outlets
    )
    operator.hook = hook
    operator.path = str(lake)
    events = {outlet: SimpleNamespace(extra=None) for outlet in outlets}
    results = operator.execute({"outlet_events": events})  # type: ignore[typeddict-item]
    assert [event.extra for event in events.values()] == results


def test_the_other_streams_of_a_sweep_land_if_one_fails(
    alvys: Simulator, hook: QuickHook, lake: Path
) -> None:
    alvys.reset(loads=5, scopes="driver:read customer:read")
    with pytest.raises(AlvysPermissionError, match="truck:read"):
        sweep(hook, lake)
    assert {read_manifest(path)["stream"] for path in manifests(lake)} == {"drivers", "customers"}
    assert [result["stream"] for result in sweep(hook, lake, on_missing_scope="skip")] == [
        "drivers",
        "customers",
    ]
    alvys.reset(loads=5, scopes="load:read")
    with pytest.raises(AirflowSkipException, match="scopes of drivers, trucks, customers"):
        sweep(hook, lake, on_missing_scope="skip")
    assert len(manifests(lake)) == 4
