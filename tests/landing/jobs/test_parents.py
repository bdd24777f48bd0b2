from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys import RecentParents
from airflow_provider_alvys._compat import AirflowSkipException
from airflow_provider_alvys.api.errors import (
    AlvysPermissionError,
    AlvysStorageError,
    AlvysValidationError,
    AlvysValueError,
)
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator
from tests.conftest import Land, QuickHook
from tests.lake import manifests, read_lines, read_manifest

DOCUMENTS = "GET loads/{id}/documents"


def load_numbers(alvys: Simulator) -> list[str]:
    return [json.loads(row)["LoadNumber"] for row in alvys.truth_rows()]


def note_id(row: bytes) -> str:
    return json.loads(row)["Id"]


def asked(manifest: str) -> set[str]:
    return {parent for entry in read_manifest(manifest)["parents"] for parent in entry["ids"]}


def test_the_documents_of_changed_loads_cost_one_request_per_load(alvys: Simulator, land: Land) -> None:
    land()
    changed = alvys.change(rows=7, at=_ago(seconds=30))
    loads = land(overlap=0, settling=0, file_format="parquet")
    before = alvys.stats()["requests"].get(DOCUMENTS, 0)
    result = land(stream="load_documents", parents=loads)
    assert alvys.stats()["requests"][DOCUMENTS] - before == loads["rows"]
    assert loads["rows"] >= len(changed)
    numbers = [json.loads(line)["LoadNumber"] for line in read_lines(loads["manifest"])]
    assert sorted(read_lines(result["manifest"])) == sorted(
        alvys.truth_rows(stream="load_documents", parents=json.dumps(numbers))
    )


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_each_row_can_be_matched_to_its_parent(alvys: Simulator, land: Land, file_format: str) -> None:
    # A note does not name its load.
    numbers = load_numbers(alvys)[:20]
    result = land(stream="load_notes", parents=numbers, file_format=file_format)
    lines = iter(read_lines(result["manifest"]))
    for entry in read_manifest(result["manifest"])["parents"]:
        (number,) = entry["ids"]
        own = [next(lines) for _ in range(entry["rows"])]
        assert list(map(note_id, own)) == list(
            map(note_id, alvys.truth_rows(stream="load_notes", parents=json.dumps([number])))
        )


