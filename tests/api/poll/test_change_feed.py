"""What a watcher takes for new, whatever the clocks say and whoever else asks: by turns, with nobody waiting."""

from __future__ import annotations

import json
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


def make_line(stream: str, window_by: str, day: str = "") -> ChangesQuery:
    row = get_stream(stream)
    return ChangesQuery(row, get_watch_window(row, window_by), day)


class World:
    """Our clock, Alvys's clock, and watchers that look at the same time."""

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
        """Begin to watch now, or go on from what was known at a time."""
        mark = self.clock.now if since is None else since
        return ChangeTracker(
            get_watch_window(get_stream(stream), window_by),
            TrackerState(watermark=moment(mark), is_new=since is None),
        )

    def look(
        self, *trackers: ChangeTracker, stream: str = "loads", window_by: str = "updated"
    ) -> list[list[str]]:
        """Let trackers look together, and return the ids that each is told."""
        return [
            [change.id for change in tracker.advance(found)]
            for tracker, found in self.read(*trackers, of=(stream, window_by))
        ]

    def read(
        self, *trackers: ChangeTracker, of: tuple[str, str] = ("loads", "updated")
    ) -> Iterator[tuple[ChangeTracker, ChangeResult]]:
        lines: dict[ChangesQuery, list[ChangeTracker]] = {}
        for tracker in trackers:
            lines.setdefault(make_line(*of, tracker.day), []).append(tracker)
        answers = {}
        for query, asking in lines.items():
            job = query.make_job(
                [ChangeRequest(tracker.watermark, is_new=tracker.is_new) for tracker in asking]
            )
            while (found := job.step(self.client)) is None:
                pass
            answers |= dict(zip(asking, found, strict=True))
        return iter([(tracker, answers[tracker]) for tracker in trackers])


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
def test_every_window_tells_what_comes_into_it(world: World, stream: str, window: str) -> None:
    of = {"stream": stream, "window_by": window}
    tracker = world.watch(**of)
    assert world.look(tracker, **of) == [[]]
    world.pass_time(60)
    added: set[str] = set()
    for _ in range(5):
        added.update(world.alvys.add(stream=stream, rows=1))
    world.pass_time(60)
    (told,) = world.look(tracker, **of)
    year = 365 * 24 * HOUR
    span = {
        "since": moment(world.server - year).isoformat(),
        "until": moment(world.server + year).isoformat(),
    }
    # Not each new row has the time that this window is by, such as that of its payment.
    there = added & set(world.alvys.truth_keys(**of, **span)) if window != "activity" else added
    assert set(told) == {"/".join(json.loads(key)) if key.startswith("[") else key for key in there}
    world.pass_time(60)
    assert world.look(tracker, **of) == [[]]


def test_who_knows_less_has_nobody_else_told_again(world: World) -> None:
    early = world.watch()
    world.look(early)
    world.pass_time(60)
    first = world.alvys.change(rows=2)
    world.pass_time(60)
    assert [sorted(ids) for ids in world.look(early)] == [sorted(first)]
    world.pass_time(HOUR)
    late = world.watch()
    world.look(early, late)
    world.pass_time(60)
    second = world.alvys.change(rows=2)
    world.pass_time(60)
    # One comes back that died before all of this.
    back = world.watch(since=world.clock.now - 3 * HOUR)
    told = [sorted(ids) for ids in world.look(early, late, back)]
    assert told == [sorted(second), sorted(second), sorted([*first, *second])]


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
def test_nor_by_business_dates(world: World, stream: str, window: str, columns: dict[str, Any]) -> None:
    of = {"stream": stream, "window_by": window}
    old = world.alvys.add(stream=stream, columns=columns)
    tracker, back = world.watch(**of), world.watch(**of, since=world.clock.now - 300 * 24 * HOUR)
    world.look(tracker, **of)
    world.pass_time(60)
    new = world.alvys.add(stream=stream)
    world.pass_time(60)
    told, told_back = world.look(tracker, back, **of)
    assert told == new
    assert {*old, *new} <= set(told_back)


def test_what_was_there_is_not_told_however_long_the_first_look_takes(world: World) -> None:
    world.alvys.change(rows=2)
    world.pass_time(60)
    tracker = world.watch()
    ((_, found),) = world.read(tracker)
    # It waited for its turn before it was answered.
    world.pass_time(180)
    assert tracker.advance(found) == []


@pytest.mark.parametrize("skew", [-2 * HOUR, -30.0, 30.0, 2 * HOUR])
def test_nothing_is_missed_whatever_our_clock_says(world: World, skew: float) -> None:
    world.clock.now += skew
    tracker = world.watch()
    # The first looks fail for longer than what is read again.
    world.pass_time(900)
    first = world.alvys.change(rows=1)
    world.pass_time(900)
    told: list[str] = []
    second: list[str] = []
    for _ in range(3):
        (new,) = world.look(tracker)
        told += new
        world.pass_time(120)
        second = second or world.alvys.change(rows=1)
        world.pass_time(3 * HOUR if skew < -60 else 120)
    assert told == [*first, *second]


@pytest.mark.parametrize("step", [-2 * HOUR, -200.0, 200.0, 2 * HOUR])
def test_nor_when_it_is_set_and_set_right_again(world: World, step: float) -> None:
    tracker = world.watch()
    world.look(tracker)
    changed: list[str] = []
    told: list[str] = []
    for number in range(12):
        if number in (4, 8):
            world.clock.now += step if number == 4 else -step
        changed += world.alvys.change(rows=1)
        world.pass_time(60)
        (new,) = world.look(tracker)
        told += new
    # Each once, and in order.
    assert told == changed


