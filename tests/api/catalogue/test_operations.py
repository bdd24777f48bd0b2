"""The rows of the catalogue of operations are complete and consistent."""

from __future__ import annotations

import re

import pytest

from airflow_provider_alvys.api.catalogue.endpoints import endpoint_of
from airflow_provider_alvys.api.catalogue.operations import OPERATIONS, Operation, get_operation
from airflow_provider_alvys.api.catalogue.streams import STREAMS, scope_of
from airflow_provider_alvys.api.errors import AlvysValueError

every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


def test_there_are_42_operations_with_different_endpoints() -> None:
    assert len(OPERATIONS) == 42
    endpoints = {row.endpoint for row in OPERATIONS.values()}
    assert len(endpoints) == 42
    assert endpoints.isdisjoint(row.endpoint for row in STREAMS.values())
    assert not any(row.endpoint.is_read for row in OPERATIONS.values())


@every_operation
def test_an_operation_is_named_after_a_stream(operation: Operation) -> None:
    assert operation.name.partition(".")[0] in STREAMS


@every_operation
def test_only_the_ids_of_a_path_become_placeholders(operation: Operation) -> None:
    path = operation.path
    for name in operation.path_params:
        path = path.replace(f"{{{name}}}", "X-1")
    assert endpoint_of(operation.method, path) == operation.endpoint
    assert "X-1" not in str(operation.endpoint)
    assert operation.endpoint.template == re.sub(r"\{\w+\}", "{id}", operation.path)


@every_operation
def test_an_operation_has_a_retry_reason_and_a_check(operation: Operation) -> None:
    assert operation.retry_reason[0].isupper()
    assert operation.check[0].islower()
    assert not (operation.retry_reason + operation.check).endswith(".")
    known = {*operation.path_params, *(field.name for field in operation.body)}
    assert set(re.findall(r"\{(\w+)\}", operation.check)) <= known


@every_operation
def test_the_retry_safety_is_consistent_with_the_method(operation: Operation) -> None:
    if operation.method in ("PUT", "DELETE"):
        assert operation.retry_safety in ("safe", "guarded")
    if operation.retry_safety == "guarded":
        assert operation.if_match == "required"
    if operation.retry_safety == "by_key":
        assert operation.idempotency_field in {field.name for field in operation.body if field.required}
    else:
        assert not operation.idempotency_field
    if operation.upload is not None:
        assert operation.retry_safety == "unsafe"


@every_operation
def test_the_etag_is_in_a_record_that_can_be_looked_up(operation: Operation) -> None:
    assert (operation.etag_source is None) == (operation.if_match == "none")
    if operation.etag_source is None:
        return
    stream = STREAMS[operation.etag_source.stream]
    assert stream.lookup is not None
    assert set(operation.etag_source.selectors.values()) <= set(operation.path_params)
    assert set(operation.etag_source.selectors) <= {
        *re.findall(r"\{(\w+)\}", stream.lookup.path),
        *stream.lookup.one_of,
    }
    if operation.etag_source.etag_field:
        assert operation.etag_source.etag_field in stream.fields.fields


@every_operation
def test_rules_name_existing_fields(operation: Operation) -> None:
    names = {field.name for field in operation.body}
    for rule in operation.rules:
        assert {getattr(rule, "name", None), getattr(rule, "other", None), *getattr(rule, "names", ())} - {
            None
        } <= names


@every_operation
def test_a_403_names_the_scope_of_a_write(operation: Operation) -> None:
    assert scope_of(operation.endpoint) == operation.scope


def test_an_unknown_operation_is_refused_with_a_suggestion() -> None:
    with pytest.raises(AlvysValueError, match="'trips.asign'.* trips.assign"):
        get_operation("trips.asign")
    with pytest.raises(AlvysValueError, match="None"):
        get_operation(None)  # type: ignore[arg-type]
