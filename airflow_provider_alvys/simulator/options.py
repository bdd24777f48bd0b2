"""The simulator's options: on the command line, in ``Simulator(...)`` and by ``POST /_sim/reset``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from airflow_provider_alvys.api.catalogue.operations import OPERATIONS, get_operation
from airflow_provider_alvys.api.catalogue.streams import STREAMS, get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.suggestions import suggest

# The scopes of all writes, and of all streams.
WRITE_SCOPES = " ".join(sorted({operation.scope for operation in OPERATIONS.values() if operation.scope}))
IGNORED_FILTERS = " ".join(
    f"{stream.name}.{filter.name}"
    for stream in STREAMS.values()
    for filter in stream.filters
    if filter.ignored
)
READ_SCOPES = " ".join(sorted({stream.scope for stream in STREAMS.values() if stream.scope}))


class Options(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    The options of a simulated tenant. ``--help`` prints the texts below.

    :param loads: number of loads at the start. Trips, invoices, payments, statements and so on follow from
        them; the other streams that grow over time have as many rows.
    :param fleet: number of rows in the streams of master data, such as drivers, trucks, customers and users.
    :param rows: number of rows by stream, as a JSON object such as {"tolls": 50}. A stream that follows from
        loads then has rows of another company, which agree with each other and not with the loads. For a
        stream that is read per parent: the number of rows of each parent, instead of none to three.
    :param days: loads and other rows that grow over time were created during this many days before now;
        customers, drivers and so on are older.
    :param seed: the same seed gives the same rows, relative to now.
    :param now: the time of the newest rows, in seconds since 1970; the default is the start of the simulator.
    :param cut_notes: this many rows at the start of every stream with notes contain half an emoji (a lone
        surrogate).
    :param without_stamp: share of the rows (0 to 1, all among the older half) that lack UpdatedAt or its
        equivalent.
    :param window_columns: the field that a window filters by, as a JSON object such as
        {"invoices.invoiced": "CreatedDate"}; the default is the field in the catalogue.
    :param order: order of the rows in a search: created, newest (first), or unstable (shuffled at each
        request).
    :param limits: enforce the documented rate limits.
    :param minute: length of a minute of the rate limits, in seconds. The connection that the simulator prints
        has the pace for it.
    :param retry_after: form of the Retry-After header of a 429: seconds, date, or none.
    :param rate_limit_body: body of a 429: html (as Alvys's network sends it) or json.
    :param empty_list: response to a search for a list that finds nothing: 404 (as Alvys sends it) or list.
    :param ignored_filters: filters that searches ignore, such as trucks.IsActive, separated by spaces; the
        default is those that Alvys ignores.
    :param page_size_cap: maximum number of rows in a page, whatever page size the request names.
    :param page_size_cap_is_silent: report the requested page size even where the cap applies.
    :param pretty: send indented JSON.
    :param latency: delay before each response, in seconds.
    :param url_lifetime: lifetime of a document's DownloadUrl, in seconds.
    :param webhook_backoff: factor for the 10, 30 and 60 seconds between the attempts to deliver an event.
    :param webhook_timeout: time that a webhook's address has to respond, in seconds; at most 3 for the
        handshake.
    :param webhook_copies: how often each event is delivered; 2 or more sends duplicates.
    :param webhook_base: what a delivery's signature covers: t.id.body (time, event id, body) or t.body.
    :param clock_offset: seconds by which the simulator's clock is ahead; POST /_sim/clock changes it later.
    :param client_id: client id that the token endpoints accept.
    :param client_secret: client secret that the token endpoints accept.
    :param tenant: name of the tenant, as in the path of the older token flow.
    :param token_lifetime: lifetime of a token, in seconds.
    :param scopes: scopes of a token, separated by spaces. Tokens of the older flow have only the scopes for
        reading.
    :param disabled: writes that are switched off and respond with 503, such as customers.create, separated by
        spaces.
    :param validation_errors: body of a 400 to a write: problem (with its Errors) or bare (only the map of
        errors).
    """

    loads: int = 5000
    fleet: int = 60
    rows: dict[str, int] = {}
    days: float = 90
    seed: int = 1
    now: float | None = None
    cut_notes: int = 0
    without_stamp: float = 0
    window_columns: dict[str, str] = {}
    order: Literal["created", "newest", "unstable"] = "created"
    limits: bool = False
    minute: float = 60
    retry_after: Literal["seconds", "date", "none"] = "seconds"
    rate_limit_body: Literal["html", "json"] = "html"
    empty_list: Literal["404", "list"] = "404"
    ignored_filters: str = IGNORED_FILTERS
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


def make_options(given: Mapping[str, Any]) -> Options:
    """
    Return options from their names and values.

    :raises AlvysValueError: there is no such option.
    :raises msgspec.ValidationError: a value is wrong.
    """
    names = [field.name for field in msgspec.structs.fields(Options)]
    for name in given:
        if name not in names:
            raise AlvysValueError(f"There is no option {name!r}.{suggest(name, names, 'Options')}")
    return msgspec.convert(given, Options)


def check_names(options: Options) -> None:
    """
    Check the names of streams, operations and filters in options.

    :raises AlvysValueError: a name is not in the catalogue.
    """
    for name in options.rows:
        get_stream(name)
    for name in options.disabled.split():
        get_operation(name)
    for path in options.ignored_filters.split():
        stream_name, _, name = path.partition(".")
        filters = [filter.name for filter in get_stream(stream_name).filters]
        if name not in filters:
            hint = suggest(name, filters, f"Filters of {stream_name}")
            raise AlvysValueError(f"{stream_name} has no filter {name!r} (in ignored_filters).{hint}")


def option_descriptions() -> Mapping[str, str]:
    """Return the description of each option, from the docstring of :class:`Options`."""
    found = re.findall(r"^:param (\w+): (.+?)(?=^:param|\Z)", inspect.getdoc(Options) or "", re.M | re.S)
    return {name: " ".join(text.split()).rstrip(".") for name, text in found}
