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
    """A clock that Alvys shares, and what happens between one look and the next."""

    def __init__(self, alvys: Simulator) -> None:
        self.alvys = alvys
        self.clock = StoppedClock()
        self.stores = [Store()]
        self.alvys.set_clock(self.clock.now)

    def pass_time(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.alvys.set_clock(self.clock.now)

    def watch(self, *steps: Step, watchers: int = 1, **options: Any) -> list[list[dict[str, Any]]]:
        """Run watchers until the steps are done, one before each further look, and return what each was told."""
        told: list[list[dict[str, Any]]] = [[] for _ in range(watchers)]
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
                # A server tells whole seconds.
                self.pass_time(2)
                mine.set()
            # All go on together, however long that took.
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
                told[place].append(payload)

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
        return told


@pytest.fixture
def world(alvys: Simulator) -> World:
    return World(alvys)


def changes_of(payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [change for payload in payloads for change in payload["changes"]]


def nothing() -> None:
    """Nothing happens."""


def test_what_changes_is_told_once_with_its_id_number_status_and_time(world: World) -> None:
    changed: list[str] = []

    def change() -> None:
        changed.extend(world.alvys.change(rows=3, columns={"Status": "Delivered"}))

    (told,) = world.watch(change, nothing, nothing, nothing)
    assert [payload["stream"] for payload in told] == ["loads"]
    changes = changes_of(told)
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


def test_a_row_that_changes_again_is_told_again_under_another_key(world: World) -> None:
    key = world.alvys.truth_keys()[0]
    (told,) = world.watch(
        lambda: world.alvys.change(keys=[key]), lambda: world.alvys.change(keys=[key]), nothing
    )
    changes = changes_of(told)
    assert [change["id"] for change in changes] == [key, key]
    assert len({change["key"] for change in changes}) == 2


def test_what_was_there_before_is_not_told_even_where_it_has_just_changed(world: World) -> None:
    world.alvys.change(rows=5)
    world.pass_time(30)
    assert world.watch(nothing, nothing) == [[]]


def test_only_rows_with_the_wanted_values_are_told(world: World) -> None:
    load, other = (json.loads(row) for row in world.alvys.truth_rows()[:2])

    def change() -> None:
        world.alvys.change(keys=[load["Id"], other["Id"]], columns={"Status": "Delivered"})
        world.alvys.change(rows=5, columns={"Status": "Open"})

    (told,) = world.watch(
        change, nothing, where={"Status": ["Delivered"], "CustomerId": [load["CustomerId"]]}
    )
    changes = changes_of(told)
    assert {change["id"] for change in changes} == {
        row["Id"] for row in (load, other) if row["CustomerId"] == load["CustomerId"]
    }
    assert changes[0]["fields"] == {"CustomerId": load["CustomerId"], "Status": "Delivered"}


def test_nothing_is_missed_while_no_triggerer_runs_and_repeats_have_the_same_keys(world: World) -> None:
    changed: list[set[str]] = []

    def change() -> None:
        keys = world.alvys.change(rows=4)
        rows = {row["Id"]: row["UpdatedAt"] for row in map(json.loads, world.alvys.truth_rows())}
        changed.append({f"{key}@{rows[key]}" for key in keys})

    # It dies right after it has told the last changes.
    (before,) = world.watch(change, change)
    world.pass_time(3600)
    change()
    world.pass_time(3600)
    (after,) = world.watch(nothing)
    told = [change["key"] for change in changes_of(before) + changes_of(after)]
    assert set(told) == set().union(*changed)
    # What was told last may not have come into the database: it is told again.
    assert {key for key in told if told.count(key) > 1} == changed[1]


def test_one_that_dies_before_its_first_look_begins_where_it_was_started(world: World) -> None:
    world.alvys.order_faults({"kind": "status", "status": 403, "endpoint": "POST loads/search", "times": 1})
    assert world.watch() == [[]]
    world.pass_time(600)
    changed = world.alvys.change(rows=2)
    world.pass_time(600)
    (told,) = world.watch(nothing)
    assert {change["id"] for change in changes_of(told)} == set(changed)


def test_what_was_told_a_moment_ago_may_not_have_come_into_the_database(world: World) -> None:
    changed: list[str] = []
    # The second look comes before that is sure.
    (before,) = world.watch(lambda: changed.extend(world.alvys.change(rows=1)), nothing, poll_interval=1.0)
    (after,) = world.watch(nothing)
    assert [change["id"] for change in changes_of(before)] == changed
    assert changes_of(after) == changes_of(before)


@pytest.mark.parametrize("first", ["ahead", "behind"])
def test_of_several_assets_the_one_that_knows_least_is_told_all(world: World, first: str) -> None:
    world.watch(nothing)
    ahead, behind = world.stores[0], Store()
    behind.kept = dict(ahead.kept)
    world.pass_time(3600)
    changed = world.alvys.change(rows=1)
    world.pass_time(3600)
    assert len(changes_of(world.watch(nothing, nothing)[0])) == 1
    world.stores = [ahead, behind] if first == "ahead" else [behind, ahead]
    (told,) = world.watch(nothing)
    assert [change["id"] for change in changes_of(told)] == changed


def test_another_filter_is_another_watcher_and_begins_anew(world: World) -> None:
    delivered, all_changes = {"Status": ["Delivered"]}, dict[str, Any]()
    world.watch(nothing, where=delivered)
    world.pass_time(600)
    changed = world.alvys.change(rows=1, columns={"Status": "Delivered"})
    world.pass_time(600)
    assert world.watch(nothing, where=all_changes) == [[]]
    (told,) = world.watch(nothing, where=delivered)
    assert [change["id"] for change in changes_of(told)] == changed


def test_a_failure_costs_a_look_and_no_change(world: World) -> None:
    changed: list[str] = []

    def fail() -> None:
        changed.extend(world.alvys.change(rows=2))
        world.alvys.order_faults(
            {"kind": "status", "status": 403, "endpoint": "POST loads/search", "times": 1}
        )

    (told,) = world.watch(nothing, fail, nothing, nothing)
    assert {change["id"] for change in changes_of(told)} == set(changed)


def test_ten_watchers_of_one_stream_make_one_request_a_look(world: World) -> None:
    changed: list[str] = []
    told = world.watch(nothing, lambda: changed.extend(world.alvys.change(rows=2)), nothing, watchers=10)
    for payloads in told:
        assert {change["id"] for change in changes_of(payloads)} == set(changed)
    assert world.alvys.stats()["requests"]["POST loads/search"] == 4


def test_many_changes_are_told_in_several_events(world: World) -> None:
    (told,) = world.watch(lambda: world.alvys.change(rows=250), nothing)
    assert [len(payload["changes"]) for payload in told] == [100, 100, 50]
    assert len({change["key"] for change in changes_of(told)}) == 250


def test_rows_of_a_business_date_are_told_when_they_are_new_or_differ(world: World) -> None:
    world.alvys.reset(loads=30, now=world.clock.now)
    world.alvys.set_clock(world.clock.now)
    added: list[str] = []

    def add() -> None:
        added.extend(world.alvys.add(stream="fuel", rows=2))

    (told,) = world.watch(nothing, add, nothing, stream="fuel", window_by="transaction")
    assert {change["id"] for change in changes_of(told)} == set(added)
    known = changes_of(told)[0]["id"]
    (again,) = world.watch(
        lambda: world.alvys.change(stream="fuel", keys=[known], columns={"TruckNumber": "7"}),
        nothing,
        stream="fuel",
        window_by="transaction",
    )
    assert [change["id"] for change in changes_of(again)] == [known]


def test_a_reading_of_several_pages_goes_on_after_a_failure(world: World) -> None:
    changed: list[str] = []

    def change() -> None:
        changed.extend(world.alvys.change(rows=430))
        world.alvys.order_faults(
            {"kind": "truncate", "page": 1}, {"kind": "status", "status": 503, "page": 0, "skip": 1}
        )

    (told,) = world.watch(change, nothing)
    changes = changes_of(told)
    assert len(changes) == len(changed) == 430
    assert {change["id"] for change in changes} == set(changed)


def test_what_changes_while_the_state_store_is_slow_is_told(world: World) -> None:
    changed: list[str] = []

    class SlowStore(Store):
        async def aget(self, key: str) -> Any:
            world.pass_time(20)
            changed.extend(world.alvys.change(rows=2))
            world.pass_time(5)
            return await super().aget(key)

    world.stores = [SlowStore()]
    (told,) = world.watch(nothing)
    assert {change["id"] for change in changes_of(told)} == set(changed)
