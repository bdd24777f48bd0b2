"""One write."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from airflow.sdk import ObjectStoragePath
from airflow.sdk.log import mask_secret

from airflow_provider_alvys._compat import AirflowFailException
from airflow_provider_alvys.api.checks import AUTO, Write, prepare
from airflow_provider_alvys.api.errors import AlvysError, AlvysUnknownOutcomeError, AlvysValueError
from airflow_provider_alvys.api.operations import get_operation
from airflow_provider_alvys.api.uploads import FileSource
from airflow_provider_alvys.api.values import dump_json
from airflow_provider_alvys.api.web import WebRecord, record_of_write
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.landing.store import check_path
from airflow_provider_alvys.links import AlvysRecordLink
from airflow_provider_alvys.retry_policy import AlvysRetryPolicy, fail_at_once
from airflow_provider_alvys.tasks import AlvysTask
from airflow_provider_alvys.templates import check_write, has_template

if TYPE_CHECKING:
    from airflow.sdk import Context

# Where the task's state store keeps what is being sent.
_SENDING = "alvys_sending"


class AlvysWriteOperator(AlvysTask):
    """
    Write something into Alvys: one operation of the catalogue of writes.

    A write is made again, after its answer was lost, only where that cannot make a second effect. Where it could, the task fails
    for good, with an error that says that the outcome is unknown and how to find out; clearing the task sends the write again.
    On Airflow 3.3 this holds over the death of a worker, too: a note in the task's state store says what is being sent.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param operation: name in the catalogue, such as ``trips.assign``.
    :param path_params: what its path names, such as ``{"tripId": "…"}``. (templated)
    :param body: its fields, in Alvys's spelling. A number may be a text of its digits, which keeps an amount exact in a template
        and in an XCom. (templated)
    :param if_match: ``auto`` reads the record's ETag right before, where Alvys requires one, and sends none elsewhere. An ETag
        is sent as it is. None sends none. (templated)
    :param file: for an upload: path of the file, local or on object storage. (templated)
    :return: Alvys's answer as plain JSON values, without secrets; None where there is none.
    :raises AlvysValueError: something is wrong with it: while the DAG is parsed where it is not templated, else before it is
        sent.
    :raises AlvysUnknownOutcomeError: an answer was lost, and whether the write took place is not known.
    """

    template_fields: Sequence[str] = ("alvys_conn_id", "path_params", "body", "if_match", "file")
    template_fields_renderers = {"path_params": "json", "body": "json"}  # noqa: RUF012
    operator_extra_links = (AlvysRecordLink(),)
    ui_color = "#d7ebf7"

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        operation: str,
        path_params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        if_match: str | None = AUTO,
        file: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(alvys_conn_id=alvys_conn_id, **kwargs)
        self.operation = operation
        self.path_params = path_params
        self.body = body
        self.if_match = if_match
        self.file = file
        check_write(operation, path_params, body, if_match)
        takes_file = get_operation(operation).upload is not None
        if takes_file != (file is not None):
            raise AlvysValueError(f"{operation} {'needs' if takes_file else 'takes no'} file")
        if file is not None and not has_template(file):
            check_path(file)

    @fail_at_once
    def execute(self, context: Context) -> Any:
        """Send the write."""
        write = prepare(self.operation, path_params=self.path_params, body=self.body, if_match=self.if_match)
        source = self._source()
        # Not before its checks: what is refused here was not sent.
        if write.operation.repeat == "unsafe":
            # The connection first, for the same reason.
            self.hook.get_conn()
            self._note(context, write)
        try:
            answer = self.hook.write(
                self.operation, path_params=self.path_params, body=self.body, if_match=self.if_match, file=source
            )
        except AlvysError as error:
            # Refused, or told as unknown: what comes next is a person's decision.
            self._forget(context)
            self._forbid_retry(error)
            raise
        self._forget(context)
        self.log.info("%s is done", self.operation)
        return self._without_secrets(write, answer)

    def record_of_link(self) -> WebRecord | None:
        """Return the record that is written."""
        return record_of_write(get_operation(self.operation), self.path_params, self.body)

    def _source(self) -> FileSource | None:
        """Return the file to upload, if there is one."""
        return None if self.file is None else stored_file(self.file)

    def _note(self, context: Context, write: Write) -> None:
        """
        Keep a note of what is about to be sent.

        :raises AlvysUnknownOutcomeError: there is one already: an earlier try was ended between sending and the answer.
        """
        store = context.get("task_state_store")
        if store is None:
            self.log.info(
                "%s is not safe to repeat, and this Airflow has no state store (3.3 has): if the worker dies between sending and "
                "the answer, a retry sends it again. Set retries=0 to forbid that",
                self.operation,
            )
            return
        fingerprint = f"{write.fingerprint} {self.file or ''}".strip()
        # A mapped task's place may hold another item after a clear: its note says nothing about this one.
        if store.get(_SENDING) == fingerprint:
            store.delete(_SENDING)
            error = AlvysUnknownOutcomeError(
                f"An earlier try of this task was ended while it sent {self.operation}, and whether that took place is unknown. "
                f"To find out, {write.check}. It was not sent again: {write.operation.because}. Clear the task to send it again.",
                check=write.check,
                endpoint=str(write.operation.endpoint),
            )
            self._forbid_retry(error)
            raise error
        store.set(_SENDING, fingerprint)

    def _forbid_retry(self, error: AlvysError) -> None:
        """Let the task fail for good where a retry might write twice, whatever retry policy the user has given it."""
        policy = getattr(self, "retry_policy", None)
        if isinstance(error, AlvysUnknownOutcomeError) and not error.may_repeat and not isinstance(policy, AlvysRetryPolicy):
            raise AirflowFailException(str(error)) from error

    def _forget(self, context: Context) -> None:
        store = context.get("task_state_store")
        if store is not None:
            store.delete(_SENDING)

    def _without_secrets(self, write: Write, answer: Any) -> Any:
        secrets = write.operation.secrets
        if not secrets:
            return jsonlib.loads(dump_json(answer))
        if answer is None:
            return None
        if not isinstance(answer, dict):
            self.log.warning("The answer of %s may hold a secret, and is left out: call hook.write in a @task", self.operation)
            return None
        for name in secrets:
            if isinstance(answer.get(name), str) and answer[name]:
                mask_secret(answer[name])
                self.log.info(
                    "%s is left out of the result, being a secret. Who needs it calls hook.write in a @task that keeps it safe",
                    name,
                )
        return jsonlib.loads(dump_json({name: value for name, value in answer.items() if name not in secrets}))


def stored_file(path: str, *, name: str | None = None) -> FileSource:
    """
    Return a file as one to upload, wherever Airflow reaches it.

    :param path: local, or on object storage with its connection, as ``s3://conn_id@bucket/…``.
    :param name: as Alvys shall know it; None for its own.
    :raises AlvysValueError: it cannot be found.
    """
    path = check_path(path)
    try:
        file = ObjectStoragePath(path)
        size = file.stat().st_size
    except FileNotFoundError as error:
        raise AlvysValueError(f"There is no file {path}") from error
    except ValueError as error:
        # No file system for its scheme.
        raise AlvysValueError(f"{path} cannot be read: {error}") from error

    def begin() -> BinaryIO:
        return cast("BinaryIO", file.open("rb"))  # type: ignore[no-untyped-call]

    return FileSource(name or file.name, size, begin)
