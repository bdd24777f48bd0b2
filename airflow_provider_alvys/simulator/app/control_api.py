"""The control endpoints below ``/_sim/``: reset, statistics, expected rows, faults, changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timezone
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.simulator.answers.answers import answers
from airflow_provider_alvys.simulator.app.control_api_webhooks import deliver, deliveries, subscribe
from airflow_provider_alvys.simulator.controls.faults import Fault, Mutation
from airflow_provider_alvys.simulator.data.times import HOUR, parse_micros
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.protocol.http import json_response
from airflow_provider_alvys.simulator.tenant import Tenant
from airflow_provider_alvys.simulator.truth import check_filters, expected_rows, shows_tombstones


class ChangeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /_sim/change``: see :meth:`Tenant.change`."""

    stream: str = "loads"
    rows: int | None = None
    keys: list[str] | None = None
    where: dict[str, Any] | None = None
    at: str | None = None
    columns: dict[str, Any] = {}


class AddBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /_sim/add``: see :meth:`Tenant.add`."""

    stream: str = "loads"
    rows: int = 1
    columns: dict[str, Any] = {}
    parent: str | None = None


class RemoveBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /_sim/remove``: see :meth:`Tenant.remove`."""

    stream: str = "loads"
    rows: int | None = None
    keys: list[str] | None = None
    where: dict[str, Any] | None = None


class ClockBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /_sim/clock``: seconds since 1970, up to the year 9000; whether it stops there."""

    now: Annotated[float, msgspec.Meta(ge=0, le=221_845_392_000)]
    stopped: bool = False


class AdvanceBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /_sim/advance``: how long time passes."""

    days: Annotated[float, msgspec.Meta(ge=0, le=3660)] = 0
    hours: Annotated[float, msgspec.Meta(ge=0, le=87_840)] = 0


async def _reset(tenant: Tenant, request: Request) -> Any:
    """Start over; the options in the body change, the others stay."""
    changes = msgspec.json.decode(await request.body() or b"{}", type=dict[str, Any])
    options = msgspec.convert({**msgspec.to_builtins(tenant.options), **changes}, Options)
    request.app.tenant = Tenant(options, request.app.unchanged_companies.of(options))
    tenant.webhook_sender.close()
    return {"options": options}


async def _stats(tenant: Tenant, request: Request) -> Any:
    """Return the counts since the last reset."""
    return tenant.stats()


async def _tokens(tenant: Tenant, request: Request) -> Any:
    """Return the tokens issued since the last reset, for a search for leaks."""
    return {"tokens": tenant.tokens.issued}


async def _faults(tenant: Tenant, request: Request) -> Any:
    """Replace the list of faults."""
    tenant.faults.replace(msgspec.json.decode(await request.body(), type=list[Fault]))
    return {"ordered": True}


async def _mutations(tenant: Tenant, request: Request) -> Any:
    """Replace the list of changes after each search."""
    tenant.mutations = msgspec.json.decode(await request.body(), type=list[Mutation])
    return {"ordered": True}


async def _effects(tenant: Tenant, request: Request) -> Any:
    """Count the writes that changed something by operation, or list them with ``format=list``."""
    effects = tenant.applied_writes
    if request.query_params.get("format") == "list":
        return effects
    return Counter(effect.operation for effect in effects)


async def _change(tenant: Tenant, request: Request) -> Any:
    """Update rows now."""
    change = msgspec.json.decode(await request.body(), type=ChangeBody)
    _check_rows(change.rows)
    return {"keys": tenant.change(**msgspec.structs.asdict(change))}


async def _add(tenant: Tenant, request: Request) -> Any:
    """Add rows now."""
    addition = msgspec.json.decode(await request.body(), type=AddBody)
    _check_rows(addition.rows)
    return {"keys": tenant.add(**msgspec.structs.asdict(addition))}


async def _remove(tenant: Tenant, request: Request) -> Any:
    """Remove rows without a trace."""
    removal = msgspec.json.decode(await request.body(), type=RemoveBody)
    _check_rows(removal.rows)
    return {"keys": tenant.remove(**msgspec.structs.asdict(removal))}


def _check_rows(rows: int | None) -> None:
    if (rows or 0) < 0:
        raise AlvysValueError("rows must be 0 or more")


