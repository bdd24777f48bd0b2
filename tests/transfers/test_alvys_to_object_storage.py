from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, AssetAlias, ObjectStoragePath, task
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_alvys._compat import AirflowSkipException
from airflow_provider_alvys.api.errors import (
    AlvysError,
    AlvysIncompleteError,
    AlvysNotFoundError,
    AlvysPermissionError,
    AlvysResponseError,
    AlvysValueError,
)
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator
from tests.conftest import Land, QuickHook, SkippingClock
from tests.lake import cursors, ids, manifests, read_lines, read_manifest

LONG_AGO = "2020-01-01T00:00:00Z"


def in_run(run_id: str, task_id: str = "land", map_index: int = -1, dag_id: str = "dag") -> dict[str, Any]:
    return {"run_id": run_id, "ti": SimpleNamespace(dag_id=dag_id, task_id=task_id, map_index=map_index)}


def make_operator(**arguments: Any) -> AlvysToObjectStorageOperator:
    return AlvysToObjectStorageOperator(task_id="land", **{"stream": "loads", "path": "/lake", **arguments})


@pytest.mark.every_airflow
def test_five_thousand_loads_cost_25_searches_and_one_token_and_keep_every_byte(
    alvys: Simulator, land: Land
) -> None:
    alvys.reset(loads=5000, cut_notes=3, now=datetime.now(timezone.utc).timestamp() - 3600)
    result = land(page_size=200)
    stats = alvys.stats()
    assert stats["requests"] == {"POST token": 1, "POST loads/search": 25}
    lines = read_lines(result["manifest"])
    assert sorted(lines) == sorted(alvys.truth_rows())
    assert sum(rb"\ud83d\"" in line or b"\\ud83d" in line for line in lines) == 3
    assert [part["rows"] for part in read_manifest(result["manifest"])["parts"]] == [4000, 1000]


def test_the_manifest_and_the_result_describe_the_run(alvys: Simulator, land: Land, lake: Path) -> None:
    result = land(initial_since=datetime(2020, 1, 1, tzinfo=timezone.utc), filters={"IncludeDeleted": True})
    manifest = read_manifest(result["manifest"])
    assert result == {
        "manifest": str(manifests(lake)[0]),
        "path": str(lake),
        "stream": "loads",
        "tenant": "alvys_default",
        "since": LONG_AGO,
        "until": manifest["window"]["until"],
        "rows": manifest["rows"],
        "proof": "whole",
        "as_of": result["until"],
        "requests": 3,
        "waited": 0,
        "seconds": manifest["seconds"],
        "attempt": 1,
        "bytes": sum(part["bytes"] for part in manifest["parts"]),
        # Filters make it another read than the regular sync.
        "cadence": None,
    }
    assert json.loads(json.dumps(result)) == result
    read_from, read_until = (
        datetime.fromisoformat(manifest[name][:-1]) for name in ("read_from", "read_until")
    )
    assert result["seconds"] == (read_until - read_from).total_seconds() > 0
    until = datetime.fromisoformat(result["until"].replace("Z", "+00:00"))
    assert timedelta(seconds=60) <= datetime.now(timezone.utc) - until < timedelta(seconds=75)
    assert manifest["window"] == {"by": "updated", "since": LONG_AGO, "until": result["until"]}
    assert manifest["filters"] == {"IncludeDeleted": True}
    assert (manifest["version"], manifest["attempt"], manifest["passes"]) == (1, 1, 1)
    assert manifest["requests"] == 3
    assert (
        manifest["rows"] == manifest["total"] == len(alvys.truth_keys(since=LONG_AGO, until=result["until"]))
    )
    folder = Path(result["manifest"]).parent
    assert folder.parent.name == f"{datetime.now(timezone.utc):%Y-%m-%d}"
    assert folder.parent.parent == lake / "loads"
    assert folder.name.startswith("20200101T000000Z-")
    assert folder.name.endswith("-1")


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_parts_end_at_page_boundaries(alvys: Simulator, land: Land, compression: str | None) -> None:
    result = land(compression=compression, page_size=50, part_rows=120)
    parts = read_manifest(result["manifest"])["parts"]
    assert [part["rows"] for part in parts[:-1]] == [150] * (len(parts) - 1)
    assert parts[0]["name"] == ("part-00000.jsonl.gz" if compression else "part-00000.jsonl")
    assert ids(read_lines(result["manifest"])) == set(alvys.truth_keys(since=LONG_AGO, until=result["until"]))


