"""One write."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from airflow.sdk import ObjectStoragePath
from airflow.sdk.log import mask_secret

from airflow_provider_alvys.api.catalogue.operation_spec import AUTO
from airflow_provider_alvys.api.errors import AlvysError, AlvysValueError
from airflow_provider_alvys.api.schema.values import dump_json
from airflow_provider_alvys.api.web import WebRecord, record_from_write
from airflow_provider_alvys.base_operator import AlvysTask
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.landing.dataset.store import check_path
from airflow_provider_alvys.links import AlvysRecordLink
from airflow_provider_alvys.parse_checks import check_write, has_template
from airflow_provider_alvys.retry_policy import fail_if_not_retryable

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.api.write.prepare import Write
    from airflow_provider_alvys.api.write.upload import FileSource


class AlvysWriteOperator(AlvysTask):
    """
    Write something into Alvys: one operation of the catalogue of writes.

    A write is made again, after its answer was lost, only where that cannot make a second effect. Where it could, the task fails
    for good, with an error that says that the outcome is unknown and how to find out; clearing the task sends the write again.
    On Airflow 3.3 this holds over the death of a worker, too: a note in the task's state store says what is being sent, and what
    was answered.

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
        takes_file = check_write(operation, path_params, body, if_match).upload is not None
        if takes_file != (file is not None):
            raise AlvysValueError(f"{operation} {'needs' if takes_file else 'takes no'} file")
        if file is not None and not has_template(file):
            check_path(file)

    @fail_if_not_retryable
    def execute(self, context: Context) -> Any:
        """Send the write."""
        from airflow_provider_alvys.operators.write_journal import WriteNote

        write = self._prepare()
        note = WriteNote(context, write, self.file)
        # What is refused before here was not sent: hence not before the checks, and the connection first.
        self.hook.get_conn()
        earlier = note.begin()
        if earlier is not None:
            self.log.info(
                "%s was done by an earlier try, of which Airflow has not heard: this is its answer",
                self.operation,
            )
            return earlier["answer"]
        try:
            result = self._result(write, self.hook.send(write))
        except AlvysError as error:
            if not note.is_gone(error):
                note.settle(error)
                raise
            self.log.info(
                "%s: what it removes is gone, by an earlier try whose answer was lost", self.operation
            )
            result = None
        note.done(result)
        self.log.info("%s is done", self.operation)
        return result

    def record_of_link(self) -> WebRecord | None:
        """Return the record that is written."""
        from airflow_provider_alvys.api.catalogue.operations import get_operation

        return record_from_write(get_operation(self.operation), self.path_params, self.body)

    def _prepare(self) -> Write:
        """Check the write as it has been rendered."""
        from airflow_provider_alvys.api.write.prepare import prepare

        write = prepare(self.operation, path_params=self.path_params, body=self.body, if_match=self.if_match)
        return write.with_file(self._source())

    def _source(self) -> FileSource | None:
        """Return the file to upload, if there is one."""
        return None if self.file is None else stored_file(self.file)

    def _result(self, write: Write, answer: Any) -> Any:
        """Return an answer as plain JSON values, without its secrets."""
        secrets = frozenset(name.lower() for name in write.operation.secrets)
        if secrets and answer is not None and not isinstance(answer, dict):
            self.log.warning(
                "The answer of %s may hold a secret, and is left out: call hook.write in a @task",
                self.operation,
            )
            return None
        return jsonlib.loads(dump_json(self._without(secrets, answer)))

    def _without(self, secrets: Collection[str], value: Any) -> Any:
        """Return a value without the fields of these names, in any spelling and at any depth, and mask what they hold."""
        if isinstance(value, list):
            return [self._without(secrets, item) for item in value]
        if not isinstance(value, dict):
            return value
        for name, item in value.items():
            if name.lower() in secrets and isinstance(item, str) and item:
                mask_secret(item)
                self.log.info(
                    "%s is left out of the result, being a secret. Who needs it calls hook.write in a @task that keeps it safe",
                    name,
                )
        return {
            name: self._without(secrets, item) for name, item in value.items() if name.lower() not in secrets
        }


def stored_file(path: str, *, name: str | None = None) -> FileSource:
    """
    Return a file as one to upload, wherever Airflow reaches it.

    :param path: local, or on object storage with its connection, as ``s3://conn_id@bucket/…``.
    :param name: as Alvys shall know it; None for its own.
    :raises AlvysValueError: it cannot be found.
    """
    from airflow_provider_alvys.api.write.upload import FileSource

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
