"""What a row of the catalogue says."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint, endpoint_of
from airflow_provider_alvys.api.catalogue.limits import Limit, limit_of
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.schema.fields import Record

FilterType = Literal["string", "strings", "boolean", "integer"]
_NOTHING = timedelta(0)
# As the name of a window: none, everything there is.
WHOLE = "whole"


@dataclass(frozen=True)
class Filter:
    """
    One field of a search's body, or of its query where it is a GET.

    :param name: as Alvys spells it; ``Filter.Status`` stands inside an object ``Filter``.
    :param column: the row's field that it is compared with, or None where it is compared with none. ``Loads.LoadNumber``
        is one inside an object, or inside any of a list of them.
    :param values: the only values that Alvys takes, or None for any.
    :param guessed: values that were seen, where no document lists them.
    :param max_items: how many values one request may hold.
    :param default: sent unless the user gives another value; None for nothing.
    :param required: whether Alvys refuses a search without it.
    :param unhides: a boolean filter without which rows are hidden for which this field is true.
    """

    name: str
    type: FilterType
    column: str | None = None
    values: tuple[Any, ...] | None = None
    guessed: tuple[str, ...] = ()
    max_items: int | None = None
    default: Any = None
    required: bool = False
    unhides: str | None = None

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with a value for this filter, or None."""
        if self.type == "boolean":
            return None if isinstance(value, bool) else "takes true or false"
        if self.type == "integer":
            if not isinstance(value, int) or isinstance(value, bool):
                return "takes a whole number"
            return self._unknown([value])
        if self.type == "string":
            return (
                self._unknown([value])
                if isinstance(value, str) and value
                else "takes a text that is not empty"
            )
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            return "takes a list of texts"
        if not value or not all(isinstance(item, str) and item for item in value):
            return "takes a list of one or more texts, none of them empty"
        if self.max_items and len(value) > self.max_items:
            return f"takes at most {self.max_items} values a request, not {len(value)}: ask in batches"
        return self._unknown(value)

    def _unknown(self, values: list[Any] | tuple[Any, ...]) -> str | None:
        strangers = sorted(set(values) - set(self.values)) if self.values else []
        if not strangers:
            return None
        return f"does not know {', '.join(map(repr, strangers))}. Allowed: {', '.join(map(str, self.values or ()))}"


@dataclass(frozen=True)
class Branch:
    """
    One of several searches whose rows, united by key, are what is asked for.

    :param filters: beside the user's; a branch that contradicts those is left out.
    :param window: by which of the stream's windows, or None for without one.
    :param unbounded: that window from the beginning of time to its end, whatever is asked for.
    """

    filters: Mapping[str, Any] = field(default_factory=dict)
    window: str | None = None
    unbounded: bool = False


@dataclass(frozen=True, eq=False)
class TimeWindow:
    """
    A time range by which a stream can be asked for.

    :param name: how users call it: ``window_by="updated"``.
    :param param: the request's field, a ``{Start, End}`` period; or two fields, for the start and for the end.
    :param column: the row's field that it filters.
    :param tracks_changes: whether every change of a row moves that field. Rows can then only leave a window that has
        ended, which is what makes it provable.
    :param whole_days: whether the times are business dates, at midnight UTC, so that a window is whole days.
    :param look_back: how far before the cursor it begins: rows arrive late, and change without moving the field.
    :param look_ahead: how far after now it ends: rows are dated ahead. None for a window without an end.
    :param needs_end: whether Alvys refuses one without an end.
    :param required: whether Alvys refuses a search without this window.
    :param max_length: the longest that one request may ask for, or None.
    :param branches: for a window that is several searches: these, in the place of ``param`` and ``column``.
    """

    name: str
    param: str | tuple[str, str] = ""
    column: str = ""
    tracks_changes: bool = False
    whole_days: bool = False
    look_back: timedelta = _NOTHING
    look_ahead: timedelta | None = _NOTHING
    needs_end: bool = False
    required: bool = False
    max_length: timedelta | None = None
    branches: tuple[Branch, ...] = ()

    @property
    def params(self) -> tuple[str, ...]:
        """The request's fields that hold it; none for one that unites others."""
        return self.param if isinstance(self.param, tuple) else tuple(filter(None, [self.param]))


