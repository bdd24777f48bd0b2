from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timezone
from typing import Any

import msgspec
import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.simulator.company.rows import FACTS, CompanyRows
from airflow_provider_alvys.simulator.data.times import HOUR
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.simulator.tenant import Tenant
from tests.simulator.calls import NOW, Caller, rows_of

STAMPED = ("loads", "trips")
GROWING = (*STAMPED, "invoices")
DAY = 86_400


@pytest.fixture
def caller(alvys: Simulator) -> Caller:
    alvys.reset(loads=300, fleet=40, now=NOW)
    alvys.set_clock(NOW)
    return Caller(alvys)


def records(alvys: Simulator, stream: str) -> dict[str, Any]:
    return {row["Id"]: row for row in rows_of(alvys, stream=stream)}


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def test_new_rows_come_and_old_ones_go_on(alvys: Simulator, caller: Caller) -> None:
    before = {stream: records(alvys, stream) for stream in GROWING}
    assert alvys.advance(days=9, hours=12) == pytest.approx(NOW + 9.5 * DAY, abs=60)
    for stream in GROWING:
        after = records(alvys, stream)
        assert before[stream].keys() < after.keys()
        # 300 loads in 90 days: 3.3 new ones a day.
        assert 15 < len(after) - len(before[stream]) < 60
        changed = [key for key, row in before[stream].items() if row != after[key]]
        assert 20 < len(changed) < len(before[stream]) - 100
    statuses = Counter(row["Status"] for row in records(alvys, "loads").values())
    assert statuses["Completed"] > Counter(row["Status"] for row in before["loads"].values())["Completed"]


def test_a_search_by_the_last_change_finds_what_changed(alvys: Simulator, caller: Caller) -> None:
    # Time passed since the newest rows, in which a reader may have read.
    alvys.set_clock(NOW + 2 * DAY)
    before = {stream: records(alvys, stream) for stream in STAMPED}
    alvys.advance(days=1)
    for stream in STAMPED:
        after = records(alvys, stream)
        changed = {key for key, row in after.items() if before[stream].get(key) != row}
        found = alvys.truth_keys(stream=stream, window_by="updated", since=stamp(NOW + 2 * DAY))
        assert changed
        assert set(found) == changed
        statuses = next(item.values for item in STREAMS[stream].filters if item.name == "Status")
        window = {"UpdatedAtRange": {"Start": stamp(NOW + 2 * DAY)}}
        fields = {"Status": list(statuses), "IncludeDeleted": True, **window}
        # The old token has expired.
        assert {row["Id"] for row in Caller(alvys).rows(STREAMS[stream], fields)} == changed


def test_no_record_changes_without_notice() -> None:
    """A record is made when it is asked for: a reader by the last change would miss what nobody notices."""
    tenant = Tenant(Options(loads=250, fleet=40, days=30, now=NOW))
    company, streams = tenant.company, {}
    for name in FACTS:
        rows = tenant.rows(name)
        assert isinstance(rows, CompanyRows)
        streams[name] = rows.facts
    found: Counter[str] = Counter()
    gone = {name: set(facts.removed_between(0, company.now)) for name, facts in streams.items()}
    for _ in range(12):
        since, until = company.now, company.now + 31 * HOUR
        before, noticed = {}, {}
        for name, facts in streams.items():
            before[name] = [msgspec.json.encode(facts.record(number)) for number in range(facts.count())]
            noticed[name] = set(facts.changed_between(since, until))
        company.advance(until)
        for name, facts in streams.items():
            removed = set(facts.removed_between(since, until))
            noticed[name] |= removed
            for number, record in enumerate(before[name]):
                after = facts.record(number)
                if number not in gone[name] and msgspec.json.encode(after) != record:
                    found[name] += 1
                    assert number in noticed[name], (name, number)
                    assert after.get("UpdatedAt", until) > since, (name, number)
            gone[name] |= removed
    assert {*GROWING, "tenders", "deductions", "carrier_settlement_statements"} <= found.keys()


