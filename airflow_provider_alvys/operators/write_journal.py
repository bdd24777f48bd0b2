"""What a task remembers of a write beyond its worker's death: a note in its state store, which Airflow has from 3.3 on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.errors import AlvysError, AlvysNotFoundError, AlvysUnknownOutcomeError
from airflow_provider_alvys.api.write.send import interrupted
from airflow_provider_alvys.retry_policy import as_non_retryable

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.api.write.prepare import Write

log = logging.getLogger(__name__)

_KEY = "alvys_sending"


class WriteNote:
    """
    The note of one write, kept where it is not safe to repeat, and where it removes what a repeat cannot find again.

    A clear gives a task more tries. So their number tells a retry, which must not send again, whatever its templates have become,
    from a clear, which may. What a clear finds under way, with the same content, it tells once.

    :param file: what is uploaded with it.
    """

    def __init__(self, context: Context, write: Write, file: str | None) -> None:
        self._write = write
        self._is_unsafe = write.operation.retry_safety == "unsafe"
        self._store = (
            context.get("task_state_store") if self._is_unsafe or write.operation.deletes_record else None
        )
        self._may_be_gone = False
        self._tries: int | None = getattr(context.get("ti"), "max_tries", None)
        self._what = f"{write.fingerprint} {file or ''}".strip()

    def begin(self) -> Mapping[str, Any] | None:
        """
        Note that it is sent now.

        :return: a dict with the ``answer`` where an earlier try of this task has done it; None where it is to be sent.
        :raises AlvysUnknownOutcomeError: an earlier try was ended while it was sending.
        """
        if self._is_unsafe and self._store is None:
            log.info(
                "%s is not safe to repeat, and this Airflow has no state store (3.3 has): if the worker dies between sending and "
                "the answer, a retry sends it again. Set retries=0 to forbid that",
                self._write.operation.name,
            )
        found = None if self._store is None else self._store.get(_KEY)
        known: dict[str, Any] = found if isinstance(found, dict) else {}
        is_same = known.get("what") == self._what
        is_retry = bool(known) and self._tries is not None and known.get("tries") == self._tries
        is_retry = is_retry and (self._is_unsafe or is_same)
        if is_retry and "answer" in known:
            return known
        if not self._is_unsafe:
            self._may_be_gone = is_retry
        elif is_retry or (known.get("state") == "sending" and is_same):
            raise self._unknown("An earlier try of this task was ended")
        self._set("sending")
        return None

    def done(self, answer: Any) -> None:
        """Note that it is done: the worker may die before Airflow learns of it."""
        self._keep("done", answer=answer)

    def is_gone(self, error: AlvysError) -> bool:
        """Return whether it was refused for what an earlier try of this task has removed: that one's answer was lost."""
        return self._may_be_gone and isinstance(error, AlvysNotFoundError)

    def settle(self, error: AlvysError) -> None:
        """Note what it ended with: surely not done, or told as unknown, after which a person decides."""
        if isinstance(error, AlvysUnknownOutcomeError):
            self._keep("told")
        else:
            self._forget()

    def _unknown(self, what: str) -> AlvysUnknownOutcomeError:
        self._keep("told")
        return as_non_retryable(interrupted(self._write, what))

    def _keep(self, state: str, **more: Any) -> None:
        if self._tries is None:
            # Nothing would tell a retry from a clear.
            self._forget()
        else:
            self._set(state, **more)

    def _set(self, state: str, **more: Any) -> None:
        if self._store is not None:
            self._store.set(_KEY, {"state": state, "what": self._what, "tries": self._tries, **more})

    def _forget(self) -> None:
        if self._store is not None:
            self._store.delete(_KEY)
