"""The simulator's HTTP side: an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, unquote

from airflow_provider_alvys.api.endpoints import Endpoint, endpoint_of
from airflow_provider_alvys.api.operations import Operation
from airflow_provider_alvys.simulator.answers import answer_lookup, answer_search
from airflow_provider_alvys.simulator.control import handle_control
from airflow_provider_alvys.simulator.faults import Fault
from airflow_provider_alvys.simulator.http import EDGE_PAGE, UNREADABLE, Answer, Request, json_answer, problem
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.storage import PREFIX
from airflow_provider_alvys.simulator.tenant import Tenant
from airflow_provider_alvys.simulator.writes import answer_write

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_TOKEN_CALL = "POST token"  # noqa: S105
_FILE_CALL = "GET storage"


class SimulatorApp:
    """The ASGI application. State is replaced by ``POST /_sim/reset``."""

    def __init__(self, options: Options) -> None:
        self.tenant = Tenant(options)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        request = await _read(scope, receive)
        self.tenant.base = request.base
        if request.path.startswith("/_sim/"):
            answer = await handle_control(self, request)
        else:
            answer = await self._serve(request)
        await self._send(answer, send)

    async def _serve(self, request: Request) -> Answer:
        tenant = self.tenant
        tenant_in_path = _tenant_in(request.path)
        is_token = request.path.lower() == "/oauth/token" or tenant_in_path is not None
        endpoint = endpoint_of(request.method, request.path)
        is_file = request.path.startswith(PREFIX)
        name = _TOKEN_CALL if is_token else _FILE_CALL if is_file else str(endpoint)
        tenant.requests[name] += 1
        if tenant.options.latency:
            await asyncio.sleep(tenant.options.latency)
        page = _page_of(request)
        fault = tenant.faults.next(name, page)
        # A fault that acts lets the call take place, and only its answer is lost.
        answer = self._fail(fault) if fault and not fault.acts else None
        if answer is None:
            if is_token:
                answer = self._token(request, tenant_in_path)
            else:
                answer = tenant.storage.answer(request) if is_file else await self._api(request, endpoint)
            if fault and fault.acts:
                answer = self._fail(fault) or answer
            answer.fault = fault
        if fault and fault.kind == "timeout":
            await asyncio.sleep(fault.seconds)
        tenant.answers[str(answer.status)] += 1
        return answer

    def _fail(self, fault: Fault) -> Answer | None:
        """Return the answer that a fault puts in the place of the right one, if it does."""
        if fault.kind == "revoke":
            self.tenant.tokens.revoke_all()
        elif fault.kind == "cap":
            self.tenant.page_size_cap = fault.cap
        elif fault.kind == "reset":
            return Answer(0, fault=fault)
        elif fault.kind == "html":
            return Answer(200, EDGE_PAGE % 200, "text/html")
        elif fault.kind == "status":
            answer = problem(fault.status, "ordered by /_sim/faults")
            if fault.body == "html":
                answer = Answer(fault.status, EDGE_PAGE % fault.status, "text/html; charset=UTF-8")
            elif fault.body == "bare":
                answer = json_answer({"Statuses": ["The Statuses field is required."]}, fault.status)
            if fault.retry_after is not None:
                answer.headers["retry-after"] = self._retry_after(fault.retry_after)
            return answer
        return None

    def _retry_after(self, text: str) -> str:
        if text.startswith("date"):
            return formatdate(self.tenant.now() + float(text.removeprefix("date")), usegmt=True)
        return text

    def _token(self, request: Request, tenant_in_path: str | None) -> Answer:
        tenant = self.tenant
        if request.method != "POST":
            return problem(405, "POST it")
        content_type = request.headers.get("content-type", "").partition(";")[0]
        try:
            if content_type == "application/json":
                fields = {str(key): str(value) for key, value in request.json().items()}
            elif content_type == "application/x-www-form-urlencoded":
                fields = dict(parse_qsl(request.body.decode()))
            else:
                return problem(415, "send a form or JSON")
        except (*UNREADABLE, AttributeError):
            return problem(400, "not readable")
        refusal = tenant.tokens.refusal(fields, tenant_in_path)
        if refusal:
            # Real token endpoints have been seen to echo what they were sent.
            return json_answer({"error": refusal[1], "error_description": "Unauthorized", "sent": fields}, refusal[0])
        return json_answer(tenant.tokens.grant(tenant_in_path, tenant.now()))

    async def _api(self, request: Request, endpoint: Endpoint) -> Answer:
        tenant = self.tenant
        grant = tenant.tokens.check(request.headers.get("authorization", ""), tenant.now())
        if grant is None:
            return problem(401, "The token is missing, expired or revoked.")
        if tenant.options.limits and not tenant.limiter.admits(grant.client_id, endpoint, tenant.now()):
            return self._too_many()
        if str(endpoint) == "GET /v1/me":
            return json_answer({"ClientId": grant.client_id, "Tenant": tenant.options.tenant, "Scopes": sorted(grant.scopes)})
        match = tenant.router.find(request.method, request.raw_path)
        if match == 405:
            return problem(405, f"{request.method} is not for this path.")
        if match == 404:
            return problem(404, "There is nothing at this path.")
        serves, lookup = match.route.serves, match.route.lookup
        if serves.scope is not None and serves.scope not in grant.scopes:
            return problem(403, "The token does not have the scope for this.")
        if isinstance(serves, Operation):
            return await answer_write(tenant, request, match, serves)
        return answer_lookup(tenant, request, match, serves, lookup) if lookup else answer_search(tenant, request, match, serves)

    def _too_many(self) -> Answer:
        options = self.tenant.options
        answer = problem(429, "Too many requests.")
        if options.rate_limit_body == "html":
            answer = Answer(429, EDGE_PAGE % 429, "text/html; charset=UTF-8")
        seconds = self.tenant.limiter.retry_after
        if options.retry_after == "seconds":
            answer.headers["retry-after"] = f"{seconds:g}"
        elif options.retry_after == "date":
            answer.headers["retry-after"] = self._retry_after(f"date{seconds}")
        return answer

    async def _send(self, answer: Answer, send: Send) -> None:
        kind = answer.fault.kind if answer.fault else None
        if kind in ("reset", "lost"):
            # uvicorn gives no other way to cut a connection without a word.
            send.__self__.transport.abort()  # type: ignore[attr-defined]
            return
        body = answer.body
        if kind == "bad_utf8":
            text = b'"Notes":[{"id":"' if b'"Notes":[{"id":"' in body else b'":"'
            body = body.replace(text, text + b"\xff", 1)
        headers = {
            "content-type": answer.content_type,
            "content-length": str(len(body)),
            "date": formatdate(self.tenant.now(), usegmt=True),
            **answer.headers,
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        if kind == "truncate":
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            send.__self__.transport.close()  # type: ignore[attr-defined]
            return
        await send({"type": "http.response.body", "body": body})


def _tenant_in(path: str) -> str | None:
    """Return the tenant of a token path of the older flow, in any of its documented spellings."""
    lower = path.lower()
    for prefix in ("/api/authentication/", "/api/p/authentication/", "/authentication/"):
        if lower.startswith(prefix) and lower.endswith("/token"):
            return unquote(path[len(prefix) : -len("/token")])
    return None


def _page_of(request: Request) -> int | None:
    text = {name.lower(): text for name, text in request.pairs}.get("page", "")
    if request.method == "GET":
        return int(text) if text.isdecimal() else None
    try:
        page = request.json().get("Page")
    except (*UNREADABLE, AttributeError):
        return None
    return page if isinstance(page, int) else None


async def _read(scope: Message, receive: Receive) -> Request:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return Request(
        method=scope["method"],
        path=scope["path"],
        raw_path=scope.get("raw_path", scope["path"].encode()).decode("latin-1").partition("?")[0],
        pairs=parse_qsl(scope["query_string"].decode()),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
    )


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
