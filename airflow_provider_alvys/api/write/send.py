"""Sending a write: all checks before, one effect or a clear word about it after."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.catalogue.operation_spec import AUTO
from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysError,
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
from airflow_provider_alvys.api.write.body import shows
from airflow_provider_alvys.api.write.prepare import Write
from airflow_provider_alvys.api.write.upload import Multipart

if TYPE_CHECKING:
    import requests

    from airflow_provider_alvys.api.http.client import AlvysClient

log = logging.getLogger(__name__)

# 5xx that say that nothing was done: not implemented, and a call that Alvys has switched off.
_NOTHING_DONE = 501
_SWITCHED_OFF = "EndpointDisabled"


def send(client: AlvysClient, write: Write, *, interruptions: tuple[type[BaseException], ...] = ()) -> Any:
    """
    Send a prepared write.

    It is made again after an answer was lost only where that cannot make a second effect.

    :param write: see :func:`airflow_provider_alvys.api.write.prepare.prepare`; its file is opened anew for each attempt.
    :param interruptions: what may break in from outside, such as the end of a task's time, after which the task is tried again.
    :return: the decoded answer, a dict with numbers as
        :func:`airflow_provider_alvys.api.read.page_decoder.decode_row` gives them, or None where there is none.
        Where no document tells its shape, whatever JSON or text it is.
    :raises AlvysPreconditionError: the record has changed since the version that was sent.
    :raises AlvysUnknownOutcomeError: an answer was lost, and whether the write took place is not known.
    :raises AlvysError: another subclass says why it was refused: nothing was written.
    """
    try:
        return _Sending(client, write).run()
    except interruptions as error:
        if write.operation.retry_safety != "unsafe":
            raise
        raise interrupted(write, "The time of this task was over") from error


def interrupted(write: Write, what: str) -> AlvysUnknownOutcomeError:
    """Return the error of a write that is not safe to repeat, and was ended while it may have been on its way."""
    operation = write.operation
    return AlvysUnknownOutcomeError(
        f"{what} while it sent {operation.name}, and whether that took place is unknown. To find out, {write.check}. "
        f"It was not sent again: {operation.retry_reason}. Clear the task to send it again.",
        check=write.check,
        endpoint=str(operation.endpoint),
    )


@dataclass(frozen=True)
class _Version:
    etag: str | None
    stamp: str | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


class _Sending:
    """One write on its way, and what is known of its earlier attempts."""

    def __init__(self, client: AlvysClient, write: Write) -> None:
        self._client = client
        self._write = write
        self._row = write.operation
        self._sent: _Version | None = None
        self._may_have_acted = False

    def run(self) -> Any:
        if self._write.if_match == AUTO:
            if self._row.if_match == "required":
                self._sent = self._read_version()
        elif self._write.if_match is not None:
            self._sent = _Version(self._write.if_match)
        body: dict[str, Any] = {"headers": self._headers()}
        if self._write.file is not None:
            multipart = Multipart(
                {name: str(value) for name, value in self._write.body.items()}, self._write.file
            )
            body["data"] = multipart
            body["headers"]["Content-Type"] = multipart.content_type
        elif self._write.content:
            body["data"] = self._write.content
            body["headers"]["Content-Type"] = "application/json"
        try:
            return self._client.call(
                self._row.method,
                self._write.path,
                read=self._read,
                repeatable=self._repeatable,
                on_failure=self._note,
                **body,
            )
        except AlvysError as error:
            return self._settle(error)

    @property
    def _repeatable(self) -> bool:
        return self._row.retry_safety != "unsafe"

    def _headers(self) -> dict[str, str]:
        headers = {}
        if self._sent is not None and self._sent.etag:
            headers["If-Match"] = self._sent.etag
        if self._row.idempotency_header:
            headers[self._row.idempotency_header] = self._write.fingerprint
        return headers

    def _read(self, response: requests.Response) -> Any:
        if not self._row.has_response or not response.content:
            return None
        try:
            answer = decode_row(response.content)
        except (ValueError, RecursionError) as error:
            if not self._row.response_is_documented:
                return response.text
            raise AlvysResponseError(
                f"{self._row.endpoint} answered {response.status_code}, which means that it was done, with what cannot be "
                f"read: {error}",
                status_code=response.status_code,
                endpoint=str(self._row.endpoint),
            ) from error
        if not isinstance(answer, dict) and self._row.response_is_documented:
            raise AlvysResponseError(
                f"{self._row.endpoint} answered {response.status_code}, which means that it was done, but with no record",
                status_code=response.status_code,
                endpoint=str(self._row.endpoint),
            )
        return answer

    def _note(self, error: AlvysError) -> None:
        if may_have_acted(error, str(self._row.endpoint)):
            self._may_have_acted = True

    def _settle(self, error: AlvysError) -> Any:
        """Return the answer where an earlier attempt has done what this one was refused for, or raise what there is to say."""
        is_stale = (
            isinstance(error, AlvysPreconditionError) and error.status_code == 412 and self._sent is not None
        )
        if self._may_have_acted and self._row.deletes_record and isinstance(error, AlvysNotFoundError):
            log.info("%s: gone by the attempt whose answer was lost", self._row.name)
            return None
        if is_stale:
            current, why = self._try_version()
            if self._may_have_acted and self._is_written(current):
                log.info("%s: written by the attempt whose answer was lost", self._row.name)
                return dict(current.record) if self._row.has_response else None
            raise self._conflict(error, current, why) from error
        if self._may_have_acted:
            raise self._unknown(error) from error
        raise error

    def _is_written(self, record: _Version) -> bool:
        expected = self._row.resulting_fields
        if any(record.record.get(name) != value for name, value in expected.items()):
            return False
        return (
            bool(expected) if not self._write.body else shows(self._row.body, self._write.body, record.record)
        )

    def _read_version(self) -> _Version:
        where = self._row.etag_source
        if where is None:
            raise AlvysValueError(f"Where the version of {self._row.name} stands is not documented")
        selector = {name: self._write.path_params[param] for name, param in where.selectors.items()}
        reading = look_up_with_etag(self._client, get_stream(where.stream), selector)
        etag = reading.record.get(where.etag_field) if where.etag_field else reading.etag
        if not etag:
            raise AlvysResponseError(
                f"{self._row.name}: the record came without an ETag. Nothing was written. Give if_match yourself"
            )
        stamp = reading.record.get(where.updated_field) if where.updated_field else None
        return _Version(str(etag), None if stamp is None else str(stamp), reading.record)

    def _try_version(self) -> tuple[_Version, str]:
        try:
            return self._read_version(), ""
        except AlvysError as error:
            return _Version(None), f" The current version could not be read: {error}"

    def _conflict(self, error: AlvysError, current: _Version, why: str) -> AlvysPreconditionError:
        sent = self._sent or _Version(None)
        if sent.stamp is None and sent.etag == current.etag:
            sent = _Version(sent.etag, current.stamp)
        name = ", ".join(str(value) for value in self._write.path_params.values())
        lost = (
            " An earlier attempt, whose answer was lost, may have written and been overwritten."
            if self._may_have_acted
            else ""
        )
        has = f" It has {_tell(current)} now." if current.etag else why
        return AlvysPreconditionError(
            f"{self._row.name} of {name}: the record has changed since the version {_tell(sent)} that was sent as If-Match."
            f"{has}{lost} Read it again and decide anew.",
            sent_etag=sent.etag,
            current_etag=current.etag,
            sent_stamp=sent.stamp,
            current_stamp=current.stamp,
            status_code=error.status_code,
            endpoint=error.endpoint,
            request_id=error.request_id,
        )

    def _unknown(self, error: AlvysError) -> AlvysUnknownOutcomeError:
        # A refusal of a later attempt comes again, however often it is tried.
        is_refusal = not isinstance(error, AlvysRateLimitError) and 400 <= (error.status_code or 0) < 500
        may_repeat = self._repeatable and not (
            is_refusal and not may_have_acted(error, str(self._row.endpoint))
        )
        because = self._row.retry_reason[:1].lower() + self._row.retry_reason[1:]
        again = "It may be sent again" if self._repeatable else "It was not sent again"
        earlier = (
            "" if may_have_acted(error, str(self._row.endpoint)) else " An earlier attempt may have arrived."
        )
        return AlvysUnknownOutcomeError(
            f"{str(error).rstrip('.')}.{earlier} Whether {self._row.name} took place is unknown. To find out, "
            f"{self._write.check}. {again}: {because}.",
            check=self._write.check,
            may_repeat=may_repeat,
            status_code=error.status_code,
            retry_after=error.retry_after,
            endpoint=error.endpoint,
            request_id=error.request_id,
            problem_type=error.problem_type,
        )


def may_have_acted(error: AlvysError, endpoint: str) -> bool:
    """Return whether a call that failed so may have done its work: the request may have arrived, and nothing denies it."""
    if error.endpoint != endpoint:
        # Of the call for a token, say.
        return False
    if isinstance(error, AlvysConnectionError):
        return error.arrived
    if isinstance(error, AlvysResponseError):
        # A redirect has done nothing.
        return (error.status_code or 200) < 300
    if isinstance(error, AlvysServerError):
        return (
            error.status_code != _NOTHING_DONE and (error.problem_type or "").lower() != _SWITCHED_OFF.lower()
        )
    return False


def _tell(version: _Version) -> str:
    return f"{version.etag} of {version.stamp}" if version.stamp else str(version.etag)