def test_a_deleted_parent_is_listed_and_does_not_fail_the_run(
    alvys: Simulator, land: Land, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = load_numbers(alvys)[:5]
    result = land(stream="load_documents", parents=[numbers[0], "7", *numbers[1:]])
    manifest = read_manifest(result["manifest"])
    assert manifest["missing_parents"] == ["7"]
    assert manifest["requests"] == len(numbers) + 2
    assert ("loads LoadNumber", "7") in [record.args for record in caplog.records]
    assert asked(result["manifest"]) == set(numbers)
    assert sorted(read_lines(result["manifest"])) == sorted(
        alvys.truth_rows(stream="load_documents", parents=json.dumps(numbers))
    )


def test_a_stray_404_does_not_lose_a_parents_children(alvys: Simulator, land: Land) -> None:
    numbers = load_numbers(alvys)[:5]
    alvys.order_faults({"kind": "status", "status": 404, "endpoint": DOCUMENTS, "skip": 2})
    result = land(stream="load_documents", parents=numbers)
    assert read_manifest(result["manifest"])["missing_parents"] == []
    assert sorted(read_lines(result["manifest"])) == sorted(
        alvys.truth_rows(stream="load_documents", parents=json.dumps(numbers))
    )


def test_a_missing_scope_fails_with_its_name(alvys: Simulator, land: Land) -> None:
    numbers = load_numbers(alvys)[:2]
    alvys.reset(loads=450, scopes="trip:read")
    with pytest.raises(AlvysPermissionError, match="lacks the scope load:read"):
        land(stream="load_documents", parents=numbers)


def test_a_child_of_two_parents_is_delivered_for_each(alvys: Simulator, land: Land) -> None:
    numbers = load_numbers(alvys)[:2]
    for number in numbers:
        alvys.add(stream="load_documents", parent=number, columns={"id": "shared"})
    result = land(stream="load_documents", parents=numbers)
    shared = [line for line in read_lines(result["manifest"]) if json.loads(line)["id"] == "shared"]
    assert len(shared) == 2


def test_a_parent_given_twice_is_read_once(alvys: Simulator, land: Land) -> None:
    numbers = load_numbers(alvys)[:3]
    once = land(stream="load_documents", parents=numbers)
    twice = land(stream="load_documents", parents=[*numbers, numbers[0]])
    # Each read returns new URLs.
    assert [json.loads(line)["id"] for line in read_lines(twice["manifest"])] == [
        json.loads(line)["id"] for line in read_lines(once["manifest"])
    ]


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_recently_delivered_parents_are_read_again(alvys: Simulator, land: Land, file_format: str) -> None:
    land(compression="gzip", file_format=file_format)
    old, new, open_again = load_numbers(alvys)[:3]
    delivered = {"Status": "Delivered", "DeliveredAt": _ago(hours=3)}
    alvys.change(keys=[old], at=_ago(seconds=50), columns={**delivered, "DeliveredAt": _ago(days=3)})
    alvys.change(keys=[new, open_again], at=_ago(seconds=50), columns=delivered)
    land(settling=45, file_format=file_format)
    alvys.change(keys=[open_again], at=_ago(seconds=30), columns={"Status": "Open", "DeliveredAt": None})
    land(settling=0)
    result = land(stream="load_documents", parents=RecentParents(days=1, where={"Status": ["Delivered"]}))
    found = asked(result["manifest"])
    assert new in found
    assert not {old, open_again} & found
    again = land(stream="load_documents", parents=RecentParents(days=1, where={"Status": ["Delivered"]}))
    assert asked(again["manifest"]) == found


def test_a_delivered_load_is_read_whatever_its_later_status(alvys: Simulator, land: Land) -> None:
    land()
    queued, paid, other = load_numbers(alvys)[:3]
    for number, status in ((queued, "Queued"), (paid, "Carrier Paid")):
        columns = {"Status": status, "DeliveredAt": _ago(days=10), "CustomerId": number}
        alvys.change(keys=[number], at=_ago(seconds=50), columns=columns)
    alvys.change(
        keys=[other], at=_ago(seconds=50), columns={"Status": "Delivered", "DeliveredAt": _ago(days=15)}
    )
    land(settling=0)
    found = asked(land(stream="load_documents", parents=RecentParents(days=14))["manifest"])
    assert {queued, paid} <= found
    assert other not in found
    one = land(stream="load_documents", parents=RecentParents(days=14, where={"CustomerId": [paid]}))
    assert asked(one["manifest"]) == {paid}


def _ago(**span: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(**span)).isoformat()


def test_recent_parents_of_another_tenant_are_not_read(alvys: Simulator, land: Land) -> None:
    land(tenant="other")
    land(tenant="mine", filters={"LoadNumbers": load_numbers(alvys)[:2]})
    result = land(stream="load_documents", parents=RecentParents(days=9999, where={}), tenant="mine")
    assert asked(result["manifest"]) <= set(load_numbers(alvys)[:2])


@pytest.mark.parametrize("where", [None, "elsewhere"])
def test_recent_parents_are_an_error_if_no_parent_has_ever_landed(
    alvys: Simulator, land: Land, lake: Path, where: str | None
) -> None:
    land(stream="trips", tenant="mine")
    land(tenant="other")
    path = str(lake / where) if where else None
    others = "" if path else ", only of other"
    message = rf"mine have landed below {path or lake}{others}\. .*RecentParents\(path="
    with pytest.raises(AlvysValueError, match=message):
        land(stream="load_documents", parents=RecentParents(path=path), tenant="mine")


def test_old_parents_or_an_empty_set_of_parents_are_not_an_error(
    alvys: Simulator, land: Land, lake: Path
) -> None:
    land(tenant="none", filters={"LoadNumbers": ["0"]})
    assert land(stream="load_documents", parents=RecentParents(), tenant="none")["rows"] == 0
    land(tenant="old")
    (today,) = lake.glob("loads/20*")
    today.rename(today.with_name("2020-01-01"))
    assert land(stream="load_documents", parents=RecentParents(), tenant="old")["rows"] == 0


def test_children_are_skipped_with_their_parents_whose_scope_is_missing(alvys: Simulator, land: Land) -> None:
    alvys.reset(loads=5, scopes="trip:read visibility:read")
    recent: dict[str, Any] = {"stream": "visibility_inbound_history", "parents": RecentParents()}
    with pytest.raises(AirflowSkipException, match="No loads .* lacks the scope load:read"):
        land(**recent, on_missing_scope="skip")
    with pytest.raises(AlvysValueError, match="No loads"):
        land(**recent)
    # The scope exists, but none has landed.
    with pytest.raises(AlvysValueError, match="No trips"):
        land(stream="trip_stops", parents=RecentParents(), on_missing_scope="skip")


def test_the_log_has_the_number_of_parents(
    alvys: Simulator, land: Land, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        land(stream="load_documents", parents=load_numbers(alvys)[:3])
        land(stream="driver_events", parents=all_ids(alvys, "drivers")[:2])
    assert "Reading load_documents of alvys_default for 3 loads" in caplog.text
    assert "Reading driver_events of alvys_default for 2 drivers by " in caplog.text


def test_events_are_read_in_batches_of_all_parents_in_the_data_set(alvys: Simulator, land: Land) -> None:
    alvys.reset(loads=0, fleet=150)
    drivers = land(stream="drivers")
    result = land(stream="driver_events", parents=RecentParents())
    assert drivers["rows"] == 150
    assert alvys.stats()["requests"]["POST drivers/events/search"] == 2
    assert len(asked(result["manifest"])) == 150


def all_ids(alvys: Simulator, stream: str) -> list[str]:
    return [json.loads(row)["Id"] for row in alvys.truth_rows(stream=stream)]


def true_events(alvys: Simulator, drivers: list[str]) -> list[bytes]:
    return sorted(alvys.truth_rows(stream="driver_events", parents=json.dumps(drivers)))


def test_each_parent_is_read_from_its_own_position(alvys: Simulator, land: Land, lake: Path) -> None:
    alvys.reset(loads=0, fleet=40)
    drivers = all_ids(alvys, "drivers")
    first = land(stream="driver_events", parents=drivers[:20])
    assert sorted(read_lines(first["manifest"])) == true_events(alvys, drivers[:20])
    (cursor_file,) = lake.rglob("_cursor-*.json")
    known = json.loads(cursor_file.read_bytes())["parents"]
    # Other parents, and some of the first: new ones start at initial_since.
    later = land(stream="driver_events", parents=drivers[10:], look_back=0, look_ahead=0, settling=0)
    lines = [json.loads(line) for line in read_lines(later["manifest"])]
    new = set(drivers[20:])
    assert {line["Id"] for line in lines if line["DriverId"] in new} == {
        json.loads(row)["Id"]
        for row in alvys.truth_rows(
            stream="driver_events",
            parents=json.dumps(drivers[20:]),
            since="2020-01-01T00:00:00Z",
            until=later["until"],
        )
    }
    assert {tuple(entry["ids"]) for entry in read_manifest(later["manifest"])["parents"]} == {
        tuple(drivers[10:20]),
        tuple(drivers[20:]),
    }
    assert later["since"] == "2020-01-01T00:00:00Z"
    assert list(lake.rglob("_cursor-*.json")) == [cursor_file]
    moved = json.loads(cursor_file.read_bytes())["parents"]
    assert set(moved) == set(drivers)
    assert {driver for driver in moved if moved[driver] == known.get(driver)} == set(drivers[:10])


def test_the_events_of_a_new_driver_are_read_from_the_beginning(alvys: Simulator, land: Land) -> None:
    land(stream="drivers")
    land(stream="driver_events", parents=RecentParents())
    (driver,) = alvys.add(stream="drivers", rows=1)
    (event,) = alvys.add(
        stream="driver_events", rows=1, columns={"DriverId": driver, "StartDate": "2026-10-01T00:00:00Z"}
    )
    land(stream="drivers")
    with pytest.raises(AlvysValueError, match=f"no cursor .* for {driver}"):
        land(stream="driver_events", parents=RecentParents(), initial_since=None)
    result = land(stream="driver_events", parents=RecentParents())
    assert event in {json.loads(line)["Id"] for line in read_lines(result["manifest"])}


def report_of_cursor(caplog: pytest.LogCaptureFixture) -> tuple[int, int, str]:
    """Return what the log says about the cursor of parents: how many advanced, of how many, and reasons."""
    (record,) = [record for record in caplog.records if record.msg.startswith("Cursor advanced for")]
    reasons = [record.getMessage() for record in caplog.records if record.msg.startswith("Not advanced")]
    advanced, asked_for = record.args
    return advanced, int(asked_for.partition(" ")[0]), "\n".join(reasons)


def test_a_parent_unknown_to_alvys_gets_no_cursor_position(
    alvys: Simulator, land: Land, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    webhooks = all_ids(alvys, "webhooks")
    result = land(stream="webhook_delivery_logs", window_by="sent", parents=[*webhooks, "unknown"])
    assert read_manifest(result["manifest"])["missing_parents"] == ["unknown"]
    (cursor_file,) = lake.rglob("_cursor-*.json")
    assert set(json.loads(cursor_file.read_bytes())["parents"]) == set(webhooks)
    advanced, asked_for, reasons = report_of_cursor(caplog)
    assert (advanced, asked_for) == (len(webhooks), len(webhooks) + 1)
    assert "for unknown: " in reasons


def test_the_log_lists_the_parents_for_which_the_cursor_has_not_advanced(
    alvys: Simulator, land: Land, caplog: pytest.LogCaptureFixture
) -> None:
    drivers = all_ids(alvys, "drivers")[:15]
    alvys.order_faults({"kind": "status", "status": 400, "endpoint": "POST drivers/events/search"})
    with pytest.raises(AlvysValidationError):
        land({"run_id": "r"}, stream="driver_events", parents=drivers)
    # As if another run had finished first.
    land(stream="driver_events", parents=drivers[:12], settling=0)
    caplog.clear()
    land({"run_id": "r"}, stream="driver_events", parents=drivers)
    advanced, asked_for, reasons = report_of_cursor(caplog)
    assert (advanced, asked_for) == (3, 15)
    assert [driver for driver in drivers if driver in reasons] == drivers[:10]
    assert "2 more" in reasons


def test_a_retry_reads_the_same_parents_from_the_same_positions(alvys: Simulator, land: Land) -> None:
    # Until today: searches without rows are listed last.
    alvys.reset(now=datetime.now(timezone.utc).timestamp() - 3600)
    drivers = all_ids(alvys, "drivers")
    land(stream="driver_events", parents=drivers[:5])
    alvys.order_faults({"kind": "status", "status": 400, "endpoint": "POST drivers/events/search", "skip": 1})
    with pytest.raises(AlvysValidationError):
        land({"run_id": "r"}, stream="driver_events", parents=drivers[:10])
    # As if another run had finished first.
    land(stream="driver_events", parents=drivers[:10], settling=0)
    again = land({"run_id": "r"}, stream="driver_events", parents=drivers[:10])
    manifest = read_manifest(again["manifest"])
    assert manifest["attempt"] == 1
    assert [entry["ids"] for entry in manifest["parents"]] == [drivers[:5], drivers[5:10]]
    assert again["since"] == "2020-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "parents",
    [
        pytest.param(None, id="none"),
        pytest.param("1001", id="a text"),
        pytest.param({"stream": "trips", "manifest": "/x/_manifest.json"}, id="another stream's"),
        pytest.param({"stream": "loads"}, id="no manifest"),
        pytest.param([None], id="a list of none"),
        pytest.param(7, id="a number"),
        pytest.param(b"1001", id="bytes"),
        pytest.param([""], id="an empty text"),
        pytest.param([True], id="a truth"),
    ],
)
def test_wrong_parents_are_refused_while_the_dag_is_parsed(parents: Any) -> None:
    with pytest.raises(AlvysValueError, match=r"(RecentParents|read per row of loads)"):
        AlvysToObjectStorageOperator(task_id="t", stream="load_documents", path="/x", parents=parents)


@pytest.mark.parametrize(
    ("recent", "says"),
    [
        pytest.param({"days": -1}, "number of days above 0", id="negative"),
        pytest.param({"days": "14"}, "number of days above 0", id="a text"),
        pytest.param({"days": True}, "number of days above 0", id="a truth"),
        pytest.param({"days": float("nan")}, "number of days above 0", id="not a number"),
        pytest.param({"where": ["Delivered"]}, "must be a dict", id="a list"),
        pytest.param(
            {"where": {"status": ["Delivered"]}},
            "no field 'status'. Did you mean Status",
            id="an unknown field",
        ),
        pytest.param(
            {"where": {"Status": ["Delivered", "delivered"]}},
            "never 'delivered'. Did you mean Delivered",
            id="a value",
        ),
        pytest.param({"where": {"Status": "delivered"}}, "never 'delivered'", id="one value"),
        pytest.param({"where": {"Status": []}}, "a list of values", id="no value"),
        pytest.param({"where": {"Status": None}}, "a list of values", id="none"),
        pytest.param({"path": "lake"}, "relative", id="a relative path"),
    ],
)
def test_wrong_recent_parents_are_refused_while_the_dag_is_parsed(recent: dict[str, Any], says: str) -> None:
    with pytest.raises(AlvysValueError, match=says):
        AlvysToObjectStorageOperator(
            task_id="t", stream="load_documents", path="/x", parents=RecentParents(**recent)
        )


def test_a_manifest_of_another_stream_or_tenant_is_refused(alvys: Simulator, land: Land) -> None:
    loads = land(tenant="acme")["manifest"]
    for stream, tenant in (("trip_documents", "acme"), ("load_documents", "other")):
        with pytest.raises(
            AlvysValueError, match=r"contains loads of acme; the parents are (trips of acme|loads of other)"
        ):
            land(stream=stream, parents=loads, tenant=tenant)
    assert land(stream="load_documents", parents=loads, tenant="acme")["rows"]


def test_the_output_of_a_sweep_names_the_parents_among_others(alvys: Simulator, land: Land) -> None:
    results = [land(stream=stream) for stream in ("trucks", "drivers")]
    found = land(stream="driver_documents", parents=results)
    assert asked(found["manifest"]) == set(all_ids(alvys, "drivers"))
    with pytest.raises(AlvysValueError, match="not the output of a sync of trailers"):
        land(stream="trailer_documents", parents=results)


class LazySequence(Sequence[Any]):
    """The output of a mapped task in Airflow: a sequence, not a list."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        return self.values[index]


@pytest.mark.slow
def test_parents_may_come_as_any_sequence_of_ids_or_results(
    alvys: Simulator, land: Land, hook: QuickHook
) -> None:
    result = land()
    for parents in ([result], [result["manifest"]], load_numbers(alvys)):
        found = land(stream="load_documents", parents="{{ x }}", rendered=LazySequence(parents))
        assert asked(found["manifest"]) == set(load_numbers(alvys))
    two = LazySequence(load_numbers(alvys)[:2])
    assert len(hook.open_search("load_documents", parents=two).queries) == 2


def test_the_output_of_a_skipped_task_does_not_mean_all_parents(alvys: Simulator, land: Land) -> None:
    with pytest.raises(AlvysValueError, match="skipped"):
        land(stream="load_documents", parents="{{ x }}", rendered=None)
    assert alvys.stats()["requests"] == {}


def test_a_missing_manifest_or_a_damaged_part_fails(alvys: Simulator, land: Land, lake: Path) -> None:
    loads = land()
    with pytest.raises(AlvysStorageError, match="_manifest.json does not exist"):
        land(stream="load_documents", parents=str(lake / "loads" / "nothing" / "_manifest.json"))
    part = next(lake.glob("loads/*/*/part-00000.jsonl"))
    part.write_bytes(part.read_bytes().replace(b"Open", b"Shut", 1))
    with pytest.raises(AlvysStorageError, match="damaged"):
        land(stream="load_documents", parents=loads["manifest"])
    assert len(manifests(lake)) == 1


def test_the_manifests_of_several_syncs_are_combined(alvys: Simulator, land: Land) -> None:
    halves = [
        land(window_by="created", since="2020-01-01T00:00:00Z", until="2026-10-15T00:00:00Z"),
        land(window_by="created", since="2026-10-15T00:00:00Z", until="2030-01-01T00:00:00Z"),
    ]
    result = land(stream="load_documents", parents=halves)
    assert asked(result["manifest"]) == set(load_numbers(alvys))
