"""A list of more values than Alvys takes at once is split, and its rows are found and counted once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Filter, Stream, get_stream
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.read.queries import Query, make_search_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.simulator.data.columns import value_at
from airflow_provider_alvys.simulator.process import Simulator

CAPPED = [
    pytest.param(stream, filter, id=f"{stream.name}-{filter.name}")
    for stream in STREAMS.values()
    for filter in stream.filters
    if filter.max_items
]


def queries_of(stream: Stream, filters: dict[str, Any], **asked: Any) -> list[Query]:
    arguments: dict[str, Any] = {"since": None, "until": None, "window_by": None, "parents": None, **asked}
    return make_search_queries(stream, filters, **arguments)


def test_the_capped_filters_are_those_of_numbers_and_ids() -> None:
    assert {name for stream in STREAMS.values() for name in map(filter_name, stream.filters) if name} == {
        "Ids", "LoadNumbers", "OrderNumbers", "TripNumbers", "LocationIds", "DispatcherIds", "DriverIds",
        "TruckIds", "TrailerIds", "UnitIds",
    }  # fmt: skip


def filter_name(filter: Filter) -> str | None:
    return filter.name if filter.max_items else None


@pytest.mark.parametrize(("stream", "filter"), CAPPED)
@pytest.mark.parametrize("more", [0, 1, 5])
def test_each_request_has_at_most_as_many_values_as_alvys_takes(
    stream: Stream, filter: Filter, more: int
) -> None:
    size = filter.max_items or 0
    values = [f"v{number}" for number in range(size * 2 + more)]
    window = {"since": "2026-03-01T00:00:00Z"} if stream.default_window else {}
    for asked in ({}, window):
        queries = queries_of(stream, {filter.name: [*values, values[0]]}, **asked)
        sent = [query.fields[filter.name] for query in queries]
        assert {len(part) for part in sent} <= {size, more} - {0}
        assert list(dict.fromkeys(value for part in sent for value in part)) == values
    (query,) = queries_of(stream, {filter.name: [values[0]] * 3 * size})[:1]
    assert query.fields[filter.name] == values[:1]


@pytest.mark.parametrize(("stream", "filter"), CAPPED)
def test_the_rows_of_a_long_list_are_found_and_counted_once(
    alvys: Simulator, client: AlvysClient, stream: Stream, filter: Filter
) -> None:
    if filter.column is None:
        pytest.skip("no field has the value")
    alvys.reset(loads=240, fleet=240)
    names = filter.column.split(".")
    rows = [json.loads(row) for row in alvys.truth_rows(stream=stream.name, window_by="whole")]
    known = [value_at(row, names) for row in rows]
    flat = [item for value in known for item in (value if isinstance(value, tuple) else [value])]
    values = list(dict.fromkeys(value for value in flat if value))[:120]
    # Real values in each part.
    filler = [f"none-{number}" for number in range((filter.max_items or 0) * 2)]
    wanted = [*values[::2], *filler, *values[1::2]]
    expected = [
        json.dumps(row, sort_keys=True)
        for row, value in zip(rows, known, strict=True)
        if not set(values).isdisjoint(value if isinstance(value, tuple) else [value])
    ]
    search = Search(client, stream, queries_of(stream, {filter.name: wanted}))
    assert len(search.queries) > 2
    found = [json.dumps(json.loads(bytes(row)), sort_keys=True) for page in search for row in page]
    assert sorted(found) == sorted(expected)
    assert len(found) > 0
    for size in (None, 7):
        counted = Search(client, stream, queries_of(stream, {filter.name: wanted}), page_size=size)
        assert counted.count() == len(expected)


def test_an_invoice_of_loads_in_two_parts_counts_once(alvys: Simulator, client: AlvysClient) -> None:
    invoices = get_stream("invoices")
    numbers = [f"s{number}" for number in range(100)]
    loads = [{"LoadNumber": numbers[0]}, {"LoadNumber": numbers[99]}]
    # More than a page in each part, and as many in both.
    alvys.add(stream="invoices", rows=9, columns={"Loads": loads})
    alvys.add(stream="invoices", rows=3, columns={"Loads": loads[:1]})
    alvys.add(stream="invoices", rows=3, columns={"Loads": loads[1:]})
    search = Search(client, invoices, queries_of(invoices, {"LoadNumbers": numbers}), page_size=4)
    assert sum(len(page) for page in search) == 15
    assert Search(client, invoices, search.queries, page_size=4).count() == 15
    assert Search(client, invoices, search.queries).count() == 15
