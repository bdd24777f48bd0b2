"""The catalogue of streams agrees with the facts collected about Alvys and with itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.stream_spec import WHOLE, Branch, Filter, Stream
from airflow_provider_alvys.api.catalogue.streams import STREAMS, get_stream
from airflow_provider_alvys.api.schema.fields import Array, FieldType, Record, record
from tests.conftest import ROOT

FACTS_FILE = ROOT.parent / "shared" / "alvys" / "streams.json"
FACTS: Mapping[str, Mapping[str, Any]] = (
    {row["name"]: row for row in json.loads(FACTS_FILE.read_text())} if FACTS_FILE.exists() else {}
)

TIERS = ("hourly", "2-hourly", "4-hourly", "6-hourly", "8-hourly", "daily", "weekly", "monthly")
BASE = "/api/p/v{version}/"
SCALARS = {
    "string": "string",
    "integer": "integer",
    "number": "decimal",
    "boolean": "boolean",
    "datetime": "time",
}
FILTER_TYPES = {"string": "string", "array<string>": "strings", "boolean": "boolean", "integer": "integer"}

# Where the catalogue differs from the facts, and why.
MORE_VALUES = {("customers", "Statuses"): {"Disabled"}}  # accepted by Alvys, but not documented
# From section k of the digest, which is newer than the facts.
MORE_LIMITS = {
    # k.1, row 12. The page's 150 for loads is not tested by anybody.
    **dict.fromkeys((("loads", "LoadNumbers"), ("loads", "OrderNumbers"), ("trips", "TripNumbers")), 50),
    ("invoices", "OrderNumbers"): 50,
    # Seen for the ids of carriers, and assumed for all others.
    **dict.fromkeys((("carriers", "Ids"), ("locations", "LocationIds"), ("tolls", "UnitIds")), 200),
    **dict.fromkeys((("maintenance", "TruckIds"), ("maintenance", "TrailerIds")), 200),
    **{("dispatch_preferences", f"{who}Ids"): 200 for who in ("Dispatcher", "Driver", "Truck", "Trailer")},
}
MORE_ANY_OF = {"trips": {"PickupDateRange", "DeliveryDateRange"}, "trucks": {"Status"}}  # k.1, rows 2, 6
MORE_UNCERTAIN = {("invoices", "InvoicedDateRange")}  # k.1, row 5
_ADDRESS = dict.fromkeys(("Street", "City", "State", "ZipCode"), "string")
_ETA = dict.fromkeys(("Planned", "Live", "Manual"), "time")
# k.2, "Fields".
MORE_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "loads": {
        "Origin": _ADDRESS,
        "Destination": _ADDRESS,
        "CustomerAccessorialsDetails[].StopId": "string",
        "Stops[].Eta": _ETA,
    },
    "trips": {"Eta": _ETA, "Stops[].Eta": _ETA},
    "trip_stops": {"Eta": _ETA},
    "driver_settlement_statements": {"LineItems[].TransactionType": "string"},
}
NOT_REQUIRED = {
    # Required by OpenAPI but not by the page. It is always sent.
    ("loads", "IncludeDeleted"),
    ("trips", "IncludeDeleted"),
}
# Pay policies: unions of about twenty shapes with hundreds of fields.
JSON_FIELDS = {
    "trips": {f"{who}.{rates}" for who in ("Driver1", "Driver2") for rates in ("Rates", "RatesV2")}
    | {"OwnerOperator.RatesV2"}
}

each_stream = pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
each_fact = pytest.mark.parametrize(
    ("stream", "facts"),
    [pytest.param(STREAMS[name], FACTS[name], id=name) for name in STREAMS if name in FACTS],
)
needs_facts = pytest.mark.skipif(not FACTS, reason="the facts are not next to the repository")


def paths_in(kind: FieldType, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path of every field in the facts' notation (``Stops[].Id``) and its type."""
    if isinstance(kind, Array):
        if isinstance(kind.of, str):
            yield path, f"[{kind.of}]"
        else:
            yield path, "[record]"
            yield from paths_in(kind.of, f"{path}[]")
    elif isinstance(kind, Record):
        if path and not path.endswith("[]"):
            yield path, "record"
        for name, field in kind.fields.items():
            yield from paths_in(field, f"{path}.{name}" if path else name)
    else:
        yield path, kind


def paths_of(stream: Stream) -> dict[str, str]:
    return dict(paths_in(stream.fields))


