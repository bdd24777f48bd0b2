"""How far a search has come, as a file keeps it."""

from __future__ import annotations

import msgspec

from airflow_provider_alvys.api.read.paginator import PaginatorState, Proof
from airflow_provider_alvys.api.read.windows import Window


class SetState(msgspec.Struct, kw_only=True):
    """What was found out about one set; ``query`` is the place of its query among the search's."""

    query: int
    rows: int
    total: int
    proof: Proof


class UnderWay(msgspec.Struct, kw_only=True):
    """
    A set that is being read.

    :param windows: those still to be read, the present one last: big ones are cut in halves.
    :param known: how many keys had been seen before it.
    :param total: of the whole set, where its window was cut.
    :param is_open: whether one of the windows before was not proved whole.
    :param began: when the present window was first asked for, in seconds since 1970.
    :param walk: None while the present window has not been asked for.
    """

    windows: list[Window | None]
    known: int
    total: int | None = None
    is_open: bool = False
    began: float = 0
    walk: PaginatorState | None = None


class SearchState(msgspec.Struct, kw_only=True):
    """
    How far a search has come: enough for another process to go on from the page after the last one that was
    yielded.

    :param page_size: rows to a page, as Alvys answers it.
    :param next_query: place of the query that is under way, or comes next; beyond the last one, of those
        asked twice.
    :param doubtful: queries whose parent Alvys did not know when it was asked once.
    :param missing: those whose parent it did not know when it was asked again.
    :param sets: those read, in the order of their rows.
    :param seen: keys delivered, as :class:`KeySet` dumps them.
    :param passes: over the set that took most.
    :param requests: pages asked for and answered.
    :param repeats: rows that came again on a further page of one pass, and were left out.
    :param began_at: when the first answer came, at the latest, by the earlier of our clock and the API's, in
        seconds since 1970.
    :param order: queries whose sets may trade rows, in the order in which they were read last.
    :param again: those of them that are to be read again.
    :param rounds: how often some were read again.
    :param kept_moving: whether rows still moved from one to another after the last round.
    :param is_done: whether nothing is left to be asked for.
    """

    page_size: int
    next_query: int = 0
    doubtful: list[int] = []
    missing: list[int] = []
    sets: list[SetState] = []
    under_way: UnderWay | None = None
    seen: bytes = b""
    passes: int = 0
    requests: int = 0
    repeats: int = 0
    began_at: float | None = None
    order: list[int] = []
    again: list[int] = []
    rounds: int = 0
    kept_moving: bool = False
    is_done: bool = False
