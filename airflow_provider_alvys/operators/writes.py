"""The operator for writes."""

from __future__ import annotations

import json as jsonlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from airflow.sdk import ObjectStoragePath
from airflow.sdk.log import mask_secret

from airflow_provider_alvys._compat import AirflowFailException
from airflow_provider_alvys.api.catalogue.operation_spec import AUTO
from airflow_provider_alvys.api.catalogue.streams import SECRET_FIELDS
from airflow_provider_alvys.api.errors import AlvysError, AlvysValueError
from airflow_provider_alvys.api.schema.fields import without_fields
from airflow_provider_alvys.api.schema.values import dump_json
from airflow_provider_alvys.api.scrubbing import remember_secret
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

log = logging.getLogger(__name__)


class AlvysWriteOperator(AlvysTask):
    """
    Perform one write operation of the catalogue.

    A write is retried after a lost response only if the retry cannot have a second effect. Otherwise the
    task fails without retries: the error says how to find out whether the write took place, and clearing the
    task sends it again. On Airflow 3.3 this holds even if the worker dies.

    Cost: one request, and one more to read the ETag where Alvys requires one.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param operation: name of the operation, such as ``trips.assign``; see ``docs/reference/operations.md``.
    :param path_params: values for the operation's path, such as ``{"tripId": "…"}``; None means that it has
        none. (templated)
    :param body: fields in Alvys's spelling; None means none. A number may be a string of its digits, which
        keeps amounts exact in templates and XComs. (templated)
    :param if_match: ``auto`` reads the record's ETag just before the write if Alvys requires one, and else
        sends none. An ETag is sent as given. None sends none. (templated)
    :param file: file of an upload, local or on object storage; None for all other operations. (templated)
    :param approved: fingerprint of the write that a person has approved, as ``AlvysHook.check_write`` returns
        it; nothing else is sent. None sends without an approval. (templated)
    :return: Alvys's response as plain JSON values without secrets; None if it is empty.
    :raises AlvysValueError: an argument is wrong; raised while the DAG is parsed if the argument is not
        templated, and else before anything is sent.
    :raises AirflowFailException: the write is not the one that was approved; nothing was sent.
    :raises AlvysUnknownOutcomeError: the response was lost, and whether the write took place is unknown.
    :raises AlvysPreconditionError: the record has changed since the version of the ETag.
    """

    template_fields: Sequence[str] = ("alvys_conn_id", "path_params", "body", "if_match", "file", "approved")
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
        approved: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(alvys_conn_id=alvys_conn_id, **kwargs)
        self.operation = operation
        self.path_params = path_params
        self.body = body
        self.if_match = if_match
        self.file = file
        self.approved = approved
        takes_file = check_write(operation, path_params, body, if_match).upload is not None
        if takes_file != (file is not None):
            raise AlvysValueError(f"{operation} {'needs a' if takes_file else 'takes no'} file")
        if file is not None and not has_template(file):
            check_path(file)
        self.remember_given()

    @fail_if_not_retryable
    def execute(self, context: Context) -> Any:
        """Send the write."""
        from airflow_provider_alvys.operators.write_journal import WriteJournal

        self.check_rendered()
        write = self._prepare()
        journal = WriteJournal(context, write, self.file)
        # A missing connection must fail before the journal says that the write is being sent.
        self.hook.get_conn()
        if self.approved is not None and write.fingerprint != self.approved:
            raise AirflowFailException(
                f"{self.operation} is not the write that was approved: its path or body is another. Nothing "
                "was sent. Start a new run to have it approved: Airflow may show the old request again"
            )
        earlier = journal.start()
        if earlier is not None:
            self.log.info("%s was completed by an earlier attempt; returning its answer", self.operation)
            return earlier["answer"]
        try:
            result = self._result(write, self.hook.send(write))
        except AlvysError as error:
            if not journal.fail(error):
                raise
            self.log.info("%s: an earlier attempt has deleted the record", self.operation)
            result = None
        journal.complete(result)
        self.log.info("%s completed", self.operation)
        return result

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what was written, and the file of an upload, for Airflow's OpenLineage provider."""
        from airflow_provider_alvys.api.catalogue.operations import get_operation
        from airflow_provider_alvys.lineage import written_lineage

        return written_lineage(self.hook.settings.host, get_operation(self.operation).path, self.file)

    def record_of_link(self) -> WebRecord | None:
        """Return the record that is written."""
        from airflow_provider_alvys.api.catalogue.operations import get_operation

        return record_from_write(get_operation(self.operation), self.path_params, self.body)

    def _prepare(self) -> Write:
        """Validate the write with its rendered arguments."""
        from airflow_provider_alvys.api.write.prepare import prepare

        write = prepare(self.operation, path_params=self.path_params, body=self.body, if_match=self.if_match)
        return write.with_file(self._source())

    def _source(self) -> FileSource | None:
        return None if self.file is None else stored_file(self.file)

    def _result(self, write: Write, answer: Any) -> Any:
        """Return an answer as plain JSON values without its secrets."""
        names = frozenset(name.casefold() for name in write.operation.secrets)
        plain = jsonlib.loads(dump_json(answer))
        return without_secrets(plain, SECRET_FIELDS | names, is_secret=bool(names), instead="hook.write")


def without_secrets(value: Any, names: Collection[str], *, is_secret: bool, instead: str) -> Any:
    """
    Return a response without its secrets, and mask them in the log.

    :param names: of secret fields, in lower case. They are removed in any case and at any depth.
    :param is_secret: whether a response that is no object may itself be a secret.
    :param instead: what returns the secret, for the log.
    """
    found = list(_find_fields(value, names))
    if is_secret and value is not None and not isinstance(value, dict):
        found, value = [("The response", value)], None
    for name, secret in found:
        if isinstance(secret, str) and secret:
            mask_secret(secret)
            remember_secret(secret)
        log.info("%s is a secret and is left out. Use %s to get it", name, instead)
    return without_fields(value, names)


def _find_fields(value: Any, names: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of these names, at any depth."""
    for name, item in value.items() if isinstance(value, dict) else ():
        if name.casefold() in names:
            yield name, item
        else:
            yield from _find_fields(item, names)
    for item in value if isinstance(value, list) else ():
        yield from _find_fields(item, names)


def stored_file(path: str, *, name: str | None = None) -> FileSource:
    """
    Return a file to upload from any storage that Airflow can read.

    :param path: local, or on object storage with its connection, such as ``s3://conn_id@bucket/…``.
    :param name: file name in Alvys; None for the file's own.
    :raises AlvysValueError: the file does not exist, or its file system is unknown.
    """
    from airflow_provider_alvys.api.write.upload import FileSource

    path = check_path(path)
    try:
        file = ObjectStoragePath(path)
        size = file.stat().st_size
    except FileNotFoundError as error:
        raise AlvysValueError(f"The file {path} does not exist") from error
    except ValueError as error:
        raise AlvysValueError(f"{path} cannot be read: {error}") from error
    return FileSource(name or file.name, size, lambda: cast("BinaryIO", cast("Any", file).open("rb")))
