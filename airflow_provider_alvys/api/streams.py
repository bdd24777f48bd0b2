"""The catalogue of what can be read: one row a stream, from Alvys's API documents."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_alvys.api.endpoints import Endpoint, endpoint_of
from airflow_provider_alvys.api.errors import AlvysValueError

FilterType = Literal["string", "strings", "boolean"]


@dataclass(frozen=True)
class Filter:
    """
    One field of a search body.

    :param column: the row's field that it is compared with, or None where it is compared with none.
    :param values: the only values that Alvys takes, or None for any.
    :param max_items: how many values one request may hold.
    """

    name: str
    type: FilterType
    column: str | None = None
    values: tuple[str, ...] | None = None
    max_items: int | None = None

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with a value for this filter, or None."""
        if self.type == "boolean":
            return None if isinstance(value, bool) else "takes true or false"
        if self.type == "string":
            return None if isinstance(value, str) and value else "takes a text that is not empty"
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            return "takes a list of texts"
        if not value or not all(isinstance(item, str) and item for item in value):
            return "takes a list of one or more texts, none of them empty"
        if self.max_items and len(value) > self.max_items:
            return f"takes at most {self.max_items} values a request, not {len(value)}: ask in batches"
        strangers = sorted(set(value) - set(self.values)) if self.values else []
        if strangers:
            return f"does not know {', '.join(map(repr, strangers))}. Allowed: {', '.join(self.values or ())}"
        return None


@dataclass(frozen=True)
class TimeWindow:
    """
    A time range by which a stream can be asked for.

    :param name: how users call it: ``window_by="updated"``.
    :param param: the body's field, a ``{Start, End}`` period.
    :param column: the row's field that it filters.
    :param tracks_changes: whether every change of a row moves that field. Rows can then only leave a window that has
        ended, which is what makes it provable.
    """

    name: str
    param: str
    column: str
    tracks_changes: bool = False


@dataclass(frozen=True)
class Stream:
    """
    Something that Alvys lets one read.

    :param path: below the API base.
    :param scope: what the token needs.
    :param key: the fields that identify a row.
    :param page_size: rows asked for at once.
    :param filters: what a search can be narrowed by.
    :param windows: the time ranges, the default first.
    :param always: body fields sent unless the user gives another value.
    :param one_of: at least one of these filters must be sent; where the user gives none, the first is sent with all its values.
    """

    name: str
    path: str
    scope: str
    key: tuple[str, ...]
    method: str = "POST"
    page_size: int = 200
    filters: tuple[Filter, ...] = ()
    windows: tuple[TimeWindow, ...] = ()
    always: Mapping[str, Any] = field(default_factory=dict)
    one_of: tuple[str, ...] = ()

    @property
    def endpoint(self) -> Endpoint:
        """The call that reads it."""
        return endpoint_of(self.method, self.path)

    def window(self, name: str | None) -> TimeWindow:
        """
        Return the time window of that name, or the default one for None.

        :raises AlvysValueError: the stream has no such window.
        """
        for window in self.windows:
            if name in (None, window.name):
                return window
        names = ", ".join(repr(window.name) for window in self.windows) or "none: it is read whole"
        raise AlvysValueError(f"{self.name} has no window {name or 'at all'!r}. Windows of {self.name}: {names}")

    def check_filters(self, filters: Any) -> None:
        """
        Refuse filters that Alvys would ignore or reject.

        :raises AlvysValueError: names the filter and what is allowed. Alvys ignores names that it does not know, and
            answers with every row there is.
        """
        known = {filter.name: filter for filter in self.filters}
        if not isinstance(filters, Mapping):
            raise AlvysValueError(
                f"filters={filters!r} is no dict. A template gives a text: put templates into the dict's values, or set "
                "render_template_as_native_obj=True on the DAG"
            )
        for name, value in filters.items():
            if name not in known:
                raise AlvysValueError(self._unknown_filter(name, list(known)))
            problem = known[name].problem(value)
            if problem:
                raise AlvysValueError(f"The filter {name} of {self.name} {problem}")

    def _unknown_filter(self, name: str, known: list[str]) -> str:
        if any(name == window.param for window in self.windows):
            return f"{name} is the window of {self.name}: give since, until and window_by instead"
        if name in ("Page", "PageSize"):
            return f"{name} is set by the page walk and is no filter"
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]}?" if close else ""
        return f"{self.name} has no filter {name!r}.{hint} Filters of {self.name}: {', '.join(known)}"

    def plain_filters(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return filters that mean the same in one form: lists in order, and nothing that is sent anyway."""
        return {
            name: sorted(value) if isinstance(value, (list, tuple)) else value
            for name, value in filters.items()
            if self.always.get(name) != value
        }

    def body(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the search body for checked filters, with all that Alvys requires, but no window and no page."""
        body = {**self.always, **filters}
        if self.one_of and not any(name in body for name in self.one_of):
            first = next(filter for filter in self.filters if filter.name == self.one_of[0])
            body[first.name] = list(first.values or ())
        return body


# Confirmed by a live validation error; the response page lists only 16 of them.
_LOAD_STATUSES = (
    "Admin",
    "In Review",
    "Open",
    "Quoted",
    "Reserved",
    "Covered",
    "Dispatched",
    "In Transit",
    "Delivered",
    "TONU",
    "Released",
    "Released-Carrier Paid",
    "Carrier Paid",
    "Trip Completed",
    "Queued",
    "Invoiced",
    "Financed",
    "Completed",
    "Paid",
    "Cancelled",
    "En-Route",
)

STREAMS: Mapping[str, Stream] = {
    stream.name: stream
    for stream in (
        Stream(
            name="loads",
            path="loads/search",
            scope="load:read",
            key=("Id",),
            filters=(
                Filter("Status", "strings", "Status", values=_LOAD_STATUSES),
                Filter("OrderNumbers", "strings", "OrderNumber"),
                Filter("LoadNumbers", "strings", "LoadNumber", max_items=150),
                Filter("PONumbers", "strings", "PONumber"),
                Filter("CustomerId", "string", "CustomerId"),
                Filter("UpdatedBy", "string", "UpdatedBy"),
                Filter("CustomerSalesAgentId", "string", "CustomerSalesAgentId"),
                Filter("IncludeDeleted", "boolean"),
            ),
            windows=(
                TimeWindow("updated", "UpdatedAtRange", "UpdatedAt", tracks_changes=True),
                TimeWindow("created", "DateRange", "CreatedAt"),
            ),
            # Without it a deleted load would vanish from a mirror unseen. OpenAPI requires it, the page does not.
            always={"IncludeDeleted": True},
            # A date range alone is refused. CustomerSalesAgentId is in OpenAPI and in live errors, not on the page.
            one_of=(
                "Status",
                "OrderNumbers",
                "LoadNumbers",
                "PONumbers",
                "CustomerId",
                "UpdatedBy",
                "CustomerSalesAgentId",
            ),
        ),
    )
}


def get_stream(name: str) -> Stream:
    """
    Return the catalogue's row for a stream.

    :raises AlvysValueError: there is none of that name.
    """
    if not isinstance(name, str) or name not in STREAMS:
        raise AlvysValueError(f"There is no stream {name!r}. Streams: {', '.join(STREAMS)}")
    return STREAMS[name]


def scope_of(endpoint: Endpoint) -> str | None:
    """Return the scope that guards an endpoint, or None where the catalogue does not know."""
    return next((stream.scope for stream in STREAMS.values() if stream.endpoint == endpoint), None)