def test_pretty_printed_responses_land_one_row_per_line(alvys: Simulator, land: Land) -> None:
    alvys.reset(loads=50, pretty=True, cut_notes=1)
    result = land()
    assert sorted(read_lines(result["manifest"])) == sorted(
        alvys.truth_rows(since=LONG_AGO, until=result["until"])
    )


@pytest.mark.every_airflow
def test_the_second_run_lands_what_changed_since_the_first(alvys: Simulator, land: Land, lake: Path) -> None:
    first = land()
    before = cursors(lake)
    assert list(before.values()) == [first["until"]]
    half_a_minute_ago = datetime.now(timezone.utc) - timedelta(seconds=30)
    changed = alvys.change(rows=7, at=half_a_minute_ago.isoformat())
    second = land(settling=0, overlap=timedelta(minutes=5))
    assert second["since"] < first["until"]
    landed = ids(read_lines(second["manifest"]))
    assert landed == set(alvys.truth_keys(since=second["since"], until=second["until"]))
    assert set(changed) <= landed
    third = land(settling=0, overlap=0)
    assert third["since"] == second["until"]
    assert third["rows"] == 0
    assert list(cursors(lake)) == list(before)
    assert list(cursors(lake).values()) == [third["until"]]


def test_no_rows_make_no_parts_but_a_manifest_and_move_the_cursor(
    alvys: Simulator, land: Land, lake: Path
) -> None:
    alvys.reset(loads=0)
    result = land()
    assert result["rows"] == 0
    assert read_manifest(result["manifest"])["parts"] == []
    assert list(cursors(lake).values()) == [result["until"]]
    with pytest.raises(AirflowSkipException, match="no loads"):
        land(skip_when_empty=True)
    assert len(manifests(lake)) == 2


def test_without_a_cursor_initial_since_is_needed(alvys: Simulator, land: Land, lake: Path) -> None:
    with pytest.raises(AlvysValueError, match=r"no cursor .*_cursor-.*json.* initial_since"):
        land(initial_since=None)
    land()
    land(initial_since=None)
    with pytest.raises(AlvysValueError, match="full_refresh .*initial_since"):
        land(initial_since=None, full_refresh=True)


def test_a_full_refresh_starts_over(alvys: Simulator, land: Land) -> None:
    first = land()
    reload = land(full_refresh=True)
    assert reload["since"] == LONG_AGO
    assert ids(read_lines(reload["manifest"])) >= ids(read_lines(first["manifest"]))


def test_since_and_until_do_not_use_the_cursor(alvys: Simulator, land: Land, lake: Path) -> None:
    window = {
        "since": "2020-01-01T00:00:00+00:00",
        "until": "2026-11-01 00:00:00+00:00",
        "initial_since": None,
    }
    result = land(**window)
    assert ids(read_lines(result["manifest"])) == set(
        alvys.truth_keys(since=LONG_AGO, until="2026-11-01T00:00:00Z")
    )
    assert cursors(lake) == {}
    result = land(**window, window_by="created")
    assert ids(read_lines(result["manifest"])) == set(
        alvys.truth_keys(since=LONG_AGO, until="2026-11-01T00:00:00Z", window_by="created")
    )
    assert read_manifest(result["manifest"])["window"]["by"] == "created"
    assert cursors(lake) == {}


def test_a_given_window_does_not_move_an_existing_cursor(alvys: Simulator, land: Land, lake: Path) -> None:
    land()
    before = cursors(lake)
    result = land(since=LONG_AGO, until=datetime.now(timezone.utc))
    assert result["until"] > next(iter(before.values()))
    assert cursors(lake) == before


