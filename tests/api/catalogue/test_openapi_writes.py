"""Every write is valid by Alvys's OpenAPI file as it is sent, if that file is available."""

from __future__ import annotations

import json
from email.parser import BytesParser
from typing import Any

import jsonschema
import pytest

from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from tests.api.catalogue.test_openapi import FILE, operation, resolve, spec
from tests.conftest import SkippingClock
from tests.recorder import RecordedRequest, Recorder
from tests.writes import PDF, request_of, write

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="Alvys's OpenAPI file is not available")

# Fields that are sent but missing from the file, and where they are documented.
FIELDS = {
    ("webhooks.create", "IncludePreviousAttributes"): "on the page only",
    ("webhooks.update", "IncludePreviousAttributes"): "on the page only",
    ("tenders.create", "References[].Type"): "in the changelog only",
    ("tenders.update", "References[].Type"): "in the changelog only",
    ("tenders.cancel", "References[].Type"): "in the changelog only",
}
HEADERS = {
    ("customers.update", "If-Match"): "required by the page",
    ("customers.delete", "If-Match"): "required by the page",
    ("carriers.set_status", "If-Match"): "optional by the page",
    ("tenders.accept", "If-Match"): "in a guide, if Alvys has enabled it",
    ("tenders.accept_updates", "If-Match"): "in a guide, if Alvys has enabled it",
    ("tenders.accept_cancel", "If-Match"): "in a guide, if Alvys has enabled it",
    ("tenders.reject", "If-Match"): "in a guide, if Alvys has enabled it",
    ("tenders.create", "Idempotency-Key"): "recommended by a guide",
}
# Operations that are missing from the file, and where they are documented.
NEW = {"trips.record_location": "on a page of September 2026: section k.2 of the digest"}
every_operation = pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in NEW])


def send(name: str, recorder: Recorder, clock: SkippingClock) -> RecordedRequest:
    row = OPERATIONS[name]
    write(
        recorder.client(clock), name, if_match=None if row.if_match == "none" else '"v1"', **request_of(name)
    )
    (seen,) = recorder.requests
    return seen


def with_null(schema: Any) -> Any:
    """Return a schema with ``nullable`` expressed in JSON Schema."""
    if isinstance(schema, list):
        return [with_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: with_null(item) for name, item in schema.items()}
    return {"anyOf": [inner, {"type": "null"}]} if schema.get("nullable") is True else inner


def problems(body: Any, schema: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft7Validator(with_null({**schema, "components": spec()["components"]}))
    return [error.message for error in validator.iter_errors(body)]


def without(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without the fields that the file does not have."""
    excepted = {field for operation, field in FIELDS if operation == name}
    body = {field: value for field, value in body.items() if field not in excepted}
    if "References[].Type" in excepted:
        text = json.dumps(body).replace('"Type": "BillOfLading"', '"Id": "1"')
        body = json.loads(text)
    return body


def form(seen: RecordedRequest) -> dict[str, bytes]:
    message = BytesParser().parsebytes(
        b"Content-Type: " + seen.headers["content-type"].encode() + b"\r\n\r\n" + seen.body
    )
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)  # type: ignore[misc]
        for part in message.get_payload()  # type: ignore[union-attr]
    }


@every_operation
def test_a_write_is_valid_by_the_file(name: str, recorder: Recorder, clock: SkippingClock) -> None:
    row = OPERATIONS[name]
    call = operation(row.method, row.path)
    seen = send(name, recorder, clock)
    version = next(p["schema"]["default"] for p in call["parameters"] if p["name"] == "version")
    assert seen.path.startswith(f"/api/p/v{version}/")
    content = call.get("requestBody", {}).get("content", {})
    if not content:
        assert seen.body == b""
        assert seen.headers.get("content-length", "0") == "0"
    elif "multipart/form-data" in content:
        schema = resolve(content["multipart/form-data"]["schema"])
        fields = form(seen)
        assert fields["File"] == PDF
        assert fields.keys() <= schema["properties"].keys()
        assert set(schema["required"]) <= fields.keys()
    else:
        assert seen.headers["content-type"] in content
        body = json.loads(seen.body)
        schema = content["application/json"]["schema"]
        assert problems(without(name, body), schema) == []
        assert without(name, body).keys() <= resolve(schema)["properties"].keys()


@every_operation
def test_the_headers_of_a_write_are_in_the_file(name: str, recorder: Recorder, clock: SkippingClock) -> None:
    row = OPERATIONS[name]
    known = {p["name"]: p for p in operation(row.method, row.path)["parameters"] if p["in"] == "header"}
    seen = send(name, recorder, clock)
    sent = {header for header in ("If-Match", "Idempotency-Key") if header.lower() in seen.headers}
    assert sent - known.keys() == {header for operation_name, header in HEADERS if operation_name == name}
    assert {header for header, p in known.items() if p.get("required")} <= sent
    assert ("If-Match" in sent) == (row.if_match != "none")


@pytest.mark.parametrize("name", NEW)
def test_each_new_operation_is_still_missing(name: str) -> None:
    with pytest.raises(AssertionError, match="is not in the file"):
        operation(OPERATIONS[name].method, OPERATIONS[name].path)


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_each_exception_is_still_needed(
    name: str, field: str, recorder: Recorder, clock: SkippingClock
) -> None:
    row = OPERATIONS[name]
    schema = operation(row.method, row.path)["requestBody"]["content"]["application/json"]["schema"]
    body = json.loads(send(name, recorder, clock).body)
    assert problems(body, schema)
    assert problems(without(name, body), schema) == []


@every_operation
def test_fields_that_the_file_requires_are_required(name: str) -> None:
    row = OPERATIONS[name]
    content = operation(row.method, row.path).get("requestBody", {}).get("content", {})
    if not content:
        assert row.body == ()
        return
    schema = resolve(next(iter(content.values()))["schema"])
    required = {field.name for field in row.body if field.required}
    assert set(schema.get("required", ())) - {"File"} <= required
    # The page requires these, or there is no other field.
    assert required - set(schema.get("required", ())) <= {"Name", "OrderNumber"}
    assert {field.name for field in row.body} - schema["properties"].keys() == {
        field for operation_name, field in FIELDS if operation_name == name and "." not in field
    }
    assert schema["properties"].keys() - {field.name for field in row.body} <= {"File"}
