"""What can go wrong, one type for each thing that a caller would do differently about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import requests


class AlvysError(Exception):
    """
    The base of every error that this package raises.

    :param status_code: the HTTP status, or None where there was no answer.
    :param retry_after: seconds after which the server invites another try, or None.
    :param endpoint: the call, such as ``POST loads/search``.
    :param request_id: the id under which Alvys (or the edge before it) logged the request.
    :param problem_type: the kind of problem, where the answer names one, such as ``EndpointDisabled``.
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


class AlvysValueError(AlvysError, ValueError):
    """Something given by the user is wrong. Almost always told before anything is sent."""


class AlvysConnectionError(AlvysError):
    """
    There was no answer: host unknown, connection refused or cut, or a timeout.

    :param arrived: False when the request surely never reached the server.
    """

    def __init__(self, message: str, *, arrived: bool = True, endpoint: str | None = None) -> None:
        super().__init__(message, endpoint=endpoint)
        self.arrived = arrived


class AlvysResponseError(AlvysError):
    """An answer that cannot be read, or that cannot be true."""


class AlvysAuthError(AlvysError):
    """The credentials, or a token that was just fetched with them, were refused."""


class AlvysPermissionError(AlvysError):
    """
    403: the token lacks a scope, or something else refuses it.

    :param missing_scope: the scope, where the token is known to lack it, or where nothing tells which scopes it holds; else None.
    """

    def __init__(self, message: str, *, missing_scope: str | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.missing_scope = missing_scope


class AlvysNotFoundError(AlvysError):
    """
    404.

    :param is_stray: whether it says nothing for good: a search is there, whatever it finds.
    """

    def __init__(self, message: str, *, is_stray: bool = False, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.is_stray = is_stray


class AlvysValidationError(AlvysError):
    """
    400: Alvys refused the request's fields.

    :param fields: field name to the list of Alvys's messages about it.
    """

    def __init__(self, message: str, *, fields: Mapping[str, list[str]] | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.fields = dict(fields or {})


class AlvysConflictError(AlvysError):
    """409: the record exists already, or its state does not allow this."""


class AlvysPreconditionError(AlvysError):
    """
    412 or 428: the version sent (``If-Match``) is stale or missing.

    :param sent_etag: the version that was sent, where a write of the catalogue was.
    :param current_etag: the one that the record has now; None where it could not be read.
    :param sent_stamp: when the record had been changed as of the version sent, where that is known.
    :param current_stamp: and as of the current one.
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
    """422 and the other 4xx: a business rule, or a call that the endpoint does not take."""


class AlvysRateLimitError(AlvysError):
    """429: too many requests."""


class AlvysServerError(AlvysError):
    """5xx: Alvys failed."""


class AlvysUnknownOutcomeError(AlvysError):
    """
    A write may have taken place or not: it may have arrived, and its answer was lost.

    :param check: how to find out.
    :param may_repeat: whether the same write may be sent again without a second effect.
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
    """

    passes: int | None = None
    rows: int | None = None
    total: int | None = None


class AlvysDownloadError(AlvysError):
    """A document could not be fetched from the storage that Alvys keeps it in."""


class AlvysStorageError(AlvysError):
    """A file of the data set cannot be read as what it should be."""


class AlvysTableError(AlvysError):
    """What was landed cannot go into a table as it is, or a table of the database is not what it should be."""


class AlvysWebhookError(AlvysError):
    """
    A delivery to a webhook's address that is no event.

    ``status_code`` is the status to answer it with, which Alvys does not try again after. The message is for the log of the
    receiver: it tells no secret, and is not meant for who sent the delivery.
    """

    def __init__(self, message: str, *, status_code: int = 400, **kwargs: Any) -> None:
        super().__init__(message, status_code=status_code, **kwargs)


class AlvysSignatureError(AlvysWebhookError):
    """
    A delivery that Alvys has not signed, or not lately: forged, altered, sent again much later, or sent by a clock that is wrong.

    :param reason: ``malformed``: a header is missing or not of its form. ``signature``: no signature is right. ``stale`` and
        ``future``: it is right, and the time in it too far from now.
    """

    def __init__(self, message: str, *, reason: Literal["malformed", "signature", "stale", "future"], **kwargs: Any) -> None:
        super().__init__(message, **{"status_code": 401, **kwargs})
        self.reason = reason


# Bad credentials, a missing scope, 400, 404, 412 and 428, 422 and the other 4xx that say no for good.
_HOPELESS = (
    AlvysAuthError,
    AlvysPermissionError,
    AlvysValidationError,
    AlvysNotFoundError,
    AlvysPreconditionError,
    AlvysRefusedError,
)


def is_hopeless(error: BaseException) -> bool:
    """Return whether another try of the same can only fail in the same way, or might write something twice."""
    if isinstance(error, AlvysNotFoundError) and error.is_stray:
        return False
    return isinstance(error, _HOPELESS) or (isinstance(error, AlvysUnknownOutcomeError) and not error.may_repeat)


_BY_STATUS: dict[int, tuple[type[AlvysError], str]] = {
    400: (AlvysValidationError, "Correct these fields"),
    401: (AlvysAuthError, "The token is refused: check the client id and secret of the connection"),
    403: (AlvysPermissionError, "Grant the missing scope to this API client in Alvys"),
    408: (AlvysServerError, "Try again later"),
    404: (AlvysNotFoundError, "Check the path and the id in it"),
    409: (AlvysConflictError, "Read the record again and decide anew"),
    412: (AlvysPreconditionError, "Read the record again and send its new ETag as If-Match"),
    428: (AlvysPreconditionError, "Read the record and send its ETag as If-Match"),
    429: (AlvysRateLimitError, "Lower requests_per_minute on the connection, or run fewer tasks at once"),
}
_DEFAULT_CLIENT_ERROR = (AlvysRefusedError, "Correct the request")
_DEFAULT_SERVER_ERROR = (AlvysServerError, "Try again later")

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "cf-ray")
_LONGEST_DETAIL = 500


@dataclass(frozen=True)
class Problem:
    """What an error body says, in either of the shapes that Alvys sends."""

    title: str = ""
    fields: dict[str, list[str]] = field(default_factory=dict)
    trace_id: str | None = None
    type: str | None = None

    @property
    def text(self) -> str:
        """The messages in one line, cut where they are long."""
        parts = [self.title] if self.title else []
        parts += [f"{name}: {' '.join(messages)}" for name, messages in self.fields.items()]
        text = "; ".join(parts)
        return text if len(text) <= _LONGEST_DETAIL else text[:_LONGEST_DETAIL] + "…"


def read_problem(response: requests.Response) -> Problem:
    """
    Read an error body: ProblemDetails in any case, a bare map of field messages, or nothing.

    An HTML page (a 429 of the edge, say) tells nothing beyond its status.
    """
    if "json" not in response.headers.get("content-type", "").lower():
        return Problem()
    try:
        body = response.json()
    except ValueError:
        return Problem()
    if not isinstance(body, dict):
        return Problem()
    lower = {str(key).lower(): value for key, value in body.items()}
    errors = lower.get("errors")
    if isinstance(errors, dict):
        fields = _field_messages(errors)
    elif "title" in lower or "status" in lower:
        fields = {}
    else:
        fields = _field_messages({name: value for name, value in body.items() if isinstance(value, (list, str))})
    words = (lower.get("title"), lower.get("detail"))
    title = ": ".join(str(word) for word in words if isinstance(word, str) and word)
    trace_id = lower.get("traceid")
    return Problem(title, fields, *(word if isinstance(word, str) else None for word in (trace_id, lower.get("type"))))


def _field_messages(errors: dict[str, Any]) -> dict[str, list[str]]:
    return {
        str(name): [str(message) for message in (messages if isinstance(messages, list) else [messages])]
        for name, messages in errors.items()
    }


def error_from_response(
    response: requests.Response,
    *,
    endpoint: str,
    now: float,
    advice: str | None = None,
    quote_body: bool = True,
) -> AlvysError:
    """
    Return the typed error for an answer with a status of 400 or more.

    :param now: the time of the answer in seconds since 1970, for a ``Retry-After`` that is a date.
    :param advice: what to do about it, where the caller knows better than the table above.
    :param quote_body: False for an endpoint whose errors may echo secrets.
    """
    status = response.status_code
    default = _DEFAULT_SERVER_ERROR if status >= 500 else _DEFAULT_CLIENT_ERROR
    error_type, default_advice = _BY_STATUS.get(status, default)
    problem = read_problem(response) if quote_body else Problem()
    said = f": {problem.text.rstrip('.')}" if problem.text else ""
    known: dict[str, Any] = {
        "status_code": status,
        "retry_after": parse_retry_after(response, now),
        "endpoint": endpoint,
        "request_id": problem.trace_id or _request_id(response),
        # It may be a URL that ends in the name.
        "problem_type": (problem.type or "").rstrip("/").rpartition("/")[2] or None,
    }
    if error_type is AlvysValidationError:
        known["fields"] = problem.fields
    wait = f" It asks to wait {known['retry_after']:g} s." if known["retry_after"] else ""
    trace = f" (request {known['request_id']})" if known["request_id"] else ""
    return error_type(f"{endpoint} answered {status}{said}. {advice or default_advice}.{wait}{trace}", **known)


def _request_id(response: requests.Response) -> str | None:
    return next((response.headers[name] for name in _REQUEST_ID_HEADERS if name in response.headers), None)


def parse_retry_after(response: requests.Response, now: float) -> float | None:
    """
    Return the seconds of ``Retry-After``: digits, decimals or an HTTP date.

    A date is read against the server's own ``Date`` where it sent one. None when the header is missing or makes no sense.
    """
    text = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        then = parse_http_date(text)
        if then is None:
            return None
        sent = parse_http_date(response.headers.get("date", ""))
        seconds = max(0.0, then - (now if sent is None else sent))
    return seconds if 0 <= seconds < float("inf") else None


def parse_http_date(text: str) -> float | None:
    """Return an HTTP date as seconds since 1970, or None when it is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