def test_paths_tenants_filters_and_windows_have_cursors_of_their_own(
    alvys: Simulator, land: Land, lake: Path
) -> None:
    first = land()
    mine = cursors(lake)
    elsewhere = lake.parent / "elsewhere"
    land(path=str(elsewhere))
    for other in ({"tenant": "other"}, {"filters": {"Status": ["Open"]}}, {"window_by": "created"}):
        result = land(**other)
        assert result["since"] == LONG_AGO
        assert {name: cursors(lake)[name] for name in mine} == mine
    assert len(cursors(lake)) == 4
    assert len(cursors(elsewhere)) == 1
    # The default window kind, given by name, has the same cursor.
    assert land(window_by="updated")["since"] > first["since"]


def test_a_failed_run_moves_no_cursor_and_writes_no_manifest(
    alvys: Simulator, land: Land, lake: Path
) -> None:
    land()
    before = cursors(lake)
    alvys.order_faults({"kind": "status", "status": 500, "skip": 1, "times": 99})
    with pytest.raises(AlvysError):
        land(full_refresh=True, page_size=50, part_rows=50)
    assert cursors(lake) == before
    assert len(manifests(lake)) == 1
    alvys.order_faults()
    assert land()["proof"] == "whole"


def test_an_unproved_run_moves_no_cursor(
    alvys: Simulator, land: Land, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alvys.order_mutations({"kind": "join"})
    with pytest.raises(AlvysIncompleteError) as caught:
        land(page_size=50)
    assert caught.value.passes == 3
    assert cursors(lake) == {}
    assert manifests(lake) == []
    with caplog.at_level(logging.WARNING):
        result = land(page_size=50, window_by="created")
    assert result["proof"] == "open"
    assert cursors(lake) == {}
    assert "Cursor not advanced" in caplog.text


def test_a_retry_and_a_cleared_task_read_their_first_window_again(
    alvys: Simulator, land: Land, lake: Path
) -> None:
    alvys.order_faults({"kind": "status", "status": 403, "skip": 1})
    with pytest.raises(AlvysPermissionError):
        land(in_run("run-1"), page_size=50)
    retry = land(in_run("run-1"), page_size=50)
    later = land(in_run("run-2"), settling=0)
    cleared = land(in_run("run-1"), page_size=50)
    assert (cleared["since"], cleared["until"]) == (retry["since"], retry["until"])
    assert [read_manifest(result["manifest"])["attempt"] for result in (retry, cleared)] == [1, 2]
    assert Path(retry["manifest"]).parent != Path(cleared["manifest"]).parent
    assert list(cursors(lake).values()) == [later["until"]]
    run_files = sorted((lake / "loads" / "_runs").iterdir())
    assert len(run_files) == 2


def test_a_missing_scope_is_one_clear_error_and_no_manifest(alvys: Simulator, land: Land, lake: Path) -> None:
    alvys.reset(loads=10, scopes="trip:read")
    with pytest.raises(AlvysPermissionError, match="The token lacks the scope load:read; it has trip:read"):
        land()
    assert manifests(lake) == []
    assert cursors(lake) == {}


def test_no_folder_is_written_into_twice(alvys: Simulator, land: Land, lake: Path) -> None:
    first = land(in_run("run-1"))
    for run_file in (lake / "loads" / "_runs").iterdir():
        run_file.unlink()
    alvys.change(rows=1)
    second = land(in_run("run-1"), since=first["since"], until=first["until"])
    assert Path(first["manifest"]).parent != Path(second["manifest"]).parent
    assert len(read_lines(first["manifest"])) == first["rows"]
    assert read_manifest(second["manifest"])["attempt"] == 2


def test_a_cursor_never_moves_over_a_period_that_has_not_landed(
    alvys: Simulator, land: Land, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    land(in_run("run-1"))
    later = land(in_run("run-2"))
    (cursor_file,) = lake.rglob("_cursor-*.json")
    cursor_file.write_text(cursor_file.read_text().replace(later["until"], "2026-01-01T00:00:00Z"))
    # A cleared task reads its own window, which is far ahead of the cursor that a person has set.
    land(in_run("run-2"))
    assert list(cursors(lake).values()) == ["2026-01-01T00:00:00Z"]
    assert "Cursor not advanced: this window begins at" in caplog.text
    reload = land(in_run("run-3"))
    assert reload["since"] == "2025-12-31T23:55:00Z"
    assert list(cursors(lake).values()) == [reload["until"]]
    # A deleted cursor does not reappear at the end of a later window.
    cursor_file.unlink()
    land(in_run("run-2"))
    assert cursors(lake) == {}
    assert land(in_run("run-4"))["since"] == LONG_AGO


def test_filters_that_mean_the_same_share_a_cursor(alvys: Simulator, land: Land, lake: Path) -> None:
    land(filters={"Status": ["Open", "Paid"]})
    land(filters={"Status": ["Paid", "Open"], "IncludeDeleted": True})
    assert len(cursors(lake)) == 1


def test_a_changed_task_resolves_its_window_anew(alvys: Simulator, land: Land) -> None:
    first = land(in_run("run-1"))
    changed = land(in_run("run-1"), filters={"Status": ["Open"]})
    assert changed["until"] > first["until"]
    assert read_manifest(changed["manifest"])["attempt"] == 2


@pytest.mark.parametrize("other", [{"map_index": 1}, {"task_id": "other"}, {"dag_id": "other"}], ids=str)
def test_no_task_takes_anothers_run_file(alvys: Simulator, land: Land, other: dict[str, Any]) -> None:
    first = land(in_run("run-1"))
    second = land(in_run("run-1", **other))
    assert second["since"] > first["since"]
    assert read_manifest(second["manifest"])["attempt"] == 1


def test_outlet_events_carry_the_result(alvys: Simulator, land: Land) -> None:
    outlets = [Asset("alvys_loads"), AssetAlias("lake")]
    events = OutletEventAccessors()
    result = land({"outlet_events": events}, outlets=outlets)
    assert events[outlets[0]].extra == result
    (event,) = events[outlets[1]].asset_alias_events
    assert event.extra == result
    assert event.dest_asset_key.name == f"{result['path']}/loads"


def test_an_object_storage_path_is_accepted(alvys: Simulator, land: Land, lake: Path) -> None:
    result = land(path=ObjectStoragePath(f"file://{lake}"))
    assert result["path"] == f"file://{lake}"
    assert result["rows"] == len(read_lines(result["manifest"].removeprefix("file://")))


@pytest.mark.parametrize(
    ("fault", "searches"),
    [
        pytest.param(
            {"kind": "status", "status": 429, "body": "html", "retry_after": "60"}, 10, id="429 as HTML"
        ),
        pytest.param({"kind": "status", "status": 500, "times": 3}, 12, id="500 three times"),
        pytest.param({"kind": "truncate"}, 10, id="truncated"),
        pytest.param({"kind": "reset", "times": 2}, 11, id="reset"),
        pytest.param({"kind": "html"}, 10, id="a page of HTML with 200"),
        pytest.param({"kind": "bad_utf8"}, 10, id="no UTF-8, once"),
        pytest.param({"kind": "revoke"}, 10, id="revoked token"),
        pytest.param({"kind": "status", "status": 404}, 11, id="stray 404"),
        pytest.param({"kind": "cap", "cap": 25}, 20, id="page size lowered while pages are read"),
    ],
)
def test_a_fault_while_pages_are_read_loses_no_row(
    alvys: Simulator, land: Land, fault: dict[str, Any], searches: int
) -> None:
    alvys.order_faults({**fault, "endpoint": "POST loads/search", "skip": 3})
    result = land(page_size=50)
    assert result["proof"] == "whole"
    assert ids(read_lines(result["manifest"])) == set(alvys.truth_keys(since=LONG_AGO, until=result["until"]))
    assert alvys.stats()["requests"]["POST loads/search"] <= searches + 3


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        pytest.param(
            {"kind": "status", "status": 403, "times": 99}, AlvysPermissionError, "load:read", id="403"
        ),
        pytest.param(
            {"kind": "status", "status": 404, "page": 0},
            AlvysNotFoundError,
            "answered 404",
            id="404 on page 0",
        ),
        pytest.param(
            {"kind": "status", "status": 404, "page": 4, "times": 99},
            AlvysResponseError,
            "page 4 was missing",
            id="404",
        ),
        pytest.param({"kind": "bad_utf8", "times": 99}, AlvysResponseError, "not UTF-8", id="no UTF-8"),
    ],
)
def test_a_permanent_fault_is_one_clear_error_and_no_manifest(
    alvys: Simulator, land: Land, lake: Path, fault: dict[str, Any], error: type[AlvysError], message: str
) -> None:
    alvys.order_faults({**fault, "endpoint": "POST loads/search"})
    with pytest.raises(error, match=message):
        land(page_size=50)
    assert manifests(lake) == []
    assert cursors(lake) == {}


