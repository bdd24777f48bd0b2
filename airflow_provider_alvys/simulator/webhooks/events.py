"""The events of a change of a row, and their payloads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from airflow_provider_alvys.simulator.data.row_set import RowSet
from airflow_provider_alvys.simulator.data.times import format_time

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
# Not reported as changes.
_ALWAYS_CHANGED = ("UpdatedAt", "UpdatedBy")
# Lists with a change per item, and the type of the item.
_ITEM_TYPES = {"Stops": "Stop"}
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
    return _tender_events(rows, number, before or {}, after or {}, timestamp)


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
    changes = [change for name in names for change in _changes(name, before.get(name), after.get(name))]
    previous = {camel_name(name): camel(before.get(name)) for name in names}
    events = [
        Event(f"{id}-0", f"{what}.changed", timestamp, {**snapshot, "diff": {"changes": changes}}, previous)
    ]
    if "Status" in names:
        events.append(Event(f"{id}-1", f"{what}.status.changed", timestamp, snapshot))
    return events


def _changes(name: str, before: Any, after: Any) -> list[dict[str, Any]]:
    if name not in _ITEM_TYPES:
        return [_change(before, after, "Field", camel_name(name))]
    old, new = ({item.get("Id"): item for item in items or ()} for items in (before, after))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return [_change(old.get(key), new.get(key), _ITEM_TYPES[name], str(key)) for key in keys]


def _change(before: Any, after: Any, kind: str, id: str) -> dict[str, Any]:
    verb = "Added" if before is None else "Removed" if after is None else "Updated"
    return {"kind": verb, "target": {"type": kind, "id": id}}


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
    rows: RowSet, number: int, before: Mapping[str, Any], after: Mapping[str, Any], timestamp: str
) -> list[Event]:
    old, new = before.get("Status"), after.get("Status")
    type = next(
        (type for was, becomes, type in _TENDER_EVENTS if becomes == new and was in (None, old)), None
    )
    if type is None or old == new:
        return []
    return [Event(f"{rows.key(number)}-{rows.etag(number)}", type, timestamp, {"tender": camel(after)})]


def camel(value: Any) -> Any:
    """Return a value with all names in camelCase."""
    if isinstance(value, Mapping):
        return {camel_name(name): camel(item) for name, item in value.items()}
    return [camel(item) for item in value] if isinstance(value, list) else value


def camel_name(name: str) -> str:
    """Return a name in camelCase: ``PONumber`` as ``poNumber``."""
    return _LEADING_CAPITALS.sub(lambda found: found[0].lower(), name)
