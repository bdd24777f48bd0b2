"""The argument ``parents``: a list, the output of a sync, a manifest, or recent parents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from airflow_provider_alvys.api.catalogue.stream_spec import Parent
from airflow_provider_alvys.api.catalogue.streams import Stream, get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.parent_ids import parse_parents
from airflow_provider_alvys.api.suggestions import suggest
from airflow_provider_alvys.landing.dataset.layout import MANIFEST
from airflow_provider_alvys.landing.dataset.store import check_path

_MAX_DAYS = 100_000
_ALTERNATIVES = ", the output of their sync, the path of its manifest, or RecentParents(days=...)"


class AlvysParentsError(AlvysValueError):
    """No parent has ever landed. ``stream`` is the parents' stream."""

    def __init__(self, message: str, stream: Stream | None = None) -> None:
        super().__init__(message)
        self.stream = stream


@dataclass
class RecentParents:
    """
    The parents in a data set with recent activity. Their children are read again at every run.

    Alvys does not document that a new document or check call changes its parent's ``UpdatedAt``, so reading
    the children of changed parents may miss some.

    :param days: days since the parent's time; None means the catalogue's: 14 since the delivery of a load.
    :param where: values of the rows' fields, such as ``{"CustomerId": ["CU1"]}``; None means the catalogue's.
        (Avoid ``Status``: a parent is left out as soon as it has another one.)
    :param path: root of the data set of the parents; None means that of the children. (templated)
    """

    days: float | None = None
    where: Mapping[str, Sequence[str]] | None = None
    path: str | None = None

    template_fields: ClassVar[Sequence[str]] = ("path",)


def check_parents(stream: Stream, parents: Any) -> None:
    """Raise AlvysValueError if the argument ``parents`` has the wrong type or content."""
    parent = stream.parent
    if parent is not None and isinstance(parents, RecentParents):
        _check_recent(parent, parents)
        return
    is_one = parent is not None and (isinstance(parents, Mapping) or is_manifest(parents))
    items = parse_parents(
        stream,
        [parents] if is_one else parents,
        alternatives=_ALTERNATIVES,
        is_alternative=lambda item: isinstance(item, Mapping),
    )
    results = [item for item in items or () if isinstance(item, Mapping)]
    if parent is None or not results:
        return
    # The output of a sweep contains other streams, too.
    if not (
        all("manifest" in item for item in results) and any(is_of(item, parent.stream) for item in results)
    ):
        raise AlvysValueError(
            f"parents contains {dict(results[0])!r}, which is not the output of a sync of {parent.stream}. "
            f"Give a list of the {parent.column} of {parent.stream}{_ALTERNATIVES}"
        )


def _check_recent(parent: Parent, recent: RecentParents) -> None:
    days, where = recent.days, recent.where
    is_number = isinstance(days, (int, float)) and not isinstance(days, bool)
    if days is not None and not (is_number and 0 < days <= _MAX_DAYS):
        raise AlvysValueError(f"RecentParents(days={days!r}) must be a number of days above 0")
    if isinstance(recent.path, str) and "{" not in recent.path:
        check_path(recent.path)
    if where is None:
        return
    if not isinstance(where, Mapping):
        raise AlvysValueError(f"RecentParents(where={where!r}) must be a dict: {{'CustomerId': ['CU1']}}")
    stream = get_stream(parent.stream)
    prefix = "RecentParents(where=...)"
    for name, values in where.items():
        if name not in stream.fields.fields:
            hint = suggest(name, stream.fields.fields, "Fields")
            raise AlvysValueError(f"{prefix}: {stream.name} have no field {name!r}.{hint}")
        if not isinstance(values, Sequence) or isinstance(values, bytes) or not values:
            raise AlvysValueError(f"{prefix}: {name} must be a list of values, not {values!r}")
        known = next((each.values for each in stream.filters if each.column == name and each.values), ())
        unknown = [value for value in listed_values(values) if known and value not in known]
        if unknown:
            hint = suggest(unknown[0], known or (), "Values")
            raise AlvysValueError(f"{prefix}: {name} of {stream.name} is never {unknown[0]!r}.{hint}")


def listed_values(values: Any) -> list[Any]:
    """Return a sequence as a list, and any other value as a list of one."""
    return list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values]


def is_of(item: Any, stream: str) -> bool:
    """Return whether an item is the output of a sync of a stream."""
    return isinstance(item, Mapping) and item.get("stream") == stream


def is_manifest(value: Any) -> bool:
    """Return whether a value is the path of a manifest."""
    return isinstance(value, str) and value.endswith(MANIFEST)


def plain_parents(parents: Any) -> Any:
    """Return parents as JSON for the config hash."""
    if isinstance(parents, RecentParents):
        return {"days": parents.days, "where": parents.where and dict(parents.where), "path": parents.path}
    if isinstance(parents, Mapping):
        return parents["manifest"]
    if isinstance(parents, Sequence) and not isinstance(parents, str):
        return [plain_parents(item) for item in parents]
    return parents


def check_document_parents(stream: Stream, parents: Any) -> None:
    """Validate ``parents`` as :func:`check_parents`, or as the output of a sync of the documents."""
    items = listed_values(parents)
    others = [item for item in items if not (is_of(item, stream.name) and "manifest" in item)]
    if others or not items:
        check_parents(stream, others if len(others) < len(items) else parents)
