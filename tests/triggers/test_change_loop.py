from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.triggers.change_loop import ChangeLoop
from airflow_provider_alvys.triggers.pollers import open_poller
from tests.conftest import StoppedClock

Step = Callable[[], Any]


class Store:
    """An asset's state store."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def aget(self, key: str) -> Any:
        return json.loads(self.kept[key]) if key in self.kept else None

    async def aset(self, key: str, value: Any) -> None:
        self.kept[key] = json.dumps(value)


class Ended(Exception):
    """The triggerer dies."""


class World:
    """A clock shared with Alvys, and steps between polls."""

    def __init__(self, alvys: Simulator) -> None:
        self.alvys = alvys
        self.clock = StoppedClock()
        self.stores = [Store()]
        self.alvys.set_clock(self.clock.now)

    def pass_time(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.alvys.set_clock(self.clock.now)

    def watch(self, *steps: Step, watchers: int = 1, **options: Any) -> list[list[dict[str, Any]]]:
        """Run watchers, with one step before each further poll, and return the payloads of each."""
        events: list[list[dict[str, Any]]] = [[] for _ in range(watchers)]
        due = list(steps)
        waiting = 0
        turn = asyncio.Event()

        async def sleep(seconds: float) -> None:
            nonlocal waiting, turn
            waiting, mine = waiting + 1, turn
            if waiting == watchers:
                waiting, turn = 0, asyncio.Event()
                self.pass_time(seconds)
                if not due:
                    raise Ended
                due.pop(0)()
                # Alvys's Date header has whole seconds.
                self.pass_time(2)
                mine.set()
            # All watchers resume together.
            await mine.wait()

        async def quickly(seconds: float) -> None:
            await asyncio.sleep(0.01)

        async def run(place: int) -> None:
            arguments = {
                "stream": "loads",
                "window_by": "updated",
                "where": {},
                "poll_interval": 60.0,
                **options,
            }
            loop = ChangeLoop("alvys_default", **arguments, stores=self.stores, clock=self.clock, sleep=sleep)
            async for payload in loop.payloads():
                events[place].append(payload)

        async def run_all() -> None:
            async with open_poller("alvys_default", clock=self.clock, sleep=quickly):
                tasks = [asyncio.create_task(run(place)) for place in range(watchers)]
                try:
                    await asyncio.gather(*tasks)
                finally:
                    for task in tasks:
                        task.cancel()

        with pytest.raises(Ended):
            asyncio.run(run_all())
        return events


@pytest.fixture
def world(alvys: Simulator) -> World:
    return World(alvys)


def changes_of(payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [change for payload in payloads for change in payload["changes"]]


def nothing() -> None:
    """Nothing happens."""


def test_a_change_is_reported_once_with_id_number_status_and_time(world: World) -> None:
    changed: list[str] = []

    def change() -> None:
        changed.extend(world.alvys.change(rows=3, columns={"Status": "Delivered"}))

    (events,) = world.watch(change, nothing, nothing, nothing)
    assert [payload["stream"] for payload in events] == ["loads"]
    changes = changes_of(events)
    rows = {row["Id"]: row for row in map(json.loads, world.alvys.truth_rows())}
    assert {change["id"] for change in changes} == set(changed)
    for change in changes:
        row = rows[change["id"]]
        assert change == {
            "id": row["Id"],
            "key": f"{row['Id']}@{row['UpdatedAt']}",
            "number": row["LoadNumber"],
            "status": "Delivered",
            "updated_at": row["UpdatedAt"],
        }


def test_a_second_change_of_a_row_is_reported_with_another_key(world: World) -> None:
    key = world.alvys.truth_keys()[0]
    (events,) = world.watch(
        lambda: world.alvys.change(keys=[key]), lambda: world.alvys.change(keys=[key]), nothing
    )
    changes = changes_of(events)
    assert [change["id"] for change in changes] == [key, key]
    assert len({change["key"] for change in changes}) == 2


def test_existing_rows_are_not_reported_even_if_they_have_just_changed(world: World) -> None:
    world.alvys.change(rows=5)
    world.pass_time(30)
    assert world.watch(nothing, nothing) == [[]]


def test_only_rows_with_the_wanted_values_are_reported(world: World) -> None:
    load, other = (json.loads(row) for row in world.alvys.truth_rows()[:2])

    def change() -> None:
        world.alvys.change(keys=[load["Id"], other["Id"]], columns={"Status": "Delivered"})
        world.alvys.change(rows=5, columns={"Status": "Open"})

    (events,) = world.watch(
        change, nothing, where={"Status": ["Delivered"], "CustomerId": [load["CustomerId"]]}
    )
    changes = changes_of(events)
    assert {change["id"] for change in changes} == {
        row["Id"] for row in (load, other) if row["CustomerId"] == load["CustomerId"]
    }
    assert changes[0]["fields"] == {"CustomerId": load["CustomerId"], "Status": "Delivered"}


def test_no_change_is_missed_while_no_triggerer_runs_and_repeats_have_the_same_keys(world: World) -> None:
    changed: list[set[str]] = []

    def change() -> None:
        keys = world.alvys.change(rows=4)
        rows = {row["Id"]: row["UpdatedAt"] for row in map(json.loads, world.alvys.truth_rows())}
        changed.append({f"{key}@{rows[key]}" for key in keys})

    # The triggerer dies right after it has reported the last changes.
    (before,) = world.watch(change, change)
    world.pass_time(3600)
    change()
    world.pass_time(3600)
    (after,) = world.watch(nothing)
    events = [change["key"] for change in changes_of(before) + changes_of(after)]
    assert set(events) == set().union(*changed)
    # Airflow may not have stored the last event: its changes are reported again.
    assert {key for key in events if events.count(key) > 1} == changed[1]


def test_a_watcher_that_dies_before_its_first_poll_resumes_from_its_start(world: World) -> None:
    world.alvys.order_faults({"kind": "status", "status": 403, "endpoint": "POST loads/search", "times": 1})
    assert world.watch() == [[]]
    world.pass_time(600)
    changed = world.alvys.change(rows=2)
    world.pass_time(600)
    (events,) = world.watch(nothing)
    assert {change["id"] for change in changes_of(events)} == set(changed)


def test_progress_is_saved_only_when_airflow_has_stored_the_events(world: World) -> None:
    changed: list[str] = []
    # The second poll comes too early to be sure of it.
    (before,) = world.watch(lambda: changed.extend(world.alvys.change(rows=1)), nothing, poll_interval=1.0)
    (after,) = world.watch(nothing)
    assert [change["id"] for change in changes_of(before)] == changed
    assert changes_of(after) == changes_of(before)


@pytest.mark.parametrize("first", ["ahead", "behind"])
def test_a_watcher_of_several_assets_resumes_from_the_earliest_state(world: World, first: str) -> None:
    world.watch(nothing)
    ahead, behind = world.stores[0], Store()
    behind.kept = dict(ahead.kept)
    world.pass_time(3600)
    changed = world.alvys.change(rows=1)
    world.pass_time(3600)
    assert len(changes_of(world.watch(nothing, nothing)[0])) == 1
    world.stores = [ahead, behind] if first == "ahead" else [behind, ahead]
    (events,) = world.watch(nothing)
    assert [change["id"] for change in changes_of(events)] == changed


def test_another_filter_starts_a_new_state(world: World) -> None:
    delivered, all_changes = {"Status": ["Delivered"]}, dict[str, Any]()
    world.watch(nothing, where=delivered)
    world.pass_time(600)
    changed = world.alvys.change(rows=1, columns={"Status": "Delivered"})
    world.pass_time(600)
    assert world.watch(nothing, where=all_changes) == [[]]
    (events,) = world.watch(nothing, where=delivered)
    assert [change["id"] for change in changes_of(events)] == changed


def test_no_change_is_missed_after_a_failed_poll(world: World) -> None:
    changed: list[str] = []

    def fail() -> None:
        changed.extend(world.alvys.change(rows=2))
        world.alvys.order_faults(
            {"kind": "status", "status": 403, "endpoint": "POST loads/search", "times": 1}
        )

    (events,) = world.watch(nothing, fail, nothing, nothing)
    assert {change["id"] for change in changes_of(events)} == set(changed)


def test_ten_watchers_of_one_stream_cost_one_request_a_poll(world: World) -> None:
    changed: list[str] = []
    events = world.watch(nothing, lambda: changed.extend(world.alvys.change(rows=2)), nothing, watchers=10)
    for payloads in events:
        assert {change["id"] for change in changes_of(payloads)} == set(changed)
    assert world.alvys.stats()["requests"]["POST loads/search"] == 4


def test_many_changes_are_reported_in_several_events(world: World) -> None:
    (events,) = world.watch(lambda: world.alvys.change(rows=250), nothing)
    assert [len(payload["changes"]) for payload in events] == [100, 100, 50]
    assert len({change["key"] for change in changes_of(events)}) == 250


def test_rows_with_a_business_date_are_reported_if_new_or_different(world: World) -> None:
    world.alvys.reset(loads=30, now=world.clock.now)
    world.alvys.set_clock(world.clock.now)
    added: list[str] = []

    def add() -> None:
        added.extend(world.alvys.add(stream="fuel", rows=2))

    (events,) = world.watch(nothing, add, nothing, stream="fuel", window_by="transaction")
    assert {change["id"] for change in changes_of(events)} == set(added)
    known = changes_of(events)[0]["id"]
    (again,) = world.watch(
        lambda: world.alvys.change(stream="fuel", keys=[known], columns={"TruckNumber": "7"}),
        nothing,
        stream="fuel",
        window_by="transaction",
    )
    assert [change["id"] for change in changes_of(again)] == [known]


def test_a_read_of_several_pages_resumes_after_a_failure(world: World) -> None:
    changed: list[str] = []

    def change() -> None:
        changed.extend(world.alvys.change(rows=430))
        world.alvys.order_faults(
            {"kind": "truncate", "page": 1}, {"kind": "status", "status": 503, "page": 0, "skip": 1}
        )

    (events,) = world.watch(change, nothing)
    changes = changes_of(events)
    assert len(changes) == len(changed) == 430
    assert {change["id"] for change in changes} == set(changed)


def test_a_change_while_the_state_store_is_slow_is_reported(world: World) -> None:
    changed: list[str] = []

    class SlowStore(Store):
        async def aget(self, key: str) -> Any:
            world.pass_time(20)
            changed.extend(world.alvys.change(rows=2))
            world.pass_time(5)
            return await super().aget(key)

    world.stores = [SlowStore()]
    (events,) = world.watch(nothing)
    assert {change["id"] for change in changes_of(events)} == set(changed)
