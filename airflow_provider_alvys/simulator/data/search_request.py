"""The search in a request, in the catalogue's spelling, and its validation errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from airflow_provider_alvys.api.catalogue.streams import Filter, Stream, TimeWindow
from airflow_provider_alvys.simulator.data.times import DAY, parse_micros

# The errors of each field: the bare form of Alvys's 400.
Errors = dict[str, list[str]]
# Start and end in microseconds. The start is included, the end is not.
Period = tuple[int, int]

FOREVER: Period = (-(2**62), 2**62)
# Of a GET without one.
_DEFAULT_PAGE_SIZE = 50
_TIME_ERRORS = (msgspec.ValidationError, AttributeError, TypeError, OverflowError)


@dataclass(frozen=True)
class SearchRequest:
    """
    A search.

    :param filters: values of the filters in the request, by the catalogue's names.
    :param periods: periods in the request, by the names of the windows.
    :param parents: names of the parents; None means all.
    """

    filters: Mapping[str, Any] = field(default_factory=dict)
    periods: Mapping[str, Period] = field(default_factory=dict)
    parents: Sequence[str] | None = None
    page: int = 0
    page_size: int = 0


def body_fields(stream: Stream, body: Any) -> dict[str, Any] | None:
    """Return the known fields of a JSON body by the catalogue's full names; None if it is not an object."""
    if not isinstance(body, dict):
        return None
    found: dict[str, Any] = {}
    _collect(body, "", _names_by_lower_case(stream), found)
    return found


def query_fields(stream: Stream, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the known fields of a query string, with the names and types of the catalogue."""
    types = {filter.name: filter.type for filter in stream.filters} | dict.fromkeys(
        ("Page", "PageSize"), "integer"
    )
    if stream.parent and stream.parent.param:
        types[stream.parent.param] = "strings"
    names = _names_by_lower_case(stream)
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        if text and name.lower() in names:
            texts.setdefault(names[name.lower()], []).append(text)
    return {name: _convert(types.get(name, "string"), values) for name, values in texts.items()}


def parse_search(stream: Stream, given: Mapping[str, Any] | None) -> tuple[SearchRequest, Errors]:
    """Return the search of a request, and its validation errors."""
    if given is None:
        return SearchRequest(), {"": ["A non-empty request body is required."]}
    errors: Errors = {}
    given = {name: value for name, value in given.items() if value is not None}
    filters = {}
    for filter in stream.filters:
        value = given.get(filter.name)
        error = None if value is None else _error_in(filter, value)
        if filter.required and value is None:
            error = f"The {filter.name} field is required."
        if error:
            errors[filter.name] = [error]
        if value not in (None, "", []):
            filters[filter.name] = value
    periods = {}
    for window in stream.windows:
        if window.column:
            period = _parse_period(window, given, errors)
            if period:
                periods[window.name] = period
    parent = stream.parent.param if stream.parent else ""
    parents = given.get(parent)
    if parent and not (_is_string_list(parents) and parents):
        errors[parent] = [f"The {parent} field is required."]
    known = {
        *filters,
        *(param for window in stream.windows if window.name in periods for param in window.params),
    }
    if stream.any_of and not (known | errors.keys()) & set(stream.any_of):
        errors |= {name: ["At least one search parameter must be provided."] for name in stream.any_of}
    page, page_size = _parse_page(stream, given, errors) if stream.response_type == "page" else (0, 0)
    return SearchRequest(filters, periods, parents, page, page_size), errors


def _names_by_lower_case(stream: Stream) -> dict[str, str]:
    names = [filter.name for filter in stream.filters] + [
        param for window in stream.windows for param in window.params
    ]
    names += [stream.parent.param] if stream.parent else []
    return {name.lower(): name for name in (*names, "Page", "PageSize")}


def _collect(body: Mapping[str, Any], prefix: str, names: Mapping[str, str], found: dict[str, Any]) -> None:
    # Unknown names are ignored, as Alvys does.
    for key, value in body.items():
        name = f"{prefix}{key}".lower()
        if name in names:
            found[names[name]] = value
        elif isinstance(value, dict):
            _collect(value, f"{name}.", names, found)


def _convert(kind: str, texts: list[str]) -> Any:
    if kind == "strings":
        return texts
    text = texts[-1]
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind == "integer" and text.lstrip("-").isdecimal():
        return int(text)
    return text


def _error_in(filter: Filter, value: Any) -> str | None:
    """Return the validation error of a filter's value, or None."""
    types = {
        "boolean": isinstance(value, bool),
        "string": isinstance(value, str),
        "strings": _is_string_list(value),
    }
    if not types.get(filter.type, isinstance(value, int) and not isinstance(value, bool)):
        return f"The value of {filter.name} is not valid."
    values = value if isinstance(value, list) else [value] if value != "" else []
    unknown = [item for item in values if filter.values and item not in filter.values]
    if unknown:
        return f"The value '{unknown[0]}' is not valid."
    if filter.max_items and len(values) > filter.max_items:
        return f"At most {filter.max_items} values are allowed."
    return None


def _is_string_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _parse_period(window: TimeWindow, given: Mapping[str, Any], errors: Errors) -> Period | None:
    name = window.params[0]
    if len(window.params) == 2:
        start, end = given.get(window.params[0]), given.get(window.params[1])
    else:
        period = given.get(name)
        if period is not None and not isinstance(period, dict):
            errors[name] = [f"The value of {name} is not valid."]
            return None
        # As in Alvys, misspelt bounds are ignored.
        bounds = {str(key).lower(): value for key, value in (period or {}).items()}
        start, end = bounds.get("start"), bounds.get("end")
        if end and not start:
            errors[name] = [f"The start of {name} is required."]
            return None
    if window.required and not start:
        errors[name] = [f"The {name} field is required."]
        return None
    if not start and not end:
        return None
    try:
        begin = parse_micros(start) if start else FOREVER[0]
        finish = parse_micros(end, round_up=not window.includes_end) if end else FOREVER[1]
    except _TIME_ERRORS:
        errors[name] = [f"The value of {name} is not valid."]
        return None
    if window.needs_end and not end:
        errors[name] = [f"The end of {name} is required."]
    elif begin > finish:
        errors[name] = [f"The start of {name} must not be after its end."]
    elif window.max_length and finish - begin > window.max_length.total_seconds() * 1_000_000:
        errors[name] = [f"{name} is too long."]
    return begin, finish


def searched_period(window: TimeWindow, period: Period) -> Period:
    """Return the period that a search of a window applies: of whole days if the window includes its end."""
    return (period[0] - period[0] % DAY, period[1] + 1) if window.includes_end else period


def _parse_page(stream: Stream, given: Mapping[str, Any], errors: Errors) -> tuple[int, int]:
    # Both are optional in a GET, and required in a POST.
    usual = {"Page": 0, "PageSize": _DEFAULT_PAGE_SIZE} if stream.method == "GET" else {}
    page = {**usual, **given}
    for name, minimum in (("Page", 0), ("PageSize", 1)):
        value = page.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            errors[name] = [f"The {name} field is required."]
    if "PageSize" not in errors and stream.max_page_size and page["PageSize"] > stream.max_page_size:
        errors["PageSize"] = [f"PageSize must be at most {stream.max_page_size}."]
    return page.get("Page", 0), page.get("PageSize", 0)
