"""The checkpoint of a task instance that downloads documents."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from airflow_provider_alvys import __version__
from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.documents.listing import Document, parse_document, type_aliases
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.http.shared_pace import EndpointPace
from airflow_provider_alvys.api.http.usage import LimitUsage
from airflow_provider_alvys.api.read.state import SearchState
from airflow_provider_alvys.landing.dataset.layout import (
    document_file,
    documents_folder,
    documents_run_file,
    fingerprint,
)
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity, Writer
from airflow_provider_alvys.landing.jobs.parent_lookup import find_document_parents
from airflow_provider_alvys.landing.jobs.parents import plain_parents

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DocumentSpec:
    """What one download is asked to do. ``types`` is parsed; None means all."""

    parent_type: str
    stream: Stream
    tenant: str
    parents: Any
    types: frozenset[str] | None = None

    @property
    def folder(self) -> str:
        """The folder of the tenant's documents."""
        return documents_folder(self.parent_type, self.tenant)

    def wants(self, document: Document) -> bool:
        """Return whether a document has a requested type."""
        return self.types is None or not self.types.isdisjoint(type_aliases(document.type))

    def fingerprint(self, path: str) -> str:
        """Return a hash that a retry must share to resume."""
        types = None if self.types is None else sorted(self.types)
        return fingerprint(path, self.stream.name, self.tenant, plain_parents(self.parents), types)


class DocumentFile(msgspec.Struct, kw_only=True):
    """A line of the index: a document and its file. ``file_name`` is the uploaded name."""

    id: str
    type: str
    parent: str
    name: str
    file_name: str
    size: int | None
    uploaded_at: str | None


class DocumentRun(msgspec.Struct, kw_only=True):
    """
    The checkpoint of a download. It contains no URLs.

    :param parents: parents whose documents are listed.
    :param listed: number of parents, including those whose documents a sync has listed.
    :param renewals: lists that were read again for new URLs.
    :param missing: parents that Alvys no longer knew at a renewal.
    :param gone: documents that a renewed list no longer had.
    :param started: start of the first attempt; None in files of version 0.2.0 and earlier.
    :param usage: of all attempts.
    """

    version: Literal[1] = 1
    identity: RunIdentity
    package: str = __version__
    config_hash: str = msgspec.field(name="asked")
    state: Literal["fetching", "fetched"] = "fetching"
    parents: list[str]
    listed: int
    search: SearchState | None = None
    done: list[DocumentFile] = []
    pending: list[DocumentFile] = []
    fetched: int = 0
    bytes: int = 0
    renewals: int = 0
    missing: list[str] = []
    gone: int = 0
    pace: dict[str, EndpointPace] = {}
    started: datetime | None = None
    usage: LimitUsage = msgspec.field(default_factory=LimitUsage)


def open_document_run(
    client: AlvysClient,
    store: Store,
    spec: DocumentSpec,
    identity: RunIdentity,
    *,
    is_resumed: bool,
) -> tuple[DocumentRun, list[Document]]:
    """Return the run of this attempt, and the documents with URLs that a sync has listed."""
    config_hash = spec.fingerprint(store.path)
    known = _find_run(store, spec, identity, config_hash)
    if known is not None:
        client.pacer.restore(known.pace)
        client.usage.add(known.usage)
        known.usage = client.usage
        if not is_resumed:
            _drop_changed_files(store, known)
        log.info("Resuming after %s", counted(len(known.done), "documents"))
        known.identity, known.package = identity, __version__
        return known, []
    now = datetime.fromtimestamp(client.clock.time(), timezone.utc)
    parents, rows_of = find_document_parents(store, spec.stream, spec.parents, tenant=spec.tenant, now=now)
    documents = [parse_document(row, parent) for parent, rows in rows_of.items() for row in rows]
    run = DocumentRun(
        identity=identity,
        config_hash=config_hash,
        parents=parents,
        listed=len(parents) + len(rows_of),
        pending=[file_of(spec, document) for document in documents if spec.wants(document)],
        started=now,
        usage=client.usage,
    )
    return run, documents


def _find_run(
    store: Store, spec: DocumentSpec, identity: RunIdentity, config_hash: str
) -> DocumentRun | None:
    """Return the run that an attempt has begun, or one of version 0.2.0 or earlier, which named no tenant."""
    for folder, of in (
        (spec.folder, identity),
        (documents_folder(spec.parent_type), identity.of_tenant(None)),
    ):
        name = documents_run_file(folder, of.run_hash)
        writer = store.get_json(name, Writer)
        known = store.get_json(name, DocumentRun) if writer is not None and writer.is_resumable else None
        if known is not None and (known.config_hash, known.state) == (config_hash, "fetching"):
            return known
    return None


def _drop_changed_files(store: Store, run: DocumentRun) -> None:
    """Mark files whose size has changed since the last attempt as pending."""
    kept: list[DocumentFile] = []
    lost: list[DocumentFile] = []
    for _, files in by_parent(run.done):
        sizes = sizes_of(store, files)
        for file in files:
            (kept if sizes.get(file.name) == file.size else lost).append(file)
    run.done, run.pending = kept, lost + run.pending


def file_of(spec: DocumentSpec, document: Document) -> DocumentFile:
    """Return the file of a document."""
    return DocumentFile(
        id=document.id,
        type=document.type,
        parent=document.parent,
        name=document_file(spec.folder, document.parent, document.id, document.file_name),
        file_name=document.file_name,
        size=document.size,
        uploaded_at=document.uploaded_at,
    )


def by_parent(files: Sequence[DocumentFile]) -> Iterator[tuple[str, list[DocumentFile]]]:
    """Yield each parent and its files."""
    groups: dict[str, list[DocumentFile]] = {}
    for file in files:
        groups.setdefault(file.parent, []).append(file)
    yield from groups.items()


def sizes_of(store: Store, files: Sequence[DocumentFile]) -> dict[str, int]:
    """Return the sizes of all files in the folders of some, by name."""
    folders = dict.fromkeys(file.name.rpartition("/")[0] for file in files)
    return {name: size for folder in folders for name, size in store.sizes(folder).items()}
