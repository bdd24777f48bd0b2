from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_alvys.api.errors import AlvysSignatureError, AlvysValueError
from airflow_provider_alvys.api.replays import ReplayGuard
from airflow_provider_alvys.api.webhooks import AlvysEvent, receive
from tests.api.test_webhooks import NOW, SECRET, sign


def test_an_event_is_processed_once() -> None:
    guard = ReplayGuard()
    states = []
    for _ in range(3):
        with guard.once("a") as state:
            states.append(state)
    with guard.once("b") as state:
        states.append(state)
    assert states == ["new", "done", "done", "new"]


def test_a_failed_event_is_processed_at_its_next_delivery() -> None:
    guard = ReplayGuard()
    with pytest.raises(ZeroDivisionError), guard.once("a"):
        1 / 0  # noqa: B018
    with guard.once("a") as state:
        assert state == "new"


def test_an_event_in_another_thread_is_left_for_later() -> None:
    guard = ReplayGuard()
    found: list[str] = []

    def other() -> None:
        with guard.once("a") as state:
            found.append(state)

    with guard.once("a") as state:
        found.append(state)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    other()
    assert found == ["new", "later", "done"]


def test_a_key_expires_after_keep_seconds() -> None:
    now = [0.0]
    guard = ReplayGuard(keep=600, clock=lambda: now[0])
    with guard.once("a"):
        pass
    for now[0], expected in ((599.9, "done"), (600.0, "new")):
        with guard.once("a") as state:
            assert state == expected


def test_a_full_guard_postpones_new_events() -> None:
    now = [0.0]
    guard = ReplayGuard(keep=600, most=2, clock=lambda: now[0])
    for key, expected in (("a", "new"), ("b", "new"), ("c", "later"), ("a", "done")):
        with guard.once(key) as state:
            assert state == expected
    now[0] = 600.0
    with guard.once("c") as state:
        assert state == "new"


def test_options_that_let_replays_pass_are_an_error() -> None:
    for options in ({"keep": 599.0}, {"most": 0}):
        with pytest.raises(AlvysValueError):
            ReplayGuard(**options)  # type: ignore[arg-type]


# A delivery: event number, attempt, seconds from signature to arrival, and whether processing fails.
deliveries = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(0, 400), st.booleans()),
    min_size=1,
    max_size=30,
)


@given(deliveries=deliveries)
def test_each_event_is_processed_once_despite_retries_replays_and_failures(
    deliveries: list[tuple[int, int, int, bool]],
) -> None:
    guard = ReplayGuard()
    effects: list[str] = []
    wanted: set[str] = set()
    for number, attempt, late, fails in deliveries:
        body = json.dumps({"id": f"event-{number}", "type": "load.changed", "data": {}}).encode()
        headers: dict[str, Any] = {**sign(body, id=f"event-{number}"), "X-Alvys-Attempt": str(attempt)}
        try:
            event = receive(headers, body, SECRET, now=NOW + late)
        except AlvysSignatureError:
            assert late > 300
            continue
        assert isinstance(event, AlvysEvent)
        try:
            with guard.once(event.key) as state:
                if state == "new":
                    if fails:
                        raise OSError
                    effects.append(event.key)
        except OSError:
            continue
        wanted.add(event.key)
    assert sorted(effects) == sorted(wanted)