def test_the_changes_are_listed_in_full(alvys: Simulator, caller: Caller) -> None:
    before = records(alvys, "loads")
    assert alvys.changes() == []
    alvys.advance(days=5)
    (key,) = alvys.change(keys=[next(iter(before))], columns={"PONumber": "x"})
    (gone,) = alvys.remove(stream="loads", rows=1)
    replayed = dict(before)
    for change in alvys.changes(stream="loads"):
        assert (change["row"] is None) == (change["change"] == "removed")
        assert (change["key"] in replayed) == (change["change"] != "added")
        if change["row"] is None:
            del replayed[change["key"]]
        else:
            replayed[change["key"]] = {**change["row"]}
    assert gone not in replayed
    assert replayed[key]["PONumber"] == "x"
    assert replayed == records(alvys, "loads")
    assert {change["stream"] for change in alvys.changes()} >= set(GROWING)
    late = alvys.changes(since=stamp(NOW + 3 * DAY))
    assert 0 < len(late) < len(alvys.changes())


def test_what_somebody_else_changed_has_no_further_story(alvys: Simulator, caller: Caller) -> None:
    invoiced = [row for row in records(alvys, "loads").values() if row["Status"] == "Invoiced"]
    keys = [row["Id"] for row in invoiced[:20]]
    alvys.change(keys=keys, columns={"PONumber": "mine"})
    alvys.advance(days=60)
    after = records(alvys, "loads")
    assert {after[key]["Status"] for key in keys} == {"Invoiced"}
    assert "Completed" in {after[row["Id"]]["Status"] for row in invoiced[20:]}


def test_the_same_seed_gives_the_same_life(alvys: Simulator, caller: Caller) -> None:
    def live(**options: Any) -> list[bytes]:
        alvys.reset(loads=60, fleet=20, now=NOW, **options)
        alvys.set_clock(NOW)
        alvys.advance(days=7)
        return alvys.truth_rows(stream="trips")

    first = [json.loads(row) for row in live()]
    for ours, theirs in zip(first, (json.loads(row) for row in live()), strict=True):
        # What the advance notices late has the second of the call.
        assert {**ours, "UpdatedAt": 0} == {**theirs, "UpdatedAt": 0}
    assert first != [json.loads(row) for row in live(seed=2)]


def test_webhooks_report_what_happens(alvys: Simulator, caller: Caller) -> None:
    alvys.subscribe("http://127.0.0.1:9/closed", events=["load.status.changed"])
    alvys.advance(days=2)
    changed = {change["key"] for change in alvys.changes(stream="loads") if change["change"] == "changed"}
    delivered = [json.loads(attempt["body"]) for attempt in alvys.deliveries(wait=False)]
    assert changed
    assert all(event["data"]["load"]["id"] in changed for event in delivered)


def test_the_trips_of_a_load_that_joins_a_search_are_new(alvys: Simulator, caller: Caller) -> None:
    alvys.set_clock(NOW + 2 * DAY)
    before = records(alvys, "trips")
    alvys.order_mutations({"kind": "join", "stream": "loads", "rows": 5, "times": 1})
    statuses = next(item.values for item in STREAMS["loads"].filters if item.name == "Status")
    Caller(alvys).search(STREAMS["loads"], {"Status": list(statuses), "IncludeDeleted": True})
    added = records(alvys, "trips").keys() - before.keys()
    assert len(added) >= 5
    assert set(alvys.truth_keys(stream="trips", window_by="updated", since=stamp(NOW + 2 * DAY))) == added


@pytest.mark.parametrize("body", [{"days": -1}, {"days": "two"}, {"weeks": 1}])
def test_a_wrong_time_is_refused(alvys: Simulator, caller: Caller, body: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match="400"):
        alvys._post("advance", body)
