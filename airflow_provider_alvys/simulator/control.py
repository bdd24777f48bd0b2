"""The simulator's own paths below ``/_sim/``: reset it, look into it, order faults and changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.streams import get_stream
from airflow_provider_alvys.simulator.control_webhooks import deliver, deliveries, subscribe
from airflow_provider_alvys.simulator.faults import Fault, Mutation
from airflow_provider_alvys.simulator.http import Answer, Request, json_answer
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.tenant import Tenant
from airflow_provider_alvys.simulator.truth import find_truth, shows_tombstones

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.server import SimulatorApp


class Change(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /_sim/change``: see :meth:`Tenant.change`. ``keys`` may hold load numbers and the like too."""

    stream: str = "loads"
    rows: int | None = None
    keys: list[str] | None = None
    where: dict[str, Any] | None = None
    at: str | None = None
    columns: dict[str, Any] = {}


class Addition(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /_sim/add``: see :meth:`Tenant.add`."""

    stream: str = "loads"
    rows: int = 1
    columns: dict[str, Any] = {}
    parent: str | None = None


class Removal(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /_sim/remove``: see :meth:`Tenant.remove`."""

    stream: str = "loads"
    rows: int | None = None
    keys: list[str] | None = None
    where: dict[str, Any] | None = None


class ClockTime(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /_sim/clock``: seconds since 1970."""

    now: float


def _reset(app: SimulatorApp, request: Request) -> Any:
    """Start over; the body holds the options that are to change, the others stay."""
    changes = msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
    options = msgspec.convert({**msgspec.to_builtins(app.tenant.options), **changes}, Options)
    tenant = Tenant(options)
    app.tenant.hub.close()
    app.tenant = tenant
    return {"options": options}


def _stats(app: SimulatorApp, request: Request) -> Any:
    """Count requests by endpoint, tokens, answers by status, 429s."""
    return app.tenant.stats()


def _tokens(app: SimulatorApp, request: Request) -> Any:
    """Tell the tokens given out since the last reset, for a search for leaks."""
    return {"tokens": app.tenant.tokens.given}


def _faults(app: SimulatorApp, request: Request) -> Any:
    """Order faults: a list that replaces the last one."""
    app.tenant.faults.set(msgspec.json.decode(request.body, type=list[Fault]))
    return {"ordered": True}


def _mutations(app: SimulatorApp, request: Request) -> Any:
    """Order changes after each search: a list that replaces the last one."""
    app.tenant.mutations = msgspec.json.decode(request.body, type=list[Mutation])
    return {"ordered": True}


def _effects(app: SimulatorApp, request: Request) -> Any:
    """Count what writes have done, by operation; ``format=list`` tells each, with its path, body and time."""
    effects = app.tenant.effects
    return effects if request.query.get("format") == "list" else Counter(effect.operation for effect in effects)


def _change(app: SimulatorApp, request: Request) -> Any:
    """Update rows now."""
    change = msgspec.json.decode(request.body, type=Change)
    _check_rows(change.rows)
    return {"keys": app.tenant.change(**msgspec.structs.asdict(change))}


def _add(app: SimulatorApp, request: Request) -> Any:
    """Add rows now."""
    addition = msgspec.json.decode(request.body, type=Addition)
    _check_rows(addition.rows)
    return {"keys": app.tenant.add(**msgspec.structs.asdict(addition))}


def _remove(app: SimulatorApp, request: Request) -> Any:
    """Remove rows for good."""
    removal = msgspec.json.decode(request.body, type=Removal)
    _check_rows(removal.rows)
    return {"keys": app.tenant.remove(**msgspec.structs.asdict(removal))}


def _check_rows(rows: int | None) -> None:
    if (rows or 0) < 0:
        raise AlvysValueError("rows must be 0 or more")


def _clock(app: SimulatorApp, request: Request) -> Any:
    """Set the clock."""
    app.tenant.set_clock(msgspec.json.decode(request.body, type=ClockTime).now)
    return {"now": app.tenant.now()}


def _truth(app: SimulatorApp, request: Request) -> Any:
    """
    Tell what a search should find now.

    ``stream``, ``window_by``, ``since``, ``until``, ``filters`` and ``parents`` (JSON), ``format=keys|rows``.
    """
    query = request.query
    stream = get_stream(query.get("stream", "loads"))
    filters = stream.flatten_filters(msgspec.json.decode(query.get("filters", "{}")))
    rows = app.tenant.rows(stream.name)
    numbers = find_truth(
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
        texts = ((number, rows.text(number, with_tombstone=with_tombstone)) for number in numbers)
        storage = app.tenant.storage
        return b"".join(storage.complete(rows, number, text, request.base, is_seen=False) + b"\n" for number, text in texts)
    return {"total": len(numbers), "keys": [rows.key(number) for number in numbers]}


# A control may be a coroutine.
_CONTROLS: dict[str, Callable[[SimulatorApp, Request], Any]] = {
    "POST /_sim/reset": _reset,
    "GET /_sim/stats": _stats,
    "GET /_sim/tokens": _tokens,
    "GET /_sim/truth": _truth,
    "GET /_sim/effects": _effects,
    "POST /_sim/faults": _faults,
    "POST /_sim/mutations": _mutations,
    "POST /_sim/change": _change,
    "POST /_sim/add": _add,
    "POST /_sim/remove": _remove,
    "POST /_sim/clock": _clock,
    "POST /_sim/webhooks": subscribe,
    "GET /_sim/deliveries": deliveries,
    "POST /_sim/deliver": deliver,
}


async def handle_control(app: SimulatorApp, request: Request) -> Answer:
    """Serve a request below ``/_sim/``."""
    control = _CONTROLS.get(f"{request.method} {request.path}")
    if control is None:
        return json_answer({"error": "There is: " + ", ".join(_CONTROLS)}, 404)
    try:
        result = control(app, request)
        if isawaitable(result):
            result = await result
    except (msgspec.DecodeError, AlvysValueError) as error:
        return json_answer({"error": str(error)}, 400)
    if isinstance(result, bytes):
        return Answer(200, result, "application/x-ndjson")
    return json_answer(result)
