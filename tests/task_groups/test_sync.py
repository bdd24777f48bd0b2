"""The structure of the task groups. test_examples runs them in a real Airflow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, TaskGroup

from airflow_provider_alvys import RecentParents, alvys_asset, alvys_backfill, alvys_first_load, alvys_sync
from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.landing.jobs.initial_load import cut_windows
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.transfers.first_load import AlvysBeginFirstLoadOperator, AlvysHandOverOperator

pytestmark = pytest.mark.every_airflow


def sync(**arguments: Any) -> dict[str, Any]:
    """Return the tasks of a group by their ids within it."""
    with DAG("dag", schedule=None) as dag:
        group = alvys_sync(path="/lake", **arguments)
    assert isinstance(group, TaskGroup)
    return {task.task_id.partition(".")[2]: task for task in dag.tasks}


def outlets(tasks: dict[str, Any]) -> list[str]:
    return [asset.name for task in tasks.values() for asset in task.outlets]


def test_each_stream_has_a_task_and_an_asset_and_small_ones_share_a_task() -> None:
    tasks = sync(streams=["loads", "invoices", "drivers", "customers"], initial_since="2026-01-01T00:00:00Z")
    assert set(tasks) == {"loads", "invoices", "sweep"}
    assert tasks["sweep"].streams == ["drivers", "customers"]
    assert sorted(outlets(tasks)) == ["/lake/customers", "/lake/drivers", "/lake/invoices", "/lake/loads"]
    assert tasks["loads"].outlets == [alvys_asset("loads", "/lake")]


def test_a_single_stream_read_as_a_whole_has_its_own_task() -> None:
    assert set(sync(streams=["drivers", "loads"])) == {"drivers", "loads"}


def test_all_windows_of_a_run_end_at_the_same_moment() -> None:
    tasks = sync(streams=["loads", "trips", "fuel"], settling=30)
    assert {task.until for task in tasks.values()} == {
        "{{ (dag_run.run_after - macros.timedelta(seconds=30.0)).isoformat() }}"
    }


def test_a_tier_sets_streams_windows_and_lookbacks() -> None:
    tasks = sync(tier="weekly", initial_since="2024-01-01T00:00:00Z")
    weekly = [name for name, stream in STREAMS.items() if any(tier.name == "weekly" for tier in stream.tiers)]
    assert sorted(name.rpartition("/")[2] for name in outlets(tasks)) == sorted(weekly)
    loads = tasks["loads_created"]
    assert (loads.window_by, loads.look_back) == ("created", timedelta(days=120))
    # A sweep by its own window starts there, however old the data set is.
    assert (
        loads.initial_since == "{{ (dag_run.run_after - macros.timedelta(seconds=10368000.0)).isoformat() }}"
    )
    # A sweep that shares the daily sync's cursor must not move it over unread rows.
    assert tasks["fuel"].initial_since == "2024-01-01T00:00:00Z"
    assert tasks["fuel"].look_back == timedelta(days=60)
    assert sync(tier="hourly")["loads"].overlap == timedelta(minutes=30)
    assert sync(tier="daily", streams=["loads"])["loads"].overlap == timedelta(days=3)


def test_parents_come_before_their_children() -> None:
    tasks = sync(
        streams=["load_documents", "loads", "driver_events", "drivers", "trucks"],
        initial_since="2026-01-01T00:00:00Z",
    )
    assert tasks["load_documents"].upstream_task_ids == {"alvys_sync.loads"}
    assert tasks["driver_events"].upstream_task_ids == {"alvys_sync.sweep"}
    assert tasks["load_documents"].parents == RecentParents()
    assert tasks["load_documents"].trigger_rule == "none_failed"


def test_tasks_for_one_endpoint_come_one_after_the_other() -> None:
    tasks = sync(tier=["hourly", "weekly"], streams=["loads"])
    assert set(tasks) == {"loads", "loads_created"}
    assert tasks["loads_created"].upstream_task_ids == {"alvys_sync.loads"}
    assert {task.max_active_tis_per_dag for task in tasks.values()} == {1}


def test_a_skipped_task_does_not_skip_the_next_one_on_its_endpoint() -> None:
    tasks = sync(tier=["hourly", "weekly"], streams=["loads", "trips"])
    assert {name: task.trigger_rule.value for name, task in tasks.items()} == {
        "loads": "all_success",
        "loads_created": "none_failed",
        "trips": "all_success",
        "trips_pickup": "none_failed",
    }
    # After the sweep, too.
    tasks = sync(tier=["daily", "weekly"], streams=["maintenance", "customers"])
    assert tasks["maintenance"].upstream_task_ids == {"alvys_sync.sweep"}
    assert tasks["maintenance"].trigger_rule == "none_failed"


@pytest.mark.parametrize("tiers", [("hourly", "daily"), ("daily", "hourly")])
def test_two_tiers_with_the_same_window_share_a_task_with_the_wider_window(
    tiers: tuple[str, str],
) -> None:
    (loads,) = sync(tier=tiers, streams=["loads"]).values()
    assert loads.overlap == timedelta(days=3)


@pytest.mark.parametrize("tiers", [("daily", "weekly"), ("weekly", "daily")])
def test_the_widest_look_back_and_ahead_of_two_tiers_counts(tiers: tuple[str, str]) -> None:
    tasks = sync(
        tier=tiers, streams=["fuel", "driver_settlement_statements"], initial_since="2024-01-01T00:00:00Z"
    )
    assert (tasks["fuel"].look_back, tasks["fuel"].look_ahead) == (timedelta(days=60), None)
    statements = tasks["driver_settlement_statements"]
    assert (statements.look_back, statements.look_ahead) == (timedelta(days=400), timedelta(days=90))
    assert statements.initial_since == "2024-01-01T00:00:00Z"
    loads = sync(tier=("weekly", "monthly"), streams=["loads"])["loads_created"]
    assert loads.look_back == timedelta(days=395)
    assert str(395 * 86400) in loads.initial_since


def test_streams_that_may_be_skipped_have_a_task_each() -> None:
    tasks = sync(streams=["drivers", "trucks", "driver_events"], on_missing_scope="skip")
    assert set(tasks) == {"drivers", "trucks", "driver_events"}
    assert tasks["driver_events"].upstream_task_ids == {"alvys_sync.drivers"}


def test_arguments_reach_the_tasks() -> None:
    tasks = sync(
        streams=["loads", "drivers", "load_documents"],
        filters={"loads": {"CustomerId": "c"}, "drivers": {"IsActive": True}},
        parents={"load_documents": ["1001"]},
        tenant="acme",
        alvys_conn_id="other",
        on_missing_scope="skip",
        default_args={"compression": "gzip", "retries": 7},
    )
    assert tasks["loads"].filters == {"CustomerId": "c"}
    assert tasks["drivers"].filters == {"IsActive": True}
    assert tasks["load_documents"].parents == ["1001"]
    for task in tasks.values():
        known = (task.tenant, task.alvys_conn_id, task.on_missing_scope, task.compression, task.retries)
        assert known == ("acme", "other", "skip", "gzip", 7)


@pytest.mark.parametrize(("arguments", "fails"), [({}, False), ({"fail_on_open": True}, True)])
def test_an_open_read_fails_all_tasks_of_a_group_on_request(arguments: dict[str, Any], fails: bool) -> None:
    tasks = sync(streams=["loads", "drivers", "customers"], **arguments)
    assert {task.fail_on_open for task in tasks.values()} == {fails}
    by_default = sync(streams=["loads", "drivers", "customers"], default_args={"fail_on_open": True})
    assert {task.fail_on_open for task in by_default.values()} == {True}


def unmap(task: Any) -> Any:
    """Return a task as it is executed; of a mapped task, the first instance."""
    if not hasattr(task, "unmap"):
        return task
    window = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}
    return task.unmap(window)


def make_all() -> None:
    alvys_sync(path="/lake", streams=["loads", "drivers", "trucks"])
    alvys_backfill("loads", "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z", "month", path="/lake")
    alvys_first_load("loads", "2026-01-01T00:00:00Z", path="/lake")


@pytest.mark.parametrize("place", ["dag", "group"])
def test_default_args_choose_the_connection_and_what_a_missing_scope_means(place: str) -> None:
    defaults = {"alvys_conn_id": "acme", "on_missing_scope": "skip"}
    of_dag, of_group = (defaults, {}) if place == "dag" else ({}, defaults)
    with DAG("dag", schedule=None, default_args=of_dag) as dag, TaskGroup("outer", default_args=of_group):
        make_all()
    assert len(dag.tasks) == 7
    names = {task.task_id.rpartition(".")[2] for task in dag.tasks}
    assert names == {
        "loads",
        "drivers",
        "trucks",
        "backfill_loads",
        "begin",
        "windows",
        "hand_over",
    }
    for task in map(unmap, dag.tasks):
        assert task.alvys_conn_id == "acme"
        assert getattr(task, "on_missing_scope", "skip") == "skip"
    with DAG("dag", schedule=None, default_args=defaults) as dag:
        alvys_sync(
            path="/lake", streams=["drivers", "trucks"], on_missing_scope="fail", alvys_conn_id="other"
        )
    (sweep,) = map(unmap, dag.tasks)
    assert (sweep.alvys_conn_id, sweep.on_missing_scope) == ("other", "fail")


def test_the_default_connection_is_alvys_default() -> None:
    with DAG("dag", schedule=None) as dag:
        make_all()
    assert {unmap(task).alvys_conn_id for task in dag.tasks} == {"alvys_default"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param({}, "Give streams", id="nothing"),
        pytest.param({"streams": [], "tier": "hourly"}, "streams is empty", id="no streams"),
        pytest.param({"streams": ["loads", "trips", "loads"]}, "loads more than once", id="twice"),
        pytest.param({"tier": 1}, "tier=1 must be a text, such as 'hourly'", id="a number as tier"),
        pytest.param({"tier": [1]}, "tier=1", id="numbers as tiers"),
        pytest.param(
            {"streams": ["loads", "tenders"], "tier": ["hourly", "daily"]},
            "tenders has no tier 'hourly' or 'daily'. Its tiers: 2-hourly, weekly",
            id="another tier",
        ),
        pytest.param({"streams": ["load_notes"], "tier": "hourly"}, "Its tiers: none", id="none of any tier"),
        pytest.param({"tier": []}, "Give streams", id="no tiers"),
        pytest.param({"streams": ["lods"]}, "no stream 'lods'", id="stream"),
        pytest.param({"streams": "loads"}, "list of names", id="text"),
        pytest.param({"tier": "yearly"}, "tier='yearly'", id="tier"),
        pytest.param({"streams": ["loads"], "filters": {"trips": {}}}, "filters names trips", id="filters"),
        pytest.param({"streams": ["loads"], "parents": {"x": []}}, "parents names x", id="parents"),
        pytest.param(
            {"streams": ["loads"], "filters": {"loads": {"Stat": ["Open"]}}}, "no filter 'Stat'", id="filter"
        ),
        pytest.param({"streams": ["loads"], "on_missing_scope": "ignore"}, "on_missing_scope=", id="scope"),
        pytest.param({"streams": ["loads"], "settling": -1}, "settling", id="settling"),
    ],
)
def test_wrong_arguments_are_refused_while_the_dag_is_parsed(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(AlvysValueError, match=says):
        sync(**arguments)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/lake/", "/lake/loads"),
        ("s3://aws_default@bucket/lake", "s3://bucket/lake/loads"),
        ("{{ var.value.lake }}", "{{ var.value.lake }}/loads"),
    ],
)
def test_an_asset_is_named_after_the_streams_folder(path: str, name: str) -> None:
    asset = alvys_asset("loads", path)
    assert asset.name == name
    assert asset == alvys_asset("loads", path)


@pytest.mark.parametrize("path", [None, "lake", "", 7])
def test_an_asset_without_an_absolute_path_is_refused(path: Any) -> None:
    with pytest.raises(AlvysValueError, match="is (not a path|relative)"):
        alvys_asset("loads", path)


def test_windows_of_calendar_months_and_of_dates_share_their_boundaries() -> None:
    assert cut_windows(
        datetime(2026, 1, 15, 6, tzinfo=timezone.utc), datetime(2026, 3, 1, tzinfo=timezone.utc), "month"
    ) == [
        {"since": "2026-01-15T06:00:00Z", "until": "2026-02-01T00:00:00Z"},
        {"since": "2026-02-01T00:00:00Z", "until": "2026-03-01T00:00:00Z"},
    ]
    days = cut_windows(
        datetime(2026, 1, 1, tzinfo=timezone.utc),
        datetime(2026, 1, 3, tzinfo=timezone.utc),
        timedelta(days=1),
        whole_days=True,
    )
    assert [window["until"] for window in days] == ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]
    assert (
        len(
            cut_windows(
                datetime(2024, 6, 1, tzinfo=timezone.utc), datetime(2026, 6, 1, tzinfo=timezone.utc), "year"
            )
        )
        == 3
    )
    assert (
        len(
            cut_windows(
                datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 2, 1, tzinfo=timezone.utc), "week"
            )
        )
        == 5
    )


def test_a_backfill_is_mapped_over_windows_by_creation() -> None:
    with DAG("dag", schedule=None) as dag:
        alvys_backfill(
            "loads", "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z", "month", path="/lake", retries=2
        )
        alvys_backfill(
            "trips", "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z", timedelta(days=7), path="/lake"
        )
    loads, trips = dag.tasks
    assert loads.partial_kwargs["window_by"] == "created"
    assert trips.partial_kwargs["window_by"] == "pickup"
    assert loads.partial_kwargs["max_active_tis_per_dag"] == 1
    assert [asset.name for asset in loads.partial_kwargs["outlets"]] == ["/lake/loads"]
    assert len(loads.expand_input.value) == 2
    assert len(trips.expand_input.value) == 9


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(
            ("drivers", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "month"), "no windows", id="whole"
        ),
        pytest.param(
            ("load_documents", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "month"),
            "stream='load_documents', parents=…\\)",
            id="children",
        ),
        pytest.param(
            ("driver_events", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "month"),
            "AlvysToObjectStorageOperator\\(stream='driver_events', parents=…, since=…, until=…\\)",
            id="events",
        ),
        pytest.param(("loads", "2026-01-01", "2026-02-01T00:00:00Z", "month"), "start=", id="no zone"),
        pytest.param(
            ("loads", "2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z", "month"),
            "start .* not before end",
            id="inverted",
        ),
        pytest.param(
            ("loads", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "month"),
            "start .* not before end",
            id="empty",
        ),
        pytest.param(
            ("loads", "{{ ds }}", "2026-01-01T00:00:00Z", "month"),
            "start='{{ ds }}' cannot be a template",
            id="template",
        ),
        pytest.param(
            ("loads", "2026-01-01T00:00:00Z", "{{ ds }}", "month"),
            "end='{{ ds }}' cannot be a template",
            id="as end",
        ),
        pytest.param(
            ("loads", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "moon"), "every='moon'", id="every"
        ),
        pytest.param(
            ("fuel", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", timedelta(hours=1)),
            "1 day",
            id="too short",
        ),
    ],
)
def test_an_impossible_backfill_is_refused(arguments: tuple[Any, ...], says: str) -> None:
    with DAG("dag", schedule=None), pytest.raises(AlvysValueError, match=says):
        alvys_backfill(*arguments, path="/lake")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param({"filters": {"Stat": ["Open"]}}, "no filter 'Stat'", id="filter"),
        pytest.param(
            {"filters": {"Stat": ["Open"], "CustomerId": "{{ x }}"}},
            "no filter 'Stat'",
            id="filter beside a template",
        ),
        pytest.param({"path": "lake"}, "relative", id="path"),
        pytest.param({"path": None}, "path=None", id="no path"),
        pytest.param({"compression": "zip"}, "compression='zip'", id="compression"),
        pytest.param({"file_format": "csv"}, "file_format='csv'", id="format"),
        pytest.param(
            {"compression": "zstd"},
            "file_format='jsonl', compression='zstd'",
            id="compression of another format",
        ),
    ],
)
def test_wrong_backfills_and_first_loads_are_refused_while_the_dag_is_parsed(
    arguments: dict[str, Any], says: str
) -> None:
    given = {"path": "/lake", **arguments}
    with DAG("dag", schedule=None):
        with pytest.raises(AlvysValueError, match=says):
            alvys_backfill("loads", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "month", **given)
        with pytest.raises(AlvysValueError, match=says):
            alvys_first_load("loads", "2026-01-01T00:00:00Z", **given)
        with pytest.raises(AlvysValueError, match=says):
            AlvysHandOverOperator(task_id="t", stream="loads", begun="x", total=1, landed=[], **given)


def test_a_sweep_of_a_relative_path_is_refused_while_the_dag_is_parsed() -> None:
    with DAG("dag", schedule=None), pytest.raises(AlvysValueError, match="relative"):
        alvys_sync(path="lake", streams=["drivers", "trucks"])


def test_only_backfills_allow_a_path_that_differs_from_run_to_run() -> None:
    with DAG("dag", schedule=None):
        alvys_backfill(
            "loads", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "month", path="/lake/{{ ds }}"
        )
        with pytest.raises(AlvysValueError, match="from run to run"):
            alvys_first_load("loads", "2026-01-01T00:00:00Z", path="/lake/{{ ds }}")


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        ("customers", "no first load"),
        ("visibility_outbound_errors", "use alvys_backfill"),
        ("driver_events", "parents"),
    ],
)
def test_a_stream_that_needs_no_first_load_or_cannot_have_one_is_refused(stream: str, says: str) -> None:
    with DAG("dag", schedule=None):
        with pytest.raises(AlvysValueError, match=says):
            alvys_first_load(stream, "2026-01-01T00:00:00Z", path="/lake")
        with pytest.raises(AlvysValueError, match=says):
            AlvysBeginFirstLoadOperator(
                task_id="b", stream=stream, path="/lake", start="2026-01-01T00:00:00Z"
            )
        with pytest.raises(AlvysValueError, match=says):
            AlvysHandOverOperator(task_id="h", stream=stream, path="/lake", begun="x", total=1, landed=[])


def test_the_format_reaches_every_task_by_argument_or_default() -> None:
    start, end = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
    given = {"path": "/lake", "file_format": "parquet", "compression": "zstd"}
    with DAG("by_argument", schedule=None) as by_argument:
        alvys_sync(streams=["loads", "drivers", "trucks"], **given)
        alvys_backfill("loads", start, end, "month", **given)
        alvys_first_load("loads", start, **given)
    defaults = {"file_format": "parquet", "compression": "zstd"}
    with DAG("by_default", schedule=None, default_args=defaults) as by_default:
        alvys_sync(streams=["loads", "drivers", "trucks"], path="/lake")
        alvys_backfill("loads", start, end, "month", path="/lake")
        alvys_first_load("loads", start, path="/lake")
    with DAG("by_both", schedule=None, default_args={"file_format": "parquet"}) as by_both:
        alvys_sync(streams=["loads", "drivers", "trucks"], path="/lake", compression="zstd")
        alvys_backfill("loads", start, end, "month", path="/lake", compression="zstd")
        alvys_first_load("loads", start, path="/lake", compression="zstd")
    for dag in (by_argument, by_default, by_both):
        landing = [task for task in map(unmap, dag.tasks) if hasattr(task, "compression")]
        assert len(landing) == 5
        assert {(task.file_format, task.compression) for task in landing} == {("parquet", "zstd")}


def test_a_backfill_without_windows_is_refused() -> None:
    for stream, says in (
        ("loads", "window_by='whole' cannot be split. Leave it out, or name one of 'updated'"),
        ("drivers", "each"),
    ):
        with DAG("dag", schedule=None), pytest.raises(AlvysValueError, match=says):
            alvys_backfill(
                stream,
                "2026-01-01T00:00:00Z",
                "2026-02-01T00:00:00Z",
                "month",
                path="/lake",
                window_by="whole",
            )


def test_outlets_that_are_given_to_a_backfill_are_added() -> None:
    own = alvys_asset("trips", "/elsewhere")
    for given in (own, [own]):
        with DAG("dag", schedule=None) as dag:
            alvys_backfill(
                "loads", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "month", path="/lake", outlets=given
            )
        assert dag.tasks[0].partial_kwargs["outlets"] == [alvys_asset("loads", "/lake"), own]


@pytest.mark.parametrize("every", ["day", "week", "month", "year", timedelta(days=2)])
def test_windows_end_where_the_calendar_ends(every: Any) -> None:
    windows = cut_windows(
        datetime(9999, 12, 1, tzinfo=timezone.utc), datetime(9999, 12, 31, 23, tzinfo=timezone.utc), every
    )
    assert windows[-1]["until"] == "9999-12-31T23:00:00Z"


def test_a_first_load_reads_months_and_sets_the_cursor() -> None:
    with DAG("dag", schedule=None) as dag:
        alvys_first_load("trips", "2024-01-01T00:00:00Z", path="/lake")
    begin, windows, hand_over = dag.tasks
    assert [task.task_id.partition(".")[2] for task in dag.tasks] == [
        "begin",
        "windows",
        "hand_over",
    ]
    assert begin.window_by == windows.partial_kwargs["window_by"] == "pickup"
    assert windows.upstream_task_ids == {begin.task_id}
    assert hand_over.upstream_task_ids == {begin.task_id, windows.task_id}


TWICE = {
    "alvys_sync": lambda **given: alvys_sync(path="/lake", streams=["loads"], **given),
    "alvys_first_load": lambda **given: alvys_first_load(
        "loads", "2026-01-01T00:00:00Z", path="/lake", **given
    ),
    "alvys_backfill": lambda **given: alvys_backfill(
        "loads", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "month", path="/lake", **given
    ),
}


@pytest.mark.parametrize("name", TWICE)
def test_a_second_group_with_the_same_id_is_refused_with_what_to_give(name: str) -> None:
    parameter = "task_id" if name == "alvys_backfill" else "group_id"
    with DAG("dag", schedule=None):
        TWICE[name]()
        with pytest.raises(AlvysValueError, match=f"its own {parameter}"):
            TWICE[name]()
    with DAG("named", schedule=None) as dag:
        TWICE[name]()
        TWICE[name](**{parameter: "another"})
    assert len({task.task_id for task in dag.tasks}) == len(dag.tasks) in (2, 6)


def test_groups_whose_ids_are_not_prefixed_are_refused_with_what_to_give() -> None:
    with DAG("dag", schedule=None):
        alvys_sync(path="/lake", streams=["loads"], prefix_group_id=False)
        with pytest.raises(AlvysValueError, match="its own group_id"):
            alvys_sync(path="/lake", streams=["loads"], group_id="b", prefix_group_id=False)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            {"alvys_conn_id": "alvys_default", "path": "{lake}/acme"},
            {"alvys_conn_id": "alvys_bluebird", "path": "{lake}/bluebird"},
            id="two companies, two paths",
        ),
        pytest.param(
            {"alvys_conn_id": "alvys_default", "tenant": "acme"},
            {"alvys_conn_id": "alvys_bluebird", "tenant": "bluebird"},
            id="two companies, one path",
        ),
        pytest.param({"streams": ["loads", "drivers"]}, {"streams": ["trips", "trucks"]}, id="two sets"),
    ],
)
def test_two_groups_of_a_dag_land_all_their_rows(
    alvys: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: dict[str, Any],
    second: dict[str, Any],
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ALVYS_BLUEBIRD", alvys.connection_json(requests_per_minute=0))
    alvys.reset(loads=30, fleet=10, now=time.time() - 3600)
    with DAG("dag", schedule=None) as dag:
        for group_id, given in (("a", first), ("b", second)):
            path = given.get("path", "{lake}").format(lake=tmp_path)
            arguments = {"streams": ["loads", "trips"], **given, "path": path}
            alvys_sync(group_id=group_id, initial_since="2020-01-01T00:00:00Z", **arguments)
    run = SimpleNamespace(run_after=datetime.now(timezone.utc))
    for task in dag.tasks:
        context: Any = {"dag_run": run, "macros": SimpleNamespace(timedelta=timedelta)}
        task.render_template_fields(context)
        result = task.execute(context)
        stream = task.task_id.partition(".")[2]
        assert result["rows"] == len(alvys.truth_keys(stream=stream)) > 0
    cursors = [
        file for file in tmp_path.rglob("*") if "cursor" in str(file.relative_to(tmp_path)) and file.is_file()
    ]
    windows = [task for task in dag.tasks if task.window_by != "whole"]
    assert len(cursors) == len(windows)


def shown(dag: Any) -> dict[str, str]:
    """Return the names of tasks by id, which are the same in the graph and in the grid of Airflow's UI."""
    from airflow.api_fastapi.core_api.services.ui import task_group
    from airflow.serialization import serialized_objects

    def labels(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for child in node.get("children") or ():
            yield child["id"], child["label"]
            yield from labels(child)

    # Renamed in Airflow 3.2.
    kind: Any = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
    stored = kind.from_dict(kind.to_dict(dag))
    graph = dict(labels(task_group.task_group_to_dict(stored.task_group)))
    grid = dict(labels(task_group.task_group_to_dict_grid(stored.task_group)))
    assert graph.items() >= grid.items()
    assert {task.task_id for task in dag.tasks} <= grid.keys()
    return grid


def test_the_ui_shows_names_that_read_and_the_ids_stay() -> None:
    with DAG("dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        alvys_sync(
            path="/lake",
            streams=["loads", "load_documents", "customers", "carriers", "drivers", "trucks"],
            initial_since="2026-01-01T00:00:00Z",
            sql_conn_id="warehouse",
        )
        alvys_sync(path="/lake", tier="weekly", streams=["loads", "trips"], group_id="weekly")
        alvys_backfill("trips", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "week", path="/lake")
        alvys_first_load("invoices", "2026-01-01T00:00:00Z", path="/lake")
    names = shown(dag)
    assert names["alvys_sync.loads"] == "Land loads"
    assert names["alvys_sync.sweep"] == "Land all rows of customers, carriers, drivers and 1 more"
    assert names["alvys_sync.load_loads"] == "Load loads into warehouse"
    assert names["alvys_sync.load_load_documents"] == "Load load documents into warehouse"
    assert names["weekly.loads_created"] == "Land loads by created"
    assert names["backfill_trips"] == "Land trips, window by window"
    assert names["first_load_invoices.begin"] == "Plan first load of invoices"
    assert names["first_load_invoices.windows"] == "Land invoices, window by window"
    assert names["first_load_invoices.hand_over"] == "Check invoices and set cursor"


def test_a_task_lists_its_streams_and_tables_in_its_description() -> None:
    tasks = sync(
        streams=["loads", "customers", "drivers"],
        initial_since="2026-01-01T00:00:00Z",
        sql_conn_id="{{ var.value.database }}",
        default_args={"children": False},
    )
    assert "- `customers`: " in tasks["sweep"].doc_md
    assert "- `drivers`: " in tasks["sweep"].doc_md
    assert "`/lake`" in tasks["sweep"].doc_md
    assert "`loads`" in tasks["load_loads"].doc_md
    assert "load_stops" not in tasks["load_loads"].doc_md
    assert tasks["load_loads"].task_display_name == "Load loads into the database"
    tasks = sync(streams=["loads"], initial_since="2026-01-01T00:00:00Z", sql_conn_id="sql")
    assert "`load_stops`" in tasks["load_loads"].doc_md
    assert "`sql`" in tasks["load_loads"].doc_md


def test_a_description_in_default_args_is_that_of_all_tasks() -> None:
    with DAG("dag", schedule=None, default_args={"doc_md": "Ask us"}) as dag:
        alvys_sync(
            path="/lake",
            streams=["loads", "customers", "drivers"],
            initial_since="2026-01-01T00:00:00Z",
            sql_conn_id="sql",
        )
        alvys_first_load("invoices", "2026-01-01T00:00:00Z", path="/lake")
    assert {task.doc_md for task in dag.tasks} == {"Ask us"}
    assert dag.get_task("alvys_sync.loads").task_display_name == "Land loads"


def test_a_backfill_takes_a_name_and_a_description_of_its_own() -> None:
    with DAG("dag", schedule=None):
        task = alvys_backfill(
            "trips",
            "2026-01-01T00:00:00Z",
            "2026-02-01T00:00:00Z",
            "week",
            path="/lake",
            doc_md="ours",
            task_display_name="Trips of January",
        )
    assert (task.task_display_name, task.partial_kwargs["doc_md"]) == ("Trips of January", "ours")


@pytest.fixture
def configured_pool(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AIRFLOW__ALVYS__POOL", "alvys")
    return "alvys"


def all_groups(**default_args: Any) -> dict[str, str]:
    """Return the pool of each task of all groups, by id."""
    with DAG("dag", schedule=None, default_args=default_args) as dag:
        alvys_sync(
            path="/lake",
            streams=["loads", "drivers", "trucks"],
            initial_since="2026-01-01T00:00:00Z",
            sql_conn_id="warehouse",
        )
        alvys_backfill("trips", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "week", path="/lake")
        alvys_first_load("invoices", "2026-01-01T00:00:00Z", path="/lake")
    return {task.task_id: task.pool for task in dag.tasks}


LANDING = {
    "alvys_sync.loads",
    "alvys_sync.sweep",
    "backfill_trips",
    "first_load_invoices.windows",
    "first_load_invoices.hand_over",
}


def test_tasks_that_land_use_the_configured_pool_and_others_do_not(configured_pool: str) -> None:
    assert {id for id, pool in all_groups().items() if pool == configured_pool} == LANDING


def test_without_a_configured_pool_tasks_use_that_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(all_groups().values()) == {"default_pool"}
    monkeypatch.setenv("AIRFLOW__ALVYS__POOL", "")
    assert set(all_groups().values()) == {"default_pool"}


def test_a_pool_that_a_dag_or_a_task_names_wins(configured_pool: str) -> None:
    assert set(all_groups(pool="ours").values()) == {"ours"}
    with DAG("dag", schedule=None) as dag:
        alvys_sync(path="/lake", streams=["trips"], default_args={"pool": "group's"})
        alvys_backfill(
            "trips", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "week", path="/lake", pool="task's"
        )
    assert {task.pool for task in dag.tasks} == {"group's", "task's"}


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (alvys_sync, {"streams": ["loads"]}),
        (alvys_first_load, {"stream": "loads", "start": "2026-01-01T00:00:00Z"}),
    ],
)
def test_an_argument_of_the_tasks_is_refused_with_the_place_for_it(make: Any, arguments: Any) -> None:
    with DAG("sync", schedule=None), pytest.raises(AlvysValueError, match=r"'full_refresh'.*default_args"):
        make(path="/data/alvys", full_refresh=True, **arguments)
    with DAG("sync", schedule=None):
        make(path="/data/alvys", default_args={"full_refresh": True}, **arguments)
