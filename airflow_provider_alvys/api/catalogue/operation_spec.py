"""What a row of the catalogue of writes says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint, endpoint_of

FieldKind = Literal["string", "integer", "number", "boolean", "time", "day", "object", "list"]
# What another attempt does after an answer was lost.
# - safe: the same as the first one, so that it may be made: a PUT, a DELETE, a status that is set.
# - by_key: nothing, for one of the body's fields names the effect: the reference number of a payment.
# - guarded: it is refused, for ``If-Match``, which is required, names the version that the first one has replaced.
# - unsafe: perhaps a second effect, so that it is never made.
RetrySafety = Literal["safe", "by_key", "guarded", "unsafe"]
IfMatch = Literal["none", "optional", "required"]

# In place of an ETag: read the record's right before, where Alvys requires one.
AUTO = "auto"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Field:
    """
    One field of a write's body.

    :param name: as Alvys spells it.
    :param kind: ``number`` is one with a fraction, ``time`` an ISO 8601 text with a zone, ``day`` one of midnight in UTC, which
        ``yyyy-MM-dd`` stands for, ``list`` one of ``items``.
    :param required: whether Alvys refuses a body without it, and a text of nothing but blanks.
    :param values: the only ones that Alvys takes; empty for any.
    :param max_length: characters, or items of a list; None where nothing says.
    :param min_items: items of a list.
    :param less_than: what a number must be less than, or None.
    :param prefixes: what a text must begin with: one of these; empty for anything.
    :param hint: what to tell who gave a wrong value.
    :param record_field: the record's field that shows it; empty for the same name, None where nothing does.
    :param fields: of an object.
    :param items: of a list: what each is.
    """

    name: str
    kind: FieldKind = "string"
    required: bool = False
    values: tuple[str | int, ...] = ()
    max_length: int | None = None
    min_items: int = 0
    less_than: float | None = None
    prefixes: tuple[str, ...] = ()
    hint: str = ""
    record_field: str | None = ""
    fields: tuple[Field, ...] = ()
    items: Field | None = None


@dataclass(frozen=True)
class OneOf:
    """Exactly one of these fields must be given, or with ``or_none`` none."""

    names: tuple[str, ...]
    or_none: bool = False


@dataclass(frozen=True)
class AnyOf:
    """At least one of these fields must be given."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class RequiredIf:
    """
    A field is needed beside another one.

    :param name: which one is needed.
    :param other: where this one is given.
    :param value: and has this value; None for any.
    """

    name: str
    other: str
    value: str | None = None


@dataclass(frozen=True)
class ETagSource:
    """
    Where the ETag of a record stands that a write may name in ``If-Match``.

    :param stream: whose look-up reads the record.
    :param selectors: the look-up's parameter, and the write's path parameter that it takes.
    :param etag_field: the record's field with the ETag, where it is in no header.
    :param updated_field: the record's field that tells when it was changed; empty where nothing does.
    """

    stream: str
    selectors: Mapping[str, str]
    etag_field: str = ""
    updated_field: str = "UpdatedAt"


@dataclass(frozen=True)
class Upload:
    """
    The file of a multipart write.

    :param document_types: of documents that it may be, for the field ``DocumentType``; empty where it has no such field.
    :param max_bytes: bytes.
    :param media_types: what the file may be.
    """

    document_types: tuple[str, ...] = ()
    max_bytes: int = 25 * 1024 * 1024
    media_types: tuple[str, ...] = ("application/pdf", "image/jpeg", "image/png")


@dataclass(frozen=True)
class Operation:
    """
    Something that Alvys lets one write.

    :param name: ``<stream>.<verb>``.
    :param description: what it does, as an imperative.
    :param path: below the API base, with ``{names}`` of its parameters.
    :param scope: what the token needs; None where nothing tells.
    :param body: its fields; empty for a call without a body.
    :param rules: between the fields.
    :param is_merge_patch: whether a field that is not required may be given as None, which removes its value. Elsewhere None is not sent.
    :param if_match: whether the write names the version that it changes.
    :param etag_source: where that stands; None where ``if_match`` is ``none``.
    :param retry_safety: see ``RetrySafety``.
    :param retry_reason: why.
    :param idempotency_field: the field of the body that names the effect, where ``retry_safety`` is ``by_key``.
    :param check: how a person finds out whether it took place, when its answer was lost: a sentence with ``{names}`` of path
        parameters and of the body's fields.
    :param has_response: whether a success may have a body.
    :param response_is_documented: False where nothing tells its shape: then whatever it is, is taken.
    :param resulting_fields: what the record of ``etag_source`` holds afterwards, beside the body's fields.
    :param secrets: fields of the answer that must not be kept.
    :param idempotency_header: that Alvys may know a repeat by; it is sent, and not trusted.
    :param upload: for a multipart write: its file.
    :param notes: what a user should know, and where the documents contradict each other.
    """

    name: str
    description: str
    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    path: str
    scope: str | None
    check: str
    retry_reason: str
    scope_is_documented: bool = True
    body: tuple[Field, ...] = ()
    rules: tuple[OneOf | AnyOf | RequiredIf, ...] = ()
    is_merge_patch: bool = False
    if_match: IfMatch = "none"
    etag_source: ETagSource | None = None
    retry_safety: RetrySafety = "unsafe"
    idempotency_field: str = ""
    has_response: bool = True
    response_is_documented: bool = True
    resulting_fields: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    idempotency_header: str = ""
    upload: Upload | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def endpoint(self) -> Endpoint:
        """The call that makes it."""
        return endpoint_of(self.method, self.path)

    @property
    def path_params(self) -> tuple[str, ...]:
        """The names in its path."""
        return tuple(_PLACEHOLDER.findall(self.path))

    @property
    def deletes_record(self) -> bool:
        """Whether what its path names is there no more afterwards: not so of a customer, who stays, nor of a stop's arrival."""
        return self.method == "DELETE" and self.path.endswith("}") and not self.resulting_fields
