"""The events of a change of a row, and their payloads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from airflow_provider_alvys.simulator.data.row_set import RowSet
from airflow_provider_alvys.simulator.data.times import format_time
from airflow_provider_alvys.simulator.webhooks.change_kinds import changes_of
from airflow_provider_alvys.simulator.webhooks.tender_changes import change_types

# Streams with events that contain the complete record, and the name of the record.
_RECORD_EVENTS = {"loads": "load", "trips": "trip"}
_DOCUMENTS = "_documents"
# Status before (None means any), status after, and event type.
_TENDER_EVENTS = (
    ("Awaiting Update Approval", "Accepted", "tender.change.accepted"),
    (None, "Accepted", "tender.accepted"),
    (None, "Rejected", "tender.rejected"),
    (None, "Cancelled", "tender.cancelled"),
    (None, "Invoiced", "tender.invoiced"),
)
# By event: the stream of the linked record, its column with the load's number, and the name of its id.
_TENDER_LINKS = {
    "tender.accepted": ("loads", "LoadNumber", "loadId"),
    "tender.invoiced": ("invoices", "Loads.LoadNumber", "invoiceId"),
}
# Not reported as changes.
_ALWAYS_CHANGED = ("UpdatedAt", "UpdatedBy")
# By field of a tender's stop: the event of its first value, and the name of the value there.
_STOP_EVENTS = {
    "ArrivedAt": ("tender.stop.arrived", "arrivedAt"),
    "DepartedAt": ("tender.stop.departed", "departedAt"),
}
# The capitals to lower for camelCase: all leading ones except the start of a second word.
_LEADING_CAPITALS = re.compile(r"^[A-Z]+(?![a-z])|^[A-Z]")


@dataclass(frozen=True)
class Event:
    """
    A webhook event.

    :param id: the same in every delivery.
    :param previous: previous values of the changed fields.
    :param etag: version of a document.
    """

    id: str
    type: str
    timestamp: str
    data: Mapping[str, Any]
    previous: Mapping[str, Any] = field(default_factory=dict)
    etag: str | None = None

    def body(self, *, with_previous: bool) -> bytes:
        """Return the payload."""
        data = dict(self.data)
        if with_previous and "diff" in data:
            data["diff"] = {**data["diff"], "previousAttributes": self.previous}
        etag = {} if self.etag is None else {"etag": self.etag}
        head = {"id": self.id, "type": self.type, "timestamp": self.timestamp, "version": "v1"}
        return msgspec.json.encode({**head, **etag, "data": data})


def has_events(stream: str) -> bool:
    """Return whether a stream's rows have events."""
    return stream in _RECORD_EVENTS or stream == "tenders" or stream.endswith(_DOCUMENTS)


def events_of(
    rows: RowSet,
    number: int,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    now: int,
    with_download_url: Callable[[RowSet, int, bytes], bytes],
) -> list[Event]:
    """
    Return the events of a change of a row.

    :param before: its record; None for a new row.
    :param after: its record; None for a removed row.
    :param with_download_url: adds the URL of a document's file to its record.
    """
    stream, timestamp = rows.spec.name, format_time(now, 7)
    if stream in _RECORD_EVENTS:
        return _record_events(rows, number, before, after, timestamp) if after is not None else []
    if stream.endswith(_DOCUMENTS):
        return _document_events(rows, number, before, after, timestamp, with_download_url)
    return _tender_events(rows, number, before, after, timestamp)


def _record_events(
    rows: RowSet, number: int, before: Mapping[str, Any] | None, after: Mapping[str, Any], timestamp: str
) -> list[Event]:
    what = _RECORD_EVENTS[rows.spec.name]
    id, snapshot = f"{rows.key(number)}-{rows.etag(number)}", {what: camel(after)}
    if before is None:
        return [Event(f"{id}-0", f"{what}.changed", timestamp, snapshot)]
    names = [
        name
        for name in {**before, **after}
        if name not in _ALWAYS_CHANGED and before.get(name) != after.get(name)
    ]
    changes = changes_of(what, before, after)
    previous = {camel_name(name): camel(before.get(name)) for name in names}
    events = [
        Event(f"{id}-0", f"{what}.changed", timestamp, {**snapshot, "diff": {"changes": changes}}, previous)
    ]
    if "Status" in names:
        events.append(Event(f"{id}-1", f"{what}.status.changed", timestamp, snapshot))
    return events


