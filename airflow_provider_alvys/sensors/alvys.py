"""Wait for something to happen in Alvys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.documents.listing import document_stream_of
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.poll.conditions import (
    DocumentExists,
    RowsFound,
    StatusReached,
    check_at_least,
    check_has_key,
    check_statuses,
)
from airflow_provider_alvys.api.read.parent_ids import parse_parents
from airflow_provider_alvys.api.web import WebRecord, parent_record
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.links import AlvysRecordLink
from airflow_provider_alvys.parse_checks import check_search, has_template
from airflow_provider_alvys.sensors.base import AlvysSensor

__all__ = ["AlvysDocumentSensor", "AlvysLoadStatusSensor", "AlvysSearchSensor", "AlvysTripStatusSensor"]

# What a load or a trip never comes back from. TONU: a truck was ordered and not used.
_FAILED = ("Cancelled", "TONU")


class _StatusSensor(AlvysSensor):
    """Wait for a status of a row of a stream."""

    operator_extra_links = (AlvysRecordLink(),)
    _stream: ClassVar[str]
    _number: ClassVar[str]

    def _wait_for(
        self,
        statuses: str | Sequence[str],
        failed_statuses: str | Sequence[str] | None,
        *,
        or_later: bool,
        wait_if_missing: bool,
    ) -> None:
        """Keep and check what both constructors take. Airflow and mypy read the names from each, so both list them."""
        self.statuses = statuses
        self.failed_statuses = failed_statuses
        self.or_later = or_later
        self.wait_if_missing = wait_if_missing
        if not has_template(statuses):
            check_statuses(self._stream, _list(statuses))
        if failed_statuses and not has_template(failed_statuses):
            check_statuses(self._stream, _list(failed_statuses))
        self.check_if_plain()

    def condition(self) -> StatusReached:
        """Return what is waited for."""
        condition = StatusReached(
            stream=self._stream,
            number=_text(getattr(self, self._number)),
            statuses=_list(self.statuses),
            failed=_list(self.failed_statuses),
            or_later=self.or_later,
            wait_if_missing=self.wait_if_missing,
        )
        condition.validate()
        return condition

    def record_of_link(self) -> WebRecord:
        """Return what is waited for."""
        return WebRecord(
            self._stream,
            id=self._value["id"] if self._value else None,
            number=str(getattr(self, self._number)),
        )


class AlvysLoadStatusSensor(_StatusSensor):
    """
    Wait until a load has one of the given statuses, or a later one.

    In the triggerer one request a poke serves 150 loads. In a slot each poke costs a request, and in ``reschedule`` mode a token,
    too: give it a ``poke_interval`` of some minutes.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param load_number: number of the load. (templated)
    :param statuses: one status or several, as Alvys writes them, such as ``["Delivered", "Invoiced"]``. (templated)
    :param failed_statuses: these end the wait in failure, without a retry, but for those
        that are waited for; None for none. (templated)
    :param or_later: whether a status that comes after one of ``statuses`` will do: a load can pass one between two pokes.
    :param wait_if_missing: whether a load that does not exist (yet) or is deleted is waited for; else that is a failure.
    :param deferrable: wait in the triggerer. None means what Airflow's ``[operators] default_deferrable`` says.
    :return: ``{"load_number", "id", "status", "updated_at"}`` of the load.
    :raises AlvysValueError: Alvys knows no such status.
    """

    template_fields: Sequence[str] = ("alvys_conn_id", "load_number", "statuses", "failed_statuses")
    _stream = "loads"
    _number = "load_number"

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        load_number: str,
        statuses: str | Sequence[str],
        failed_statuses: str | Sequence[str] | None = _FAILED,
        or_later: bool = True,
        wait_if_missing: bool = True,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(alvys_conn_id=alvys_conn_id, deferrable=deferrable, **kwargs)
        self.load_number = load_number
        self._wait_for(statuses, failed_statuses, or_later=or_later, wait_if_missing=wait_if_missing)


class AlvysTripStatusSensor(_StatusSensor):
    """
    Wait until a trip has one of the given statuses, or a later one. In the triggerer one request a poke serves 50 trips.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param trip_number: number of the trip. (templated)
    :param statuses: one status or several, as Alvys writes them, such as ``"Delivered"``. (templated)
    :param failed_statuses: these end the wait in failure, without a retry, but for those
        that are waited for; None for none. (templated)
    :param or_later: whether a status that comes after one of ``statuses`` will do: a trip can pass one between two pokes.
    :param wait_if_missing: whether a trip that does not exist (yet) or is deleted is waited for; else that is a failure.
    :param deferrable: wait in the triggerer. None means what Airflow's ``[operators] default_deferrable`` says.
    :return: ``{"trip_number", "id", "status", "updated_at"}`` of the trip.
    :raises AlvysValueError: Alvys knows no such status.
    """

    template_fields: Sequence[str] = ("alvys_conn_id", "trip_number", "statuses", "failed_statuses")
    _stream = "trips"
    _number = "trip_number"

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        trip_number: str,
        statuses: str | Sequence[str],
        failed_statuses: str | Sequence[str] | None = _FAILED,
        or_later: bool = True,
        wait_if_missing: bool = True,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(alvys_conn_id=alvys_conn_id, deferrable=deferrable, **kwargs)
        self.trip_number = trip_number
        self._wait_for(statuses, failed_statuses, or_later=or_later, wait_if_missing=wait_if_missing)


class AlvysDocumentSensor(AlvysSensor):
    """
    Wait until there is a document of one of the given types.

    Alvys tells the documents of one parent at a time, ten parents a minute: a hundred of these sensors on one connection look
    every ten minutes each.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param parent_type: of what: ``load``, ``trip``, ``carrier``, ``driver``, ``truck`` or ``trailer``.
    :param parent_id: whose: the number of a load, the id of anything else; a trip's number will not do. (templated)
    :param document_types: one type or several, as Alvys shows them, such as ``"Proof of Delivery (POD)"``: in any case, and with
        the words or with what stands in brackets alone. (templated)
    :param wait_if_missing: whether a parent that Alvys does not know (yet), such as a load without a trip, is waited for; else
        that is a failure.
    :param deferrable: wait in the triggerer. None means what Airflow's ``[operators] default_deferrable`` says.
    :return: what Alvys says of the newest such document, under Alvys's names; without ``DownloadUrl`` and ``ExpiresAt``, since
        who has that address needs nothing else to open the file. Ask for it again where the file is fetched.
    :raises AlvysValueError: there are no documents of such a thing.
    """

    template_fields: Sequence[str] = ("alvys_conn_id", "parent_id", "document_types")
    operator_extra_links = (AlvysRecordLink(),)

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        parent_type: str = "load",
        parent_id: str,
        document_types: str | Sequence[str],
        wait_if_missing: bool = True,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(alvys_conn_id=alvys_conn_id, deferrable=deferrable, **kwargs)
        self.parent_type = parent_type
        self.parent_id = parent_id
        self.document_types = document_types
        self.wait_if_missing = wait_if_missing
        document_stream_of(parent_type)
        self.check_if_plain()

    def condition(self) -> DocumentExists:
        """Return what is waited for."""
        condition = DocumentExists(
            parent=self.parent_type,
            id=_text(self.parent_id),
            types=_list(self.document_types),
            wait_if_missing=self.wait_if_missing,
        )
        condition.validate()
        return condition

    def record_of_link(self) -> WebRecord | None:
        """Return whose document is waited for."""
        return parent_record(document_stream_of(self.parent_type), str(self.parent_id))


class AlvysSearchSensor(AlvysSensor):
    """
    Wait until a search has so many rows.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param stream: name in the catalogue, such as ``loads``. (templated)
    :param filters: Alvys's own search fields, such as ``{"Status": ["Delivered"]}``. (templated)
    :param window_by: which of the stream's windows; None means its default. (templated)
    :param since: start of the window, with a zone; None means no window. (templated)
    :param until: end of the window; None means no end. (templated)
    :param parents: for streams that are read per parent, whose children: a list of ids, such as load numbers for
        ``load_documents``. Each costs a request a poke. (templated)
    :param at_least: how many rows are waited for.
    :param deferrable: wait in the triggerer. None means what Airflow's ``[operators] default_deferrable`` says.
    :return: the keys of all rows found, such as a load's ``Id``; a list for each row that several fields identify.
    :raises AlvysValueError: an argument is wrong; while the DAG is parsed where nothing is templated.
    """

    template_fields: Sequence[str] = (
        "alvys_conn_id",
        "stream",
        "filters",
        "window_by",
        "since",
        "until",
        "parents",
    )
    template_fields_renderers = {"filters": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        stream: str,
        filters: Mapping[str, Any] | None = None,
        window_by: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        parents: Sequence[str] | None = None,
        at_least: int = 1,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(alvys_conn_id=alvys_conn_id, deferrable=deferrable, **kwargs)
        self.stream = stream
        self.filters = filters
        self.window_by = window_by
        self.since = since
        self.until = until
        self.parents = parents
        self.at_least = at_least
        check_at_least(at_least)
        if not has_template(stream):
            check_search(get_stream(stream), filters, window_by)
            check_has_key(stream)
        self.check_if_plain()

    def condition(self) -> RowsFound:
        """Return what is waited for."""
        condition = RowsFound(
            stream=self.stream,
            filters=dict(self.filters or {}),
            window_by=self.window_by,
            since=_time(self.since),
            until=_time(self.until),
            parents=parse_parents(get_stream(self.stream), self.parents),
            at_least=self.at_least,
        )
        condition.validate()
        return condition

    def read_value(self) -> list[Any]:
        """Return the keys of all rows."""
        return self.condition().read_keys(self.hook.get_conn())


def _text(value: Any) -> str:
    if value is None:
        raise AlvysValueError(
            "There is None where a number or an id should be: an upstream task that was skipped gives None"
        )
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise AlvysValueError(
            f"{value!r} is no number or id but a {type(value).__name__}. To wait for several, map the sensor"
        )
    return str(value).strip()


def _list(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value or ())


def _time(value: datetime | str | None) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else value
