"""The row types of the catalogue of streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint, endpoint_of
from airflow_provider_alvys.api.catalogue.filter_spec import Filter as Filter
from airflow_provider_alvys.api.catalogue.limits import Limit, limit_of
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.schema.fields import Record, secret_fields
from airflow_provider_alvys.api.suggestions import suggest

_NOTHING = timedelta(0)
# The window name for a read of all rows.
WHOLE = "whole"


@dataclass(frozen=True)
class Branch:
    """
    One of several searches. Their rows together, without duplicate keys, are the result.

    Branches may overlap: one that returns the rows of an earlier one again is not read further.

    :param filters: in addition to the user's; a branch that contradicts those is skipped.
    :param window: name of the stream's window to use; None for no window.
    :param unbounded: whether to read that window from the earliest time to its end, instead of the requested
        range.
    """

    filters: Mapping[str, Any] = field(default_factory=dict)
    window: str | None = None
    unbounded: bool = False


@dataclass(frozen=True, eq=False)
class TimeWindow:
    """
    A time range by which a stream can be searched.

    :param name: the value of ``window_by``.
    :param param: the request's field, a ``{Start, End}`` period; or two fields, for start and end.
    :param column: the row's time field that is filtered.
    :param column_is_certain: False if that is our reading only, or documents contradict each other. The
        absence of a row from such a window proves nothing.
    :param tracks_changes: whether every change of a row updates that field. Rows can then only leave a past
        window, so a read of it can be proved complete.
    :param whole_days: whether the times are dates (midnight UTC), so that windows are whole days.
    :param look_back: how far the window begins before the cursor, for rows that arrive late or change without
        an update of the field.
    :param look_ahead: how far the window ends after now, for rows with future dates; None for no end.
    :param needs_end: whether Alvys refuses a window without an end.
    :param includes_end: whether the day of the end is included. Elsewhere a window ends before its end.
    :param required: whether Alvys refuses a search without this window.
    :param max_length: maximum length of one request's window, or None.
    :param branches: for a window of several searches, instead of ``param`` and ``column``.
    """

    name: str
    param: str | tuple[str, str] = ""
    column: str = ""
    column_is_certain: bool = True
    tracks_changes: bool = False
    whole_days: bool = False
    look_back: timedelta = _NOTHING
    look_ahead: timedelta | None = _NOTHING
    needs_end: bool = False
    includes_end: bool = False
    required: bool = False
    max_length: timedelta | None = None
    branches: tuple[Branch, ...] = ()

    @property
    def params(self) -> tuple[str, ...]:
        """The request's fields for the window; none for a window with branches."""
        return self.param if isinstance(self.param, tuple) else tuple(filter(None, [self.param]))


@dataclass(frozen=True)
class Parent:
    """
    The parent of a child stream.

    :param stream: name of the parent stream.
    :param column: the parent's field that a request refers to.
    :param param: the request's field for a list of parents; empty if one parent is in the path.
    :param batch_size: maximum number of parents in one request.
    :param recent_by: the parent's time field that selects recent parents, which are read again by default.
    :param recent_days: for how many days after that time.
    :param recent_where: field values that the recent parents must have as well: a tuple for each field.
    """

    stream: str
    column: str
    param: str = ""
    batch_size: int = 1
    recent_by: str | None = None
    recent_days: int = 14
    recent_where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Control:
    """
    A search that finds rows whatever their status, to notice a status that the catalogue does not know.

    :param stream: name of the stream to search; empty for the same one.
    :param filters: sent instead of the list of all statuses.
    :param window: name of the window that both searches need, from the earliest time on; empty for none.
    """

    stream: str = ""
    filters: Mapping[str, Any] = field(default_factory=dict)
    window: str = ""


@dataclass(frozen=True)
class Lookup:
    """
    The call that reads one record.

    :param path: below the API base, with selectors as ``{names}``.
    :param one_of: query parameters of which exactly one is given, with the row's field for each.
    :param options: further boolean query parameters.
    """

    path: str
    one_of: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()


_CADENCES = {
    "hourly": timedelta(hours=1),
    **{f"{hours}-hourly": timedelta(hours=hours) for hours in (2, 4, 6, 8)},
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=31),
}


@dataclass(frozen=True)
class Tier:
    """
    How often a company with some hundred trucks syncs a stream, and with which window.

    :param name: ``hourly``, ``2-hourly``, ``4-hourly``, ``6-hourly``, ``8-hourly``, ``daily``, ``weekly`` or
        ``monthly``.
    :param window: None for the stream's default window, ``whole`` for no window.
    :param overlap: None for the general default.
    :param look_back: None for the window's.
    :param look_ahead: None for the window's.
    :param sweep: whether to read known rows again to find unnoticed changes and deletes. The window then
        begins ``look_back`` before now, independent of the cursor.
    """

    name: str
    window: str | None = None
    overlap: timedelta | None = None
    look_back: timedelta | None = None
    look_ahead: timedelta | None = None
    sweep: bool = False

    @property
    def cadence(self) -> timedelta:
        """The time between two syncs."""
        return _CADENCES[self.name]


