"""Faults and mutations on demand."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

import msgspec

# A text that a header can have; after "date" a number of seconds up to some centuries.
_RETRY_AFTER = r"^(?!date)[ -~]{0,2000}$|^date[+-]?[0-9]{1,10}(\.[0-9]{1,6})?$"
_MAX_SECONDS = 86_400.0


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    A failure of matching calls.

    :param kind: ``status`` responds with ``status``; ``html`` with a page and 200; ``truncate`` cuts the
        body; ``reset`` closes the connection before the call takes place, ``lost`` after it; ``timeout``
        responds after ``seconds``; ``bad_utf8`` damages a byte of the body; ``revoke`` revokes every token;
        ``cap`` sets the page size cap to ``cap``.
    :param endpoint: such as ``POST loads/search``, ``POST token`` or ``GET storage``; None means all except
        tokens.
    :param page: only calls for this page number; None means any.
    :param skip: the number of matching calls that pass first.
    :param times: the number of calls that fail.
    :param status: 100 to 999. After one below 200, which is no final response, the connection ends.
    :param body: body of a ``status``: a ``json`` problem or a ``bare`` map of fields, as Alvys sends them; or
        of a gateway in front of Alvys: an ``html`` page, or a ``message`` in JSON.
    :param retry_after: value of the header; ``date+5`` becomes the date in 5 seconds.
    :param acts: whether the call takes place before a ``status`` or ``html``.
    :param label: name in the statistics; None means the kind.
    """

    kind: Literal["status", "html", "truncate", "reset", "lost", "timeout", "bad_utf8", "revoke", "cap"]
    endpoint: str | None = None
    page: int | None = None
    skip: int = 0
    times: int = 1
    status: Annotated[int, msgspec.Meta(ge=100, le=999)] = 500
    body: Literal["html", "json", "bare", "message"] = "json"
    retry_after: Annotated[str, msgspec.Meta(pattern=_RETRY_AFTER)] | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0, le=_MAX_SECONDS)] = 1.0
    cap: Annotated[int, msgspec.Meta(ge=1)] | None = None
    acts: bool = False
    label: str | None = None


class Mutation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    A change of the data after each matching search.

    :param kind: ``leave`` updates rows that the search found, which moves them out of a window on UpdatedAt;
        ``join`` adds rows that it finds, anywhere in its order.
    :param rows: the number of rows at a time.
    :param stream: only searches of this stream; None means all.
    :param skip: the number of matching searches that pass first.
    :param times: the number of changes; None means unlimited.
    :param label: name in the statistics; None means the kind.
    """

    kind: Literal["leave", "join"]
    rows: int = 1
    stream: str | None = None
    skip: int = 0
    times: int | None = None
    label: str | None = None


class FaultQueue:
    """The pending faults, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.applied_counts: Counter[str] = Counter()

    def replace(self, faults: list[Fault]) -> None:
        """Replace all faults."""
        self._faults = list(faults)

    def next(self, endpoint: str, page: int | None) -> Fault | None:
        """Return the fault of this call, if any, and count it."""
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
