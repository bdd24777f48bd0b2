"""Exceptions: one type for each failure that a caller handles differently."""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_alvys.api.problems import Problem, parse_problem
from airflow_provider_alvys.api.scrubbing import scrub

if TYPE_CHECKING:
    import requests


class AlvysError(Exception):
    """
    Base class of all errors of this package.

    :param message: what happened, why, and what to do, without secrets.
    :param status_code: HTTP status, or None without a response.
    :param retry_after: seconds after which the server allows a retry, or None.
    :param endpoint: the call, such as ``POST loads/search``.
    :param request_id: id under which Alvys, or the edge before it, logged the request.
    :param problem_type: kind of problem, if the response names one, such as ``EndpointDisabled``.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        retry_after: float | None = None,
        endpoint: str | None = None,
        request_id: str | None = None,
        problem_type: str | None = None,
    ) -> None:
        super().__init__(message)
        self.problem_type = problem_type
        self.status_code = status_code
        self.retry_after = retry_after
        self.endpoint = endpoint
        self.request_id = request_id

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without a call of ``__init__``, which may need further arguments."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class AlvysValueError(AlvysError, ValueError):
    """An argument or a setting is not valid; usually raised before anything is sent."""


class AlvysConnectionError(AlvysError):
    """
    No complete response: unknown host, connection refused or lost, or a timeout.

    :param arrived: False if the request certainly did not reach the server.
    :param is_permanent: whether a retry can only fail again, as for an untrusted certificate.
    """

    def __init__(
        self, message: str, *, arrived: bool = True, is_permanent: bool = False, endpoint: str | None = None
    ) -> None:
        super().__init__(message, endpoint=endpoint)
        self.arrived = arrived
        self.is_permanent = is_permanent


class AlvysResponseError(AlvysError):
    """A response that cannot be decoded, is a redirect, or contradicts itself."""


class AlvysTooLargeError(AlvysResponseError):
    """A response that is larger than the connection allows."""


class AlvysAuthError(AlvysError):
    """The credentials, or a new token, were rejected."""


class AlvysPermissionError(AlvysError):
    """
    403: the token lacks a scope, or something else denies access.

    :param missing_scope: the scope, if the token lacks it or its scopes are not known; else None.
    """

    def __init__(self, message: str, *, missing_scope: str | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.missing_scope = missing_scope


class AlvysNotFoundError(AlvysError):
    """
    404: Alvys has no such record or path.

    :param is_stray: whether a retry may help: a search exists, whatever it finds.
    """

    def __init__(self, message: str, *, is_stray: bool = False, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.is_stray = is_stray


class AlvysValidationError(AlvysError):
    """
    400: Alvys rejected fields of the request.

    :param fields: maps each field to Alvys's messages about it.
    """

    def __init__(self, message: str, *, fields: Mapping[str, list[str]] | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.fields = dict(fields or {})


class AlvysConflictError(AlvysError):
    """409: the record exists already, or it is settled and cannot change. A retry fails in the same way."""


class AlvysPreconditionError(AlvysError):
    """
    412 or 428: the version that was sent (``If-Match``) is stale or missing.

    :param sent_etag: ETag that was sent, for a write of the catalogue.
    :param current_etag: ETag of the record now; None if it could not be read.
    :param sent_stamp: when the sent version was last changed; None if that is not known.
    :param current_stamp: the same for the current version.
    """

    def __init__(
        self,
        message: str,
        *,
        sent_etag: str | None = None,
        current_etag: str | None = None,
        sent_stamp: str | None = None,
        current_stamp: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(message, **kwargs)
        self.sent_etag = sent_etag
        self.current_etag = current_etag
        self.sent_stamp = sent_stamp
        self.current_stamp = current_stamp


class AlvysRefusedError(AlvysError):
    """422 and other 4xx: a business rule, or a call that the endpoint does not support."""


class AlvysRateLimitError(AlvysError):
    """429: too many requests."""


class AlvysServerError(AlvysError):
    """5xx: Alvys failed."""


class AlvysGatewayError(AlvysServerError):
    """
    A gateway in front of Alvys, such as a proxy or a firewall, responded in its place, with any status.

    It says nothing about the record, the scopes or the credentials, and a write may have taken effect.
    """


class AlvysUnknownOutcomeError(AlvysError):
    """
    The response to a write was lost, so the write may or may not have happened.

    :param check: how to find out.
    :param may_repeat: whether to send the same write again is safe.
    """

    def __init__(self, message: str, *, check: str, may_repeat: bool = False, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.check = check
        self.may_repeat = may_repeat


class AlvysIncompleteError(AlvysError):
    """
    A set of rows could not be proved complete; no cursor moved.

    :param passes: how often the set was read.
    :param rows: different rows that the last pass saw.
    :param total: rows in the set, by the last response.
    :param manifest: path of the manifest of the rows that landed nevertheless (``fail_on_open``), or None.
    """

    passes: int | None = None
    rows: int | None = None
    total: int | None = None
    manifest: str | None = None


class AlvysDownloadError(AlvysError):
    """A document could not be downloaded from the storage behind Alvys."""


class AlvysStorageError(AlvysError):
    """A file of the data set is missing, damaged, or not of the expected kind."""


class AlvysTableError(AlvysError):
    """Landed rows cannot be loaded, or a table of the database is not as expected."""


class AlvysDifferenceError(AlvysError):
    """Tables or files differ from Alvys or from each other. A retry would find the same."""


class AlvysWebhookError(AlvysError):
    """
    A delivery to a webhook that is not a valid event.

    Answer it with ``status_code``; Alvys does not retry it then. The message is for the receiver's log: it
    contains no secret, but is not meant for the sender.
    """

    def __init__(self, message: str, *, status_code: int = 400, **kwargs: Any) -> None:
        super().__init__(message, status_code=status_code, **kwargs)


class AlvysSignatureError(AlvysWebhookError):
    """
    A delivery without a valid, recent signature: forged, altered, replayed late, or the clock is wrong.

    :param reason: ``malformed``: a header is missing or not valid. ``signature``: no signature matches.
        ``stale`` or ``future``: it matches, but its time is too far from now.
    """

    def __init__(
        self, message: str, *, reason: Literal["malformed", "signature", "stale", "future"], **kwargs: Any
    ) -> None:
        super().__init__(message, **{"status_code": 401, **kwargs})
        self.reason = reason


_NOT_RETRYABLE = (
    AlvysAuthError,
    AlvysPermissionError,
    AlvysValidationError,
    AlvysNotFoundError,
    AlvysConflictError,
    AlvysPreconditionError,
    AlvysRefusedError,
    AlvysTooLargeError,
    AlvysDifferenceError,
)


def is_hopeless(error: BaseException) -> bool:
    """
    Return whether a retry can only fail again, or might write twice.

    :param error: any error of a call to Alvys.
    """
    if isinstance(error, AlvysNotFoundError) and error.is_stray:
        return False
    may_write_twice = isinstance(error, AlvysUnknownOutcomeError) and not error.may_repeat
    return may_write_twice or isinstance(error, _NOT_RETRYABLE)


_BY_STATUS: dict[int, tuple[type[AlvysError], str]] = {
    400: (AlvysValidationError, "Correct the request"),
    401: (AlvysAuthError, "The token is not valid: check the client id and secret of the connection"),
    403: (AlvysPermissionError, "Grant the missing scope to this API client in Alvys"),
    404: (AlvysNotFoundError, "Check the path and the id in it"),
    407: (AlvysGatewayError, "Give the proxy's credentials in HTTPS_PROXY"),
    408: (AlvysServerError, "Try again later"),
    409: (
        AlvysConflictError,
        "The record exists already, or is settled and cannot change: do not retry, post a correction instead",
    ),
    412: (AlvysPreconditionError, "Read the record again and send its new ETag as If-Match"),
    428: (AlvysPreconditionError, "Read the record and send its ETag as If-Match"),
    429: (AlvysRateLimitError, "Lower requests_per_minute on the connection, or run fewer tasks at once"),
}
_DEFAULT_CLIENT_ERROR = (AlvysRefusedError, "Correct the request")
_DEFAULT_SERVER_ERROR = (AlvysServerError, "Try again later")
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "cf-ray")
_MAX_HEADER_CHARS, _MAX_FIELDS_IN_ADVICE = 100, 5
_GATEWAY_HEADERS = ("content-type", "server", "via")


def read_problem(response: requests.Response) -> Problem:
    """
    Return the content of an error body of Alvys; an empty problem for any other body.

    :param response: a response with status 400 or above.
    """
    return parse_problem(response.content, status=response.status_code) or Problem()


def error_from_response(
    response: requests.Response,
    *,
    endpoint: str,
    now: float,
    advice: str | None = None,
    quote_body: bool = True,
) -> AlvysError:
    """
    Return the typed error for a response with status 400 or above, without secrets.

    :param response: the response.
    :param endpoint: the call, such as ``POST loads/search``, for the message.
    :param now: time of the response in seconds since 1970, for a ``Retry-After`` that is a date.
    :param advice: what to do about it; None means the advice for the status.
    :param quote_body: False for an endpoint whose errors may contain secrets; its errors may have any form.
    """
    status = response.status_code
    default = _DEFAULT_SERVER_ERROR if status >= 500 else _DEFAULT_CLIENT_ERROR
    error_type, default_advice = _BY_STATUS.get(status, default)
    problem = parse_problem(response.content, status=status) if quote_body else Problem()
    # The rate limit is the network's, which sends a page of its own.
    if problem is None and error_type is not AlvysRateLimitError:
        return gateway_error(response, endpoint=endpoint, now=now)
    problem = problem or Problem()
    if error_type is AlvysValidationError and problem.fields and advice is None:
        advice = f"Correct {', '.join(list(problem.fields)[:_MAX_FIELDS_IN_ADVICE])} in the request"
    detail = f": {problem.text.rstrip('.')}" if problem.text else ""
    fields = {"fields": problem.fields} if error_type is AlvysValidationError else {}
    attributes = _attributes(response, endpoint, now, problem) | fields
    message = f"{endpoint} answered {status}{detail}. {advice or default_advice}.{_suffix(attributes)}"
    return error_type(message, **attributes)


def gateway_error(response: requests.Response, *, endpoint: str, now: float) -> AlvysGatewayError:
    """
    Return the error for a response with status 400 or above that is not Alvys's own.

    The arguments are those of :func:`error_from_response`.
    """
    named = {name: scrub(response.headers.get(name, ""), _MAX_HEADER_CHARS) for name in _GATEWAY_HEADERS}
    hints = ", ".join(f"{name}: {value}" for name, value in named.items() if value)
    attributes = _attributes(response, endpoint, now, Problem())
    return AlvysGatewayError(
        f"A gateway in front of Alvys refused {endpoint} with {response.status_code}"
        f"{f' ({hints})' if hints else ''}: the response is not one of Alvys's. Check proxies and firewalls "
        f"on the way, and the host and auth_url of the connection.{_suffix(attributes)}",
        **attributes,
    )


def _attributes(response: requests.Response, endpoint: str, now: float, problem: Problem) -> dict[str, Any]:
    ids = (response.headers[name] for name in _REQUEST_ID_HEADERS if name in response.headers)
    return {
        "status_code": response.status_code,
        "retry_after": parse_retry_after(response, now),
        "endpoint": endpoint,
        "request_id": problem.trace_id or scrub(next(ids, ""), _MAX_HEADER_CHARS) or None,
        # The type may be a URL that ends in the name.
        "problem_type": (problem.type or "").rstrip("/").rpartition("/")[2] or None,
    }


def _suffix(attributes: Mapping[str, Any]) -> str:
    wait = f" Retry after {attributes['retry_after']:g} s." if attributes["retry_after"] else ""
    return f"{wait} (request {attributes['request_id']})" if attributes["request_id"] else wait


def parse_retry_after(response: requests.Response, now: float) -> float | None:
    """
    Return ``Retry-After`` in seconds: an integer, a decimal or an HTTP date; None if missing or not valid.

    A date is compared with the server's own ``Date``, if it sent one.

    :param response: the response.
    :param now: time of the response in seconds since 1970.
    """
    text = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        date = parse_http_date(text)
        if date is None:
            return None
        sent = parse_http_date(response.headers.get("date", ""))
        seconds = max(0.0, date - (now if sent is None else sent))
    return seconds if 0 <= seconds < float("inf") else None


def parse_http_date(text: str) -> float | None:
    """
    Return an HTTP date, in any of its three forms, as seconds since 1970; None if it is not valid.

    :param text: the header's value.
    """
    try:
        date = parsedate_to_datetime(text)
        # Two forms name no zone, or -0000, which Python takes for local time.
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
