"""The simulator's own paths below ``/_sim/``: reset it, look into it, order faults and changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.streams import get_stream
from airflow_provider_alvys.simulator.faults import Fault, Mutation
from airflow_provider_alvys.simulator.http import Answer, Request, json_answer
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.tenant import Tenant

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.server import SimulatorApp


class Change(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /_sim/change``: see :meth:`Tenant.change`. ``keys`` may hold load numbers too."""

    stream: str = "loads"
    rows: int | None = None
    keys: list[str] | None = None
    at: str | None = None
    columns: dict[str, Any] = {}


def _reset(app: SimulatorApp, request: Request) -> Any:
    """Start over; the body holds the options that are to change, the others stay."""
    changes = msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
    options = msgspec.convert({**msgspec.to_builtins(app.tenant.options), **changes}, Options)
    app.tenant = Tenant(options)
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


def _change(app: SimulatorApp, request: Request) -> Any:
    """Update rows now."""
    change = msgspec.json.decode(request.body, type=Change)
    get_stream(change.stream)
    if (change.rows or 0) < 0:
        raise AlvysValueError("rows must be 0 or more")
    keys = app.tenant.change(change.stream, rows=change.rows, keys=change.keys, at=change.at, columns=change.columns)
    return {"keys": keys}


def _truth(app: SimulatorApp, request: Request) -> Any:
    """Tell what a search should find now: ``stream``, ``window_by``, ``since``, ``until``, ``filters``, ``format=keys|rows``."""
    query = request.query
    stream = get_stream(query.get("stream", "loads"))
    filters = msgspec.json.decode(query.get("filters", "{}"), type=dict[str, Any])
    rows = app.tenant.truth(
        stream,
        window_by=query.get("window_by"),
        since=query.get("since"),
        until=query.get("until"),
        filters=filters,
    )
    if query.get("format") == "rows":
        with_deleted = bool(stream.body(filters).get("IncludeDeleted"))
        return b"".join(row.text(with_deleted=with_deleted) + b"\n" for row in rows)
    return {"total": len(rows), "keys": [row.key for row in rows]}


_CONTROLS: dict[str, Callable[[SimulatorApp, Request], Any]] = {
    "POST /_sim/reset": _reset,
    "GET /_sim/stats": _stats,
    "GET /_sim/tokens": _tokens,
    "GET /_sim/truth": _truth,
    "POST /_sim/faults": _faults,
    "POST /_sim/mutations": _mutations,
    "POST /_sim/change": _change,
}


def handle_control(app: SimulatorApp, request: Request) -> Answer:
    """Serve a request below ``/_sim/``."""
    control = _CONTROLS.get(f"{request.method} {request.path}")
    if control is None:
        return json_answer({"error": "There is: " + ", ".join(_CONTROLS)}, 404)
    try:
        result = control(app, request)
    except (msgspec.DecodeError, AlvysValueError) as error:
        return json_answer({"error": str(error)}, 400)
    if isinstance(result, bytes):
        return Answer(200, result, "application/x-ndjson")
    return json_answer(result)
