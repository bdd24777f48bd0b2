"""What a task remembers of a write beyond its worker's death: a note in its state store, which Airflow has from 3.3 on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.errors import AlvysError, AlvysUnknownOutcomeError
from airflow_provider_alvys.retry_policy import never_again

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.api.checks import Write

log = logging.getLogger(__name__)

_KEY = "alvys_sending"


class WriteNote:
    """
    The note of one write, kept where it is not safe to repeat.

    A clear gives a task more tries. So their number tells a retry, which must not send again, whatever its templates have become,
    from a clear, which may. What a clear finds under way, with the same content, it tells once.

    :param file: what is uploaded with it.
    """

    def __init__(self, context: Context, write: Write, file: str | None) -> None:
        self._write = write
        self._is_needed = write.operation.repeat == "unsafe"
        self._store = context.get("task_state_store") if self._is_needed else None
        self._tries: int | None = getattr(context.get("ti"), "max_tries", None)
        self._what = f"{write.fingerprint} {file or ''}".strip()

    def begin(self) -> Mapping[str, Any] | None:
        """
        Note that it is sent now.

        :return: a dict with the ``answer`` where an earlier try of this task has done it; None where it is to be sent.
        :raises AlvysUnknownOutcomeError: an earlier try was ended while it was sending.
        """
        if self._is_needed and self._store is None:
            log.info(
                "%s is not safe to repeat, and this Airflow has no state store (3.3 has): if the worker dies between sending and "
                "the answer, a retry sends it again. Set retries=0 to forbid that",
                self._write.operation.name,
            )
        found = None if self._store is None else self._store.get(_KEY)
        known: dict[str, Any] = found if isinstance(found, dict) else {}
        is_retry = bool(known) and self._tries is not None and known.get("tries") == self._tries
        if is_retry and "answer" in known:
            return known
        if is_retry or (known.get("state") == "sending" and known.get("what") == self._what):
            raise self._unknown("An earlier try of this task was ended")
        self._set("sending")
        return None

    def done(self, answer: Any) -> None:
        """Note that it is done: the worker may die before Airflow learns of it."""
        self._keep("done", answer=answer)

    def settle(self, error: AlvysError) -> None:
        """Note what it ended with: surely not done, or told as unknown, after which a person decides."""
        if isinstance(error, AlvysUnknownOutcomeError):
            self._keep("told")
        else:
            self._forget()

    def run_out(self, error: BaseException) -> None:
        """
        Note that the task's time is over.

        :raises AlvysUnknownOutcomeError: it is not safe to repeat, and may have been on its way.
        """
        if self._is_needed:
            raise self._unknown("The time of this task was over") from error

    def _unknown(self, what: str) -> AlvysUnknownOutcomeError:
        self._keep("told")
        operation, check = self._write.operation, self._write.check
        return never_again(
            AlvysUnknownOutcomeError(
                f"{what} while it sent {operation.name}, and whether that took place is unknown. To find out, {check}. "
                f"It was not sent again: {operation.because}. Clear the task to send it again.",
                check=check,
                endpoint=str(operation.endpoint),
            )
        )

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
