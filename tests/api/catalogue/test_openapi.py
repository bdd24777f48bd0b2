"""Every request of the client is valid by Alvys's OpenAPI file, if that file is available."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import jsonschema
import pytest

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Filter, Stream
from airflow_provider_alvys.api.read.lookup import VersionedRecord, look_up
from airflow_provider_alvys.api.read.queries import Query, make_search_queries
from tests.conftest import ROOT

FILE = ROOT.parent / "shared" / "alvys" / "openapi.json"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="Alvys's OpenAPI file is not available")

# Fields that are missing from the file, and where they are documented.
EXCEPTIONS = {
    ("trips", "DriverId"): "in the changelog of 2026-06-19 only",
    ("trips", "TruckId"): "in the changelog of 2026-06-19 only",
    ("trips", "TrailerId"): "in the changelog of 2026-06-19 only",
}
WINDOW = {"since": "2026-03-01T00:00:00Z", "until": "2026-03-20T00:00:00Z"}


@functools.cache
def spec() -> dict[str, Any]:
    return json.loads(FILE.read_bytes())


def plain(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def operation(method: str, template: str) -> dict[str, Any]:
    for path, methods in spec()["paths"].items():
        if plain(path.removeprefix("/api/p/v{version}/")) == plain(template) and method.lower() in methods:
            return methods[method.lower()]
    raise AssertionError(f"{method} {template} is not in the file")


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    for part in schema.get("allOf", []):
        schema = {**schema, **resolve(part)}
    if "$ref" in schema:
        return resolve(spec()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return schema


def check_body(stream: Stream, call: dict[str, Any], body: dict[str, Any]) -> None:
    schema = call["requestBody"]["content"]["application/json"]["schema"]
    known = {name: value for name, value in body.items() if (stream.name, name) not in EXCEPTIONS}
    validator = jsonschema.Draft7Validator({**schema, "components": spec()["components"]})
    assert not [error.message for error in validator.iter_errors(known)]
    # The schema allows additional properties.
    assert known.keys() <= resolve(schema)["properties"].keys()


def check_params(call: dict[str, Any], params: dict[str, Any]) -> None:
    known = {
        parameter["name"]: parameter for parameter in call.get("parameters", []) if parameter["in"] == "query"
    }
    for name, value in params.items():
        wanted = resolve(known[name]["schema"]).get("type")
        given = {"integer": int, "array": list, "string": str, "boolean": str, None: object}[wanted]
        assert isinstance(value, given), f"{name}={value!r} is not of type {wanted}"
    assert {name for name, parameter in known.items() if parameter.get("required")} <= params.keys()


def example(filter: Filter) -> Any:
    if filter.type == "strings":
        return list(filter.values or ("x", "y"))
    return {"string": (filter.values or ("x",))[0], "boolean": True, "integer": (filter.values or (1,))[0]}[
        filter.type
    ]


def queries_of(stream: Stream) -> list[Query]:
    """Return all queries of a full read and of each window, without and with filters."""
    parents = ["1", "2"] if stream.parent else None
    every = {filter.name: example(filter) for filter in stream.filters if not filter.ignored}
    together = [{**every} for _ in stream.mutually_exclusive] or [every]
    for filters, only in zip(together, stream.mutually_exclusive, strict=False):
        for name in set(stream.mutually_exclusive) - {only}:
            del filters[name]
    found: list[Query] = []
    for filters in ({}, *together):
        if stream.full_read:
            found += make_search_queries(
                stream, filters, since=None, until=None, window_by=None, parents=parents
            )
        for window in stream.windows:
            found += make_search_queries(stream, filters, **WINDOW, window_by=window.name, parents=parents)
            if not (window.max_length or window.needs_end):
                since = WINDOW["since"]
                found += make_search_queries(
                    stream, filters, since=since, until=None, window_by=window.name, parents=parents
                )
    return found


@pytest.mark.parametrize("stream", STREAMS.values(), ids=lambda stream: stream.name)
def test_every_request_of_a_stream_is_valid(stream: Stream) -> None:
    call = operation(stream.method, stream.path)
    queries = queries_of(stream)
    assert queries
    for query in queries:
        request = query.request(0, stream.page_size)
        if stream.method == "POST":
            check_body(stream, call, request["json"])
        else:
            check_params(call, request["params"] or {})


class RecordingClient:
    """Record the calls that a client would make."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    def call(
        self, method: str, path: str, *, read: Any, params: dict[str, Any] | None = None
    ) -> VersionedRecord:
        self.calls.append((method, path, params or {}))
        return VersionedRecord({}, None)


@pytest.mark.parametrize(
    "stream", [stream for stream in STREAMS.values() if stream.lookup], ids=lambda stream: stream.name
)
def test_every_look_up_is_valid(stream: Stream) -> None:
    assert stream.lookup
    in_path = dict.fromkeys(re.findall(r"\{(\w+)\}", stream.lookup.path), "7")
    selectors = [{**in_path, name: "7"} for name in stream.lookup.one_of] or [in_path]
    call = operation("GET", stream.lookup.path)
    for selector in selectors:
        client = RecordingClient()
        look_up(client, stream, {**selector, **dict.fromkeys(stream.lookup.options, True)})  # type: ignore[arg-type]
        ((method, path, params),) = client.calls
        assert method == "GET"
        assert plain(stream.lookup.path).replace("{}", "7") == path
        check_params(call, params)


def test_every_exception_is_still_needed() -> None:
    for name, field in EXCEPTIONS:
        call = operation(STREAMS[name].method, STREAMS[name].path)
        assert (
            field not in resolve(call["requestBody"]["content"]["application/json"]["schema"])["properties"]
        )