def _document_events(
    rows: RowSet,
    number: int,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    timestamp: str,
    with_download_url: Callable[[RowSet, int, bytes], bytes],
) -> list[Event]:
    if after is None:
        record: Mapping[str, Any] = before or {}
    elif before is None:
        record = msgspec.json.decode(with_download_url(rows, number, msgspec.json.encode(after)))
    else:
        return []
    link = rows.spec.stream.parent
    parent = {f"{rows.spec.name.removesuffix(_DOCUMENTS)}Id": record.get("ParentId")}
    if link is not None and link.column == "LoadNumber":
        parent = {"loadNumber": record.get("ParentId")}
    verb, etag = "deleted" if after is None else "uploaded", rows.etag(number)
    type = f"{rows.spec.name.removesuffix(_DOCUMENTS)}.document.{verb}"
    return [
        Event(f"{record['id']}-{etag}", type, timestamp, {**parent, "document": camel(record)}, etag=etag)
    ]


def _tender_events(
    rows: RowSet,
    number: int,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    timestamp: str,
) -> list[Event]:
    if after is None:
        return []
    id, data = f"{rows.key(number)}-{rows.etag(number)}", _tender_data(rows, number, after)
    if before is None:
        return [Event(id, "tender.created", timestamp, data)]
    events = _tender_stop_events(id, before, after, timestamp, data["tenderId"])
    old, new = before.get("Status"), after.get("Status")
    type = next(
        (type for was, becomes, type in _TENDER_EVENTS if becomes == new and was in (None, old)), None
    )
    if old == new:
        change = tender_change(rows, number, before, after, timestamp, is_queued=False)
        return [*events, change] if change else events
    return (
        [*events, Event(id, type, timestamp, {**data, **_tender_links(rows, type, after)})]
        if type
        else events
    )


def tender_change(
    rows: RowSet,
    number: int,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    timestamp: str,
    *,
    is_queued: bool,
) -> Event | None:
    """
    Return the event of a change of a tender, or None if it changes nothing that Alvys names.

    :param is_queued: whether the change awaits approval. The event has the tender as it is.
    """
    types = change_types(before, after)
    if not types:
        return None
    data = {
        "queuedForReview": is_queued,
        "changeCount": len(types),
        "changeTypes": list(dict.fromkeys(types)),
        **_tender_data(rows, number, before if is_queued else after),
    }
    return Event(f"{rows.key(number)}-{rows.etag(number)}", "tender.change.created", timestamp, data)


def _tender_data(rows: RowSet, number: int, record: Mapping[str, Any]) -> dict[str, Any]:
    return {"tenderId": rows.key(number), "tender": camel(record)}


def _tender_links(rows: RowSet, type: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the load of an accepted tender, or the invoice of an invoiced one."""
    load = record.get("LoadNumber")
    if load is None or type not in _TENDER_LINKS:
        return {}
    stream, column, name = _TENDER_LINKS[type]
    linked = rows.row_set_of(stream)
    numbers = linked.column(column)
    found = next((one for one in linked.numbers() if load in _listed(numbers[one])), None)
    number = {"loadNumber": load} if stream == "loads" else {}
    return number if found is None else {name: linked.key(found), **number}


def _listed(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _tender_stop_events(
    id: str, before: Mapping[str, Any], after: Mapping[str, Any], timestamp: str, tender: str
) -> list[Event]:
    known = {stop.get("StopId"): stop for stop in before.get("Stops") or ()}
    events = []
    for stop in after.get("Stops") or ():
        key = stop.get("StopId")
        for field_name, (type, name) in _STOP_EVENTS.items():
            time = (stop.get(field_name) or {}).get("DateTime")
            if key in known and time and time != (known[key].get(field_name) or {}).get("DateTime"):
                data = {"tenderId": tender, "stopId": key, name: time, "reason": stop.get("StopReasonCode")}
                events.append(Event(f"{id}-{key}-{name}", type, timestamp, data))
    return events


def camel(value: Any) -> Any:
    """Return a value with all names in camelCase."""
    if isinstance(value, Mapping):
        return {camel_name(name): camel(item) for name, item in value.items()}
    return [camel(item) for item in value] if isinstance(value, list) else value


def camel_name(name: str) -> str:
    """Return a name in camelCase: ``PONumber`` as ``poNumber``."""
    return _LEADING_CAPITALS.sub(lambda found: found[0].lower(), name)
