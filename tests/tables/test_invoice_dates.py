"""A window of invoices may filter by InvoicedDate or CreatedDate: no row is dropped, and none is marked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import Land
from tests.lake import read_lines
from tests.tables.databases import Db
from tests.tables.runs import load

MARCH = {"since": "2026-03-01T00:00:00Z", "until": "2026-04-01T00:00:00Z"}


@pytest.mark.parametrize("column", ["InvoicedDate", "CreatedDate"])
def test_a_sweep_by_invoiced_date_lands_what_comes_and_marks_nothing(
    alvys: Simulator, land: Land, sqlite: Db, lake: Any, column: str
) -> None:
    alvys.reset(loads=0, fleet=0, window_columns={"invoices.invoiced": column})

    def add(invoiced: str | None, created: str, status: str = "Paid") -> str:
        columns = {"InvoicedDate": invoiced, "CreatedDate": created, "Status": status}
        return alvys.add(stream="invoices", columns={**columns, "PaidDate": None, "LastSendDate": None})[0]

    both = [add(f"2026-03-{day:02}", f"2026-03-{day:02}T10:00:00Z") for day in range(1, 30)]
    # Only one of the two dates is in the window.
    draft = add(None, "2026-03-05T10:00:00Z", "Draft")
    created_later = add("2026-03-06", "2026-04-09T10:00:00Z")
    invoiced_later = add("2026-04-06", "2026-03-09T10:00:00Z")
    everything = {*both, draft, created_later, invoiced_later}
    land(stream="invoices", window_by="whole")
    for _ in range(3):
        result = land(stream="invoices", window_by="invoiced", **MARCH)
        landed = {json.loads(line)["Id"] for line in read_lines(result["manifest"])}
        expected = {created_later} if column == "InvoicedDate" else {draft, invoiced_later}
        assert landed == {*both, *expected}
    load(lake, "invoices", max_missing_share=1)
    rows = sqlite.rows("invoices")
    assert {row["id"] for row in rows} == everything
    assert {row["_missing_since"] for row in rows} == {row["_missed_at"] for row in rows} == {None}
