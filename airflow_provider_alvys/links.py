"""The link from a task to its record in Alvys."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from airflow.sdk import BaseOperatorLink

from airflow_provider_alvys._compat import AirflowNotFoundException
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.web import WebRecord, record_url
from airflow_provider_alvys.parse_checks import has_template

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

log = logging.getLogger(__name__)


@runtime_checkable
class RecordLinkSource(Protocol):
    """A task that works on one record; its class sets ``operator_extra_links = (AlvysRecordLink(),)``."""

    @property
    def hook(self) -> Any:
        """The hook of the task's connection."""

    def record_of_link(self) -> WebRecord | None:
        """Return the record, or None if it is not known yet."""


class AlvysRecordLink(BaseOperatorLink):
    """
    Link a task to the page of its record; the connection's ``web_url`` gives the address.

    Airflow computes the link when the task's process ends, also after a failure or before a deferral. There
    is no link if the record is not known by then.
    """

    @property
    def name(self) -> str:
        """The label of the button."""
        return "Alvys"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the URL of the record's page, or "" for no link."""
        if not isinstance(operator, RecordLinkSource):
            # A mapped task failed before it was expanded.
            return ""
        record = operator.record_of_link()
        # The task may have failed before its templates were rendered.
        if record is None or has_template([record.stream, record.id, record.number]):
            return ""
        try:
            template = operator.hook.settings.web_url
        except (AlvysValueError, AirflowNotFoundException) as error:
            # The task itself fails with this error.
            log.debug("No link to Alvys: %s", error)
            return ""
        return record_url(template, record)