def test_one_that_dies_while_our_clock_is_ahead_goes_on_where_it_was(world: World) -> None:
    tracker = world.watch()
    world.look(tracker)
    world.pass_time(60)
    world.clock.now += 2 * HOUR
    world.look(tracker)
    world.clock.now -= 2 * HOUR
    changed = world.alvys.change(rows=1)
    world.pass_time(1800)
    again = ChangeTracker(get_watch_window(get_stream("loads"), "updated"), tracker.save())
    # The first look may be at a time that is hours ago.
    assert [world.look(again) for _ in range(2)] == [[[]], [changed]]


@pytest.mark.parametrize("stamp", ["2023-11-14T22:13:20", "yesterday", "2023-11-14", "", None])
def test_a_time_that_cannot_be_read_stops_nothing(stamp: str | None) -> None:
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


def test_what_alvys_finds_by_a_business_date_is_told_whatever_the_row_says() -> None:
    """Which field a window is by is not documented everywhere."""
    tracker = ChangeTracker(
        get_watch_window(get_stream("invoices"), "sent"), TrackerState(watermark=moment(HOUR))
    )
    row = RowChange(id="1", key="1", updated_at="1960-01-01T00:00:00Z")
    assert tracker.advance(ChangeResult((row,), moment(0), moment(2 * HOUR), is_complete=True)) == [row]


@pytest.mark.parametrize(
    "form", ["2026-01-0{}", "2026-01-0{}T00:00:00-05:00", "2026-01-01T00:00:00.123456{}Z"]
)
def test_the_oldest_is_told_first(form: str) -> None:
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


def test_what_is_forgotten_is_what_was_seen_longest_ago() -> None:
    window = get_watch_window(get_stream("fuel"), "transaction")
    rows = [RowChange(id=str(number), key=str(number)) for number in range(5001)]
    tracker = ChangeTracker(window, TrackerState(watermark=moment(0)))
    tracker.advance(ChangeResult(tuple(rows[:1]), moment(0), moment(1), is_complete=False))
    # The first is there again.
    tracker.advance(ChangeResult((*rows[1:], rows[0]), moment(1), moment(2), is_complete=False))
    again = ChangeTracker(window, tracker.save())
    assert [
        change.id
        for change in again.advance(ChangeResult(tuple(rows), moment(2), moment(3), is_complete=True))
    ] == ["1"]
    # What a state store takes is 64 KiB.
    assert len(tracker.save().seen) < 60_000


def test_what_a_moving_set_did_not_show_is_not_told_again() -> None:
    window = get_watch_window(get_stream("fuel"), "transaction")
    first, second = (RowChange(id=name, key=name) for name in "ab")
    tracker = ChangeTracker(window, TrackerState(watermark=moment(0)))
    assert tracker.advance(ChangeResult((first, second), moment(0), moment(1), is_complete=True)) == [
        first,
        second,
    ]
    assert tracker.advance(ChangeResult((first,), moment(1), moment(2), is_complete=False)) == []
    assert tracker.advance(ChangeResult((first, second), moment(2), moment(3), is_complete=True)) == []


def test_a_reading_ends_before_what_it_may_not_have_seen(world: World) -> None:
    """The time up to which all is known is that before the first request, not that after the last."""
    job = make_line("loads", "updated").make_job([ChangeRequest(moment(world.clock.now - 60))])
    began = world.clock.now
    world.alvys.order_faults({"kind": "status", "status": 503, "times": 1, "endpoint": "POST loads/search"})
    with pytest.raises(AlvysServerError):
        job.step(world.client)
    world.pass_time(30)
    while (answers := job.step(world.client)) is None:
        pass
    assert answers[0].until <= moment(began)


def test_a_deleted_load_is_told_and_can_be_told_apart(world: World) -> None:
    tracker = world.watch()
    world.look(tracker)
    world.pass_time(60)
    key = world.alvys.truth_keys(filters={"IncludeDeleted": False})[0]
    world.alvys.change(keys=[key], columns={"IsDeleted": True})
    world.pass_time(60)
    job = make_line("loads", "updated").make_job([ChangeRequest(tracker.watermark, frozenset({"IsDeleted"}))])
    while (answers := job.step(world.client)) is None:
        pass
    (change,) = tracker.advance(answers[0])
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


def test_the_values_of_a_field_are_in_one_order() -> None:
    for values in ({"Delivered", "Open", "TONU"}, ["TONU", "Delivered", "Open", "Open"]):
        assert check_where(get_stream("loads"), {"Status": values}) == {
            "Status": ("Delivered", "Open", "TONU")
        }


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        pytest.param("LoadNumber", 8000131, "must be a text", id="number for a text"),
        pytest.param("IsDeleted", "true", "must be true or false", id="text for a boolean"),
        pytest.param("IsDeleted", 1, "must be true or false", id="number for a boolean"),
        pytest.param("Status", None, "must be a text", id="none"),
        pytest.param("CustomerRate.Amount", 100, "cannot be watched", id="fraction"),
    ],
)
def test_a_value_that_a_field_never_has_is_refused(field: str, value: Any, problem: str) -> None:
    with pytest.raises(AlvysValueError, match=problem):
        check_where(get_stream("loads"), {field: value})


def test_times_are_found_by_the_time_of_now(world: World) -> None:
    """A client that is used for weeks follows a clock that is set."""
    world.client.request("GET", "webhooks/event-types")
    assert world.client.now() == pytest.approx(world.server, abs=1.1)
    world.pass_time(HOUR)
    world.clock.now += 2 * HOUR
    world.client.request("GET", "webhooks/event-types")
    assert world.client.now() == pytest.approx(world.server, abs=1.1)
    world.clock.now -= 2 * HOUR
    world.client.request("GET", "webhooks/event-types")
    assert world.client.now() == pytest.approx(world.server, abs=1.1)
