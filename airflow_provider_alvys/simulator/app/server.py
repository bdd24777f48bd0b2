"""The Starlette application, and the faults applied to its responses."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Message, Receive, Scope, Send

from airflow_provider_alvys.api.catalogue.endpoints import endpoint_of
from airflow_provider_alvys.api.catalogue.operations import OPERATIONS, Operation
from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.simulator.app.control_api import CONTROL_ROUTER
from airflow_provider_alvys.simulator.app.control_guard import ControlGuard
from airflow_provider_alvys.simulator.app.reads import serve_lookup, serve_search
from airflow_provider_alvys.simulator.app.writes import serve_write
from airflow_provider_alvys.simulator.controls.faults import Fault
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.protocol.http import (
    JSON_ERRORS,
    REASONS,
    edge_page,
    json_response,
    problem,
    read_json,
)
from airflow_provider_alvys.simulator.protocol.routes import API_PREFIX, AnyCaseRoute, AnyPathMount, Handler
from airflow_provider_alvys.simulator.storage import STORAGE_PREFIX
from airflow_provider_alvys.simulator.tenant import Tenant
from airflow_provider_alvys.simulator.unchanged import UnchangedCompanies

_CONTROL = "/_sim"
_FORMS = ("application/json", "application/x-www-form-urlencoded")
# The older token flow has a tenant in its path, with three documented prefixes.
_TENANT_TOKEN = "authentication/{tenant}/token"  # noqa: S105
_TOKEN_PATHS = ("/oauth/token", f"/{_TENANT_TOKEN}", f"/api/{_TENANT_TOKEN}", f"/api/p/{_TENANT_TOKEN}")
# The statuses that uvicorn sends; it takes no others.
_UVICORN_STATUSES = range(200, 600)
# Responses with these statuses have no body.
_BODILESS = (*range(100, 200), 204, 304)


class SimulatorApp(Starlette):
    """
    The ASGI application. State is replaced by ``POST /_sim/reset``.

    :param host: the address that it listens on.
    """

    def __init__(self, options: Options, host: str = "127.0.0.1") -> None:
        self.tenant = Tenant(options)
        self.unchanged_companies = UnchangedCompanies(lambda options: Tenant(options).rows)
        self._token_routes = [AnyCaseRoute(None, path, self._token) for path in _TOKEN_PATHS]
        self._api_router = Router(_api_routes(), redirect_slashes=False)
        super().__init__(
            routes=[
                AnyPathMount(_CONTROL, ControlGuard(CONTROL_ROUTER, host)),
                *self._token_routes,
                AnyPathMount(STORAGE_PREFIX.rstrip("/"), self._storage),
                AnyPathMount("", self._api),
            ],
            exception_handlers={HTTPException: _error_response},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request: apply a fault, or respond."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        self.tenant.storage.base_url = str(request.base_url).rstrip("/")
        fault = None
        if scope["path"].startswith(f"{_CONTROL}/"):
            response = await self._respond(scope, body)
        else:
            tenant, call = self.tenant, self._call_name(scope)
            tenant.request_counts[call] += 1
            if tenant.options.latency:
                await asyncio.sleep(tenant.options.latency)
            fault = tenant.faults.next(call, await _page_number(request))
            # With ``acts`` the call takes place, and the fault replaces its response.
            replacement = self._apply(fault) if fault and not fault.acts else None
            response = replacement or await self._respond(scope, body)
            if fault and fault.acts:
                response = self._apply(fault) or response
            if fault and fault.kind == "timeout":
                await asyncio.sleep(fault.seconds)
            tenant.status_counts[str(response.status_code)] += 1
        response.headers["date"] = formatdate(self.tenant.now(), usegmt=True)
        await _send(response, fault.kind if fault else "", scope, receive, send)

    async def _respond(self, scope: Scope, body: bytes) -> Response:
        """Return the response of the routed endpoint."""
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        async def send(message: Message) -> None:
            sent.append(message)

        await super().__call__(scope, receive, send)
        start, *bodies = sent
        response = Response(b"".join(message.get("body", b"") for message in bodies), start["status"])
        response.raw_headers = list(start["headers"])
        return response

    def _call_name(self, scope: Scope) -> str:
        """Return the name of a call in statistics and faults."""
        path = scope["path"]
        if any(route.path_regex.match(path) for route in self._token_routes):
            return "POST token"
        return "GET storage" if path.startswith(STORAGE_PREFIX) else str(endpoint_of(scope["method"], path))

    def _apply(self, fault: Fault) -> Response | None:
        """Apply a fault before the call, and return the response it replaces the normal one with, if any."""
        if fault.kind == "revoke":
            self.tenant.tokens.revoke_all()
        elif fault.kind == "cap":
            self.tenant.page_size_cap = fault.cap
        elif fault.kind == "reset":
            return Response(status_code=0)
        elif fault.kind == "html":
            return edge_page(200, "text/html")
        elif fault.kind == "status":
            response = problem(fault.status, "A fault set by /_sim/faults.")
            if fault.status in _BODILESS:
                response = Response(status_code=fault.status)
            elif fault.body == "html":
                response = edge_page(fault.status)
            elif fault.body == "message":
                response = json_response({"message": REASONS.get(fault.status, "Unknown")}, fault.status)
            elif fault.body == "bare":
                response = json_response({"Statuses": ["The Statuses field is required."]}, fault.status)
            if fault.retry_after is not None:
                response.headers["retry-after"] = self._retry_after(fault.retry_after)
            return response
        return None

    def _retry_after(self, text: str) -> str:
        if text.startswith("date"):
            return formatdate(self.tenant.now() + float(text.removeprefix("date")), usegmt=True)
        return text

    async def _token(self, request: Request) -> Response:
        if request.method != "POST":
            raise HTTPException(405)
        tenant, tenant_in_path = self.tenant, request.path_params.get("tenant")
        content_type = request.headers.get("content-type", "").partition(";")[0]
        if content_type not in _FORMS:
            raise HTTPException(415, "Send a form or JSON.")
        try:
            given = await read_json(request) if content_type == "application/json" else await request.form()
            fields = {str(key): str(value) for key, value in given.items()}
        except (*JSON_ERRORS, AttributeError):
            raise HTTPException(400, "The body cannot be read.") from None
        refusal = tenant.tokens.refusal(fields, tenant_in_path)
        if refusal:
            # Some token endpoints echo the request: clients must not log it.
            error = {"error": refusal[1], "error_description": "Unauthorized", "sent": fields}
            return json_response(error, refusal[0])
        return json_response(tenant.tokens.grant(tenant_in_path, tenant.now()))

    async def _storage(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.tenant.storage.respond(Request(scope))(scope, receive, send)

    async def _api(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route a request that has a token and is within the rate limits."""
        tenant, request = self.tenant, Request(scope)
        grant = tenant.tokens.check(request.headers.get("authorization", ""), tenant.now())
        if grant is None:
            raise HTTPException(401, "The token is missing, expired or revoked.")
        endpoint = endpoint_of(request.method, scope["path"])
        if tenant.options.limits and not tenant.limiter.admits(grant.client_id, endpoint, tenant.now()):
            await self._rate_limited()(scope, receive, send)
            return
        request.state.grant = grant
        # Still quoted: a quoted slash belongs to a record's name.
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1").rstrip("/")
        await self._api_router({**scope, "path": path}, receive, send)

    def _rate_limited(self) -> Response:
        options = self.tenant.options
        response = edge_page(429) if options.rate_limit_body == "html" else problem(429, "Too many requests.")
        seconds = self.tenant.limiter.retry_after
        if options.retry_after == "seconds":
            response.headers["retry-after"] = f"{seconds:g}"
        elif options.retry_after == "date":
            response.headers["retry-after"] = self._retry_after(f"date{seconds}")
        return response


