"""Preparation of a write: all checks that need no request."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote

import msgspec

from airflow_provider_alvys.api.catalogue.operation_spec import AUTO, Operation
from airflow_provider_alvys.api.catalogue.operations import get_operation
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.schema.values import dump_json
from airflow_provider_alvys.api.write.body import BodyValidator, IsTemplated, hint
from airflow_provider_alvys.api.write.upload import FileSource

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_SURROGATES = re.compile("[\ud800-\udfff]")
# A receiver may take them for a path, or for the end of a header.
_UNSAFE_IN_NAMES = re.compile(r"[/\\\x00-\x1f\x7f]")
# Fillers and variation selectors, which Python counts as printable.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_MAX_QUOTED = 80


@dataclass(frozen=True)
class Write:
    """
    A validated write, ready to send.

    :param path_params: values of the placeholders in the operation's path.
    :param body: as it is sent.
    :param if_match: ``auto``, an ETag, or None for no ``If-Match``.
    :param file: the file of an upload.
    """

    operation: Operation
    path_params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    if_match: str | None = None
    file: FileSource | None = None

    @property
    def path(self) -> str:
        """The path below the API base."""
        return _PLACEHOLDER.sub(
            lambda match: quote(str(self.path_params[match[1]]), safe=""), self.operation.path
        )

    @cached_property
    def content(self) -> bytes:
        """The body as JSON, with the digits of every number as given; empty for a call without a body."""
        return dump_json(dict(self.body)).encode() if self.operation.body else b""

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the operation, path and body."""
        text = f"{self.operation.name} {self.path} {self.content.decode()}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def check(self) -> str:
        """How a person finds out whether the write took place."""
        values = {**self.path_params, **self.body}
        known = {name: str(value)[:_MAX_QUOTED] for name, value in values.items()}
        return _PLACEHOLDER.sub(lambda match: known.get(match[1], "(none)"), self.operation.check)

    def markdown(self, **facts: Any) -> str:
        """
        Return what is sent as Markdown, for a person who approves it.

        :param facts: what else to show, such as ``carrier="Blue Bird"``.
        """
        blocks = [_code_block(dump_json(facts).encode())] if facts else []
        blocks.append(f"`{self.operation.method} {self.path}`")
        blocks += [_code_block(self.content)] if self.content else []
        return "\n\n".join(blocks)

    def with_file(self, file: FileSource | None) -> Write:
        """Return the write with the file that it uploads, checked by :func:`check_file`."""
        check_file(self.operation, file)
        return replace(self, file=file)


def prepare(
    operation: str,
    *,
    path_params: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    if_match: str | None = AUTO,
    is_templated: IsTemplated = lambda value: False,
) -> Write:
    """
    Validate a write before anything is sent.

    :param operation: name in the catalogue, such as ``trips.assign``.
    :param path_params: values for the operation's path, such as ``{"tripId": "…"}``; ``trip_id`` works too.
    :param body: fields in Alvys's spelling. Numbers may be Decimal and are sent digit by digit. Times are
        aware datetimes or ISO 8601 strings with a zone.
    :param if_match: ``auto`` reads the record's ETag just before the write if Alvys requires one, and else
        sends none. An ETag is sent as given. None sends none.
    :param is_templated: whether a value is a template, which cannot be checked yet. Such a write is for
        validation only and cannot be sent.
    :raises AlvysValueError: lists everything that is wrong.
    """
    row = get_operation(operation)
    problems: list[str] = []
    params = _validate_params(row, path_params, problems, is_templated)
    validator = BodyValidator(is_templated=is_templated, is_merge_patch=row.is_merge_patch)
    sent: dict[str, Any] = {}
    if isinstance(body, Mapping) or body is None:
        sent = validator.validate(row.body, row.rules, body or {})
    elif not is_templated(body):
        problems.append(_not_a_dict("body", body))
    problems += validator.problems
    problem = None if is_templated(if_match) else _if_match_problem(row, if_match)
    problems += [problem] if problem else []
    if problems:
        raise AlvysValueError(f"{row.name} cannot be sent: {'; '.join(problems)}")
    return Write(row, params, sent, if_match)


