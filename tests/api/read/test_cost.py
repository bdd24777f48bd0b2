from __future__ import annotations

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import QuickHook


def test_a_plan_costs_at_most_one_request_per_stream(alvys: Simulator, hook: QuickHook) -> None:
    plans = hook.plan(list(STREAMS))
    assert [plan.stream for plan in plans] == list(STREAMS)
    counted = [plan.stream for plan in plans if plan.rows is not None]
    requests = alvys.stats()["requests"]
    assert sum(count for name, count in requests.items() if name != "POST token") == len(counted)
    assert set(requests.values()) == {1}
    for plan in plans:
        if plan.rows is not None and not plan.note:
            assert plan.rows == len(alvys.truth_keys(stream=plan.stream))


def test_a_plan_has_requests_and_hours(alvys: Simulator, hook: QuickHook) -> None:
    loads, documents, drivers = hook.plan(["loads", "load_documents", "drivers_list"])
    # Three pages, and page 0 again.
    assert (loads.rows, loads.requests) == (450, 4)
    assert (documents.rows, documents.requests) == (None, 450)
    assert documents.documented_hours == pytest.approx((44 * 61.2 + 9 * 1.02) / 3600)
    assert (drivers.requests, drivers.paced_hours) == (1, 0.0)


def test_a_plan_of_a_window_counts_its_rows(alvys: Simulator, hook: QuickHook) -> None:
    since = "2026-10-01T00:00:00Z"
    loads, customers = hook.plan(["loads", "customers"], since=since)
    assert loads.rows == len(alvys.truth_keys(since=since))
    # A sync reads all customers, regardless of since.
    assert customers.rows == len(alvys.truth_keys(stream="customers"))


def test_a_stream_that_cannot_be_counted_is_a_row_with_a_note(alvys: Simulator, hook: QuickHook) -> None:
    since, until = "2026-10-01T00:00:00Z", "2026-10-03T00:00:00Z"
    errors = "visibility_outbound_errors"
    for window, note in (
        ({}, "give since and until"),
        ({"since": since}, "needs an end"),
        (
            {"since": since, "until": "2026-11-01T00:00:00Z"},
            "shorter window",
        ),
    ):
        uncounted, loads = hook.plan([errors, "loads"], **window)
        assert (uncounted.rows, uncounted.requests) == (None, None)
        assert note in uncounted.note
        assert loads.rows
    (counted,) = hook.plan([errors], since=since, until=until)
    assert counted.rows == len(alvys.truth_keys(stream=errors, since=since, until=until))
    (invoices,) = hook.plan(["invoices"], since=since)
    assert (invoices.rows, invoices.note) == (
        len(alvys.truth_keys(stream="invoices", window_by="invoiced", since=since)),
        "the first of 4 searches counted",
    )


def test_a_plan_counts_maintenance_of_every_status(alvys: Simulator, hook: QuickHook) -> None:
    (maintenance,) = hook.plan(["maintenance"])
    assert (maintenance.rows, maintenance.note) == (len(alvys.truth_keys(stream="maintenance")), "")


def test_children_are_planned_by_their_parents_in_any_order(alvys: Simulator, hook: QuickHook) -> None:
    documents, loads = hook.plan(["load_documents", "loads"])
    assert (documents.requests, loads.rows) == (450, 450)


def test_another_refusal_is_a_note_and_not_a_missing_scope(alvys: Simulator, hook: QuickHook) -> None:
    alvys.order_faults({"kind": "status", "status": 403, "endpoint": "POST loads/search", "times": 9})
    loads, trips = hook.plan(["loads", "trips"])
    assert loads.missing_scope is None
    assert "load:read" in loads.note
    assert trips.rows == len(alvys.truth_keys(stream="trips")) > 450


def test_a_plan_names_the_scopes_that_are_missing(alvys: Simulator, hook: QuickHook) -> None:
    alvys.reset(loads=5, scopes="load:read")
    loads, trips, documents = hook.plan(["loads", "trips", "load_documents"])
    assert (loads.missing_scope, trips.missing_scope, documents.missing_scope) == (None, "trip:read", None)
    assert trips.rows is None
    assert "POST trips/search" not in alvys.stats()["requests"]


def test_a_wrong_argument_sends_nothing(alvys: Simulator, hook: QuickHook) -> None:
    for arguments in (
        {"streams": ["lods"]},
        {"streams": "loads"},
        {"since": "yesterday"},
        {"streams": ["drivers"], "since": "yesterday"},
        {"until": "2026-10-01T00:00:00Z"},
        {"since": "2026-10-02T00:00:00Z", "until": "2026-10-01T00:00:00Z"},
    ):
        with pytest.raises(AlvysValueError):
            hook.plan(**arguments)  # type: ignore[arg-type]
    assert alvys.stats()["requests"] == {}
