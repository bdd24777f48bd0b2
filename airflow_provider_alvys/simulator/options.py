"""What a simulator can be told: on the command line, and by ``POST /_sim/reset``."""

from __future__ import annotations

from typing import Literal

import msgspec

READ_SCOPES = " ".join(
    f"{entity}:read"
    for entity in "customer driver fuel invoice load maintenance toll trailer trip truck user visibility carrier dispatch".split()
)


class Options(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    The settings of a simulated tenant.

    :param loads: how many there are at the start.
    :param days: over how many days before now they were created.
    :param seed: the same seed gives the same rows, relative to ``now``.
    :param now: the moment at which the data ends, in seconds since 1970; None means the start.
    :param cut_notes: the first so many loads have half an emoji in a note, as a lone surrogate.
    :param order: of the rows in a set: ``created``, ``newest`` first, or ``unstable``: shuffled at each request.
    :param limits: whether the documented rate limits are enforced.
    :param minute: seconds that a minute of the limits lasts.
    :param retry_after: how a 429 says it: in ``seconds``, as a ``date``, or not at all.
    :param rate_limit_body: whether a 429 is an ``html`` page, as the edge sends it, or ``json``.
    :param page_size_cap: most rows to a page, or None.
    :param page_size_cap_is_silent: whether the answer claims the asked size all the same.
    :param pretty: answer with indented JSON.
    :param latency: seconds before each answer.
    :param clock_offset: seconds by which this clock is ahead of the machine's.
    :param scopes: of a token, with spaces between.
    """

    loads: int = 5000
    days: float = 90
    seed: int = 1
    now: float | None = None
    cut_notes: int = 0
    order: Literal["created", "newest", "unstable"] = "created"
    limits: bool = False
    minute: float = 60
    retry_after: Literal["seconds", "date", "none"] = "seconds"
    rate_limit_body: Literal["html", "json"] = "html"
    page_size_cap: int | None = None
    page_size_cap_is_silent: bool = False
    pretty: bool = False
    latency: float = 0
    clock_offset: float = 0
    client_id: str = "simulator"
    client_secret: str = "simulator-secret"  # noqa: S105
    tenant: str = "acme"
    token_lifetime: float = 3600
    scopes: str = READ_SCOPES
