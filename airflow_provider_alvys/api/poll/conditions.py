"""What a sensor waits for, as plain values: what to ask for it, and what to make of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union

import msgspec

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.documents.listing import (
    document_stream_of,
    parse_document_types,
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

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient


class PokeResult(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an answer means.

    :param message: a sentence without its full stop.
    :param value: of a wait that is ``done``; plain JSON values.
    :param is_partial: whether the value must be read yet, since it did not come with the answer.
    """

    outcome: Literal["waiting", "done", "failed"]
    message: str
    value: Any = None
    is_partial: bool = False


class StatusReached(msgspec.Struct, frozen=True, kw_only=True, tag="status"):
    """
    A load or a trip has a status.

    :param stream: ``loads`` or ``trips``.
    :param number: of the load or the trip.
    :param statuses: any of these.
    :param failed: these end the wait in failure, but for those that are waited for.
    :param or_later: whether a status that comes after one of these will do.
    :param wait_if_missing: whether one that does not exist is waited for.
    """

    stream: str
    number: str
    statuses: list[str]
    failed: list[str] = []
    or_later: bool = True
    wait_if_missing: bool = True

    def validate(self) -> None:
        """
        Refuse what cannot be asked for.

        :raises AlvysValueError: says what.
        """
        check_statuses(self.stream, self.statuses)
        if self.failed:
            check_statuses(self.stream, self.failed)
        if not self.number.strip():
            raise AlvysValueError(f"The number of the {_singular(self.stream)} is empty")

    @property
    def query(self) -> StatusQuery:
        """Where it is asked for."""
        return StatusQuery(get_stream(self.stream))

    @property
    def item(self) -> str:
        """What is asked for there."""
        return self.number

    def evaluate(self, found: RecordStatus | None) -> PokeResult:
        """Return what an answer means."""
        what = f"{_singular(self.stream)} {self.number}"
        if found is None:
            return PokeResult(
                outcome="waiting" if self.wait_if_missing else "failed", message=f"There is no {what}"
            )
        value = {
            f"{_singular(self.stream)}_number": self.number,
            "id": found.id,
            "status": found.status,
            "updated_at": found.updated_at,
        }
        outcome: Literal["waiting", "done", "failed"] = "waiting"
        if self._is_reached(found.status):
            outcome = "done"
        elif found.status in self.failed:
            outcome = "failed"
        return PokeResult(outcome=outcome, message=f"{what.capitalize()} is {found.status}", value=value)

    def _is_reached(self, status: str | None) -> bool:
        if status in self.statuses:
            return True
        stream = get_stream(self.stream)
        reached = stream.status_rank(status)
        steps = [step for step in map(stream.status_rank, self.statuses) if step is not None]
        return self.or_later and reached is not None and bool(steps) and reached > min(steps)


class DocumentExists(msgspec.Struct, frozen=True, kw_only=True, tag="document"):
    """
    There is a document.

    :param parent: of what: ``load``, ``trip``, ``carrier``, ``driver``, ``truck`` or ``trailer``.
    :param id: whose: the number of a load, the id of another.
    :param types: any of these, in any case, with or without what stands in brackets behind them.
    :param wait_if_missing: whether a parent that Alvys does not know is waited for.
    """

    parent: str
    id: str
    types: list[str]
    wait_if_missing: bool = True

    def validate(self) -> None:
        """
        Refuse what cannot be asked for.

        :raises AlvysValueError: says what.
        """
        parse_parents(document_stream_of(self.parent), [self.id])
        parse_document_types(self.types)

    @property
    def query(self) -> DocumentsQuery:
        """Where it is asked for."""
        return DocumentsQuery(document_stream_of(self.parent))

    @property
    def item(self) -> str:
        """What is asked for there."""
        return self.id

    def evaluate(self, documents: list[dict[str, Any]] | None) -> PokeResult:
        """Return what an answer means: the newest of those that are waited for."""
        what = f"{self.parent} {self.id}"
        if documents is None:
            return PokeResult(
                outcome="waiting" if self.wait_if_missing else "failed", message=f"Alvys knows no {what}"
            )
        wanted = parse_document_types(self.types) or frozenset()
        matching = [one for one in documents if wanted & type_aliases(str(one.get("AttachmentType") or ""))]
        if not matching:
            return PokeResult(
                outcome="waiting", message=f"{what.capitalize()} has no {' or '.join(self.types)}"
            )
        newest = max(matching, key=lambda one: time_sort_key(one.get("UploadedAt")))
        return PokeResult(
            outcome="done", message=f"{what.capitalize()} has a {newest['AttachmentType']}", value=newest
        )


class RowsFound(SearchCriteria, frozen=True, kw_only=True, tag="rows"):
    """A search has at least so many rows. For what it takes, see :meth:`airflow_provider_alvys.hooks.alvys.AlvysHook.search`."""

    def validate(self) -> None:
        """
        Refuse what cannot be asked for.

        :raises AlvysValueError: says what.
        """
        check_has_key(self.stream)
        check_at_least(self.at_least)
        self.queries(get_stream(self.stream))

    @property
    def query(self) -> RowsQuery:
        """Where it is asked for."""
        return RowsQuery(get_stream(self.stream))

    @property
    def item(self) -> bytes:
        """What is asked for there: all of it, in one order."""
        return msgspec.json.encode(self, order="deterministic")

    def evaluate(self, found: SearchResult) -> PokeResult:
        """Return what an answer means."""
        message = f"{found.total} rows of {self.stream} found, at least {self.at_least} wanted"
        if found.total < self.at_least:
            return PokeResult(outcome="waiting", message=message)
        return PokeResult(
            outcome="done",
            message=message,
            value=found.keys if found.is_all else None,
            is_partial=not found.is_all,
        )


# As it stands in a trigger's arguments.
Condition: TypeAlias = Union[StatusReached, DocumentExists, RowsFound]  # noqa: UP007


def poll_once(client: AlvysClient, condition: Condition) -> PokeResult:
    """Ask once, in this thread, and judge the answer. One request, but for searches that are several."""
    job = condition.query.make_job([condition.item])  # type: ignore[list-item]
    while (answers := job.step(client)) is None:
        pass
    return condition.evaluate(answers[0])  # type: ignore[arg-type]


def check_statuses(stream: str, statuses: Any) -> None:
    """
    Refuse statuses that Alvys does not know.

    :raises AlvysValueError: names those that it knows.
    """
    get_stream(stream).validate_filters({"Status": statuses})


def check_has_key(stream: str) -> None:
    """
    Refuse a stream whose rows nothing identifies.

    :raises AlvysValueError: it is one.
    """
    if not get_stream(stream).key:
        raise AlvysValueError(f"Nothing identifies a row of {stream}: there are no keys to return")


def check_at_least(number: Any) -> None:
    """
    Refuse what is no number of rows to wait for.

    :raises AlvysValueError: it is none.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise AlvysValueError(f"at_least={number!r} is no number of rows to wait for: give 1 or more")


def _singular(stream: str) -> str:
    return stream.removesuffix("s")
