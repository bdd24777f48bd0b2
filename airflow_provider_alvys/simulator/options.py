"""What a simulator can be told: on the command line, and by ``POST /_sim/reset``."""

from __future__ import annotations

from typing import Literal

import msgspec

from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from airflow_provider_alvys.api.catalogue.streams import STREAMS

# Those of everything that can be read, and of everything that can be written.
WRITE_SCOPES = " ".join(sorted({operation.scope for operation in OPERATIONS.values() if operation.scope}))
READ_SCOPES = " ".join(sorted({stream.scope for stream in STREAMS.values() if stream.scope}))


class Options(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    The settings of a simulated tenant.

    :param loads: how many there are at the start, and how many rows of every other stream that grows with time: those with a
        regular window.
    :param fleet: how many rows the other streams have: drivers, trucks, customers, users and the like.
    :param rows: how many rows a stream has instead, by its name; of a stream that is read for one parent at a time, how many
        each parent has, in place of none to three.
    :param days: over how many days before now they were created.
    :param seed: the same seed gives the same rows, relative to ``now``.
    :param now: the moment at which the data ends, in seconds since 1970; None means the start.
    :param cut_notes: the first so many rows of every stream with notes have half an emoji in one, as a lone surrogate.
    :param without_stamp: which share of the rows, all of them older ones, lacks the time that changes move, such as UpdatedAt.
    :param order: of the rows in a set: ``created``, ``newest`` first, or ``unstable``: shuffled at each request.
    :param limits: whether the documented rate limits are enforced.
    :param minute: seconds that a minute of the limits lasts.
    :param retry_after: how a 429 says it: in ``seconds``, as a ``date``, or not at all.
    :param rate_limit_body: whether a 429 is an ``html`` page, as the edge sends it, or ``json``.
    :param page_size_cap: most rows to a page, or None.
    :param page_size_cap_is_silent: whether the answer claims the asked size all the same.
    :param pretty: answer with indented JSON.
    :param latency: seconds before each answer.
    :param url_lifetime: seconds after which a document's DownloadUrl expires.
    :param webhook_backoff: what the 10, 30 and 60 seconds between the attempts to deliver an event are multiplied by.
    :param webhook_timeout: seconds that a webhook's address has to answer; to the handshake at most 3.
    :param webhook_copies: how often each event is delivered: 2 or more for duplicates.
    :param webhook_base: what a delivery's signature is of: the time, the event's id and the body, or the time and the body only.
    :param clock_offset: seconds by which this clock is ahead of the machine's; ``POST /_sim/clock`` sets it while it runs.
    :param scopes: of a token, with spaces between; that of the older token flow has those for reading only.
    :param disabled: writes that are switched off, such as ``customers.create``, with spaces between: they answer 503.
    :param validation_errors: how a 400 to a write says what is wrong: a ``problem`` with errors, or the ``bare`` map of them.
    """

    loads: int = 5000
    fleet: int = 60
    rows: dict[str, int] = {}
    days: float = 90
    seed: int = 1
    now: float | None = None
    cut_notes: int = 0
    without_stamp: float = 0
    order: Literal["created", "newest", "unstable"] = "created"
    limits: bool = False
    minute: float = 60
    retry_after: Literal["seconds", "date", "none"] = "seconds"
    rate_limit_body: Literal["html", "json"] = "html"
    page_size_cap: int | None = None
    page_size_cap_is_silent: bool = False
    pretty: bool = False
    latency: float = 0
    url_lifetime: float = 600
    webhook_backoff: float = 1
    webhook_timeout: float = 30
    webhook_copies: int = 1
    webhook_base: Literal["t.id.body", "t.body"] = "t.id.body"
    clock_offset: float = 0
    client_id: str = "simulator"
    client_secret: str = "simulator-secret"  # noqa: S105
    tenant: str = "acme"
    token_lifetime: float = 3600
    scopes: str = f"{READ_SCOPES} {WRITE_SCOPES}"
    disabled: str = ""
    validation_errors: Literal["problem", "bare"] = "problem"
