"""Whose children are to be read: from a list, from what a parent's sync has landed, or from all that was landed of late."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from airflow_provider_alvys.api.catalogue.stream_spec import Parent
from airflow_provider_alvys.api.catalogue.streams import Stream, get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.parent_ids import parse_parents
from airflow_provider_alvys.landing.dataset.layout import MANIFEST
from airflow_provider_alvys.landing.dataset.store import check_path

_MOST_DAYS = 100_000
_OTHER_WAYS = ", what their sync returned (its XCom), the path of its manifest, or RecentParents(days=…)"


class AlvysParentsError(AlvysValueError):
    """
    Nothing of the parents has ever been landed, so that nothing tells whose children are to be read.

    :param stream: of the parents.
    """

    def __init__(self, message: str, stream: Stream) -> None:
        super().__init__(message)
        self.stream = stream


@dataclass
class RecentParents:
    """
    The parents that a data set holds and that something happened to of late, asked for again at every run.

    Nothing documents that a new document or check call moves its parent's ``UpdatedAt``: the children of
    changed rows alone may miss some.

    :param days: for how many days after the parent's time; None means the catalogue's (14 days after a load's
        delivery, say).
    :param where: values that the parent's fields must have, such as ``{"CustomerId": ["CU1"]}``; None means
        the catalogue's. (By ``Status`` a parent is asked for no more once it moves on.)
    :param path: root of the parent's data set; None means that of the children. (templated)
    """

    days: float | None = None
    where: Mapping[str, Sequence[str]] | None = None
    path: str | None = None

    template_fields: ClassVar[Sequence[str]] = ("path",)


def check_parents(stream: Stream, parents: Any) -> None:
    """
    Refuse parents that cannot be what is meant.

    :raises AlvysValueError: says what to give.
    """
    parent = stream.parent
    if parent is not None and isinstance(parents, RecentParents):
        _check_recent(parent, parents)
        return
    is_one = parent is not None and (isinstance(parents, Mapping) or is_manifest(parents))
    items = parse_parents(
        stream,
        [parents] if is_one else parents,
        alternatives=_OTHER_WAYS,
        is_alternative=lambda item: isinstance(item, Mapping),
    )
    results = [item for item in items or () if isinstance(item, Mapping)]
    # A sweep returns those of several streams.
    if (
        parent
        and results
        and not (all("manifest" in item for item in results) and any(is_of(item, parent) for item in results))
    ):
        raise AlvysValueError(
            f"parents holds {dict(results[0])!r}, which no sync of {parent.stream} returned. "
            f"Give a list of the {parent.column} of {parent.stream}{_OTHER_WAYS}"
        )


def _check_recent(parent: Parent, recent: RecentParents) -> None:
    days, where = recent.days, recent.where
    if days is not None and (
        not isinstance(days, (int, float))
        or isinstance(days, bool)
        or not (math.isfinite(days) and 0 < days <= _MOST_DAYS)
    ):
        raise AlvysValueError(f"RecentParents(days={days!r}) must be a number of days above 0")
    if isinstance(recent.path, str) and "{" not in recent.path:
        check_path(recent.path)
    if where is None:
        return
    if not isinstance(where, Mapping):
        raise AlvysValueError(
            f"RecentParents(where={where!r}) must be a dict, such as {{'CustomerId': ['CU1']}}"
        )
    stream = get_stream(parent.stream)
    for name, values in where.items():
        if name not in stream.fields.fields:
            raise AlvysValueError(
                f"RecentParents(where=…): {stream.name} have no field {name!r}. Fields: {', '.join(stream.fields.fields)}"
            )
        known = next(
            (filter.values for filter in stream.filters if filter.column == name and filter.values), None
        )
        if not isinstance(values, Sequence) or isinstance(values, bytes) or not values:
            raise AlvysValueError(f"RecentParents(where=…): give {name} a list of values, not {values!r}")
        strangers = [value for value in listed_values(values) if known and value not in known]
        if strangers:
            raise AlvysValueError(
                f"RecentParents(where=…): {name} of {stream.name} is never {', '.join(map(repr, strangers))}. "
                f"Values: {', '.join(map(str, known or ()))}"
            )


def listed_values(values: Any) -> list[Any]:
    """Return what a list holds, or any other sequence that is no text, or one value."""
    return list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values]


def is_of(result: Mapping[str, Any], parent: Parent) -> bool:
    """Return whether a sync's result is of a stream's parents."""
    return result.get("stream") == parent.stream


def is_manifest(value: Any) -> bool:
    """Return whether a value is the path of a manifest."""
    return isinstance(value, str) and value.endswith(MANIFEST)


def plain_parents(parents: Any) -> Any:
    """Return parents as JSON that says where they come from: it tells one order from another."""
    if isinstance(parents, RecentParents):
        return {"days": parents.days, "where": parents.where and dict(parents.where), "path": parents.path}
    if isinstance(parents, Mapping):
        return parents["manifest"]
    return (
        [plain_parents(item) for item in parents]
        if isinstance(parents, Sequence) and not isinstance(parents, str)
        else parents
    )


def check_document_parents(stream: Stream, parents: Any) -> None:
    """
    Refuse parents of documents that cannot be what is meant. What a sync of the documents themselves returned
    will do as well.

    :param stream: of the documents.
    :raises AlvysValueError: says what to give.
    """
    others = [item for item in listed_values(parents) if not _is_result_of(item, stream.name)]
    if others or not listed_values(parents):
        check_parents(stream, others if len(others) < len(listed_values(parents)) else parents)


def _is_result_of(item: Any, stream: str) -> bool:
    return isinstance(item, Mapping) and item.get("stream") == stream and "manifest" in item
