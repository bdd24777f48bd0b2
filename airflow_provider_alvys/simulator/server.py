"""The simulator's HTTP side: an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from airflow_provider_alvys.api.endpoints import Endpoint, endpoint_of
from airflow_provider_alvys.api.streams import STREAMS, Stream
from airflow_provider_alvys.simulator.control import handle_control
from airflow_provider_alvys.simulator.faults import Fault
from airflow_provider_alvys.simulator.http import EDGE_PAGE, UNREADABLE, Answer, Request, json_answer, problem
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.rows import is_period
from airflow_provider_alvys.simulator.tenant import Tenant
from airflow_provider_alvys.simulator.tokens import Grant

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_TOKEN_CALL = "POST token"  # noqa: S105


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
        if request.path.startswith("/_sim/"):
            answer = handle_control(self, request)
        else:
            answer = await self._serve(request)
        await self._send(answer, send)

    async def _serve(self, request: Request) -> Answer:
        tenant = self.tenant
        tenant_in_path = _tenant_in(request.path)
        is_token = request.path.lower() == "/oauth/token" or tenant_in_path is not None
        endpoint = endpoint_of(request.method, request.path)
        name = _TOKEN_CALL if is_token else str(endpoint)
        tenant.requests[name] += 1
        if tenant.options.latency:
            await asyncio.sleep(tenant.options.latency)
        page = _page_of(request)
        fault = tenant.faults.next(name, page)
        answer = self._fail(fault) if fault else None
        if answer is None:
            answer = self._token(request, tenant_in_path) if is_token else self._api(request, endpoint)
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

    def _api(self, request: Request, endpoint: Endpoint) -> Answer:
        tenant = self.tenant
        grant = tenant.tokens.check(request.headers.get("authorization", ""), tenant.now())
        if grant is None:
            return problem(401, "The token is missing, expired or revoked.")
        if tenant.options.limits and not tenant.limiter.admits(grant.client_id, endpoint, tenant.now()):
            return self._too_many()
        if str(endpoint) == "GET /v1/me":
            return json_answer({"ClientId": grant.client_id, "Tenant": tenant.options.tenant, "Scopes": sorted(grant.scopes)})
        stream = next((stream for stream in STREAMS.values() if stream.endpoint == endpoint), None)
        if stream is not None:
            return self._search(request, stream, grant)
        if any(stream.endpoint.template == endpoint.template for stream in STREAMS.values()):
            return problem(405, f"{request.method} is not for this path.")
        return problem(404, "There is nothing at this path.")

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

    def _search(self, request: Request, stream: Stream, grant: Grant) -> Answer:
        if stream.scope not in grant.scopes:
            return problem(403, "The token does not have the scope for this.")
        try:
            sent = request.json()
        except UNREADABLE:
            return problem(400, "The body is no JSON.")
        body, errors = _understand(stream, sent)
        if errors:
            return json_answer(errors, 400)
        tenant = self.tenant
        rows = tenant.sets[stream.name]
        found = rows.find(body)
        page, asked = body["Page"], body["PageSize"]
        size = min(asked, tenant.page_size_cap or asked)
        if page > 0 and page * size >= len(found):
            answer = problem(404, "There is no such page.")
        else:
            with_deleted = bool(body.get("IncludeDeleted"))
            items = b",".join(row.text(with_deleted=with_deleted) for row in found[page * size : (page + 1) * size])
            shown_size = asked if tenant.options.page_size_cap_is_silent else size
            text = b'{"Page":%d,"PageSize":%d,"Total":%d,"Items":[%b]}' % (page, shown_size, len(found), items)
            answer = Answer(200, _pretty(text) if tenant.options.pretty else text)
        tenant.mutate(rows, body)
        return answer

    async def _send(self, answer: Answer, send: Send) -> None:
        kind = answer.fault.kind if answer.fault else None
        if kind == "reset":
            # uvicorn gives no other way to cut a connection without a word.
            send.__self__.transport.abort()  # type: ignore[attr-defined]
            return
        body = answer.body
        if kind == "bad_utf8":
            body = body.replace(b'"Notes":[{"id":"', b'"Notes":[{"id":"\xff', 1)
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


def _understand(stream: Stream, sent: Any) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return a search body in the catalogue's spelling, and what is wrong with it, as a bare map."""
    if not isinstance(sent, dict):
        return {}, {"": ["A non-empty request body is required."]}
    names = [filter.name for filter in stream.filters] + [window.param for window in stream.windows]
    spelling = {name.lower(): name for name in (*names, "Page", "PageSize")}
    # Names that it does not know are ignored, as Alvys does.
    body = {spelling[key.lower()]: value for key, value in sent.items() if key.lower() in spelling}
    errors: dict[str, list[str]] = {}
    for name, least in (("Page", 0), ("PageSize", 1)):
        if not isinstance(body.get(name), int) or body[name] < least:
            errors[name] = [f"The {name} field is required."]
    for filter in stream.filters:
        wanted = body.get(filter.name)
        if isinstance(wanted, list):
            strangers = [value for value in wanted if filter.values and value not in filter.values]
            if strangers:
                errors[filter.name] = [f"The value '{strangers[0]}' is not valid."]
            elif filter.max_items and len(wanted) > filter.max_items:
                errors[filter.name] = [f"At most {filter.max_items} values are allowed."]
    if stream.one_of and not any(body.get(name) for name in stream.one_of):
        errors |= {name: ["At least one search parameter must be provided."] for name in stream.one_of}
    for window in stream.windows:
        period = body.get(window.param)
        if isinstance(period, dict) and not (period.get("Start") or period.get("start")):
            # Misspelt bounds are no bounds: everything is found.
            del body[window.param]
        elif period is not None and not is_period(period):
            errors[window.param] = [f"The value of {window.param} is not valid."]
    return body, errors


def _pretty(text: bytes) -> bytes:
    """Return JSON over several lines. msgspec cannot where half an emoji is in it."""
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return text.replace(b'":{', b'":\r\n {').replace(b"},{", b"},\n{")


def _tenant_in(path: str) -> str | None:
    """Return the tenant of a token path of the older flow, in any of its documented spellings."""
    lower = path.lower()
    for prefix in ("/api/authentication/", "/api/p/authentication/", "/authentication/"):
        if lower.startswith(prefix) and lower.endswith("/token"):
            return unquote(path[len(prefix) : -len("/token")])
    return None


def _page_of(request: Request) -> int | None:
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
        query=dict(parse_qsl(scope["query_string"].decode())),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
    )


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