@dataclass(frozen=True)
class Parent:
    """
    Of which rows a stream's rows are the children.

    :param stream: theirs.
    :param column: their field that the request names them by.
    :param param: the request's field that takes a list of them; empty where the path takes one.
    :param batch_size: how many of them one request names.
    :param recent_by: their time field by which those are chosen that are asked for again.
    :param recent_days: for how many days after that time.
    :param recent_where: and with these values, a list of them for each field.
    """

    stream: str
    column: str
    param: str = ""
    batch_size: int = 1
    recent_by: str | None = None
    recent_days: int = 14
    recent_where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Lookup:
    """
    The call that reads one record.

    :param path: below the API base, with ``{names}`` for its parts that are selectors.
    :param one_of: query parameters of which exactly one is given, and the row's field that each is compared with.
    :param options: further query parameters, booleans.
    """

    path: str
    one_of: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tier:
    """
    How often a company of some hundred trucks wants a stream, and by which window.

    :param name: ``hourly``, ``2-hourly``, ``4-hourly``, ``6-hourly``, ``8-hourly``, ``daily``, ``weekly`` or ``monthly``.
    :param window: None for the stream's regular one, ``whole`` for none.
    :param overlap: None for the general one.
    :param look_back: None for the window's.
    :param look_ahead: None for the window's.
    :param sweep: whether it reads again what is known, to find what has changed unseen or has gone: the window begins
        ``look_back`` before now, whatever the cursor says of earlier runs.
    """

    name: str
    window: str | None = None
    overlap: timedelta | None = None
    look_back: timedelta | None = None
    look_ahead: timedelta | None = None
    sweep: bool = False


