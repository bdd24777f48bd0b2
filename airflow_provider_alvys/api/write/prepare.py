"""What is told of a write before it is sent: all that is wrong with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote

from airflow_provider_alvys.api.catalogue.operation_spec import AUTO, Operation
from airflow_provider_alvys.api.catalogue.operations import get_operation
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.schema.values import dump_json
from airflow_provider_alvys.api.write.body import BodyReader, IsOpen, suggest
from airflow_provider_alvys.api.write.upload import FileSource

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_HALVES = re.compile("[\ud800-\udfff]")
_LONGEST_QUOTE = 80


@dataclass(frozen=True)
class Write:
    """
    A checked write, not sent yet.

    :param path_params: by the names in the operation's path.
    :param body: as it is sent.
    :param if_match: ``auto``, an ETag, or None for none.
    :param file: of an upload.
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
        """The body's JSON, with every number's digits as they were given; empty for a call without a body."""
        return dump_json(dict(self.body)).encode() if self.operation.body else b""

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what is written: equal for two writes of the same."""
        return hashlib.sha256(
            f"{self.operation.name} {self.path} {self.content.decode()}".encode()
        ).hexdigest()

    @property
    def check(self) -> str:
        """How a person finds out whether it took place."""
        known = {
            name: str(value)[:_LONGEST_QUOTE] for name, value in {**self.path_params, **self.body}.items()
        }
        return _PLACEHOLDER.sub(lambda match: known.get(match[1], "(none)"), self.operation.check)

    def with_file(self, file: FileSource | None) -> Write:
        """
        Return the write with the file it uploads; None for an operation that takes none.

        :raises AlvysValueError: it needs one and has none, or the reverse; or the file is empty, too large or of another media
            type.
        """
        check_file(self.operation, file)
        return replace(self, file=file)


def prepare(
    operation: str,
    *,
    path_params: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    if_match: str | None = AUTO,
    is_open: IsOpen = lambda value: False,
) -> Write:
    """
    Check a write before anything is sent.

    :param operation: name in the catalogue, such as ``trips.assign``.
    :param path_params: what its path names, such as ``{"tripId": "…"}``; ``trip_id`` means the same.
    :param body: its fields, in Alvys's spelling. Numbers may be Decimal, and are sent digit by digit; times are aware datetimes
        or ISO 8601 texts with a zone.
    :param if_match: ``auto`` reads the record's version right before, where Alvys requires one, and sends none elsewhere. An ETag
        is sent as it is. None sends none.
    :param is_open: tells of a value that cannot be checked yet: a template. What it makes of the write cannot be sent.
    :raises AlvysValueError: tells all that is wrong with it.
    """
    row = get_operation(operation)
    problems: list[str] = []
    params = _read_params(row, path_params, problems, is_open)
    reader = BodyReader(is_open=is_open, patch=row.is_merge_patch)
    sent: dict[str, Any] = {}
    if isinstance(body, Mapping) or body is None:
        sent = reader.read(row.body, row.rules, body or {})
    elif not is_open(body):
        problems.append(_no_dict("body", body))
    problems += reader.problems
    if not is_open(if_match):
        problems += _wrong_if_match(row, if_match)
    if problems:
        raise AlvysValueError(f"{row.name} cannot be sent: {'; '.join(problems)}")
    return Write(row, params, sent, if_match)


def check_file(operation: Operation, file: FileSource | None) -> None:
    """
    Refuse a file that an operation does not take.

    :raises AlvysValueError: it needs one and has none, or the reverse; or the file is empty, too large or of another media type.
    """
    upload = operation.upload
    if upload is None:
        if file is not None:
            raise AlvysValueError(f"{operation.name} takes no file")
        return
    if file is None:
        raise AlvysValueError(f"{operation.name} needs a file")
    if not file.name.strip():
        raise AlvysValueError(f"The file of {operation.name} has no name")
    if not 0 < file.size <= upload.max_bytes:
        what = f"of {file.size} bytes" if file.size else "empty"
        raise AlvysValueError(f"{file.name} is {what}: {operation.name} takes 1 to {upload.max_bytes} bytes")
    if file.type not in upload.media_types:
        raise AlvysValueError(
            f"{file.name} is {file.type or 'of no known type'}: {operation.name} takes {', '.join(upload.media_types)}"
        )


def _no_dict(what: str, value: Any) -> str:
    return (
        f"{what}={value!r} is no dict. A template gives a text: put templates into the dict's values, or set "
        "render_template_as_native_obj=True on the DAG"
    )


def _read_params(row: Operation, given: Any, problems: list[str], is_open: IsOpen) -> dict[str, Any]:
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        if not is_open(given):
            problems.append(_no_dict("path_params", given))
        return {}
    known = {name.replace("_", "").lower(): name for name in row.path_params}
    params: dict[str, Any] = {}
    for name, value in given.items():
        found = known.get(str(name).replace("_", "").lower())
        if found is None:
            problems.append(f"there is no path parameter {name}{suggest(name, row.path_params)}")
            continue
        if found in params:
            problems.append(f"the path parameter {found} is given twice")
        params[found] = value
        if not is_open(value) and not _is_name(value):
            problems.append(f"{found}={value!r} names nothing: give its text or number")
    problems += [f"the path parameter {name} is missing" for name in row.path_params if name not in params]
    return params


def _is_name(value: Any) -> bool:
    # Half an emoji has no bytes.
    is_text = isinstance(value, str) and not _HALVES.search(value)
    return (is_text or (isinstance(value, int) and not isinstance(value, bool))) and bool(
        str(value).strip(". ")
    )


def _wrong_if_match(row: Operation, if_match: Any) -> list[str]:
    if if_match is None:
        return (
            ["if_match=None, but Alvys requires a version: give 'auto' or an ETag"]
            if row.if_match == "required"
            else []
        )
    if (
        not isinstance(if_match, str)
        or not if_match.strip()
        or not if_match.isascii()
        or not if_match.isprintable()
    ):
        return [f"if_match={if_match!r} must be 'auto', an ETag, or None"]
    if if_match.strip() == "*":
        # A repeat would find it true once more.
        return ["if_match='*' names no version: give 'auto' or an ETag"]
    return (
        [f"if_match={if_match!r}, but Alvys knows no versions here"]
        if row.if_match == "none" and if_match != AUTO
        else []
    )
