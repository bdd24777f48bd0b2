"""Faults on demand: the next answers that go wrong, and how."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

import msgspec


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    One kind of failure.

    :param kind: ``status`` answers with ``status``; ``html`` with a page and 200; ``truncate`` cuts the body off; ``reset`` cuts
        the connection before the call takes place, ``lost`` after it has; ``timeout`` answers after ``seconds``; ``bad_utf8``
        spoils a byte of the body; ``revoke`` makes every token invalid; ``cap`` sets the page size cap to ``cap`` from then on.
    :param endpoint: which calls it strikes, such as ``POST loads/search``, ``POST token`` or ``GET storage``; None for all but
        tokens.
    :param page: only this page number, or any.
    :param skip: so many matching calls pass first.
    :param times: how often it strikes.
    :param status: 200 to 999; below, no response is final.
    :param body: of a ``status``: ``html`` page, ``json`` problem, or ``bare`` map of fields.
    :param retry_after: header as it stands; ``date+5`` becomes the date in 5 seconds.
    :param acts: whether the call takes place all the same, of ``status`` and ``html``; with what only spoils an answer, it does.
    :param label: under what it is counted when it strikes; None means its kind.
    """

    kind: Literal["status", "html", "truncate", "reset", "lost", "timeout", "bad_utf8", "revoke", "cap"]
    endpoint: str | None = None
    page: int | None = None
    skip: int = 0
    times: int = 1
    status: Annotated[int, msgspec.Meta(ge=200, le=999)] = 500
    body: Literal["html", "json", "bare"] = "json"
    retry_after: str | None = None
    seconds: float = 1.0
    cap: int | None = None
    acts: bool = False
    label: str | None = None


class Mutation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    A change of the data after each search.

    :param kind: ``leave`` updates rows of the set just searched, so that they leave a window on UpdatedAt; ``join`` adds new rows
        to it, anywhere in its order.
    :param rows: how many at a time.
    :param stream: only after searches of this stream; None means all.
    :param skip: so many searches pass first.
    :param times: how often; None means for ever.
    :param label: under what it is counted; None means its kind.
    """

    kind: Literal["leave", "join"]
    rows: int = 1
    stream: str | None = None
    skip: int = 0
    times: int | None = None
    label: str | None = None


class FaultQueue:
    """The faults to come, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.applied_counts: Counter[str] = Counter()

    def replace(self, faults: list[Fault]) -> None:
        """Replace all."""
        self._faults = list(faults)

    def next(self, endpoint: str, page: int | None) -> Fault | None:
        """Return the fault that strikes this call, if any, and count it."""
        for fault in self._faults:
            if fault.endpoint not in (None, endpoint) or (
                fault.endpoint is None and endpoint == "POST token"
            ):
                continue
            if fault.page is not None and fault.page != page:
                continue
            if fault.skip > 0:
                fault.skip -= 1
            elif fault.times > 0:
                fault.times -= 1
                self.applied_counts[fault.label or fault.kind] += 1
                return fault
        return None
