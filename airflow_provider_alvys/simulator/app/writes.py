"""Responses to writes."""

from __future__ import annotations

import re
from urllib.parse import unquote

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_alvys.api.catalogue.operations import Operation
from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.simulator.effects import EFFECTS
from airflow_provider_alvys.simulator.effects.write_call import (
    TargetRecord,
    WriteCall,
    find_record,
    no_effect,
)
from airflow_provider_alvys.simulator.protocol.bodies import read_body
from airflow_provider_alvys.simulator.protocol.http import json_response, problem
from airflow_provider_alvys.simulator.protocol.routes import path_names
from airflow_provider_alvys.simulator.tenant import AppliedWrite, Tenant

# The streams of an ``assetId``.
_ASSETS = ("trucks", "trailers")
_DISABLED_SECONDS = "3600"
_ETAG = re.compile(r'(?:W/)?"?(.*?)"?')


async def serve_write(operation: Operation, request: Request) -> Response:
    """Check for a disabled call, unknown record, invalid body and stale version; then apply the write."""
    tenant: Tenant = request.app.tenant
    if operation.name in tenant.options.disabled.split():
        headers = {"retry-after": _DISABLED_SECONDS}
        return problem(503, "The endpoint is switched off.", headers, Type="EndpointDisabled")
    target = _find_target(tenant, operation, path_names(request))
    body, file, errors = await read_body(operation, request)
    if errors:
        if tenant.options.validation_errors == "bare":
            return json_response(errors, 400)
        return problem(400, "One or more validation errors occurred.", Errors=errors)
    _check_version(operation, request, target)
    write = WriteCall(tenant, operation, target, body, file)
    effect = EFFECTS.get(operation.name, no_effect)(write)
    response = effect if isinstance(effect, Response) else await effect
    if write.has_changed:
        path, kept = unquote(request.scope["path"]), msgspec.to_builtins(body)
        tenant.applied_writes.append(
            AppliedWrite(operation=operation.name, path=path, body=kept, at=tenant.now())
        )
    if operation.etag_source and target.rows is not None and target.rows.has(target.number):
        response.headers.setdefault("etag", f'"{target.rows.etag(target.number)}"')
    return response


def _find_target(tenant: Tenant, operation: Operation, names: list[str]) -> TargetRecord:
    """Return the record that a path names, and its child if the path names one."""
    if not names:
        return TargetRecord(None, -1, "")
    stream = operation.path.partition("/")[0]
    if stream not in STREAMS:
        has_it = (name for name in _ASSETS if tenant.rows(name).number_of("Id", names[0]) is not None)
        stream = next(has_it, _ASSETS[0])
    rows = tenant.rows(stream)
    column = "LoadNumber" if operation.path_params[0] == "loadNumber" else "Id"
    number = find_record(rows, column, names[0])
    if len(names) == 1:
        return TargetRecord(rows, number, names[0])
    children = tenant.rows(operation.name.partition(".")[0])
    child = next(
        (child for child in children.children_of(names[:1]) if children.key(child) == names[1]), None
    )
    if child is None:
        raise HTTPException(404, "No such record.")
    return TargetRecord(rows, number, names[0], children, child)


def _check_version(operation: Operation, request: Request, target: TargetRecord) -> None:
    if operation.if_match == "none" or target.rows is None:
        return
    if_match = request.headers.get("if-match", "").strip()
    if not if_match:
        if operation.if_match == "required":
            raise HTTPException(428, "The If-Match header is required.")
        return
    tag = _ETAG.fullmatch(if_match)
    if if_match != "*" and (tag is None or tag[1] != target.rows.etag(target.number)):
        raise HTTPException(412, "The record has changed: its ETag is another one now.")
