"""The link from a task to the record in Alvys that it is about."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from airflow.sdk import BaseOperatorLink

from airflow_provider_alvys._compat import AirflowNotFoundException
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.web import WebRecord, page_of
from airflow_provider_alvys.parse_checks import has_template

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

log = logging.getLogger(__name__)


@runtime_checkable
class LinksToRecord(Protocol):
    """A task that is about one record; its class has ``operator_extra_links = (AlvysRecordLink(),)``."""

    @property
    def hook(self) -> Any:
        """The hook for its connection."""

    def record_of_link(self) -> WebRecord | None:
        """Return the record, by what is known now; None where it is not."""


class AlvysRecordLink(BaseOperatorLink):
    """
    The page of the record that a task is about, where the connection's ``web_url`` says how such a page is addressed.

    Airflow asks for it in the task's process whenever that ends, after a failure and before a wait in the triggerer too, when the
    record may not be known: there is no link then.
    """

    @property
    def name(self) -> str:
        """What the button says."""
        return "Alvys"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the record's page, or "" where there is none."""
        if not isinstance(operator, LinksToRecord):
            # A mapped task that failed before it became one of its instances.
            return ""
        record = operator.record_of_link()
        # A task that failed before its templates were rendered.
        if record is None or has_template([record.stream, record.id, record.number]):
            return ""
        try:
            pattern = operator.hook.settings.web_url
        except (AlvysValueError, AirflowNotFoundException) as error:
            # Of the connection: the task has failed of the same.
            log.debug("There is no link to Alvys: %s", error)
            return ""
        return page_of(pattern, record)