async def _clock(tenant: Tenant, request: Request) -> Any:
    """Set the clock."""
    body = msgspec.json.decode(await request.body(), type=ClockBody)
    tenant.set_clock(body.now, is_stopped=body.stopped)
    return {"now": tenant.now()}


async def _advance(tenant: Tenant, request: Request) -> Any:
    """Let time pass: the company works, and the clock moves."""
    body = msgspec.json.decode(await request.body(), type=AdvanceBody)
    tenant.advance(int((body.days * 24 + body.hours) * HOUR))
    return {"now": tenant.now()}


async def _changes(tenant: Tenant, request: Request) -> Any:
    """
    Return the changes of rows since the last reset, as lines of JSON.

    Parameters: ``stream`` and ``since`` (a time).
    """
    query = request.query_params
    stream = query.get("stream")
    since = parse_micros(query["since"]) if "since" in query else 0
    lines = tenant.change_log.lines(tenant.rows(stream).spec.name if stream else None, since)
    return Response(b"".join(lines), media_type="application/x-ndjson")


async def _truth(tenant: Tenant, request: Request) -> Any:
    """
    Return the keys, or with ``format=rows`` the rows, that a search should find now.

    Parameters: ``stream``, ``window_by``, ``since``, ``until``, ``filters`` and ``parents`` (JSON).
    """
    query = request.query_params
    stream = get_stream(query.get("stream", "loads"))
    filters = check_filters(stream, msgspec.json.decode(query.get("filters", "{}"), type=dict[str, Any]))
    rows = tenant.rows(stream.name)
    numbers = expected_rows(
        rows,
        stream,
        window_by=query.get("window_by"),
        since=query.get("since"),
        until=query.get("until"),
        filters=filters,
        parents=msgspec.json.decode(query.get("parents", "null"), type=list[str] | None),
    )
    if query.get("format") == "rows":
        with_tombstone = shows_tombstones(stream, filters)
        texts = ((number, rows.record_json(number, with_tombstone=with_tombstone)) for number in numbers)
        storage = tenant.storage
        lines = [
            storage.with_download_url(rows, number, text, is_shown=False) + b"\n" for number, text in texts
        ]
        return Response(b"".join(lines), media_type="application/x-ndjson")
    return {"total": len(numbers), "keys": [rows.key(number) for number in numbers]}


async def _answers(tenant: Tenant, request: Request) -> Any:
    """Answer business questions as of the end of the day ``as_of``; the default is today."""
    text = request.query_params.get("as_of")
    try:
        as_of = (
            date.fromisoformat(text) if text else datetime.fromtimestamp(tenant.now(), timezone.utc).date()
        )
    except ValueError:
        raise AlvysValueError(f"as_of={text!r} must be a day such as 2026-05-31") from None
    return answers(tenant.rows, as_of)


ControlEndpoint = Callable[[Tenant, Request], Awaitable[Any]]

CONTROL_ENDPOINTS: dict[str, ControlEndpoint] = {
    "POST /_sim/reset": _reset,
    "GET /_sim/stats": _stats,
    "GET /_sim/tokens": _tokens,
    "GET /_sim/truth": _truth,
    "GET /_sim/answers": _answers,
    "GET /_sim/effects": _effects,
    "POST /_sim/faults": _faults,
    "POST /_sim/mutations": _mutations,
    "POST /_sim/change": _change,
    "POST /_sim/add": _add,
    "POST /_sim/remove": _remove,
    "POST /_sim/clock": _clock,
    "POST /_sim/advance": _advance,
    "GET /_sim/changes": _changes,
    "POST /_sim/webhooks": subscribe,
    "GET /_sim/deliveries": deliveries,
    "POST /_sim/deliver": deliver,
}


def _route(call: str, control: ControlEndpoint) -> Route:
    method, path = call.split()

    async def endpoint(request: Request) -> Response:
        try:
            result = await control(request.app.tenant, request)
        except (msgspec.DecodeError, AlvysValueError) as error:
            return json_response({"error": str(error)}, 400)
        return result if isinstance(result, Response) else json_response(result)

    return Route(path.removeprefix("/_sim"), endpoint, methods=[method])


CONTROL_ROUTER = Router(
    [_route(call, control) for call, control in CONTROL_ENDPOINTS.items()],
    redirect_slashes=False,
    default=json_response({"error": "No such endpoint. Endpoints: " + ", ".join(CONTROL_ENDPOINTS)}, 404),
)
