"""Each place that takes a name suggests the right one for a name with a typing error."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_alvys
from airflow_provider_alvys.api.catalogue.operations import OPERATIONS, Field, get_operation
from airflow_provider_alvys.api.catalogue.streams import STREAMS, get_stream, get_streams
from airflow_provider_alvys.api.documents.listing import DOCUMENT_STREAMS, document_stream_of, suggest_types
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.poll.change_feed import check_where
from airflow_provider_alvys.api.poll.conditions import DocumentExists, check_statuses
from airflow_provider_alvys.api.suggestions import suggest
from airflow_provider_alvys.api.write.body import BodyValidator
from airflow_provider_alvys.api.write.prepare import prepare
from airflow_provider_alvys.landing.formats.registry import check_format
from airflow_provider_alvys.landing.jobs.initial_load import cut_windows
from airflow_provider_alvys.landing.jobs.parents import RecentParents, check_parents
from airflow_provider_alvys.tables.dialects import DIALECTS, get_dialect
from airflow_provider_alvys.tables.schema import build_schema, fields_of
from airflow_provider_alvys.tables.warehouses.statements import WAREHOUSES, write_sql
from airflow_provider_alvys.task_groups.tiers import choose_syncs
from airflow_provider_alvys.transfers.alvys_to_object_storage import check_on_missing_scope

Place = tuple[str, str, Callable[[str], Any]]
UNITS = ("day", "week", "month", "year")
YEAR = (datetime(2025, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 1, tzinfo=timezone.utc))


def misspelled(name: str) -> str:
    """Return a name with a wrong letter before its last one."""
    return f"{name[:-1]}q{name[-1]}"


def places_of_streams() -> Iterator[Place]:
    for stream in STREAMS.values():
        yield "stream", stream.name, get_stream
        yield "streams", stream.name, lambda name: get_streams(["loads", name])
        for window in stream.windows:
            yield f"window of {stream.name}", window.name, stream.window
        for filter in stream.filters:
            yield (
                f"filter of {stream.name}",
                filter.name,
                lambda name, to=stream: to.validate_filters({name: 1}),
            )
            for value in filter.values or ():
                if isinstance(value, str):
                    yield (
                        f"{filter.name} of {stream.name}",
                        value,
                        lambda wrong, to=stream, by=filter: to.validate_filters(
                            {by.name: [wrong] if by.type == "strings" else wrong}
                        ),
                    )
        if stream.fields.fields:
            for path, *_ in fields_of(stream.fields):
                yield (
                    f"exclude of {stream.name}",
                    path,
                    lambda name, of=stream: build_schema(of, exclude=[name]),
                )
            name = next(iter(stream.fields.fields))
            yield f"where of {stream.name}", name, lambda wrong, of=stream: check_where(of, {wrong: "1"})
        if stream.parent is not None:
            name = next(iter(get_stream(stream.parent.stream).fields.fields))
            yield (
                f"RecentParents of {stream.name}",
                name,
                lambda wrong, of=stream: check_parents(of, RecentParents(days=1, where={wrong: ["1"]})),
            )


def places_of_operations() -> Iterator[Place]:
    for operation in OPERATIONS.values():
        yield "operation", operation.name, get_operation
        for name in operation.path_params:
            yield (
                f"path of {operation.name}",
                name,
                lambda wrong, to=operation.name: prepare(to, path_params={wrong: "1"}),
            )
        yield from places_of_fields(operation.name, operation.body)


def places_of_fields(where: str, fields: tuple[Field, ...]) -> Iterator[Place]:
    for field in fields:
        yield f"body of {where}", field.name, lambda wrong, of=fields: validate(of, {wrong: 1})
        inner = field.items or field
        for value in inner.values or ():
            if isinstance(value, str):
                yield (
                    f"{field.name} of {where}",
                    value,
                    lambda wrong, of=field: validate((of,), {of.name: [wrong] if of.items else wrong}),
                )
        yield from places_of_fields(f"{where}.{field.name}", inner.fields)


def validate(fields: tuple[Field, ...], body: dict[str, Any]) -> None:
    validator = BodyValidator(is_templated=lambda value: False)
    validator.validate(fields, (), body)
    raise AlvysValueError(
        "; ".join(problem for problem in validator.problems if " is missing" not in problem)
    )


def other_places() -> Iterator[Place]:
    for tier in {tier.name for stream in STREAMS.values() for tier in stream.tiers}:
        yield "tier", tier, lambda name: choose_syncs(None, name)
    for parent in DOCUMENT_STREAMS:
        yield "parent type", parent, document_stream_of
    for stream in ("loads", "trips"):
        yield f"status of {stream}", "Delivered", lambda name, of=stream: check_statuses(of, [name])
    for file_format in ("jsonl", "parquet"):
        yield "format", file_format, lambda name: check_format(name, None)
    yield "compression", "gzip", lambda name: check_format("jsonl", name)
    yield "compression", "zstd", lambda name: check_format("parquet", name)
    for conn_type in DIALECTS:
        yield "database", conn_type, get_dialect
    for warehouse in WAREHOUSES:
        yield "warehouse", warehouse, lambda name: write_sql(name, build_schema(get_stream("loads")))
    for choice in ("fail", "skip"):
        yield "on_missing_scope", choice, check_on_missing_scope
    for unit in UNITS:
        yield "every", unit, lambda name: cut_windows(*YEAR, name)


@pytest.mark.parametrize("places", [places_of_streams, places_of_operations, other_places])
def test_a_misspelled_name_is_an_error_that_suggests_the_right_one(
    places: Callable[[], Iterator[Place]],
) -> None:
    count = 0
    for place, name, take in places():
        with pytest.raises(AlvysValueError) as caught:
            take(misspelled(name))
        assert f"Did you mean {name}?" in str(caught.value), f"{place}: {caught.value}"
        count += 1
    assert count > 10


@pytest.mark.parametrize("parent", DOCUMENT_STREAMS)
def test_a_misspelled_document_type_is_a_hint_since_types_are_free_text(parent: str) -> None:
    upload = OPERATIONS[f"{parent}_documents.upload"].upload
    assert upload is not None
    for name in upload.document_types:
        assert suggest_types(parent, [name.upper()]) == ""
        if "(" in name:
            # Its other name is still right.
            continue
        assert name in suggest_types(parent, [misspelled(name)])
        message = DocumentExists(parent=parent, id="1", types=[misspelled(name)]).evaluate([]).message
        assert f"(Did you mean {name}?)" in message
    assert suggest_types(parent, ["zzzz"]) == ""


def test_a_suggestion_replaces_the_list_of_all_names() -> None:
    with pytest.raises(AlvysValueError) as caught:
        get_stream("laods")
    assert "loads" in str(caught.value)
    assert not any(name in str(caught.value) for name in STREAMS if name != "loads")


def test_a_name_that_is_like_no_other_gets_a_list() -> None:
    with pytest.raises(AlvysValueError) as caught:
        get_stream("zzzz")
    assert all(name in str(caught.value) for name in STREAMS)
    assert suggest("zzzz", range(100, 200), "Numbers").endswith("149 and 50 more.")
    assert "none" in suggest("zzzz", [], "Numbers")


@pytest.mark.parametrize("given", ["TRIP_STOPS", "trip stops", "trip-stops", "TripStops", "tripstop"])
def test_case_and_separators_do_not_matter(given: str) -> None:
    assert suggest(given, ["loads", "trip_stops"], "Streams") == " Did you mean trip_stops?"


def test_only_one_module_looks_for_close_names() -> None:
    package = Path(airflow_provider_alvys.__file__).parent
    users = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any(alias.name == "difflib" for alias in node.names)
    }
    assert users == {"api/suggestions.py"}
