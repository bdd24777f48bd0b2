"""Which changes a watcher reports, with clocks that differ and other watchers on the same stream."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, get_stream
from airflow_provider_alvys.api.errors import AlvysServerError, AlvysValueError
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.retries import ONE_ATTEMPT
from airflow_provider_alvys.api.poll.change_feed import (
    ChangeReader,
    ChangeRequest,
    ChangeResult,
    ChangesQuery,
    ChangeTracker,
    RowChange,
    TrackerState,
    check_where,
    get_watch_window,
    matches,
)
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import StoppedClock, make_client

HOUR = 3600.0


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def make_query(stream: str, window_by: str, day: str = "") -> ChangesQuery:
    row = get_stream(stream)
    return ChangesQuery(row, get_watch_window(row, window_by), day)


class World:
    """Our clock, Alvys's clock, and watchers that poll at the same time."""

    def __init__(self, alvys: Simulator, **options: Any) -> None:
        self.alvys = alvys
        self.clock = StoppedClock()
        self.server = self.clock.now
        alvys.reset(**{"loads": 30, **options, "now": self.server})
        self.pass_time(0)
        self.client: AlvysClient = make_client(alvys, clock=self.clock, retry_rules=ONE_ATTEMPT)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.server += seconds
        self.alvys.set_clock(self.server)

    def watch(
        self, *, stream: str = "loads", window_by: str = "updated", since: float | None = None
    ) -> ChangeTracker:
        """Begin to watch now, or resume from a watermark."""
        watermark = self.clock.now if since is None else since
        return ChangeTracker(
            get_watch_window(get_stream(stream), window_by),
            TrackerState(watermark=moment(watermark), is_new=since is None),
        )

    def poll(
        self, *trackers: ChangeTracker, stream: str = "loads", window_by: str = "updated"
    ) -> list[list[str]]:
        """Poll for these trackers together, and return the ids that each reports."""
        return [
            [change.id for change in tracker.advance(found)]
            for tracker, found in self.read(*trackers, of=(stream, window_by))
        ]

    def read(
        self, *trackers: ChangeTracker, of: tuple[str, str] = ("loads", "updated")
    ) -> Iterator[tuple[ChangeTracker, ChangeResult]]:
        queries: dict[ChangesQuery, list[ChangeTracker]] = {}
        for tracker in trackers:
            queries.setdefault(make_query(*of, tracker.day), []).append(tracker)
        found = {}
        for query, batch in queries.items():
            job = query.make_job(
                [ChangeRequest(tracker.watermark, is_new=tracker.is_new) for tracker in batch]
            )
            while (results := job.step(self.client)) is None:
                pass
            found |= dict(zip(batch, results, strict=True))
        return iter([(tracker, found[tracker]) for tracker in trackers])


@pytest.fixture
def world(alvys: Simulator) -> World:
    return World(alvys)


def _windows() -> Iterator[tuple[str, str]]:
    for stream in STREAMS.values():
        for window in stream.windows:
            try:
                get_watch_window(stream, window.name)
            except AlvysValueError:
                continue
            yield stream.name, window.name


@pytest.mark.parametrize(("stream", "window"), list(_windows()))
def test_every_window_reports_new_rows(world: World, stream: str, window: str) -> None:
    of = {"stream": stream, "window_by": window}
    tracker = world.watch(**of)
    assert world.poll(tracker, **of) == [[]]
    world.pass_time(60)
    added: set[str] = set()
    for _ in range(5):
        added.update(world.alvys.add(stream=stream, rows=1))
    world.pass_time(60)
    (reported,) = world.poll(tracker, **of)
    year = 365 * 24 * HOUR
    window_of_rows = {
        "since": moment(world.server - year).isoformat(),
        "until": moment(world.server + year).isoformat(),
    }
    # A new row may lack the time that the window filters by, such as that of its payment.
    expected = added & set(world.alvys.truth_keys(**of, **window_of_rows)) if window != "activity" else added
    assert set(reported) == {"/".join(json.loads(key)) if key.startswith("[") else key for key in expected}
    world.pass_time(60)
    assert world.poll(tracker, **of) == [[]]


def test_a_watcher_with_an_older_watermark_causes_no_repeats_for_others(world: World) -> None:
    early = world.watch()
    world.poll(early)
    world.pass_time(60)
    first = world.alvys.change(rows=2)
    world.pass_time(60)
    assert [sorted(ids) for ids in world.poll(early)] == [sorted(first)]
    world.pass_time(HOUR)
    late = world.watch()
    world.poll(early, late)
    world.pass_time(60)
    second = world.alvys.change(rows=2)
    world.pass_time(60)
    # A third one resumes from before all of this.
    back = world.watch(since=world.clock.now - 3 * HOUR)
    reported = [sorted(ids) for ids in world.poll(early, late, back)]
    assert reported == [sorted(second), sorted(second), sorted([*first, *second])]


