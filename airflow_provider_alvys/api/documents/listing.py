"""The files that Alvys keeps with loads, trips, carriers, drivers and equipment: what its lists say of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.catalogue.record_rows.common import DOCUMENT
from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.read.queries import make_queries
from airflow_provider_alvys.api.read.windows import as_utc

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient

_SUFFIX = "_documents"
# The stream of each kind of parent's documents: "load" to load_documents.
DOCUMENT_STREAMS: Mapping[str, Stream] = {
    name.removesuffix(_SUFFIX): stream for name, stream in STREAMS.items() if stream.fields is DOCUMENT
}
# As in "Proof of Delivery (POD)".
_BRACKETS = re.compile(r"(.*?)\s*\(\s*([^()]*?)\s*\)")


@dataclass(frozen=True)
class Document:
    """
    A file, as the list of its parent's documents has it.

    :param parent: the id by which the list was asked for.
    :param type: such as ``Proof of Delivery``.
    :param file_name: as it was uploaded.
    :param size: in bytes; None where Alvys does not say.
    :param url: from which it can be fetched for some minutes, without credentials: a secret. None where none was given.
    :param expires_at: until when, in seconds since 1970; None where Alvys does not say.
    """

    id: str
    parent: str
    type: str
    file_name: str
    size: int | None
    uploaded_at: str | None
    url: str | None = field(default=None, repr=False)
    expires_at: float | None = None


def documents_of(parent_type: str) -> Stream:
    """
    Return the stream of documents of a kind of parents.

    :param parent_type: such as ``load``.
    :raises AlvysValueError: that has no documents.
    """
    if not isinstance(parent_type, str) or parent_type not in DOCUMENT_STREAMS:
        raise AlvysValueError(f"parent_type={parent_type!r} has no documents. It is one of {', '.join(DOCUMENT_STREAMS)}")
    return DOCUMENT_STREAMS[parent_type]


def read_document(row: Mapping[str, Any], parent: str) -> Document:
    """Return a decoded row of a list of documents."""
    size, url = row.get("AttachmentSize"), row.get("DownloadUrl")
    # No file is empty: Alvys takes none.
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
    Return a parent's documents by one request, with URLs to fetch them from; None for a parent that Alvys does not know.

    :param stream: of the documents.
    """
    from airflow_provider_alvys.api.read.search import Search

    search = Search(client, stream, make_queries(stream, {}, parents=[parent]))
    documents = [read_document(decode_row(row), parent) for page in search for row in page]
    return None if search.missing else documents


def names_of_type(text: str) -> frozenset[str]:
    """Return what a type of documents may be called, in any case: with what is in brackets behind it, without, and by that."""
    plain = " ".join(text.casefold().split())
    parts = _BRACKETS.fullmatch(plain)
    return frozenset(filter(None, (plain, *(parts.groups() if parts else ()))))


def check_types(types: str | Sequence[str] | None) -> frozenset[str] | None:
    """
    Return all names of one type of documents or several; None for all of them.

    :raises AlvysValueError: it is neither a text nor a list of texts.
    """
    if types is None:
        return None
    listed = [types] if isinstance(types, str) else types
    if isinstance(listed, bytes) or not isinstance(listed, Sequence) or not listed:
        raise AlvysValueError(f"document_types={types!r} must be a list such as ['Proof of Delivery'], or None for all")
    for text in listed:
        if not isinstance(text, str) or not names_of_type(text):
            raise AlvysValueError(f"document_types holds {text!r}, which is no type of documents, such as 'Proof of Delivery'")
    return frozenset().union(*map(names_of_type, listed))


def _seconds(time: Any) -> float | None:
    try:
        return as_utc(time, "ExpiresAt").timestamp() if isinstance(time, str) else None
    except AlvysValueError:
        # Without it the storage tells.
        return None
