"""The row type of a search's filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_alvys.api.suggestions import suggest

FilterType = Literal["string", "strings", "boolean", "integer"]


@dataclass(frozen=True)
class Filter:
    """
    One field of a search's body, or of its query string for a GET.

    :param name: in Alvys's spelling; ``Filter.Status`` is inside an object ``Filter``.
    :param column: the row's field that it is compared with; None if no field has the value.
        ``Loads.LoadNumber`` is a field inside an object, or inside any item of a list.
    :param values: the only values that Alvys accepts; None for any.
    :param guessed: values seen in real data if no document lists them.
    :param max_items: how many values one request may have. Longer lists take several requests.
    :param default: sent unless the user gives another value; None for nothing.
    :param required: whether Alvys refuses a search without it.
    :param unhides: for a boolean filter: the field for which rows with true are hidden without this filter.
    :param ignored: for a filter that Alvys accepts and ignores: what to use instead. Users may not give it,
        and branches that differ in it overlap. Empty for other filters.
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
    ignored: str = ""

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with a value for this filter; None if nothing is."""
        if self.ignored:
            return f"has no effect, since Alvys ignores it: {self.ignored}"
        if self.type == "boolean":
            return None if isinstance(value, bool) else "takes true or false"
        if self.type == "integer":
            if not isinstance(value, int) or isinstance(value, bool):
                return "takes an integer"
            return self._unknown([value])
        if self.type == "string":
            return self._unknown([value]) if isinstance(value, str) and value else "takes a non-empty string"
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            return "takes a list of strings"
        if not value or not all(isinstance(item, str) and item for item in value):
            return "takes a list of one or more non-empty strings"
        return self._unknown(value)

    def _unknown(self, values: list[Any] | tuple[Any, ...]) -> str | None:
        unknown = sorted(set(values) - set(self.values)) if self.values else []
        if not unknown:
            return None
        hint = suggest(unknown[0], self.values or (), "Allowed")
        return f"does not know {', '.join(map(repr, unknown))}.{hint}"
