"""Sensors that wait for a status, a document or rows in Alvys."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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

# A load or a trip never leaves these statuses. TONU means "truck ordered, not used".
_FAILED = ("Cancelled", "TONU")


class _StatusSensor(AlvysSensor):
    """Wait for a status of a row of a stream."""

    operator_extra_links = (AlvysRecordLink(),)
    _stream: ClassVar[str]
    _number: ClassVar[str]

    def _set_statuses(
        self, statuses: Any, failed_statuses: Any, or_later: bool, wait_if_missing: bool
    ) -> None:
        """Set and check shared arguments. Airflow reads their names from each constructor: both list them."""
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
        """Return the condition to wait for."""
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
        """Return the record that the link opens."""
        id = self._value["id"] if self._value else None
        return WebRecord(self._stream, id=id, number=str(getattr(self, self._number)))


class AlvysLoadStatusSensor(_StatusSensor):
    """
    Wait until a load has one of the given statuses, or a later one.

    Cost: in the triggerer, one request per poll for 50 loads. In a slot, a request per poll, and in
    ``reschedule`` mode also one for a token: set a ``poke_interval`` of some minutes.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param load_number: number of the load. (templated)
    :param statuses: one status or several, in Alvys's spelling, such as ``["Delivered", "Invoiced"]``.
        (templated)
    :param failed_statuses: statuses that fail the sensor without a retry, unless they are in ``statuses``;
        None for none. (templated)
    :param or_later: whether later statuses count, too, as a load can pass one between two polls.
    :param wait_if_missing: whether to wait for a load that does not exist or is deleted, rather than fail.
    :param deferrable: whether to wait in the triggerer. None means Airflow's ``[operators]
        default_deferrable``.
    :return: ``{"load_number", "id", "status", "updated_at"}`` of the load.
    :raises AlvysValueError: a status is unknown.
    :raises AirflowFailException: the load has one of ``failed_statuses``, or no retry can help.
    :raises AirflowSensorTimeout: the condition was not met in time.
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
        self._set_statuses(statuses, failed_statuses, or_later, wait_if_missing)


class AlvysTripStatusSensor(_StatusSensor):
    """
    Wait until a trip has one of the given statuses, or a later one.

    Cost: in the triggerer, one request per poll for 50 trips. In a slot, a request per poll, and in
    ``reschedule`` mode also one for a token: set a ``poke_interval`` of some minutes.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param trip_number: number of the trip. (templated)
    :param statuses: one status or several, in Alvys's spelling, such as ``["Delivered", "Invoiced"]``.
        (templated)
    :param failed_statuses: statuses that fail the sensor without a retry, unless they are in ``statuses``;
        None for none. (templated)
    :param or_later: whether later statuses count, too, as a trip can pass one between two polls.
    :param wait_if_missing: whether to wait for a trip that does not exist or is deleted, rather than fail.
    :param deferrable: whether to wait in the triggerer. None means Airflow's ``[operators]
        default_deferrable``.
    :return: ``{"trip_number", "id", "status", "updated_at"}`` of the trip.
    :raises AlvysValueError: a status is unknown.
    :raises AirflowFailException: the trip has one of ``failed_statuses``, or no retry can help.
    :raises AirflowSensorTimeout: the condition was not met in time.
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
        self._set_statuses(statuses, failed_statuses, or_later, wait_if_missing)


class AlvysDocumentSensor(AlvysSensor):
    """
    Wait until a record has a document of one of the given types.

    Cost: one request per poll and parent, of ten a minute: a hundred of these sensors on one connection poll
    every ten minutes each.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param parent_type: kind of the parent: ``load``, ``trip``, ``carrier``, ``driver``, ``truck`` or
        ``trailer``.
    :param parent_id: the load's number, or the Id of any other parent (not a trip's number). (templated)
    :param document_types: one type or several, such as ``"Proof of Delivery (POD)"``, in upper or lower case;
        the part in brackets or the words before it suffice. (templated)
    :param wait_if_missing: whether to wait for a parent that Alvys does not know, such as a load without a
        trip, rather than fail.
    :param deferrable: whether to wait in the triggerer. None means Airflow's ``[operators]
        default_deferrable``.
    :return: the newest matching document as Alvys lists it, without ``DownloadUrl`` and ``ExpiresAt``: anyone
        with that URL can open the file. To fetch the file, list the documents again.
    :raises AlvysValueError: such a parent has no documents.
    :raises AirflowFailException: no retry can help, such as after a missing scope.
    :raises AirflowSensorTimeout: the condition was not met in time.
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
        """Return the condition to wait for."""
        condition = DocumentExists(
            parent=self.parent_type,
            id=_text(self.parent_id),
            types=_list(self.document_types),
            wait_if_missing=self.wait_if_missing,
        )
        condition.validate()
        return condition

    def record_of_link(self) -> WebRecord | None:
        """Return the record that the link opens."""
        return parent_record(document_stream_of(self.parent_type), str(self.parent_id))


class AlvysSearchSensor(AlvysSensor):
    """
    Wait until a search has a number of rows.

    Cost: one request per poll, or one per parent. Sensors with the same search share it in the triggerer.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param stream: a stream of the catalogue, such as ``loads``; see ``docs/reference/streams.md``.
        (templated)
    :param filters: Alvys's search fields, such as ``{"Status": ["Delivered"]}``; None means all rows.
        (templated)
    :param window_by: window kind, such as ``created``; None means the stream's regular one. (templated)
    :param since: start of the window, with a time zone; None means no window. (templated)
    :param until: end of the window; None means no end. (templated)
    :param parents: parents of a stream that is read per parent: load numbers for ``load_documents``.
        (templated)
    :param at_least: number of rows to wait for.
    :param deferrable: whether to wait in the triggerer. None means Airflow's ``[operators]
        default_deferrable``.
    :return: the keys of all rows, such as a load's ``Id``; a list per row if several fields identify it.
    :raises AlvysValueError: an argument is wrong; raised while the DAG is parsed if nothing is templated.
    :raises AirflowFailException: no retry can help, such as after a missing scope.
    :raises AirflowSensorTimeout: the condition was not met in time.
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
    none_fields = ("window_by", "since", "until")

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
        """Return the condition to wait for."""
        row = get_stream(self.stream)
        filters = {} if self.filters is None else self.filters
        row.validate_filters(filters)
        condition = RowsFound(
            stream=self.stream,
            filters=dict(filters),
            window_by=self.window_by,
            since=_time(self.since),
            until=_time(self.until),
            parents=parse_parents(row, self.parents),
            at_least=self.at_least,
        )
        condition.validate()
        return condition

    def read_value(self) -> list[Any]:
        """Return the keys of all rows."""
        return self.condition().read_keys(self.hook.get_conn())


def _text(value: Any) -> str:
    if value is None:
        raise AlvysValueError("None is not a number or an id: the upstream task may have been skipped")
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise AlvysValueError(
            f"{value!r} is a {type(value).__name__}, not a number or an id. For several, map the sensor"
        )
    return str(value).strip()


def _list(value: Any) -> list[Any]:
    if value is None or isinstance(value, str):
        return [] if value is None else [value]
    if isinstance(value, (bytes, Mapping)) or not isinstance(value, Collection):
        raise AlvysValueError(f"{value!r} is a {type(value).__name__}, not a text or a list of texts")
    return list(value)


def _time(value: datetime | str | None) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else value
