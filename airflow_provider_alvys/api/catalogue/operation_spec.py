"""The row types of the catalogue of operations (writes)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint, endpoint_of

FieldKind = Literal["string", "integer", "number", "boolean", "time", "day", "object", "list"]
# What a retry does after a lost response.
# - safe: the same as the first attempt: a PUT, a DELETE, a status that is set.
# - by_key: nothing, because a field identifies the effect: the reference number of a payment.
# - guarded: it is refused, because the required If-Match names the version that the first attempt replaced.
# - unsafe: it may have a second effect. Such writes are not retried.
RetrySafety = Literal["safe", "by_key", "guarded", "unsafe"]
IfMatch = Literal["none", "optional", "required"]

# Instead of an ETag: read the record's ETag before the write if Alvys requires one.
AUTO = "auto"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Field:
    """
    One field of a write's body.

    :param name: in Alvys's spelling.
    :param kind: ``number`` may have a fraction; ``time`` is an ISO 8601 string with a zone; ``day`` is
        midnight UTC, also written ``yyyy-MM-dd``; ``list`` is a list of ``items``.
    :param required: whether Alvys refuses a body without it, or with a blank string.
    :param values: the only values that Alvys accepts; empty for any.
    :param max_length: maximum number of characters, or of items of a list; None if no document says.
    :param min_items: minimum number of items of a list.
    :param less_than: exclusive upper bound of a number, or None.
    :param prefixes: what a string must begin with: one of these; empty for anything.
    :param hint: advice in the error for a wrong value.
    :param record_field: the record's field with this value; empty for the same name, None if no field has it.
    :param fields: the fields of an object.
    :param items: the items of a list.
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
    """Exactly one of these fields must be given."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one of these fields must be given."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class RequiredIf:
    """
    A field is required if another one is given.

    :param name: the required field.
    :param other: the other field.
    :param value: the value of the other field that requires it; None for any.
    """

    name: str
    other: str
    value: str | None = None


@dataclass(frozen=True)
class ETagSource:
    """
    Where to read the ETag for ``If-Match``.

    :param stream: the stream with the look-up that reads the record.
    :param selectors: parameters of the look-up, with the write's path parameter for each.
    :param etag_field: the record's field with the ETag, if no header has it.
    :param updated_field: the record's field with the time of its last change; empty if there is no such
        field.
    """

    stream: str
    selectors: Mapping[str, str]
    etag_field: str = ""
    updated_field: str = "UpdatedAt"


@dataclass(frozen=True)
class Upload:
    """
    The file of a multipart write.

    :param document_types: allowed values of ``DocumentType``; empty if the operation has no such field.
    :param max_bytes: maximum size.
    :param media_types: allowed media types.
    """

    document_types: tuple[str, ...] = ()
    max_bytes: int = 25 * 1024 * 1024
    media_types: tuple[str, ...] = ("application/pdf", "image/jpeg", "image/png")


@dataclass(frozen=True)
class Operation:
    """
    A write that Alvys offers.

    :param name: ``<stream>.<verb>``.
    :param description: what it does, as an imperative.
    :param path: below the API base, with parameters as ``{names}``.
    :param scope: the token's scope; None if no document names it.
    :param check: how a person finds out whether it took place after its response was lost: a phrase with
        ``{names}`` of path parameters and body fields.
    :param retry_reason: why ``retry_safety`` is what it is.
    :param scope_is_documented: False if the scope is inferred from similar calls.
    :param body: its fields; empty for a call without a body.
    :param rules: conditions on several fields.
    :param is_merge_patch: whether None clears a field that is not required. Elsewhere None is not sent.
    :param if_match: whether the write takes or requires ``If-Match``.
    :param etag_source: where to read the ETag; None if ``if_match`` is ``none``.
    :param retry_safety: see ``RetrySafety``.
    :param idempotency_field: the body's field that identifies the effect, if ``retry_safety`` is ``by_key``.
    :param has_response: whether a success may have a body.
    :param response_is_documented: False if the body may have any shape.
    :param resulting_fields: what the record has afterwards, in addition to the body's fields.
    :param secrets: fields of the response that must not be stored.
    :param idempotency_header: a header by which Alvys may recognize a retry. It is sent but not relied on.
    :param upload: the file of a multipart write, or None.
    :param notes: facts for users, and contradictions between documents.
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
        """The call that performs it."""
        return endpoint_of(self.method, self.path)

    @property
    def path_params(self) -> tuple[str, ...]:
        """The placeholders in its path."""
        return tuple(_PLACEHOLDER.findall(self.path))

    @property
    def deletes_record(self) -> bool:
        """Whether it deletes the record in its path. A deleted customer, for example, stays as Inactive."""
        return self.method == "DELETE" and self.path.endswith("}") and not self.resulting_fields
