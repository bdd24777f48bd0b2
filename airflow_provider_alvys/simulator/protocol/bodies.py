"""The body of a write: its fields in the catalogue's spelling, and its validation errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from airflow_provider_alvys.api.catalogue.operations import AnyOf, Field, OneOf, Operation, RequiredIf, Upload
from airflow_provider_alvys.simulator.data.search_request import Errors
from airflow_provider_alvys.simulator.data.times import DAY, parse_micros
from airflow_provider_alvys.simulator.protocol.http import JSON_ERRORS, read_json

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "time": (str,),
    "day": (str,),
    "object": (dict,),
    "list": (list,),
}
_JSON = ("application/json", "text/json", "application/json-patch+json", "application/merge-patch+json")
_FORM = "multipart/form-data"
_TIME_ERRORS = (msgspec.ValidationError, ValueError, TypeError, OverflowError)


@dataclass(frozen=True)
class UploadedFile:
    """The file of a multipart body."""

    name: str
    content: bytes
    media_type: str


async def read_body(
    operation: Operation, request: Request
) -> tuple[dict[str, Any], UploadedFile | None, Errors]:
    """
    Return the fields of a write's body, its file, and their validation errors.

    :raises HTTPException: the body cannot be read, or its file has a wrong size or type.
    """
    given: Any
    file = None
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if operation.upload:
        if content_type != _FORM:
            raise HTTPException(415, f"Send {_FORM}.")
        given, file = await _read_form(request, operation.upload)
    elif not operation.body:
        return {}, None, {}
    else:
        if content_type not in _JSON:
            raise HTTPException(415, "Send JSON.")
        try:
            given = await read_json(request) if await request.body() else None
        except JSON_ERRORS:
            raise HTTPException(400, "The body is not valid JSON.") from None
    if not isinstance(given, dict):
        return {}, file, {"": ["A non-empty request body is required."]}
    errors: Errors = {}
    body = _parse_fields(operation.body, given, "", operation.is_merge_patch, errors)
    for rule in operation.rules:
        _check_rule(rule, body, errors)
    if operation.upload and file is None:
        errors["File"] = ["The File field is required."]
    return body, file, errors


async def _read_form(request: Request, upload: Upload) -> tuple[dict[str, Any], UploadedFile | None]:
    parts = (await request.form()).multi_items()
    fields = {name: value for name, value in parts if isinstance(value, str)}
    files = [value for name, value in parts if isinstance(value, UploadFile) and name.lower() == "file"]
    if not files:
        return fields, None
    file = UploadedFile(files[0].filename or "", await files[0].read(), files[0].content_type or "")
    if len(file.content) > upload.max_bytes:
        raise HTTPException(413, f"A file may have {upload.max_bytes} bytes.")
    if file.media_type not in upload.media_types:
        raise HTTPException(415, f"A file may be {', '.join(upload.media_types)}.")
    return fields, file


def _parse_fields(
    fields: Sequence[Field], given: Mapping[str, Any], prefix: str, patch: bool, errors: Errors
) -> dict[str, Any]:
    """Return an object's known fields; unknown ones are ignored, as Alvys does."""
    by_name = {str(name).lower(): value for name, value in given.items()}
    found: dict[str, Any] = {}
    for field in fields:
        value = by_name.get(field.name.lower())
        path = f"{prefix}{field.name}"
        if value is None or (field.required and isinstance(value, str) and not value.strip()):
            if field.required:
                errors[path] = [f"The {path} field is required."]
            elif patch and field.name.lower() in by_name:
                found[field.name] = None
            continue
        found[field.name] = _parse_field(field, value, path, patch, errors)
    return found


def _parse_field(field: Field, value: Any, path: str, patch: bool, errors: Errors) -> Any:
    error = _error_in(field, value)
    if error:
        errors[path] = [error]
    elif field.kind == "object" and field.fields:
        return _parse_fields(field.fields, value, f"{path}.", patch, errors)
    elif field.kind == "list" and field.items:
        return [
            _parse_field(field.items, item, f"{path}[{place}]", patch, errors)
            for place, item in enumerate(value)
        ]
    return value


def _error_in(field: Field, value: Any) -> str | None:
    """Return the validation error of a value, or None."""
    is_kind = isinstance(value, _KINDS[field.kind]) and (field.kind == "boolean") == isinstance(value, bool)
    if not is_kind or (field.kind in ("time", "day") and not _is_time(value, field.kind)):
        return f"The value '{value}' is not valid."
    if field.values and value not in field.values:
        return f"The value '{value}' is not valid. Valid values are: {', '.join(map(str, field.values))}."
    if isinstance(value, (str, list)) and field.max_length is not None and len(value) > field.max_length:
        return f"It must not have more than {field.max_length}."
    if isinstance(value, list) and len(value) < field.min_items:
        return f"It must have at least {field.min_items}."
    if field.less_than is not None and value >= field.less_than:
        return f"It must be less than {field.less_than}."
    if field.prefixes and not value.startswith(field.prefixes):
        return f"It must begin with {' or '.join(field.prefixes)}."
    return None


def _is_time(text: str, kind: str) -> bool:
    try:
        micros = parse_micros(text)
        has_zone = kind == "day" or msgspec.convert(text, datetime).tzinfo is not None
    except _TIME_ERRORS:
        return False
    return has_zone and (kind == "time" or micros % DAY == 0)


def _check_rule(rule: OneOf | AnyOf | RequiredIf, body: Mapping[str, Any], errors: Errors) -> None:
    if isinstance(rule, RequiredIf):
        other = body.get(rule.other)
        if other is not None and rule.value in (None, other) and body.get(rule.name) is None:
            errors[rule.name] = [f"The {rule.name} field is required with {rule.other}."]
        return
    given = [name for name in rule.names if name in body]
    minimum, maximum = (1, len(rule.names)) if isinstance(rule, AnyOf) else (1, 1)
    if not minimum <= len(given) <= maximum:
        rule_text = "At least one of these" if isinstance(rule, AnyOf) else "Exactly one of these"
        errors.update(
            {name: [f"{rule_text} must be provided: {', '.join(rule.names)}."] for name in rule.names}
        )
