"""Whose children are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_alvys.api.catalogue.stream_spec import Stream
from airflow_provider_alvys.api.errors import AlvysValueError


def list_parents(
    stream: Stream,
    parents: Any,
    *,
    other_ways: str = "",
    is_other: Callable[[Any], bool] = lambda item: False,
) -> list[Any] | None:
    """
    Return whose children are asked for, ids as texts; None for a stream that is not read per parent.

    :param other_ways: what may be given besides a list of ids, for errors.
    :param is_other: tells of an item that is no id but one of those.
    :raises AlvysValueError: says what to give.
    """
    parent = stream.parent
    if parent is None:
        if parents is not None:
            raise AlvysValueError(f"{stream.name} is not read per parent: leave parents out")
        return None
    advice = f"Give a list of the {parent.column} of {parent.stream}{other_ways}"
    if parents is None:
        raise AlvysValueError(
            f"{stream.name} are read per row of {parent.stream}: give parents. None is never all of them: an upstream task that "
            f"was skipped gives None. {advice}"
        )
    if isinstance(parents, (str, bytes)) or not isinstance(parents, Sequence):
        raise AlvysValueError(f"parents={parents!r} is no list but a {type(parents).__name__}. {advice}")
    items = [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in parents]
    for item in items:
        if not is_other(item) and (not isinstance(item, str) or item.strip(". ") == ""):
            raise AlvysValueError(
                f"parents holds {item!r}, which is no {parent.column} of {parent.stream}. {advice}"
            )
    return items
