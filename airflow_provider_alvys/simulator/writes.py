"""Writes: what is refused, what takes place, and how often."""

from __future__ import annotations

import re

import msgspec

from airflow_provider_alvys.api.operations import Operation
from airflow_provider_alvys.simulator.bodies import read_body
from airflow_provider_alvys.simulator.effects import EFFECTS
from airflow_provider_alvys.simulator.effects.write import Target, Write, do_nothing, find_record
from airflow_provider_alvys.simulator.http import Answer, Refusal, Request, json_answer, problem
from airflow_provider_alvys.simulator.questions import Errors
from airflow_provider_alvys.simulator.routes import Match
from airflow_provider_alvys.simulator.tenant import Effect, Tenant

_SWITCHED_OFF_FOR = "3600"
_TAG = re.compile(r'(?:W/)?"?(.*?)"?')


async def answer_write(tenant: Tenant, request: Request, match: Match, operation: Operation) -> Answer:
    """Answer a write: in this order, a call that is switched off, an unknown record, a bad body, a stale version, a rule."""
    if operation.name in tenant.options.disabled.split():
        return _switched_off()
    try:
        target = _find_target(tenant, operation, match.names)
        body, file, errors = read_body(operation, request)
        if errors:
            return _invalid(tenant, errors)
        _check_version(operation, request, target)
        write = Write(tenant, operation, request, target, body, file)
        effect = EFFECTS.get(operation.name, do_nothing)(write)
        answer = effect if isinstance(effect, Answer) else await effect
    except Refusal as error:
        return problem(error.status, error.detail)
    if write.has_acted:
        tenant.effects.append(
            Effect(operation=operation.name, path=request.path, body=msgspec.to_builtins(body), at=tenant.now())
        )
    if operation.version and target.rows is not None and target.rows.has(target.number):
        answer.headers.setdefault("etag", f'"{target.rows.etag(target.number)}"')
    return answer


def _find_target(tenant: Tenant, operation: Operation, names: list[str]) -> Target:
    """Return the records that a path names: one of the stream that it begins with, and perhaps one of its children."""
    if not names:
        return Target(None, -1, "")
    stream = operation.path.partition("/")[0]
    rows = tenant.rows(stream)
    column = "LoadNumber" if operation.path_params[0] == "loadNumber" else "Id"
    number = find_record(rows, column, names[0])
    if len(names) == 1:
        return Target(rows, number, names[0])
    children = tenant.rows(operation.name.partition(".")[0])
    child = next((child for child in children.of(names[:1]) if children.key(child) == names[1]), None)
    if child is None:
        raise Refusal(404, "There is no such record.")
    return Target(rows, number, names[0], children, child)


def _check_version(operation: Operation, request: Request, target: Target) -> None:
    if operation.if_match == "none" or target.rows is None:
        return
    given = request.headers.get("if-match", "").strip()
    if not given:
        if operation.if_match == "required":
            raise Refusal(428, "The If-Match header is required.")
        return
    tag = _TAG.fullmatch(given)
    if given != "*" and (tag is None or tag[1] != target.rows.etag(target.number)):
        raise Refusal(412, "The record has been changed since.")


def _invalid(tenant: Tenant, errors: Errors) -> Answer:
    if tenant.options.validation_errors == "bare":
        return json_answer(errors, 400)
    answer = problem(400, "One or more validation errors occurred.")
    answer.body = msgspec.json.encode({**msgspec.json.decode(answer.body), "Errors": errors})
    return answer


def _switched_off() -> Answer:
    answer = problem(503, "The endpoint is switched off.")
    answer.body = msgspec.json.encode({**msgspec.json.decode(answer.body), "Type": "EndpointDisabled"})
    answer.headers["retry-after"] = _SWITCHED_OFF_FOR
    return answer
