"""The journal of a write: an entry in the task's state store, which Airflow 3.3 and later have."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.errors import AlvysError, AlvysNotFoundError, AlvysUnknownOutcomeError
from airflow_provider_alvys.api.write.send import interrupted_error
from airflow_provider_alvys.retry_policy import as_non_retryable

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.api.write.prepare import Write

log = logging.getLogger(__name__)

_KEY = "alvys_sending"


class WriteJournal:
    """
    The journal of one write. Only unsafe writes and deletes need one.

    Clearing a task raises its ``max_tries``. An entry with the same ``max_tries`` is therefore of an earlier
    attempt: a retry must not send an unsafe write again, even if its templates rendered differently. After a
    clear it may be sent, but an entry in the state ``sending`` with the same content fails the task once.

    :param file: path of the file that is uploaded.
    """

    def __init__(self, context: Context, write: Write, file: str | None) -> None:
        self._write = write
        self._is_unsafe = write.operation.retry_safety == "unsafe"
        needs_entry = self._is_unsafe or write.operation.deletes_record
        self._store = context.get("task_state_store") if needs_entry else None
        self._may_be_deleted = False
        self._max_tries: int | None = getattr(context.get("ti"), "max_tries", None)
        self._content = f"{write.fingerprint} {file or ''}".strip()

    def start(self) -> Mapping[str, Any] | None:
        """
        Record that the write is being sent, or return the entry of an earlier attempt that completed it.

        :raises AlvysUnknownOutcomeError: an earlier attempt was interrupted while sending.
        """
        if self._is_unsafe and self._store is None:
            log.info("%s is unsafe to retry: Airflow before 3.3 cannot record it", self._write.operation.name)
            log.info(
                "If the worker dies before the response, a retry sends it again. Prevent that by retries=0"
            )
        found = None if self._store is None else self._store.get(_KEY)
        entry: dict[str, Any] = found if isinstance(found, dict) else {}
        is_same = entry.get("what") == self._content
        is_retry = bool(entry) and self._max_tries is not None and entry.get("tries") == self._max_tries
        is_retry = is_retry and (self._is_unsafe or is_same)
        if is_retry and "answer" in entry:
            return entry
        if not self._is_unsafe:
            self._may_be_deleted = is_retry
        elif is_retry or (entry.get("state") == "sending" and is_same):
            self._set_final("unknown")
            raise as_non_retryable(interrupted_error(self._write, "An earlier attempt of this task ended"))
        self._set("sending")
        return None

    def complete(self, answer: Any) -> None:
        """Record the answer, in case the worker dies before Airflow stores the result."""
        self._set_final("done", answer=answer)

    def fail(self, error: AlvysError) -> bool:
        """Record a failure, or return True if an earlier attempt, whose response was lost, has succeeded."""
        if self._may_be_deleted and isinstance(error, AlvysNotFoundError):
            return True
        if isinstance(error, AlvysUnknownOutcomeError):
            self._set_final("unknown")
        else:
            self._delete()
        return False

    def _set_final(self, state: str, **more: Any) -> None:
        if self._max_tries is None:
            # A retry could not be distinguished from a clear.
            self._delete()
        else:
            self._set(state, **more)

    def _set(self, state: str, **more: Any) -> None:
        if self._store is not None:
            entry = {"state": state, "what": self._content, "tries": self._max_tries, **more}
            self._store.set(_KEY, entry)

    def _delete(self) -> None:
        if self._store is not None:
            self._store.delete(_KEY)
