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
    AlvysGatewayError,
    AlvysNotFoundError,
    AlvysPreconditionError,
    AlvysRateLimitError,
    AlvysRefusedError,
    AlvysServerError,
    AlvysSignatureError,
    AlvysUnknownOutcomeError,
    AlvysValidationError,
    error_from_response,
    is_hopeless,
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
        (b"", {}, "400. "),
        (b" {}", {}, "400. "),
        (b'\xef\xbb\xbf{"Statuses":["Required."]}', {"Statuses": ["Required."]}, "Statuses: Required. "),
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
        (404, AlvysNotFoundError, "Check the path"),
        (407, AlvysGatewayError, "HTTPS_PROXY"),
        (409, AlvysConflictError, "post a correction"),
        (412, AlvysPreconditionError, "new ETag as If-Match"),
        (428, AlvysPreconditionError, "its ETag as If-Match"),
        (422, AlvysRefusedError, "Correct the request"),
        (502, AlvysServerError, "Try again later"),
        (600, AlvysServerError, "Try again later"),
    ],
)
def test_each_status_has_a_type_and_advice(status: int, kind: type[AlvysError], advice: str) -> None:
    for body in (b"", b'{"title":"T","status":%d,"traceId":"00-1"}' % status, b'{"Status":1,"Type":"t"}'):
        problem = error(answer(status, body))
        assert (type(problem), problem.status_code) == (kind, status)
        assert advice in str(problem)


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 428, 500, 502, 503, 999]
)
@pytest.mark.parametrize(
    "body",
    [
        b"<html>Access denied</html>",
        b"RBAC: access denied",
        b"{",
        b"[1]",
        b"null",
        b"[" * 100_000,
        b"\xff",
        b'{"message":"Forbidden"}',
        b'{"Message":null}',
        b'{"error":"Access denied","error_description":"no"}',
        b'{"errors":["Access denied"]}',
        b'{"fault":{"faultstring":"Invalid ApiKey","detail":{"errorcode":"oauth.v2"}}}',
        b'{"success":false,"errors":[{"code":1020,"message":"Access denied"}],"messages":[],"result":null}',
        b'{"timestamp":"2026-11-30","status":403,"error":"Forbidden","path":"/api"}',
        b'{"statusCode":404,"message":"Resource not found"}',
        b'{"detail":"Not Found"}',
        b'{"kind":"Status","status":"Failure","reason":"NotFound","code":404}',
        b'{"title":["no text"],"status":403}',
        b'{"type":"https://cloudflare.com/e/1010","title":"Error 1010","status":403,"ray_id":"8a1b"}',
    ],
    ids=lambda body: str(body[:30]),
)
def test_any_other_body_is_from_a_gateway(status: int, body: bytes) -> None:
    problem = error(
        answer(
            status, body, "text/html", server="edge", via="1.1 p", **{"retry-after": "7", "cf-ray": "8a1b"}
        )
    )
    assert type(problem) is AlvysGatewayError
    assert (problem.status_code, problem.retry_after, problem.request_id) == (status, 7, "8a1b")
    assert not is_hopeless(problem)
    for hint in ("gateway in front of Alvys", "content-type: text/html, server: edge, via: 1.1 p", "8a1b"):
        assert hint in str(problem)


def test_a_map_of_messages_is_alvyss_only_as_a_validation_error() -> None:
    assert type(error(answer(400, b'{"Ids":["Required."]}'))) is AlvysValidationError
    assert type(error(answer(403, b'{"Ids":["Required."]}'))) is AlvysGatewayError
    assert type(error(answer(400, b'{"Ids":"Required."}'))) is AlvysGatewayError


def test_a_rate_limit_may_have_any_body() -> None:
    assert type(error(answer(429, b"<html>", "text/html"))) is AlvysRateLimitError


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


def test_of_any_number_of_messages_some_are_kept() -> None:
    many = b",".join(b'"F%d":["a","b"]' % number for number in range(10_000))
    problem = error(answer(400, b'{"Title":"Bad","Errors":{%b}}' % many))
    assert isinstance(problem, AlvysValidationError)
    assert len(problem.fields) == 25
    assert problem.fields["F0"] == ["a", "b"]


def test_errors_survive_a_pickle() -> None:
    for problem in (
        error(answer(400, b'{"A":["b"]}')),
        AlvysConnectionError("none", arrived=False, endpoint="GET loads"),
        AlvysUnknownOutcomeError("lost", check="read the load", may_repeat=True, status_code=502),
        AlvysSignatureError("forged", reason="signature"),
    ):
        copy = pickle.loads(pickle.dumps(problem))
        assert (type(copy), str(copy), vars(copy)) == (type(problem), str(problem), vars(problem))