@dataclass(frozen=True, eq=False)
class Stream:
    """
    A kind of record that can be read. It equals only itself and can be a dict key.

    :param description: what one row is.
    :param path: below the API base; a ``{name}`` is the parent's column.
    :param scope: the token's scope; None if no document names it.
    :param key: the fields that identify a row (within its parent, if it has one); empty if none do.
    :param fields: the fields of a row.
    :param scope_is_documented: False if the scope is inferred from similar calls.
    :param response_type: a ``page`` of several, a ``list`` of all rows, or one ``object``.
    :param page_size: rows requested per page.
    :param max_page_size: the documented maximum, or None.
    :param filters: the filters that a search accepts.
    :param any_of: filters or windows of which at least one is required. If a search has none, the first
        filter with known values is sent with all of them.
    :param control: the search that a read with all known values is compared with; or None.
    :param mutually_exclusive: filters of which at most one may be given.
    :param windows: the time windows that a search accepts.
    :param default_window: the window of a sync with a cursor; None to read all rows each time.
    :param full_read: the searches that, without a window, find all rows together; empty if that is
        impossible.
    :param parent: the parent of a child stream, or None.
    :param lookup: the call that reads one record, or None.
    :param references: fields with the key of another stream, such as ``{"CustomerId": "customers.Id"}``.
    :param tiers: how often it is synced; empty for a stream that is off by default.
    :param final_when: when a row no longer changes.
    :param notes: facts for users, and the reasons for values of this catalogue row.
    :param number_is_unique: False if two rows may have the same ``number_field``.
    :param status_order: values of ``Status`` in the order of a row's life. Those of equal rank are in one
        tuple. Those that end it early, or can occur at any time, are missing.
    :param table: name of its database table if a list of another stream has the default name; else empty.
    """

    name: str
    description: str
    path: str
    scope: str | None
    key: tuple[str, ...]
    fields: Record
    scope_is_documented: bool = True
    method: Literal["GET", "POST"] = "POST"
    response_type: Literal["page", "list", "object"] = "page"
    page_size: int = 200
    max_page_size: int | None = None
    filters: tuple[Filter, ...] = ()
    any_of: tuple[str, ...] = ()
    control: Control | None = None
    mutually_exclusive: tuple[str, ...] = ()
    windows: tuple[TimeWindow, ...] = ()
    default_window: str | None = None
    full_read: tuple[Branch, ...] = (Branch(),)
    parent: Parent | None = None
    lookup: Lookup | None = None
    references: Mapping[str, str] = field(default_factory=dict)
    tiers: tuple[Tier, ...] = ()
    final_when: str = ""
    notes: tuple[str, ...] = ()
    number_is_unique: bool = True
    status_order: tuple[tuple[str, ...], ...] = ()
    table: str = ""

    def status_rank(self, status: str | None) -> int | None:
        """Return the position of a status in ``status_order``; None if it has none."""
        return next((rank for rank, values in enumerate(self.status_order) if status in values), None)

    @property
    def secret_fields(self) -> frozenset[str]:
        """The names of the fields that no file, table, XCom or log may contain, in lower case."""
        return secret_fields(self.fields)

    def cadence_of(self, window_by: str | None) -> timedelta | None:
        """
        Return the time between two regular syncs, by the tier that runs most often.

        :param window_by: the window kind of a sync; None for a read in full.
        :return: None if a sync with this window does not show the state of all rows, or there is no tier.
        """
        regular = (None, self.default_window)
        found = [tier.cadence for tier in self.tiers if tier.window in regular and window_by in regular]
        return min(found, default=None)

    @property
    def number_field(self) -> str:
        """The field by which people identify a row, such as ``LoadNumber``; empty if only the key does."""
        names = self.lookup.one_of.values() if self.lookup else ()
        return next((name for name in names if name not in self.key), "")

    @property
    def number_filter(self) -> Filter:
        """
        The filter that takes several values of ``number_field``.

        :raises AlvysValueError: the stream has none.
        """
        for filter in self.filters:
            if self.number_field and filter.column == self.number_field and filter.type == "strings":
                return filter
        raise AlvysValueError(f"Alvys cannot search several {self.name} by number")

    @property
    def endpoint(self) -> Endpoint:
        """The call that reads the stream."""
        return endpoint_of(self.method, self.path)

    @property
    def limit(self) -> Limit:
        """The documented rate limit of the call."""
        return limit_of(self.endpoint)

    @property
    def is_child(self) -> bool:
        """Whether each parent needs a call of its own."""
        return self.parent is not None and not self.parent.param

    @property
    def is_list_search(self) -> bool:
        """Whether it is a search that returns a bare list: if nothing is found, Alvys answers 404."""
        return self.response_type == "list" and self.endpoint.template.endswith("/search")

    @property
    def row_window(self) -> TimeWindow | None:
        """The first window that a change of a row does not move: of its creation, or of a business date."""
        return next((by for by in self.windows if not by.branches and not by.tracks_changes), None)

    @property
    def status_filter(self) -> Filter | None:
        """The filter by a list of statuses, or None."""
        filters = (filter for filter in self.filters if filter.column == "Status")
        return next((filter for filter in filters if filter.type == "strings" and not filter.ignored), None)

    def window(self, name: str | None) -> TimeWindow | None:
        """
        Return a time window, or None for a read of all rows.

        :param name: ``whole`` for no window; None for the default window.
        :raises AlvysValueError: the stream has no such window.
        """
        wanted = self.default_window if name is None else name
        if wanted == WHOLE and not self.full_read:
            raise AlvysValueError(f"{self.name} has no window {WHOLE!r}: Alvys requires a time range")
        if wanted in (None, WHOLE):
            return None
        for window in self.windows:
            if window.name == wanted:
                return window
        names = [*(window.name for window in self.windows), *([WHOLE] if self.full_read else [])]
        hint = suggest(wanted, names, f"Windows of {self.name}")
        raise AlvysValueError(f"{self.name} has no window {wanted!r}.{hint}")

    def validate_filters(
        self, filters: Any, *, is_templated: Callable[[Any], bool] = lambda value: False
    ) -> dict[str, Any]:
        """
        Return validated filters by their full names.

        ``{"Filter": {"Status": […]}}`` becomes ``{"Filter.Status": […]}``. Alvys ignores unknown filters and
        then returns all rows, so they are refused here.

        :param is_templated: whether a value is a template, which cannot be checked yet.
        :raises AlvysValueError: names the wrong filter and what is allowed.
        """
        known = {filter.name: filter for filter in self.filters}
        if not isinstance(filters, Mapping):
            raise AlvysValueError(
                f"filters={filters!r} is not a dict. A template renders to a string: put templates into the "
                "dict's values, or set render_template_as_native_obj=True on the DAG"
            )
        flat: dict[str, Any] = {}
        for name, value in filters.items():
            if not isinstance(name, str):
                raise AlvysValueError(f"The filter name {name!r} must be a string")
            flat |= (
                {f"{name}.{inner}": item for inner, item in value.items()}
                if isinstance(value, Mapping)
                else {name: value}
            )
        for name, value in flat.items():
            if name not in known:
                if is_templated(value) and any(other.startswith(f"{name}.") for other in known):
                    continue
                raise AlvysValueError(self._unknown_filter(name, list(known)))
            problem = None if is_templated(value) else known[name].problem(value)
            if problem:
                raise AlvysValueError(f"The filter {name} of {self.name} {problem}")
        exclusive = [name for name in self.mutually_exclusive if name in flat]
        if len(exclusive) > 1:
            raise AlvysValueError(
                f"The filters {' and '.join(exclusive)} of {self.name} exclude each other: give one"
            )
        return flat

    def _unknown_filter(self, name: str, known: list[str]) -> str:
        if any(f"{name}.".startswith(f"{param}.") for window in self.windows for param in window.params):
            return f"{name} is a window of {self.name}: use since, until and window_by instead"
        if self.parent and name == self.parent.param:
            return f"{name} selects the parents of {self.name}: use parents instead"
        if name in ("Page", "PageSize"):
            return f"{name} is set by the paginator and is not a filter"
        return f"{self.name} has no filter {name!r}.{suggest(name, known, f'Filters of {self.name}')}"

    def normalize_filters(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return filters in a normal form: full names, sorted lists, and no default values."""
        defaults = {filter.name: filter.default for filter in self.filters}
        return {
            name: sorted(value) if isinstance(value, (list, tuple)) else value
            for name, value in self.validate_filters(filters).items()
            if defaults.get(name) != value
        }

    def search_fields(self, filters: Mapping[str, Any], by: TimeWindow | None = None) -> dict[str, Any]:
        """
        Return a search's fields for validated filters, with required ones but without window and page.

        :param by: the window of the search. It may satisfy ``any_of``.
        """
        fields = {filter.name: filter.default for filter in self.filters if filter.default is not None}
        fields |= filters
        # Only a list can have all values.
        choices = (
            filter for filter in self.filters if filter.name in self.any_of and filter.type == "strings"
        )
        first = next((filter for filter in choices if filter.values or filter.guessed), None)
        given = {*fields, *(by.params if by else ())}
        if first and given.isdisjoint(self.any_of):
            fields[first.name] = list(first.values or first.guessed)
        return fields