@dataclass(frozen=True, eq=False)
class Stream:
    """
    Something that Alvys lets one read. A row of the catalogue equals itself only, and can be the key of a dict.

    :param description: what a row is.
    :param path: below the API base; a ``{name}`` in it is the parent's column.
    :param scope: what the token needs; None where nothing tells.
    :param key: the fields that identify a row (among its parent's, where there is one); empty where nothing does.
    :param fields: of a row.
    :param scope_is_documented: False where the scope is inferred from those of its neighbours.
    :param response_type: what the call answers: a ``page`` of several, a ``list`` of all, or one ``object``.
    :param page_size: rows asked for at once.
    :param max_page_size: the most that Alvys takes, where it says.
    :param filters: what a search can be narrowed by.
    :param any_of: at least one of these (filters or windows) must be sent; where the user gives none, the first is sent with all
        its values, or those that are guessed.
    :param mutually_exclusive: filters that exclude each other.
    :param windows: the time ranges.
    :param default_window: the window of a sync with a cursor; None for reading it whole each time.
    :param full_read: the searches that, without a window, together find every row; empty where there are none.
    :param parent: whose children the rows are, or None.
    :param lookup: how one record is read, or None.
    :param references: fields that name a record of another stream, such as ``{"CustomerId": "customers.Id"}``.
    :param tiers: how often a company wants it; empty for what is off by default.
    :param final_when: when a row changes no more.
    :param notes: what a user should know, and why a row of this table says what it says.
    :param status_order: the values of ``Status`` in the order in which a row passes them, those that stand side by side together;
        those that end it early, or stand beside all others, are left out.
    :param table: of its rows in a database, where its name is that of a list in another stream's rows; empty for its name.
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
    status_order: tuple[tuple[str, ...], ...] = ()
    table: str = ""

    def status_rank(self, status: str | None) -> int | None:
        """Return how far a row with a status has come, as a place in ``status_order``; None for one that is not in it."""
        return next((place for place, step in enumerate(self.status_order) if status in step), None)

    @property
    def number_field(self) -> str:
        """The field by which people know a row, such as ``LoadNumber``; empty where there is none beside the key."""
        names = self.lookup.one_of.values() if self.lookup else ()
        return next((name for name in names if name not in self.key), "")

    @property
    def number_filter(self) -> Filter:
        """
        The filter that takes several of these numbers.

        :raises AlvysValueError: Alvys has none.
        """
        for filter in self.filters:
            if self.number_field and filter.column == self.number_field and filter.type == "strings":
                return filter
        raise AlvysValueError(f"Alvys does not find several {self.name} by their numbers at once")

    @property
    def endpoint(self) -> Endpoint:
        """The call that reads it."""
        return endpoint_of(self.method, self.path)

    @property
    def limit(self) -> Limit:
        """The documented rate limit of that call."""
        return limit_of(self.endpoint)

    @property
    def is_child(self) -> bool:
        """Whether it is read by one call for each parent."""
        return self.parent is not None and not self.parent.param

    def window(self, name: str | None) -> TimeWindow | None:
        """
        Return the time window of that name; for None the regular one. None where the stream is read whole.

        :param name: ``full_read`` for no window, whatever is regular.

        :raises AlvysValueError: the stream has no such window.
        """
        wanted = self.default_window if name is None else name
        if wanted == WHOLE and not self.full_read:
            raise AlvysValueError(f"{self.name} cannot be read whole: Alvys gives them by a window only")
        if wanted in (None, WHOLE):
            return None
        for window in self.windows:
            if window.name == wanted:
                return window
        names = ", ".join(
            repr(name)
            for name in (*(window.name for window in self.windows), *([WHOLE] if self.full_read else []))
        )
        raise AlvysValueError(f"{self.name} has no window {wanted!r}. Windows of {self.name}: {names}")

    def validate_filters(
        self, filters: Any, *, is_templated: Callable[[Any], bool] = lambda value: False
    ) -> dict[str, Any]:
        """
        Return checked filters by their full names: ``{"Filter": {"Status": […]}}`` becomes ``{"Filter.Status": […]}``.

        :param is_templated: tells of a value that cannot be checked yet: a template.
        :raises AlvysValueError: names the filter and what is allowed. Alvys ignores names that it does not know, and
            answers with every row there is.
        """
        known = {filter.name: filter for filter in self.filters}
        if not isinstance(filters, Mapping):
            raise AlvysValueError(
                f"filters={filters!r} is no dict. A template gives a text: put templates into the dict's values, or set "
                "render_template_as_native_obj=True on the DAG"
            )
        flat: dict[str, Any] = {}
        for name, value in filters.items():
            if not isinstance(name, str):
                raise AlvysValueError(f"filters has {name!r} as a name: give texts")
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
            return f"{name} is the window of {self.name}: give since, until and window_by instead"
        if self.parent and name == self.parent.param:
            return f"{name} names the parents of {self.name}: give parents instead"
        if name in ("Page", "PageSize"):
            return f"{name} is set by the page walk and is no filter"
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        close = close or [other for other in known if other.endswith(f".{name}")]
        hint = f" Did you mean {close[0]}?" if close else ""
        filters = f" Filters of {self.name}: {', '.join(known)}" if known else f" {self.name} has no filters"
        return f"{self.name} has no filter {name!r}.{hint}{filters}"

    def normalize_filters(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return filters that mean the same in one form: full names, lists in order, and nothing that is sent anyway."""
        defaults = {filter.name: filter.default for filter in self.filters}
        return {
            name: sorted(value) if isinstance(value, (list, tuple)) else value
            for name, value in self.validate_filters(filters).items()
            if defaults.get(name) != value
        }

    def search_fields(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a search for checked filters, with all that Alvys requires, but no window and no page."""
        fields = {filter.name: filter.default for filter in self.filters if filter.default is not None}
        fields |= filters
        # A list of texts only: a single text holds no more than one of its values.
        choices = (
            filter for filter in self.filters if filter.name in self.any_of and filter.type == "strings"
        )
        first = next((filter for filter in choices if filter.values or filter.guessed), None)
        if first and not any(name in fields for name in self.any_of):
            fields[first.name] = list(first.values or first.guessed)
        return fields
