"""The conditions that sensors wait for, as plain values, and their evaluation."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union

import msgspec

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.documents.listing import (
    document_stream_of,
    parse_document_types,
    suggest_types,
    type_aliases,
)
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.poll.batch_queries import (
    DocumentsQuery,
    RecordStatus,
    RowsQuery,
    SearchCriteria,
    SearchResult,
    StatusQuery,
    time_sort_key,
)
from airflow_provider_alvys.api.read.parent_ids import parse_parents
from airflow_provider_alvys.api.scrubbing import MAX_MESSAGE_CHARS, scrub

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient


Outcome: TypeAlias = Literal["waiting", "done", "failed"]


class PokeResult(msgspec.Struct, frozen=True, kw_only=True):
    """
    The outcome of one poll.

    :param message: a sentence without its full stop.
    :param value: the sensor's return value if the outcome is ``done``; plain JSON values.
    :param is_partial: whether the value still has to be read by another search.
    :param level: level of the message in a log.
    """

    outcome: Outcome
    message: str
    value: Any = None
    is_partial: bool = False
    level: int = logging.INFO

    def __post_init__(self) -> None:
        """Scrub the message, which quotes values of rows and reaches logs and Airflow's database."""
        msgspec.structs.force_setattr(self, "message", scrub(self.message, MAX_MESSAGE_CHARS))


class StatusReached(msgspec.Struct, frozen=True, kw_only=True, tag="status"):
    """
    A load or a trip has one of the given statuses.

    :param stream: ``loads`` or ``trips``.
    :param number: number of the load or the trip.
    :param failed: statuses that fail the sensor, unless they are in ``statuses``.
    :param or_later: whether later statuses count, too.
    :param wait_if_missing: whether to wait for a record that does not exist, rather than fail.
    """

    stream: str
    number: str
    statuses: list[str]
    failed: list[str] = []
    or_later: bool = True
    wait_if_missing: bool = True

    def validate(self) -> None:
        """Raise AlvysValueError if a field is not valid."""
        check_statuses(self.stream, self.statuses)
        if self.failed:
            check_statuses(self.stream, self.failed)
        if not self.number.strip():
            raise AlvysValueError(f"{_singular(self.stream)}_number is empty: give the number in Alvys")

    def request(self) -> tuple[StatusQuery, str]:
        """Return the query and the item to poll."""
        return StatusQuery(get_stream(self.stream)), self.number

    def evaluate(self, found: RecordStatus | None) -> PokeResult:
        """Return the outcome. None means that there is no such record."""
        kind = _singular(self.stream)
        if found is None:
            return _missing(f"There is no {kind} {self.number}", self.wait_if_missing)
        if found.number is not None:
            message = f"There is no {kind} {self.number}, only {found.number}: give it in that spelling"
            return msgspec.structs.replace(_missing(message, self.wait_if_missing), level=logging.WARNING)
        value = {
            f"{kind}_number": self.number,
            "id": found.id,
            "status": found.status,
            "updated_at": found.updated_at,
        }
        outcome: Outcome = "failed" if found.status in self.failed else "waiting"
        if self._is_reached(found.status):
            outcome = "done"
        message = f"{kind.capitalize()} {self.number} is {found.status}"
        return PokeResult(outcome=outcome, message=message, value=value)

    def _is_reached(self, status: str | None) -> bool:
        if status in self.statuses:
            return True
        rank_of = get_stream(self.stream).status_rank
        rank = rank_of(status)
        wanted = [one for one in map(rank_of, self.statuses) if one is not None]
        return self.or_later and rank is not None and bool(wanted) and rank > min(wanted)


class DocumentExists(msgspec.Struct, frozen=True, kw_only=True, tag="document"):
    """
    A record has a document of one of the given types.

    :param parent: ``load``, ``trip``, ``carrier``, ``driver``, ``truck`` or ``trailer``.
    :param id: number of the load, or Id of any other parent.
    :param types: in upper or lower case, with or without the part in brackets.
    :param wait_if_missing: whether to wait for a parent that Alvys does not know, rather than fail.
    """

    parent: str
    id: str
    types: list[str]
    wait_if_missing: bool = True

    def validate(self) -> None:
        """Raise AlvysValueError if a field is not valid."""
        parse_parents(document_stream_of(self.parent), [self.id])
        parse_document_types(self.types)

    def request(self) -> tuple[DocumentsQuery, str]:
        """Return the query and the item to poll."""
        return DocumentsQuery(document_stream_of(self.parent)), self.id

    def evaluate(self, documents: list[dict[str, Any]] | None) -> PokeResult:
        """Return the outcome, with the newest matching document. None means that there is no such parent."""
        if documents is None:
            return _missing(f"There is no {self.parent} {self.id}", self.wait_if_missing)
        parent = f"{self.parent.capitalize()} {self.id}"
        wanted = parse_document_types(self.types) or frozenset()
        matching = [one for one in documents if wanted & type_aliases(str(one.get("AttachmentType") or ""))]
        if not matching:
            hint = suggest_types(self.parent, self.types)
            message = f"{parent} has no {' or '.join(self.types)}{f' ({hint.strip()})' if hint else ''}"
            return PokeResult(outcome="waiting", message=message)
        newest = max(matching, key=lambda one: time_sort_key(one.get("UploadedAt")))
        return PokeResult(outcome="done", message=f"{parent} has a {newest['AttachmentType']}", value=newest)


class RowsFound(SearchCriteria, frozen=True, kw_only=True, tag="rows"):
    """A search has a number of rows. Its arguments are those of :meth:`AlvysHook.search`."""

    def validate(self) -> None:
        """Raise AlvysValueError if a field is not valid."""
        check_has_key(self.stream)
        check_at_least(self.at_least)
        self.queries(get_stream(self.stream))

    def request(self) -> tuple[RowsQuery, bytes]:
        """Return the query and the item to poll."""
        return RowsQuery(get_stream(self.stream)), msgspec.json.encode(self, order="deterministic")

    def evaluate(self, found: SearchResult) -> PokeResult:
        """Return the outcome."""
        message = f"{found.total} rows of {self.stream} found, waiting for {self.at_least}"
        if found.total < self.at_least:
            return PokeResult(outcome="waiting", message=message)
        value = found.keys if found.has_all_keys else None
        return PokeResult(outcome="done", message=message, value=value, is_partial=value is None)


# AlvysSensorTrigger takes one of these as plain values.
Condition: TypeAlias = Union[StatusReached, DocumentExists, RowsFound]  # noqa: UP007


def poll_once(client: AlvysClient, condition: Condition) -> PokeResult:
    """Poll once, in this thread. That is one request, except for searches that need several."""
    query: Any
    query, item = condition.request()
    job = query.make_job([item])
    while (results := job.step(client)) is None:
        pass
    return condition.evaluate(results[0])


def check_statuses(stream: str, statuses: Any) -> None:
    """Raise AlvysValueError if the stream has no such status."""
    get_stream(stream).validate_filters({"Status": statuses})


def check_has_key(stream: str) -> None:
    """Raise AlvysValueError if the rows of a stream have no key."""
    if not get_stream(stream).key:
        raise AlvysValueError(f"Rows of {stream} have no key that could be returned: choose another stream")


def check_at_least(number: Any) -> None:
    """Raise AlvysValueError if this is not a number of rows."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise AlvysValueError(f"at_least={number!r} is not a number of rows: give 1 or more")


def _missing(message: str, wait_if_missing: bool) -> PokeResult:
    return PokeResult(outcome="waiting" if wait_if_missing else "failed", message=message)


def _singular(stream: str) -> str:
    return stream.removesuffix("s")