OLD = "2023-03-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("stream", "window", "columns"),
    [
        ("fuel", "transaction", {"TransactionDate": OLD}),
        (
            "invoices",
            "activity",
            {"Status": "Paid", "InvoicedDate": OLD, "LastSendDate": OLD, "PaidDate": OLD},
        ),
    ],
)
def test_nor_does_it_with_windows_on_business_dates(
    world: World, stream: str, window: str, columns: dict[str, Any]
) -> None:
    of = {"stream": stream, "window_by": window}
    old = world.alvys.add(stream=stream, columns=columns)
    tracker, back = world.watch(**of), world.watch(**of, since=world.clock.now - 300 * 24 * HOUR)
    world.poll(tracker, **of)
    world.pass_time(60)
    new = world.alvys.add(stream=stream)
    world.pass_time(60)
    reported, reported_late = world.poll(tracker, back, **of)
    assert reported == new
    assert {*old, *new} <= set(reported_late)


def test_existing_rows_are_not_reported_even_after_a_slow_first_poll(world: World) -> None:
    world.alvys.change(rows=2)
    world.pass_time(60)
    tracker = world.watch()
    ((_, found),) = world.read(tracker)
    # The request waited for the pace.
    world.pass_time(180)
    assert tracker.advance(found) == []


@pytest.mark.parametrize("skew", [-2 * HOUR, -30.0, 30.0, 2 * HOUR])
def test_no_change_is_missed_if_our_clock_is_wrong(world: World, skew: float) -> None:
    world.clock.now += skew
    tracker = world.watch()
    # The first polls fail for longer than the overlap.
    world.pass_time(900)
    first = world.alvys.change(rows=1)
    world.pass_time(900)
    reported: list[str] = []
    second: list[str] = []
    for _ in range(3):
        (new,) = world.poll(tracker)
        reported += new
        world.pass_time(120)
        second = second or world.alvys.change(rows=1)
        world.pass_time(3 * HOUR if skew < -60 else 120)
    assert reported == [*first, *second]


@pytest.mark.parametrize("step", [-2 * HOUR, -200.0, 200.0, 2 * HOUR])
def test_nor_if_our_clock_is_set_wrong_and_corrected(world: World, step: float) -> None:
    tracker = world.watch()
    world.poll(tracker)
    changed: list[str] = []
    reported: list[str] = []
    for number in range(12):
        if number in (4, 8):
            world.clock.now += step if number == 4 else -step
        changed += world.alvys.change(rows=1)
        world.pass_time(60)
        (new,) = world.poll(tracker)
        reported += new
    # Each change once, and in order.
    assert reported == changed


def test_a_watcher_that_restarts_while_our_clock_is_ahead_resumes(world: World) -> None:
    tracker = world.watch()
    world.poll(tracker)
    world.pass_time(60)
    world.clock.now += 2 * HOUR
    world.poll(tracker)
    world.clock.now -= 2 * HOUR
    changed = world.alvys.change(rows=1)
    world.pass_time(1800)
    again = ChangeTracker(get_watch_window(get_stream("loads"), "updated"), tracker.save())
    # The first poll may read a window that ended hours ago.
    assert [world.poll(again) for _ in range(2)] == [[[]], [changed]]


@pytest.mark.parametrize("stamp", ["2023-11-14T22:13:20", "yesterday", "2023-11-14", "", None])
def test_a_row_with_an_invalid_time_is_reported(stamp: str | None) -> None:
    tracker = ChangeTracker(
        get_watch_window(get_stream("loads"), "updated"), TrackerState(watermark=moment(1000))
    )
    odd, plain = (
        RowChange(id="1", key="1@x", updated_at=stamp),
        RowChange(id="2", key="2@y", updated_at="2023-11-14T22:13:20.1234567Z"),
    )
    found = ChangeResult((plain, odd), moment(0), moment(2000), is_complete=True)
    assert [change.id for change in tracker.advance(found)] == ["1", "2"]
    assert tracker.advance(replace(found, until=moment(3000))) == []


def test_a_row_found_by_a_business_date_is_reported_whatever_its_fields() -> None:
    """Not every window documents the field that it filters by."""
    tracker = ChangeTracker(
        get_watch_window(get_stream("invoices"), "sent"), TrackerState(watermark=moment(HOUR))
    )
    row = RowChange(id="1", key="1", updated_at="1960-01-01T00:00:00Z")
    assert tracker.advance(ChangeResult((row,), moment(0), moment(2 * HOUR), is_complete=True)) == [row]


@pytest.mark.parametrize(
    "form", ["2026-01-0{}", "2026-01-0{}T00:00:00-05:00", "2026-01-01T00:00:00.123456{}Z"]
)
def test_the_oldest_change_is_reported_first(form: str) -> None:
    tracker = ChangeTracker(
        get_watch_window(get_stream("loads"), "updated"), TrackerState(watermark=moment(0))
    )
    changes = [
        RowChange(id=str(number), key=str(number), updated_at=form.format(number)) for number in (2, 3, 1)
    ]
    assert [
        change.id
        for change in tracker.advance(ChangeResult(tuple(changes), moment(0), moment(1), is_complete=True))
    ] == ["1", "2", "3"]