@pytest.mark.parametrize("silent", [False, True], ids=["announced", "silent"])
def test_a_page_size_that_the_server_lowers_loses_nothing(alvys: Simulator, land: Land, silent: bool) -> None:
    alvys.reset(loads=450, page_size_cap=100, page_size_cap_is_silent=silent)
    result = land()
    assert ids(read_lines(result["manifest"])) == set(alvys.truth_keys(since=LONG_AGO, until=result["until"]))
    assert alvys.stats()["requests"]["POST loads/search"] == 6


def test_a_set_that_shrinks_past_the_page_being_read_loses_nothing(alvys: Simulator, land: Land) -> None:
    alvys.order_mutations({"kind": "leave", "rows": 250, "times": 1})
    result = land(page_size=50)
    landed = ids(read_lines(result["manifest"]))
    assert set(alvys.truth_keys(since=LONG_AGO, until=result["until"])) <= landed
    assert alvys.stats()["answers"]["404"] >= 1


@pytest.mark.slow
@pytest.mark.parametrize("leaving", [1, 5, 100])
def test_no_row_that_stays_is_missed_while_others_leave(alvys: Simulator, land: Land, leaving: int) -> None:
    alvys.reset(loads=4_000)
    alvys.order_mutations({"kind": "leave", "rows": leaving})
    result = land(page_size=40)
    landed = ids(read_lines(result["manifest"]))
    stayed = set(alvys.truth_keys(since=LONG_AGO, until=result["until"]))
    assert stayed <= landed
    assert len(stayed) < 4_000
    assert result["proof"] == "whole"


