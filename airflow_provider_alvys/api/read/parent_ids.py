"""Parsing of the ``parents`` argument."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_alvys.api.catalogue.stream_spec import Stream
from airflow_provider_alvys.api.errors import AlvysValueError


def parse_parents(
    stream: Stream,
    parents: Any,
    *,
    alternatives: str = "",
    is_alternative: Callable[[Any], bool] = lambda item: False,
) -> list[Any] | None:
    """
    Return the parents' ids as texts; None for a stream that is not read per parent.

    :param alternatives: what may be given in place of a list of ids, for errors.
    :param is_alternative: whether an item is one of these and not an id.
    :raises AlvysValueError: the argument is wrong; the error says what to give.
    """
    parent = stream.parent
    if parent is None:
        if parents is not None:
            raise AlvysValueError(f"{stream.name} is not read per parent: leave parents out")
        return None
    advice = f"Give a list of the {parent.column} of {parent.stream}{alternatives}"
    if parents is None:
        raise AlvysValueError(
            f"{stream.name} are read per row of {parent.stream}: give parents. None does not mean all: a "
            f"skipped upstream task returns None. {advice}"
        )
    if isinstance(parents, (str, bytes)) or not isinstance(parents, Sequence):
        raise AlvysValueError(f"parents={parents!r} is a {type(parents).__name__}, not a list. {advice}")
    items = [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in parents]
    for item in items:
        if not is_alternative(item) and (not isinstance(item, str) or item.strip(". ") == ""):
            raise AlvysValueError(
                f"parents has {item!r}, which is not a {parent.column} of {parent.stream}. {advice}"
            )
    return items
