from __future__ import annotations

import pickle
import time
from collections.abc import Iterator

import pytest
import requests

from airflow_provider_alvys.api.errors import (
    AlvysConflictError,
    AlvysConnectionError,
    AlvysError,
    AlvysPreconditionError,
    AlvysRefusedError,
    AlvysServerError,
    AlvysValidationError,
    error_from_response,
    parse_http_date,
)


def answer(
    status: int, body: bytes = b"", content_type: str = "application/json", **headers: str
) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = body
    response.headers.update({"content-type": content_type, **headers})
    return response


def error(response: requests.Response) -> AlvysError:
    return error_from_response(response, endpoint="PATCH loads/{id}", now=0)


@pytest.mark.parametrize(
    ("body", "fields", "quoted"),
    [
        (
            b'{"Type":"t","Title":"Bad Request","Status":400,"Detail":"No.",'
            b'"Errors":{"OrderNumber":["Too long.","Blank."]}}',
            {"OrderNumber": ["Too long.", "Blank."]},
            "400: Bad Request: No.; OrderNumber: Too long. Blank. ",
        ),
        (b'{"title":"Bad Request","status":400,"traceId":"00-1"}', {}, "400: Bad Request. "),
        (
            b'{"Statuses":["Required."],"Ids":["Required."]}',
            {"Statuses": ["Required."], "Ids": ["Required."]},
            "400: Statuses: Required.; Ids: Required. ",
        ),
        (b"[1]", {}, "400. "),
        (b"{", {}, "400. "),
        (b"", {}, "400. "),
    ],
)
def test_both_shapes_of_a_validation_error_are_parsed(
    body: bytes, fields: dict[str, list[str]], quoted: str
) -> None:
    problem = error(answer(400, body))
    assert isinstance(problem, AlvysValidationError)
    assert problem.fields == fields
    assert quoted in str(problem)
    assert problem.request_id == ("00-1" if b"traceId" in body else None)


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (409, AlvysConflictError, "Read the record again"),
        (412, AlvysPreconditionError, "new ETag as If-Match"),
        (428, AlvysPreconditionError, "its ETag as If-Match"),
        (422, AlvysRefusedError, "Correct the request"),
        (502, AlvysServerError, "Try again later"),
    ],
)
def test_each_status_has_a_type_and_advice(status: int, kind: type[AlvysError], advice: str) -> None:
    problem = error(answer(status, b"<html>", "text/html"))
    assert (type(problem), problem.status_code) == (kind, status)
    assert advice in str(problem)


@pytest.fixture(params=["UTC", "Asia/Kolkata", "America/Chicago"])
def machine_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("machine_zone")
@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 -0000",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 14:19:37 +0530",
    ],
)
def test_an_http_date_is_in_utc_whatever_the_zone_of_the_machine(text: str) -> None:
    assert parse_http_date(text) == 784111777
    limited = answer(429, **{"retry-after": text, "date": "Sun Nov  6 08:49:30 1994"})
    assert error(limited).retry_after == 7
    limited = answer(429, **{"retry-after": text})
    assert error_from_response(limited, endpoint="GET loads", now=784111770).retry_after == 7


@pytest.mark.parametrize("text", ["", "soon", "Sun, 99 Nov 1994 08:49:37 GMT", "06 Nov", "nan", "-inf"])
def test_an_http_date_that_is_not_valid_is_none(text: str) -> None:
    assert parse_http_date(text) is None
    assert error(answer(429, **{"retry-after": text})).retry_after is None


def test_a_long_detail_is_truncated_and_the_request_id_is_kept() -> None:
    problem = error(answer(500, b'{"Detail":"%b"}' % (b"x" * 9000), **{"cf-ray": "8a1b"}))
    assert len(str(problem)) < 700
    assert problem.request_id == "8a1b"
    assert "8a1b" in str(problem)


def test_errors_survive_a_pickle() -> None:
    for problem in (
        error(answer(400, b'{"A":["b"]}')),
        AlvysConnectionError("none", arrived=False, endpoint="GET loads"),
    ):
        copy = pickle.loads(pickle.dumps(problem))
        assert (type(copy), str(copy), vars(copy)) == (type(problem), str(problem), vars(problem))
