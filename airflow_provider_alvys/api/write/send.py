"""Sending of a write: it is retried only if the retry cannot have a second effect."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.catalogue.operation_spec import AUTO
from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysError,
    AlvysGatewayError,
    AlvysNotFoundError,
    AlvysPreconditionError,
    AlvysRateLimitError,
    AlvysResponseError,
    AlvysServerError,
    AlvysUnknownOutcomeError,
    AlvysValueError,
)
from airflow_provider_alvys.api.read.lookup import look_up_with_etag
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.scrubbing import scrub
from airflow_provider_alvys.api.write.body import record_shows
from airflow_provider_alvys.api.write.prepare import Write
from airflow_provider_alvys.api.write.upload import Multipart

if TYPE_CHECKING:
    import requests

    from airflow_provider_alvys.api.http.client import AlvysClient

log = logging.getLogger(__name__)

# Server errors that mean that nothing was done: not implemented, and an endpoint that Alvys has disabled.
_NOT_IMPLEMENTED = 501
_DISABLED = "endpointdisabled"
_MAX_DEPTH = 64
# What Airflow cannot send to its API server, or PostgreSQL cannot store.
_BAD_CHARACTER = re.compile("[\0\ud800-\udfff]")
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1
# A page begins so, after a byte order mark, in UTF-8 or UTF-16.
_PAGE = re.compile(rb'[^\w{["]*<')


def send(client: AlvysClient, write: Write, *, interruptions: tuple[type[BaseException], ...] = ()) -> Any:
    """
    Send a prepared write.

    A write is retried after a lost response only if the retry cannot have a second effect.

    :param write: from :func:`airflow_provider_alvys.api.write.prepare.prepare`. Each attempt opens its file.
    :param interruptions: exceptions raised from outside, such as a task's timeout, after which a retry would
        send the write again.
    :return: the decoded response: a dict, or None if it is empty; any JSON value or text if its shape is not
        documented. Numbers are as in :func:`airflow_provider_alvys.api.read.page_decoder.decode_row`.
    :raises AlvysPreconditionError: the record has changed since the version that was sent.
    :raises AlvysUnknownOutcomeError: the response was lost, and whether the write took place is unknown.
    :raises AlvysError: any other subclass: Alvys refused the write, and nothing was written.
    """
    try:
        return _WriteRequest(client, write).run()
    except interruptions as error:
        if write.operation.retry_safety != "unsafe":
            raise
        raise interrupted_error(write, "The task timed out") from error


def interrupted_error(write: Write, event: str) -> AlvysUnknownOutcomeError:
    """Return the error for an unsafe write that was interrupted while it may have been sent."""
    operation = write.operation
    return AlvysUnknownOutcomeError(
        f"{event} while sending {operation.name}: whether it took place is unknown. To find out, "
        f"{write.check}. It was not sent again. {operation.retry_reason}. Clear the task to send it again.",
        check=write.check,
        endpoint=str(operation.endpoint),
    )


def _can_be_returned(value: Any, levels: int = _MAX_DEPTH) -> bool:
    """Return whether a task can return a response: if Airflow cannot store it, it retries the write."""
    if isinstance(value, str):
        return not _BAD_CHARACTER.search(value)
    if isinstance(value, (int, Decimal)):
        # Airflow sends a Decimal without a fraction as int.
        return _MIN_INTEGER <= value <= _MAX_INTEGER
    items = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not items or (levels > 0 and all(_can_be_returned(item, levels - 1) for item in items))


@dataclass(frozen=True)
class _RecordVersion:
    etag: str | None
    updated_at: str | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return scrub(f"{self.etag} of {self.updated_at}" if self.updated_at else str(self.etag))


class _WriteRequest:
    """One write and what is known of its earlier attempts."""

    def __init__(self, client: AlvysClient, write: Write) -> None:
        self._client = client
        self._write = write
        self._operation = write.operation
        self._sent: _RecordVersion | None = None
        self._may_be_done = False

    def run(self) -> Any:
        if self._write.if_match == AUTO:
            if self._operation.if_match == "required":
                self._sent = self._read_version()
        elif self._write.if_match is not None:
            self._sent = _RecordVersion(self._write.if_match)
        headers = self._headers()
        data: Multipart | bytes | None = None
        if self._write.file is not None:
            fields = {name: str(value) for name, value in self._write.body.items()}
            data = Multipart(fields, self._write.file)
            headers["Content-Type"] = data.content_type
        elif self._write.content:
            data = self._write.content
            headers["Content-Type"] = "application/json"
        try:
            return self._client.call(
                self._operation.method,
                self._write.path,
                read=self._read,
                repeatable=self._operation.retry_safety != "unsafe",
                on_failure=self._record_failure,
                headers=headers,
                data=data,
            )
        except AlvysError as error:
            return self._resolve_failure(error)

    def _headers(self) -> dict[str, str]:
        headers = {}
        if self._sent is not None and self._sent.etag:
            headers["If-Match"] = self._sent.etag
        if self._operation.idempotency_header:
            headers[self._operation.idempotency_header] = self._write.fingerprint
        return headers

    def _read(self, response: requests.Response) -> Any:
        if _PAGE.match(response.content):
            # A page of a gateway, such as a form to log in: the write may not have reached Alvys.
            raise self._response_error(response, "is a page of a gateway in front of Alvys")
        if not self._operation.has_response or not response.content:
            return None
        try:
            answer = decode_row(response.content)
        except ValueError as error:
            if self._operation.response_is_documented:
                raise self._response_error(response, f"cannot be read: {error}") from error
            answer = response.text
        if not _can_be_returned(answer):
            problem = "is nested too deeply, or has a number or a character that cannot be stored"
            raise self._response_error(response, problem)
        if not isinstance(answer, dict) and self._operation.response_is_documented:
            raise self._response_error(response, "is not a record")
        return answer

    def _response_error(self, response: requests.Response, problem: str) -> AlvysResponseError:
        endpoint = str(self._operation.endpoint)
        return AlvysResponseError(
            f"{endpoint} answered {response.status_code}, but the response {problem}",
            status_code=response.status_code,
            endpoint=endpoint,
        )

    def _record_failure(self, error: AlvysError) -> None:
        self._may_be_done = self._may_be_done or self._may_follow_effect(error)

    def _may_follow_effect(self, error: AlvysError) -> bool:
        """Return whether the call may have taken effect although it failed with this error."""
        if error.endpoint != str(self._operation.endpoint):
            # For example the request for a token.
            return False
        if isinstance(error, AlvysConnectionError):
            return error.arrived
        if isinstance(error, AlvysResponseError):
            # These redirects say that the request was not processed; others may follow a write.
            return error.status_code not in (307, 308)
        if isinstance(error, AlvysGatewayError):
            return True
        if isinstance(error, AlvysServerError):
            return error.status_code != _NOT_IMPLEMENTED and (error.problem_type or "").lower() != _DISABLED
        return False

    def _resolve_failure(self, error: AlvysError) -> Any:
        """Return the result if an earlier attempt has succeeded, or else raise the error for the caller."""
        name = self._operation.name
        if self._may_be_done and self._operation.deletes_record and isinstance(error, AlvysNotFoundError):
            log.info("%s: an earlier attempt, whose response was lost, has deleted the record", name)
            return None
        is_stale = isinstance(error, AlvysPreconditionError) and error.status_code == 412
        if is_stale and self._sent is not None:
            current, problem = self._try_read_version()
            if self._may_be_done and self._shows_write(current.record):
                log.info("%s: an earlier attempt, whose response was lost, has written the record", name)
                return dict(current.record) if self._operation.has_response else None
            raise self._conflict_error(error, self._sent, current, problem) from error
        if self._may_be_done:
            raise self._unknown_outcome_error(error) from error
        raise error

    def _shows_write(self, record: Mapping[str, Any]) -> bool:
        expected = self._operation.resulting_fields
        if self._write.body and not record_shows(self._operation.body, self._write.body, record):
            return False
        return bool(self._write.body or expected) and expected.items() <= record.items()

    def _read_version(self) -> _RecordVersion:
        name, source = self._operation.name, self._operation.etag_source
        if source is None:
            raise AlvysValueError(f"No document says where to read the ETag for {name}")
        selector = {key: self._write.path_params[param] for key, param in source.selectors.items()}
        reading = look_up_with_etag(self._client, get_stream(source.stream), selector)
        etag = reading.record.get(source.etag_field) if source.etag_field else reading.etag
        if not etag:
            raise AlvysResponseError(f"{name}: the record has no ETag. Nothing was written. Set if_match")
        updated_at = reading.record.get(source.updated_field) if source.updated_field else None
        return _RecordVersion(str(etag), None if updated_at is None else str(updated_at), reading.record)

    def _try_read_version(self) -> tuple[_RecordVersion, str]:
        try:
            return self._read_version(), ""
        except AlvysError as error:
            return _RecordVersion(None), f" The current version could not be read: {error}."

    def _conflict_error(
        self, error: AlvysError, sent: _RecordVersion, current: _RecordVersion, problem: str
    ) -> AlvysPreconditionError:
        if sent.updated_at is None and sent.etag == current.etag:
            sent = replace(sent, updated_at=current.updated_at)
        ids = ", ".join(map(str, self._write.path_params.values()))
        now = f" Its current version is {current}." if current.etag else problem
        lost = " An earlier attempt, whose response was lost, may have been overwritten."
        return AlvysPreconditionError(
            f"{self._operation.name} of {ids}: the record has changed since version {sent} that was "
            f"sent as If-Match.{now}{lost if self._may_be_done else ''} Read the record and decide again.",
            sent_etag=sent.etag,
            current_etag=current.etag,
            sent_stamp=sent.updated_at,
            current_stamp=current.updated_at,
            status_code=error.status_code,
            endpoint=error.endpoint,
            request_id=error.request_id,
        )

    def _unknown_outcome_error(self, error: AlvysError) -> AlvysUnknownOutcomeError:
        is_lost = self._may_follow_effect(error)
        # Alvys would refuse a further attempt in the same way.
        is_refusal = not isinstance(error, AlvysRateLimitError) and 400 <= (error.status_code or 0) < 500
        is_repeatable = self._operation.retry_safety != "unsafe"
        reason = self._operation.retry_reason
        return AlvysUnknownOutcomeError(
            f"{str(error).rstrip('.')}.{'' if is_lost else ' An earlier attempt may have arrived.'} "
            f"Whether {self._operation.name} took place is unknown. To find out, {self._write.check}. "
            f"It {'may be sent again' if is_repeatable else 'was not sent again'}. {reason}.",
            check=self._write.check,
            may_repeat=is_repeatable and (is_lost or not is_refusal),
            status_code=error.status_code,
            retry_after=error.retry_after,
            endpoint=error.endpoint,
            request_id=error.request_id,
            problem_type=error.problem_type,
        )
