"""The catalogue of writes: that its rows are whole, and agree with the rest."""

from __future__ import annotations

import re

import pytest

from airflow_provider_alvys.api.catalogue.endpoints import endpoint_of
from airflow_provider_alvys.api.catalogue.operations import OPERATIONS, Operation, get_operation
from airflow_provider_alvys.api.catalogue.streams import STREAMS, scope_of
from airflow_provider_alvys.api.errors import AlvysValueError

every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


def test_there_are_41_writes_and_no_two_make_the_same_call() -> None:
    assert len(OPERATIONS) == 41
    assert len(
        {row.endpoint for row in OPERATIONS.values()} | {row.endpoint for row in STREAMS.values()}
    ) == 41 + len({row.endpoint for row in STREAMS.values()})
    assert not any(row.endpoint.is_read for row in OPERATIONS.values())


@every_operation
def test_a_row_is_named_after_a_stream(operation: Operation) -> None:
    assert operation.name.partition(".")[0] in STREAMS


@every_operation
def test_an_endpoint_keeps_its_words_and_hides_its_ids(operation: Operation) -> None:
    path = operation.path
    for name in operation.path_params:
        path = path.replace(f"{{{name}}}", "X-1")
    assert endpoint_of(operation.method, path) == operation.endpoint
    assert "X-1" not in str(operation.endpoint)
    assert operation.endpoint.template == re.sub(r"\{\w+\}", "{id}", operation.path)


@every_operation
def test_a_row_says_why_it_may_be_repeated_or_not_and_how_its_outcome_is_found(operation: Operation) -> None:
    assert operation.retry_reason[0].isupper()
    assert operation.check[0].islower()
    assert not (operation.retry_reason + operation.check).endswith(".")
    known = {*operation.path_params, *(field.name for field in operation.body)}
    assert set(re.findall(r"\{(\w+)\}", operation.check)) <= known


@every_operation
def test_what_may_be_repeated_follows_from_how_it_is_sent(operation: Operation) -> None:
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
def test_a_version_stands_in_a_record_that_can_be_looked_up(operation: Operation) -> None:
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
def test_rules_name_fields_that_there_are(operation: Operation) -> None:
    names = {field.name for field in operation.body}
    for rule in operation.rules:
        assert {getattr(rule, "name", None), getattr(rule, "beside", None), *getattr(rule, "names", ())} - {
            None
        } <= names


@every_operation
def test_a_403_names_the_scope_of_a_write(operation: Operation) -> None:
    assert scope_of(operation.endpoint) == operation.scope


def test_an_unknown_operation_is_told_with_what_it_may_have_meant() -> None:
    with pytest.raises(
        AlvysValueError, match=r"no operation 'trips.asign'. Did you mean trips.assign\? Operations: "
    ):
        get_operation("trips.asign")
    with pytest.raises(AlvysValueError, match="There is no operation None"):
        get_operation(None)  # type: ignore[arg-type]