def test_the_changes_seen_longest_ago_are_dropped_first() -> None:
    window = get_watch_window(get_stream("fuel"), "transaction")
    rows = [RowChange(id=str(number), key=str(number)) for number in range(5001)]
    tracker = ChangeTracker(window, TrackerState(watermark=moment(0)))
    tracker.advance(ChangeResult(tuple(rows[:1]), moment(0), moment(1), is_complete=False))
    # The first row comes again.
    tracker.advance(ChangeResult((*rows[1:], rows[0]), moment(1), moment(2), is_complete=False))
    again = ChangeTracker(window, tracker.save())
    assert [
        change.id
        for change in again.advance(ChangeResult(tuple(rows), moment(2), moment(3), is_complete=True))
    ] == ["1"]
    # A state store takes 64 KiB.
    assert len(tracker.save().seen) < 60_000


def test_a_row_missed_by_an_incomplete_read_is_not_reported_again() -> None:
    window = get_watch_window(get_stream("fuel"), "transaction")
    first, second = (RowChange(id=name, key=name) for name in "ab")
    tracker = ChangeTracker(window, TrackerState(watermark=moment(0)))
    assert tracker.advance(ChangeResult((first, second), moment(0), moment(1), is_complete=True)) == [
        first,
        second,
    ]
    assert tracker.advance(ChangeResult((first,), moment(1), moment(2), is_complete=False)) == []
    assert tracker.advance(ChangeResult((first, second), moment(2), moment(3), is_complete=True)) == []


def test_a_window_ends_before_the_first_request(world: World) -> None:
    """Changes during the read may be missed: the next window has to include them."""
    job = make_query("loads", "updated").make_job([ChangeRequest(moment(world.clock.now - 60))])
    began = world.clock.now
    world.alvys.order_faults({"kind": "status", "status": 503, "times": 1, "endpoint": "POST loads/search"})
    with pytest.raises(AlvysServerError):
        job.step(world.client)
    world.pass_time(30)
    while (results := job.step(world.client)) is None:
        pass
    assert results[0].until <= moment(began)


def test_a_deleted_load_is_reported_as_deleted(world: World) -> None:
    tracker = world.watch()
    world.poll(tracker)
    world.pass_time(60)
    key = world.alvys.truth_keys(filters={"IncludeDeleted": False})[0]
    world.alvys.change(keys=[key], columns={"IsDeleted": True})
    world.pass_time(60)
    job = make_query("loads", "updated").make_job(
        [ChangeRequest(tracker.watermark, frozenset({"IsDeleted"}))]
    )
    while (results := job.step(world.client)) is None:
        pass
    (change,) = tracker.advance(results[0])
    assert (change.id, change.fields) == (key, {"IsDeleted": True})


def test_a_field_in_lists_of_lists_has_all_of_their_values() -> None:
    name = "Stops.References.Value"
    where = check_where(get_stream("loads"), {name: ["PO-2"]})
    stops = [{"References": [{"Value": "PO-1"}, {"Value": "PO-2"}]}, {"References": []}, {}]
    stream = get_stream("loads")
    row = json.dumps({"Id": "1", "UpdatedAt": "2026-03-02T08:00:00Z", "Stops": stops}).encode()
    change = ChangeReader(stream, get_watch_window(stream, None), frozenset(where)).read(row)
    assert change.fields == {name: ["PO-1", "PO-2", None]}
    assert matches(change, where)
    assert not matches(change, {name: ["PO-3"]})


def test_the_values_of_a_field_are_sorted() -> None:
    for values in ({"Delivered", "Open", "TONU"}, ["TONU", "Delivered", "Open", "Open"]):
        assert check_where(get_stream("loads"), {"Status": values}) == {
            "Status": ("Delivered", "Open", "TONU")
        }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("LoadNumber", 8000131, id="number for a string"),
        pytest.param("IsDeleted", "true", id="string for a boolean"),
        pytest.param("IsDeleted", 1, id="number for a boolean"),
        pytest.param("Status", None, id="none"),
        pytest.param("CustomerRate.Amount", 100, id="fraction"),
    ],
)
def test_a_value_of_another_type_is_refused(field: str, value: Any) -> None:
    with pytest.raises(AlvysValueError, match=re.escape(field)):
        check_where(get_stream("loads"), {field: value})


def test_the_clients_time_follows_a_clock_that_is_set(world: World) -> None:
    world.client.request("GET", "webhooks/event-types")
    assert world.client.now() == pytest.approx(world.server, abs=1.1)
    world.pass_time(HOUR)
    world.clock.now += 2 * HOUR
    world.client.request("GET", "webhooks/event-types")
    assert world.client.now() == pytest.approx(world.server, abs=1.1)
    world.clock.now -= 2 * HOUR
    world.client.request("GET", "webhooks/event-types")
    assert world.client.now() == pytest.approx(world.server, abs=1.1)