def has_field(stream: Stream, path: str) -> bool:
    return path in {known.replace("[]", "") for known in paths_of(stream)}


def expected_paths(facts: Mapping[str, Any], as_json: set[str]) -> dict[str, str]:
    found = {}
    for path, kind in {**facts["fields"], **facts["nested_fields"]}.items():
        plain = path.replace("[]", "")
        if any(plain.startswith(f"{name}.") for name in as_json):
            continue
        if plain in as_json:
            found[plain] = "json"
        elif path in facts["date_only_fields"]:
            found[path] = "date"
        elif kind == "object":
            found[path.removesuffix("[]")] = "[record]" if path.endswith("[]") else "record"
        elif kind.startswith("array<"):
            inner = kind[len("array<") : -1]
            found[path] = "[record]" if inner == "object" else f"[{SCALARS[inner]}]"
        else:
            found[path.removesuffix("[]")] = f"[{SCALARS[kind]}]" if path.endswith("[]") else SCALARS[kind]
    return found


def without_placeholders(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def branches_of(stream: Stream) -> list[Branch]:
    return [*stream.full_read, *(branch for window in stream.windows for branch in window.branches)]


@needs_facts
def test_the_streams_are_those_of_the_facts() -> None:
    assert set(STREAMS) == set(FACTS)


@each_fact
def test_the_call_is_the_documented_one(stream: Stream, facts: Mapping[str, Any]) -> None:
    assert stream.method == facts["method"]
    assert without_placeholders(stream.path) == without_placeholders(facts["path"].removeprefix(BASE))
    assert stream.endpoint.version == facts["version_default"]
    assert (stream.limit.requests, stream.limit.block) == (facts["rate_per_minute"], facts["block_seconds"])


@each_fact
def test_the_scope_is_the_documented_one_or_marked_as_inferred(
    stream: Stream, facts: Mapping[str, Any]
) -> None:
    assert stream.scope == facts["scope"]
    assert stream.scope_is_documented == (facts["scope_basis"] != "inferred")


@each_fact
def test_the_key_is_the_documented_one(stream: Stream, facts: Mapping[str, Any]) -> None:
    assert list(stream.key) == facts["primary_key"]


@each_fact
def test_the_page_size_is_within_the_documented_maximum(stream: Stream, facts: Mapping[str, Any]) -> None:
    assert stream.max_page_size == facts["page_size_documented_max"]
    if stream.max_page_size:
        assert stream.page_size <= stream.max_page_size
    is_paged = facts["paging"] == "page" or facts.get("parent_paged", False)
    assert (stream.response_type == "page") == is_paged
    assert (stream.response_type == "object") == (facts["response_shape"] == "object")


@each_fact
def test_filters_are_the_documented_ones(stream: Stream, facts: Mapping[str, Any]) -> None:
    given_by_parents = stream.parent.param if stream.parent else ""
    documented = {name: filter for name, filter in facts["filters"].items() if name != given_by_parents}
    assert {filter.name: filter.type for filter in stream.filters} == {
        name: FILTER_TYPES[filter["type"]] for name, filter in documented.items()
    }
    for filter in stream.filters:
        fact = documented[filter.name]
        limit = fact.get("max_items", fact.get("max_items_observed"))
        assert filter.max_items == MORE_LIMITS.get((stream.name, filter.name), limit), filter.name
        more = MORE_VALUES.get((stream.name, filter.name), set())
        assert set(filter.values or ()) == set(fact.get("enum", ())) | more, filter.name


@each_fact
def test_required_filters_and_windows_are_marked(stream: Stream, facts: Mapping[str, Any]) -> None:
    windows = {window.params[0] for window in stream.windows if window.required}
    parents = {stream.parent.param} if stream.parent and stream.parent.param else set()
    optional = {name for row, name in NOT_REQUIRED if row == stream.name}
    filters = {filter.name for filter in stream.filters if filter.required}
    assert filters | windows | parents | optional == set(facts["required_body"]) - {"Page", "PageSize"}
    more = MORE_ANY_OF.get(stream.name, set())
    assert [name for name in stream.any_of if name not in more] == facts["conditional_one_of"]
    assert more <= set(stream.any_of)


@each_fact
def test_windows_are_the_documented_ones(stream: Stream, facts: Mapping[str, Any]) -> None:
    windows = [window for window in stream.windows if not window.branches]
    documented = facts["window_filters"]
    assert [param for window in windows for param in window.params] == [fact["param"] for fact in documented]
    starts = [fact for fact in documented if fact["style"] != "scalar-end"]
    for window, fact in zip(windows, starts, strict=True):
        assert window.column == fact["field"]
        assert len(window.params) == (1 if fact["style"] == "Period" else 2)
        assert window.needs_end == fact["end_required"]
        assert window.includes_end == ("inclusive" in fact.get("granularity", ""))
        is_documented = fact["basis"].startswith("docs")
        assert window.column_is_certain == (
            is_documented and (stream.name, fact["param"]) not in MORE_UNCERTAIN
        )
        assert (window.max_length.days if window.max_length else None) == fact.get("max_days")


@each_fact
def test_parents_are_the_documented_ones(stream: Stream, facts: Mapping[str, Any]) -> None:
    fact = facts["parent"]
    if fact is None:
        assert stream.parent is None
        return
    assert stream.parent is not None
    assert (stream.parent.stream, stream.parent.column) == (fact["stream"], fact["parent_field"])
    assert stream.parent.param == fact.get("param", "")
    assert stream.is_child == ("path_param" in fact)


@each_fact
def test_look_ups_are_the_documented_ones(stream: Stream, facts: Mapping[str, Any]) -> None:
    found = (
        []
        if stream.lookup is None
        else [(stream.lookup.path, [*stream.lookup.one_of, *stream.lookup.options])]
    )
    assert found == [(fact["path"].removeprefix(BASE), fact["query"]) for fact in facts["get_one"]]


@each_fact
def test_fields_are_the_documented_ones_at_every_depth(stream: Stream, facts: Mapping[str, Any]) -> None:
    more: dict[str, str] = {}
    for path, kind in MORE_FIELDS.get(stream.name, {}).items():
        nested = kind if isinstance(kind, Mapping) else {}
        more |= {path: "record" if nested else kind, **{f"{path}.{name}": of for name, of in nested.items()}}
    assert paths_of(stream) == expected_paths(facts, JSON_FIELDS.get(stream.name, set())) | more


@each_stream
def test_keys_and_columns_are_fields_of_the_row(stream: Stream) -> None:
    names = [
        *stream.key,
        *(filter.column for filter in stream.filters if filter.column),
        *(filter.unhides for filter in stream.filters if filter.unhides),
        *(window.column for window in stream.windows if not window.branches),
        *(stream.lookup.one_of.values() if stream.lookup else ()),
        *stream.references,
    ]
    assert [name for name in names if not has_field(stream, name)] == []


@each_stream
def test_the_column_of_a_window_is_a_time(stream: Stream) -> None:
    types = paths_of(stream)
    assert {types[window.column] for window in stream.windows if window.column} <= {"time", "date"}


@each_stream
def test_defaults_and_values_of_filters_are_valid(stream: Stream) -> None:
    kinds = {"string": str, "strings": str, "boolean": bool, "integer": int}
    for filter in stream.filters:
        assert all(type(value) is kinds[filter.type] for value in filter.values or ())
        # Alvys requires an empty list for any value; a user may omit it.
        if filter.default not in (None, []):
            assert filter.problem(filter.default) is None
        if filter.required:
            assert filter.default is not None
        if filter.unhides:
            assert filter.type == "boolean"
            assert paths_of(stream)[filter.unhides] == "boolean"


@each_stream
def test_mutually_exclusive_filters_exist(stream: Stream) -> None:
    assert set(stream.mutually_exclusive) <= {filter.name for filter in stream.filters}


@each_stream
def test_references_name_a_field_of_a_stream(stream: Stream) -> None:
    for target in stream.references.values():
        name, _, column = target.partition(".")
        assert has_field(STREAMS[name], column), target


@each_stream
def test_the_path_of_a_child_has_the_column_of_its_parent(stream: Stream) -> None:
    placeholders = re.findall(r"\{(\w+)\}", stream.path)
    if stream.parent is None:
        assert placeholders == []
        return
    parent = STREAMS[stream.parent.stream]
    assert placeholders == ([] if stream.parent.param else [stream.parent.column])
    assert has_field(parent, stream.parent.column)
    assert parent.parent is None
    if stream.parent.recent_by:
        assert paths_of(parent)[stream.parent.recent_by] == "time"
    for column, values in stream.parent.recent_where.items():
        known = next(filter.values for filter in parent.filters if filter.column == column)
        assert set(values) <= set(known or ())


@each_stream
def test_windows_that_a_row_refers_to_exist(stream: Stream) -> None:
    names = [window.name for window in stream.windows]
    assert len(set(names)) == len(names)
    assert WHOLE not in names
    assert stream.default_window is None or stream.default_window in names
    single = {window.name for window in stream.windows if not window.branches}
    assert {branch.window for branch in branches_of(stream) if branch.window} <= single
    for tier in stream.tiers:
        assert tier.name in TIERS
        assert tier.window in (None, WHOLE, *names)
        if tier.sweep:
            assert stream.window(tier.window) is not None
    assert len({tier.name for tier in stream.tiers}) == len(stream.tiers)


@each_stream
def test_the_filters_of_a_branch_exist(stream: Stream) -> None:
    for branch in branches_of(stream):
        # Users may not give a filter that Alvys ignores; a branch may, where Alvys requires one.
        ignored = {filter.name for filter in stream.filters if filter.ignored} & set(stream.any_of)
        given = {name: value for name, value in branch.filters.items() if name not in ignored}
        assert stream.validate_filters(given) == given
        # The user's list limits a branch's list, so guessed values could hide rows.
        documented = {filter.name for filter in stream.filters if filter.values}
        assert {name for name, value in branch.filters.items() if isinstance(value, list)} <= documented


@each_stream
def test_every_search_has_all_that_alvys_requires(stream: Stream) -> None:
    searches = [
        *branches_of(stream),
        *(Branch(window=window.name) for window in stream.windows if not window.branches),
    ]
    for branch in searches:
        window = stream.window(branch.window) if branch.window else None
        sent = stream.search_fields(branch.filters, window)
        params = window.params if window else ()
        assert not stream.any_of or any(name in (*sent, *params) for name in stream.any_of), branch
        for filter in stream.filters:
            if filter.name in sent and sent[filter.name] != [] and not filter.ignored:
                assert filter.problem(sent[filter.name]) is None, branch
        for required in stream.windows:
            assert not required.required or window is required, branch


@each_stream
def test_every_stream_has_a_description(stream: Stream) -> None:
    assert stream.description
    assert all(text and not text.endswith(".") for text in (stream.description, *stream.notes))


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        pytest.param("invoices", {"CustomerId": "7"}, {"CustomerId": "7"}, id="enough already"),
        pytest.param("invoices", {}, {"Status": ["Draft", "AwaitingPayment", "Paid"]}, id="every status"),
        pytest.param("maintenance", {}, {}, id="one string cannot be every status"),
        pytest.param(
            "trailers",
            {},
            {"Status": ["Active", "Inactive", "In Shop", "Crashed", "Repair"]},
            id="guessed statuses",
        ),
        pytest.param(
            "trailers",
            {"Status": ["Available"]},
            {"Status": ["Available"]},
            id="a status that is not among the guessed ones",
        ),
        pytest.param(
            "trailers", {"VinNumber": "1"}, {"VinNumber": "1"}, id="no guess in addition to a filter"
        ),
        pytest.param("deductions", {}, {"IncludePaid": True}, id="paid deductions as well"),
        pytest.param(
            "locations",
            {"LocationIds": ["1"]},
            {"Status": ["Active", "Disabled", "Inactive"], "LocationIds": ["1"]},
            id="required by OpenAPI",
        ),
    ],
)
def test_a_search_sends_required_and_default_fields(
    name: str, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert get_stream(name).search_fields(fields) == expected


def test_filters_inside_an_object_may_be_nested_or_dotted() -> None:
    tenders = get_stream("tenders")
    assert tenders.validate_filters({"Filter": {"Status": ["Pending"]}}) == {"Filter.Status": ["Pending"]}
    assert tenders.validate_filters({"Filter.Status": ["Pending"]}) == {"Filter.Status": ["Pending"]}


def test_an_integer_filter_is_checked() -> None:
    days = Filter("Days", "integer", values=(1, 7, 30))
    assert days.problem(7) is None
    assert "1, 7, 30" in str(days.problem(8))
    assert days.problem(True) is not None


def test_a_record_is_written_in_a_short_form() -> None:
    inner = record("Amount:decimal")
    assert record("Id Total:money Tags:[string] Lines:[money]", money=inner).fields == {
        "Id": "string",
        "Total": inner,
        "Tags": Array("string"),
        "Lines": Array(inner),
    }
    with pytest.raises(KeyError, match="number"):
        record("Amount:number")