def _code_block(content: bytes) -> str:
    """
    Return JSON as a block of code, with escapes for characters that are not visible.

    No text of a record can end it: each line begins with a brace, or with spaces.
    """
    text = msgspec.json.format(content, indent=2).decode()
    escaped = (char if char == "\n" or _is_visible(char) else json.dumps(char)[1:-1] for char in text)
    return f"```json\n{''.join(escaped)}\n```"


def _is_visible(char: str) -> bool:
    return char.isprintable() and not _INVISIBLE.match(char)


def check_file(operation: Operation, file: FileSource | None) -> None:
    """
    Refuse a file that an operation does not accept.

    :raises AlvysValueError: the file is missing, not expected, empty, too large or of another media type.
    """
    upload, name = operation.upload, operation.name
    if (upload is None) != (file is None):
        raise AlvysValueError(f"{name} {'takes no' if upload is None else 'needs a'} file")
    if upload is None or file is None:
        return
    if not file.name.strip():
        raise AlvysValueError(f"The file of {name} has no name")
    if _UNSAFE_IN_NAMES.search(file.name):
        raise AlvysValueError(f"{file.name!r} has a slash, a backslash or a control character in its name")
    if not 0 < file.size <= upload.max_bytes:
        size = f"has {file.size} bytes" if file.size else "is empty"
        raise AlvysValueError(f"{file.name} {size}: {name} takes 1 to {upload.max_bytes} bytes")
    if file.type not in upload.media_types:
        kind = f"is {file.type}" if file.type else "has an unknown type"
        raise AlvysValueError(f"{file.name} {kind}: {name} takes {', '.join(upload.media_types)}")


def _not_a_dict(what: str, value: Any) -> str:
    return (
        f"{what}={value!r} is not a dict. A template renders to a string: put templates into the dict's "
        "values, or set render_template_as_native_obj=True on the DAG"
    )


def _validate_params(
    row: Operation, given: Any, problems: list[str], is_templated: IsTemplated
) -> dict[str, Any]:
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        if not is_templated(given):
            problems.append(_not_a_dict("path_params", given))
        return {}
    known = {name.replace("_", "").lower(): name for name in row.path_params}
    params: dict[str, Any] = {}
    for name, value in given.items():
        found = known.get(str(name).replace("_", "").lower())
        if found is None:
            problems.append(f"unknown path parameter {name}{hint(name, row.path_params, 'parameters')}")
            continue
        if found in params:
            problems.append(f"the path parameter {found} is given twice")
        params[found] = value
        if not is_templated(value) and not _is_id(value):
            problems.append(f"{found}={value!r} must be a string or an integer that is not blank")
    problems += [f"the path parameter {name} is missing" for name in row.path_params if name not in params]
    return params


def _is_id(value: Any) -> bool:
    # A surrogate, half of an emoji, cannot be encoded.
    is_text = isinstance(value, str) and not _SURROGATES.search(value)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return (is_text or is_integer) and bool(str(value).strip(". "))


def _if_match_problem(row: Operation, if_match: Any) -> str | None:
    if if_match is None:
        is_missing = row.if_match == "required"
        return "if_match=None, but Alvys requires If-Match: give 'auto' or an ETag" if is_missing else None
    is_header = isinstance(if_match, str) and if_match.isascii() and if_match.isprintable()
    if not is_header or not if_match.strip():
        return f"if_match={if_match!r} must be 'auto', an ETag, or None"
    if if_match.strip() == "*":
        # A second attempt would match as well.
        return "if_match='*' matches any version: give 'auto' or an ETag"
    if row.if_match == "none" and if_match != AUTO:
        return f"if_match={if_match!r}, but Alvys does not support If-Match for this operation"
    return None