def _api_routes() -> list[BaseRoute]:
    """Return a route for each call of the catalogue."""
    served: list[tuple[str, str, Handler]] = []
    for operation in OPERATIONS.values():
        write = _with_scope(operation, partial(serve_write, operation))
        served.append((operation.method, operation.path, write))
    for stream in STREAMS.values():
        served.append((stream.method, stream.path, _with_scope(stream, partial(serve_search, stream))))
        if stream.lookup:
            lookup = partial(serve_lookup, stream, stream.lookup)
            served.append(("GET", stream.lookup.path, _with_scope(stream, lookup)))
    # Fixed paths first: users/list is not a user.
    served.sort(key=lambda call: call[1].count("{"))
    # A record's path that is part of a longer one responds with 405, not 404.
    ends = [(path, end) for _, path, _ in served for end, sign in enumerate(path, 1) if sign == "}"]
    known = {path[:end] for path, end in ends if end < len(path)}
    return [
        Route("/v1/me", _get_me),
        *(AnyCaseRoute(method, API_PREFIX + path, endpoint) for method, path, endpoint in served),
        *(AnyCaseRoute(None, API_PREFIX + path, _wrong_method) for path in known),
    ]


def _with_scope(serves: Stream | Operation, handler: Handler) -> Handler:
    """Return an endpoint that refuses a token without the required scope."""

    async def endpoint(request: Request) -> Response:
        if serves.scope is not None and serves.scope not in request.state.grant.scopes:
            raise HTTPException(403, "The token does not have the scope for this.")
        return await handler(request)

    return endpoint


async def _get_me(request: Request) -> Response:
    grant, tenant = request.state.grant, request.app.tenant.options.tenant
    return json_response({"ClientId": grant.client_id, "Tenant": tenant, "Scopes": sorted(grant.scopes)})


async def _wrong_method(request: Request) -> Response:
    raise HTTPException(405)


async def _error_response(request: Request, error: Any) -> Response:
    return problem(error.status_code, error.detail)


async def _page_number(request: Request) -> int | None:
    if request.method == "GET":
        text = {name.lower(): text for name, text in request.query_params.items()}.get("page", "")
        return int(text) if text.isdecimal() else None
    try:
        page = (await read_json(request)).get("Page")
    except (*JSON_ERRORS, AttributeError):
        return None
    return page if isinstance(page, int) else None


async def _send(response: Response, fault: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a response, or what a fault leaves of it."""
    body, status = bytes(response.body), response.status_code
    if fault == "bad_utf8":
        text = b'"Notes":[{"id":"' if b'"Notes":[{"id":"' in body else b'":"'
        response.body = body = body.replace(text, text + b"\xff", 1)
        response.headers["content-length"] = str(len(body))
    if fault not in ("reset", "lost", "truncate") and status in _UVICORN_STATUSES:
        await response(scope, receive, send)
        return
    # uvicorn offers no other way to cut a response or to send any status.
    transport = send.__self__.transport  # type: ignore[attr-defined]
    if fault in ("reset", "lost"):
        transport.abort()
    else:
        if fault == "truncate":
            body = body[: len(body) // 2]
        response.headers["connection"] = "close"
        status_line = f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}".encode()
        headers = [b"%b: %b" % header for header in response.raw_headers]
        transport.write(b"\r\n".join([status_line, *headers, b"", body]))
        transport.close()
    # Returns when the connection is closed.
    await receive()