def test_a_row_that_joins_while_pages_are_read_is_landed(alvys: Simulator, land: Land) -> None:
    for skip in range(6):
        alvys.reset(loads=450, seed=skip)
        alvys.order_mutations({"kind": "join", "skip": skip, "times": 1})
        result = land(page_size=50, full_refresh=True)
        assert set(alvys.truth_keys(since=LONG_AGO, until=result["until"])) == ids(
            read_lines(result["manifest"])
        )


def test_an_unstable_order_ends_as_whole_or_as_an_error(alvys: Simulator, land: Land, lake: Path) -> None:
    alvys.reset(loads=450, order="unstable")
    with pytest.raises(AlvysIncompleteError, match=r"3 passes .* different rows of 4\d\d"):
        land(page_size=50)
    assert manifests(lake) == []


def test_a_token_that_lives_65_seconds_is_renewed_while_pages_are_read(
    alvys: Simulator, hook: QuickHook, land: Land, clock: SkippingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    alvys.reset(loads=450, token_lifetime=65)
    send = hook.get_conn()._transport.send

    def take_two_seconds(*args: Any, **kwargs: Any) -> Any:
        clock.sleep(2)
        return send(*args, **kwargs)

    monkeypatch.setattr(hook.get_conn()._transport, "send", take_two_seconds)
    result = land(page_size=50)
    assert ids(read_lines(result["manifest"])) == set(alvys.truth_keys(since=LONG_AGO, until=result["until"]))
    assert alvys.stats()["tokens"] >= 4
    assert set(alvys.stats()["answers"]) == {"200"}


def test_the_window_ends_by_the_earlier_clock(alvys: Simulator, land: Land) -> None:
    alvys.reset(loads=10, clock_offset=-3600)
    until = datetime.fromisoformat(land()["until"].replace("Z", "+00:00"))
    assert timedelta(seconds=3655) <= datetime.now(timezone.utc) - until < timedelta(seconds=3680)


def test_a_cursor_does_not_move_beyond_the_apis_own_clock(
    alvys: Simulator, lake: Path, simulator: Simulator, clock: SkippingClock, caplog: pytest.LogCaptureFixture
) -> None:
    # The token server has the right time, the API's clock is 20 minutes behind.
    operator = make_operator(path=str(lake), initial_since=LONG_AGO)
    operator.hook = QuickHook(clock)
    operator.hook.get_conn().request("GET", "/v1/me")
    operator.hook.get_conn()._server_offset = None
    alvys.reset(loads=10, clock_offset=-1200)
    result = operator.execute({})
    (cursor,) = cursors(lake).values()
    assert result["as_of"] == read_manifest(result["manifest"])["as_of"] == cursor
    behind = datetime.fromisoformat(result["until"].replace("Z", "+00:00")) - datetime.fromisoformat(
        cursor.replace("Z", "+00:00")
    )
    assert timedelta(seconds=1190) < behind < timedelta(seconds=1210)
    assert "The API's clock is behind" in caplog.text


def test_the_next_task_continues_the_pace(alvys: Simulator, connect: Callable[..., None], lake: Path) -> None:
    connect(requests_per_minute=None)
    clock = SkippingClock()

    def run() -> None:
        operator = make_operator(path=str(lake), initial_since=LONG_AGO, page_size=75)
        operator.hook = QuickHook(clock)
        operator.execute({})

    run()
    assert clock.sleeps == []
    pace = json.loads((lake / "_pace.json").read_bytes())
    (stamps,) = pace["stamps"].values()
    assert len(stamps["POST loads/search"]) == 6
    assert "simulator" not in json.dumps(pace)
    for _ in range(5):
        run()
    assert sum(clock.sleeps) == pytest.approx(60, abs=3)
    (lake / "_pace.json").write_text("{")
    run()
    (lake / "_pace.json").unlink()
    (lake / "_pace.json").mkdir()
    run()


def test_it_waits_in_its_slot_even_if_deferrable(alvys: Simulator, land: Land) -> None:
    assert land(deferrable=True)["proof"] == "whole"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"stream": "lodes"}, "no stream 'lodes'", id="stream"),
        pytest.param({"path": "lake"}, "is relative", id="relative path"),
        pytest.param({"path": None}, "path=None", id="no path"),
        pytest.param({"path": "/lake/{{ ds }}"}, r"run to run \(ds\)", id="a path by day"),
        pytest.param({"path": "/lake/{{ run_id }}"}, r"run to run \(run_id\)", id="a path by run"),
        pytest.param(
            {"path": "/lake/{{ macros.datetime.utcnow() }}"}, "from run to run", id="a path by time"
        ),
        pytest.param({"filters": {"Statuses": ["Open"]}}, "Did you mean Status", id="misspelt filter"),
        pytest.param({"window_by": "pickup"}, "Windows of loads", id="window"),
        pytest.param(
            {"stream": "visibility_outbound_errors", "window_by": "whole"}, "no window .whole.", id="no whole"
        ),
        pytest.param({"file_format": "csv"}, "file_format='csv'.* jsonl", id="format"),
        pytest.param({"compression": "zip"}, "compression='zip'.* gzip", id="compression"),
        pytest.param({"part_rows": 0}, "part_rows=0 must be a number of rows", id="part_rows"),
        pytest.param({"overlap": -5}, "overlap=-5", id="overlap"),
        pytest.param({"look_back": 5}, "look_back and look_ahead are for business dates", id="look_back"),
        pytest.param({"parents": []}, "not read per parent", id="parents"),
        pytest.param(
            {"since": datetime(2026, 3, 1)}, "since=2026-03-01T00:00:00 has no time zone", id="naive since"
        ),
        pytest.param({"initial_since": "2026-03-01"}, "initial_since='2026-03-01'", id="a date"),
        pytest.param({"since": LONG_AGO, "until": LONG_AGO}, "is empty", id="empty window"),
        pytest.param(
            {"since": "2026-03-02T00:00:00Z", "until": LONG_AGO}, "is inverted", id="inverted window"
        ),
        pytest.param(
            {"part_rows": True}, "part_rows=True must be a number of rows", id="part_rows as a truth"
        ),
        pytest.param(
            {"page_size": True}, "page_size=True must be a number of rows", id="page size as a truth"
        ),
        pytest.param(
            {"max_window_rows": True}, "max_window_rows=True must be a", id="window rows as a truth"
        ),
        pytest.param(
            {"full_refresh": "false"}, "full_refresh='false' must be True or False", id="a refresh as text"
        ),
        pytest.param({"full_refresh": 1}, "full_refresh=1 must be", id="a refresh as a number"),
        pytest.param(
            {"full_refresh": True, "since": LONG_AGO},
            "full_refresh .* since",
            id="a refresh since",
        ),
        pytest.param(
            {"initial_since": "2026-03-02T00:00:00Z", "until": "2026-03-01T00:00:00Z"},
            "is after until",
            id="begins after the end",
        ),
        pytest.param(
            {"page_size": "200"}, "page_size='200' must be a number of rows", id="page size as text"
        ),
        pytest.param({"filters": ["Open"]}, "filters=", id="filters as a list"),
        pytest.param({"path": PurePosixPath("x/y")}, "is relative", id="relative pathlib path"),
        pytest.param({"path": "/x/{{ logical_date | ds }}"}, "from run to run", id="a path by a filter"),
    ],
)
def test_wrong_arguments_are_refused_while_the_dag_is_parsed(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AlvysValueError, match=message):
        make_operator(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "{{ var.value.lake }}/alvys"},
        {"path": "/lake/{{ ds }}", "since": "{{ data_interval_start }}", "until": "{{ data_interval_end }}"},
        {"filters": {"Status": "{{ params.statuses }}"}},
        {"filters": "{{ params.filters }}"},
        {"window_by": "{{ params.by }}"},
        {"path": "/lake/{{ var.value.region | upper | my_filter }}"},
        {"path": PurePosixPath("/lake/alvys")},
    ],
    ids=str,
)
def test_templated_arguments_are_checked_at_run_time(arguments: dict[str, Any]) -> None:
    make_operator(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"since": "{{ x }}", "until": "{{ x }}", "rendered": "2026-03-01T00:00:00Z"},
            "is empty.*use the cursor",
        ),
        (
            {"since": "{{ x }}", "until": "2026-03-01T00:00:00Z", "rendered": "2026-03-02T00:00:00Z"},
            "is inverted",
        ),
        ({"since": "{{ x }}", "rendered": "2026-03-01 00:00:00"}, "has no time zone"),
        ({"since": "{{ x }}", "rendered": ""}, "since=''"),
        ({"since": "{{ x }}", "rendered": None}, "template of since"),
        ({"initial_since": "2099-03-01T00:00:00Z"}, "Nothing is due: .* 2099"),
        ({"filters": "{'Status': ['Open']}{{ '' }}"}, "filters=.*render_template_as_native_obj"),
    ],
)
def test_a_bad_window_is_refused_before_a_search_is_sent(
    alvys: Simulator, land: Land, lake: Path, arguments: dict[str, Any], message: str
) -> None:
    rendered = arguments.pop("rendered", None)
    with pytest.raises(AlvysValueError, match=message):
        land(rendered=rendered, **arguments)
    assert "POST loads/search" not in alvys.stats()["requests"]
    assert manifests(lake) == []


def test_another_tasks_output_is_a_path_also_for_a_cursor() -> None:
    @task
    def where() -> str:
        return "/lake"

    with DAG("d", schedule=None):
        AlvysToObjectStorageOperator(task_id="cursor", stream="loads", path=where())
        AlvysToObjectStorageOperator(
            task_id="fine", stream="loads", path=where(), since=where(), until=where(), tenant=where()
        )


def test_template_fields_are_arguments() -> None:
    operator = make_operator()
    for name in operator.template_fields:
        assert hasattr(operator, name)
