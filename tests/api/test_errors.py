from __future__ import annotations

import pickle

import pytest
import requests

from airflow_provider_alvys.api.errors import (
    AlvysConflictError,
    AlvysConnectionError,
    AlvysPreconditionError,
    AlvysRefusedError,
    AlvysServerError,
    AlvysValidationError,
    error_from_response,
)


def answer(
    status: int, body: bytes = b"", content_type: str = "application/json", **headers: str
) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = body
    response.headers.update({"content-type": content_type, **headers})
    return response


def error(response: requests.Response) -> Exception:
    return error_from_response(response, endpoint="PATCH loads/{id}", now=0)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            b'{"Type":"t","Title":"Bad Request","Status":400,"Detail":"No.","Errors":{"OrderNumber":["Too long.","Blank."]}}',
            "Bad Request: No.; OrderNumber: Too long. Blank.",
        ),
        (
            b'{"title":"Bad Request","status":400,"traceId":"00-1"}',
            "Bad Request. Correct these fields. \\(request 00-1\\)",
        ),
        (b'{"Statuses":["Required."],"Ids":["Required."]}', "Statuses: Required.; Ids: Required."),
        (b"[1]", "answered 400\\. Correct"),
        (b"{", "answered 400\\. Correct"),
        (b"", "answered 400\\. Correct"),
    ],
)
def test_both_shapes_of_a_validation_error_are_read(body: bytes, text: str) -> None:
    with pytest.raises(AlvysValidationError, match=text):
        raise error(answer(400, body))


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (409, AlvysConflictError, "decide anew"),
        (412, AlvysPreconditionError, "send its new ETag as If-Match"),
        (428, AlvysPreconditionError, "send its ETag as If-Match"),
        (422, AlvysRefusedError, "Correct the request"),
        (502, AlvysServerError, "Try again later"),
    ],
)
def test_each_status_says_what_to_do(status: int, kind: type[Exception], advice: str) -> None:
    with pytest.raises(kind, match=advice):
        raise error(answer(status, b"<html>", "text/html"))


def test_a_long_detail_is_cut_and_the_request_is_named() -> None:
    problem = error(answer(500, b'{"Detail":"%b"}' % (b"x" * 9000), **{"cf-ray": "8a1b"}))
    assert len(str(problem)) < 700
    assert "(request 8a1b)" in str(problem)


def test_errors_survive_a_pickle() -> None:
    for problem in (
        error(answer(400, b'{"A":["b"]}')),
        AlvysConnectionError("none", arrived=False, endpoint="GET loads"),
    ):
        copy = pickle.loads(pickle.dumps(problem))
        assert (type(copy), str(copy), vars(copy)) == (type(problem), str(problem), vars(problem))
