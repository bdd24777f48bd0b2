"""Documents of loads, trips, carriers, drivers and equipment, as Alvys lists them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.catalogue.record_rows.common import DOCUMENT
from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.page_decoder import decode_record
from airflow_provider_alvys.api.read.queries import make_queries
from airflow_provider_alvys.api.read.windows import as_utc
from airflow_provider_alvys.api.suggestions import closest, suggest

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient

_SUFFIX = "_documents"
# Maps a parent type to its documents' stream: "load" to load_documents.
DOCUMENT_STREAMS: Mapping[str, Stream] = {
    name.removesuffix(_SUFFIX): stream for name, stream in STREAMS.items() if stream.fields is DOCUMENT
}
# Matches "Proof of Delivery (POD)".
_WITH_ABBREVIATION = re.compile(r"(.*?)\s*\(\s*([^()]*?)\s*\)")


@dataclass(frozen=True)
class Document:
    """
    A file in the list of a parent's documents.

    :param parent: the id or number in the request for the list.
    :param type: such as ``Proof of Delivery``.
    :param file_name: name at upload.
    :param size: in bytes; None if Alvys does not give it.
    :param url: pre-signed URL, valid for some minutes: a secret. None if Alvys gives none.
    :param expires_at: end of the URL's life, in seconds since 1970; None if Alvys does not give it.
    """

    id: str
    parent: str
    type: str
    file_name: str
    size: int | None
    uploaded_at: str | None
    url: str | None = field(default=None, repr=False)
    expires_at: float | None = None


def document_stream_of(parent_type: str) -> Stream:
    """
    Return the stream of a parent type's documents.

    :param parent_type: such as ``load``.
    :raises AlvysValueError: this type has no documents.
    """
    if not isinstance(parent_type, str) or parent_type not in DOCUMENT_STREAMS:
        hint = suggest(parent_type, DOCUMENT_STREAMS, "Parent types")
        raise AlvysValueError(f"parent_type={parent_type!r} has no documents.{hint}")
    return DOCUMENT_STREAMS[parent_type]


def parse_document(row: Mapping[str, Any], parent: str) -> Document:
    """Return the document in a decoded row."""
    size, url = row.get("AttachmentSize"), row.get("DownloadUrl")
    # A size of 0 means unknown: Alvys accepts no empty file.
    return Document(
        id=str(row["id"]),
        parent=parent,
        type=str(row.get("AttachmentType") or ""),
        file_name=re.split(r"[/\\]", str(row.get("AttachmentPath") or ""))[-1],
        size=size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else None,
        uploaded_at=row.get("UploadedAt"),
        url=url if isinstance(url, str) and url else None,
        expires_at=_seconds(row.get("ExpiresAt")),
    )


def list_documents(client: AlvysClient, stream: Stream, parent: str) -> list[Document] | None:
    """
    Return a parent's documents with their URLs, by one request; None if Alvys does not know the parent.

    :param stream: the documents' stream.
    """
    from airflow_provider_alvys.api.read.search import Search

    search = Search(client, stream, make_queries(stream, {}, parents=[parent]))
    documents = [parse_document(decode_record(row, stream), parent) for page in search for row in page]
    return None if search.missing_parents else documents


def type_aliases(text: str) -> frozenset[str]:
    """Return the names of a document type, in lower case: the full name, the name and the abbreviation."""
    plain = " ".join(text.casefold().split())
    parts = _WITH_ABBREVIATION.fullmatch(plain)
    return frozenset(filter(None, (plain, *(parts.groups() if parts else ()))))


def parse_document_types(types: str | Sequence[str] | None) -> frozenset[str] | None:
    """
    Return all names of the given document types; None for all types.

    :raises AlvysValueError: neither a text nor a list of texts is given.
    """
    if types is None:
        return None
    listed = [types] if isinstance(types, str) else types
    if isinstance(listed, bytes) or not isinstance(listed, Sequence) or not listed:
        raise AlvysValueError(f"document_types={types!r} must be a list like ['Proof of Delivery'], or None")
    for text in listed:
        if not isinstance(text, str) or not type_aliases(text):
            raise AlvysValueError(f"document_types contains {text!r}: give names like 'Proof of Delivery'")
    return frozenset().union(*map(type_aliases, listed))


def suggest_types(parent_type: str, types: str | Sequence[str] | None) -> str:
    """
    Return a hint about misspelled document types, with a space before it; "" for none.

    Not an error: the types are free text, and Alvys lists only those that an upload can have.
    """
    # Imported here, since most DAGs write nothing.
    from airflow_provider_alvys.api.catalogue.operations import OPERATIONS

    upload = OPERATIONS[f"{parent_type}{_SUFFIX}.upload"].upload
    known = upload.document_types if upload else ()
    aliases = frozenset().union(*map(type_aliases, known))
    unknown = [
        text
        for text in ([types] if isinstance(types, str) else types or ())
        if not aliases & type_aliases(text)
    ]
    meant = [best for text in unknown if (best := closest(text, known)) is not None]
    return f" Did you mean {' or '.join(meant)}?" if meant else ""


def _seconds(time: Any) -> float | None:
    try:
        return as_utc(time, "ExpiresAt").timestamp() if isinstance(time, str) else None
    except AlvysValueError:
        # The storage refuses an expired URL anyway.
        return None
