"""Download documents into a data set: each once, under a stable name, with an index."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys.api.documents.downloads import ENDPOINT, SlowStorageError, UrlRefusedError
from airflow_provider_alvys.api.documents.listing import Document, list_documents, parse_document
from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysDownloadError,
    AlvysError,
    AlvysRateLimitError,
    AlvysServerError,
)
from airflow_provider_alvys.api.figures import counted, size
from airflow_provider_alvys.api.http.clock import DeferRequested
from airflow_provider_alvys.api.http.progress import ProgressLog
from airflow_provider_alvys.api.http.usage import LimitUsage
from airflow_provider_alvys.api.read.page_decoder import decode_record
from airflow_provider_alvys.api.read.queries import make_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.scrubbing import scrub
from airflow_provider_alvys.landing.dataset.layout import documents_index, documents_run_file
from airflow_provider_alvys.landing.dataset.pace_file import load_pace, save_pace
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.document_checkpoint import (
    DocumentFile,
    DocumentRun,
    DocumentSpec,
    by_parent,
    file_of,
    open_document_run,
    sizes_of,
)
from airflow_provider_alvys.landing.jobs.earlier_documents import EarlierDocuments

if TYPE_CHECKING:
    from airflow_provider_alvys.api.documents.downloads import Downloader
    from airflow_provider_alvys.api.http.client import AlvysClient
    from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity

log = logging.getLogger(__name__)

# A URL that expires within these seconds is renewed first.
_EXPIRES_SOON = 30.0
# After as many such failures in a row the storage is taken to be down.
_MAX_FAILURES_IN_A_ROW = 3
_STORAGE_IS_DOWN = (AlvysConnectionError, AlvysServerError, AlvysRateLimitError, SlowStorageError)
# Lists between two checkpoints: the most that a crash costs.
_LISTS_PER_CHECKPOINT = 20
_MAX_ERRORS_IN_MESSAGE = 10


def download_documents(
    client: AlvysClient,
    downloader: Downloader,
    store: Store,
    spec: DocumentSpec,
    identity: RunIdentity,
    *,
    is_resumed: bool = False,
) -> dict[str, Any]:
    """
    Download the documents of parents that do not exist yet, and write the index. A retry downloads the rest.

    :return: see AlvysDocumentsToObjectStorageOperator.
    :raises DeferRequested: the client's clock refuses a long wait. The progress is saved.
    :raises AlvysDownloadError: some could not be downloaded. All others have been.
    :raises AlvysError: Alvys or the storage of the data set failed.
    """
    load_pace(store, client)
    client.usage = LimitUsage()
    identity = identity.of_tenant(spec.tenant)
    name = documents_run_file(spec.folder, identity.run_hash)
    run, documents = open_document_run(client, store, spec, identity, is_resumed=is_resumed)
    download = _Download(client, downloader, store, spec, run, documents, name)
    try:
        download.run()
    except (DeferRequested, AlvysError):
        download.save()
        raise
    finally:
        save_pace(store, client)
    files = sorted(run.done, key=lambda file: (file.parent, file.uploaded_at or "", file.id))
    index = documents_index(spec.folder, identity.run_hash)
    store.put(index, b"".join(msgspec.json.encode(file) + b"\n" for file in files))
    run.state = "fetched"
    run.search, run.done, run.pending = None, [], []
    store.put_json(name, run)
    parents, existing = counted(run.listed, "parents"), len(files) - run.fetched
    log.info("Listed %s of %s", counted(len(files), "documents"), parents)
    log.info("Downloaded %s, %s: existing=%d", f"{run.fetched:,}", size(run.bytes), existing)
    log.info("Index: %s", store.url(index))
    return {
        "path": store.path,
        "index": store.url(index),
        "stream": spec.stream.name,
        "tenant": spec.tenant,
        "parent_type": spec.parent_type,
        "parents": run.listed,
        "missing_parents": download.missing,
        "documents": len(files),
        "fetched": run.fetched,
        "already_there": len(files) - run.fetched,
        "bytes": run.bytes,
        "gone": run.gone,
        "renewals": run.renewals,
        "requests": download.requests,
        "waited": round(run.usage.waited, 3),
        "seconds": round(client.clock.time() - run.started.timestamp(), 3) if run.started else None,
    }


class _Download:
    """The download of a run's documents. Those of a sync have URLs already."""

    def __init__(
        self,
        client: AlvysClient,
        downloader: Downloader,
        store: Store,
        spec: DocumentSpec,
        run: DocumentRun,
        documents: Sequence[Document],
        name: str,
    ) -> None:
        self._client = client
        self._downloader = downloader
        self._store = store
        self._spec = spec
        self._run = run
        self._name = name
        self._earlier = EarlierDocuments(store, spec)
        queries = make_queries(spec.stream, {}, parents=run.parents)
        self._search = Search(client, spec.stream, queries, state=run.search)
        # Documents by parent and id, and the parents that were listed here rather than by a sync.
        self._listed: set[str] = set()
        self._known: dict[str, dict[str, Document]] = {}
        for document in documents:
            self._known.setdefault(document.parent, {})[document.id] = document
        self._progress = ProgressLog("Downloaded", "documents", clock=client.clock, done=len(run.done))
        self._failed: dict[str, AlvysError] = {}
        self._failed_in_a_row = 0

    @property
    def missing(self) -> list[str]:
        """Parents that Alvys does not know (any more)."""
        return [*self._run.missing, *self._search.missing_parents]

    @property
    def requests(self) -> int:
        """Lists that were requested."""
        return self._search.state.requests + self._run.renewals

    def save(self) -> None:
        """Save the progress."""
        self._run.search = self._search.save()
        self._run.pace = self._client.pacer.save()
        self._store.put_json(self._name, self._run)
        save_pace(self._store, self._client)

    def run(self) -> None:
        """Download everything. Raise AlvysDownloadError if some documents could not be downloaded."""
        for parent, files in by_parent(self._run.pending):
            self._download_all(parent, files)
        for lists, rows in enumerate(self._search, start=1):
            self._client.clock.mark_progress()
            parent = self._search.queries[self._search.state.results[-1].query].parents[0]
            documents = [parse_document(decode_record(row, self._search.stream), parent) for row in rows]
            self._remember(parent, documents)
            files = [file_of(self._spec, document) for document in documents if self._spec.wants(document)]
            self._run.pending += files
            self._download_all(parent, files)
            self._log_progress(self._client.pacer.seconds_until(self._search.stream.endpoint, 1))
            if lists % _LISTS_PER_CHECKPOINT == 0:
                self.save()
        if self._failed:
            raise self._failure("")

    def _log_progress(self, wait: float = 0.0) -> None:
        run, state = self._run, self._search.state
        lists, left = len(run.parents), len(run.parents) - len(state.results)
        self._progress.update(
            len(run.done),
            None if left else len(run.done) + len(run.pending),
            detail=lambda: f"{lists - left:,} of {counted(lists, 'lists')}, {size(run.bytes)}",
            seconds_left=lambda: self._client.pacer.seconds_until(self._search.stream.endpoint, left),
            wait=wait if left else 0.0,
        )

    def _download_all(self, parent: str, files: Sequence[DocumentFile]) -> None:
        """Download the documents of a parent that do not exist yet."""
        sizes = sizes_of(self._store, files)
        for file in files:
            size = sizes.get(file.name)
            if size is not None and file.size in (None, size):
                self._end(file, size)
                continue
            earlier = self._earlier.find(file)
            if earlier is not None and earlier.size is not None:
                file.name = earlier.name
                self._end(file, earlier.size)
                continue
            try:
                self._download_one(file)
            except AlvysError as error:
                if error.endpoint != ENDPOINT:
                    raise
                log.error("%s", error)
                self._failed[file.name] = error
                # A refusal or a wrong size says nothing about the next document.
                self._failed_in_a_row += isinstance(error, _STORAGE_IS_DOWN)
                if self._failed_in_a_row == _MAX_FAILURES_IN_A_ROW:
                    raise self._failure(" in a row, so the rest was not tried") from error
        self._known.pop(parent, None)
        self._listed.discard(parent)

    def _download_one(self, file: DocumentFile) -> None:
        """Download one file, with a new URL if the last one has expired."""
        is_new, refusals = False, 0
        while True:
            document = self._known.get(file.parent, {}).get(file.id)
            if document is None and file.parent in self._listed:
                log.warning("Skipping %s: Alvys no longer lists it", _what(file))
                self._run.pending.remove(file)
                self._run.gone += 1
                return
            if document is None or document.url is None or (not is_new and self._expires_soon(document)):
                if is_new:
                    raise AlvysDownloadError(f"{_what(file)} is listed without a URL", endpoint=ENDPOINT)
                self._renew(file.parent)
                is_new = True
                continue
            file.size = document.size
            try:
                with self._store.new_file(file.name) as target:
                    url, size = document.url, document.size
                    size = self._downloader.download(url, target, what=_what(file), size=size)
            except UrlRefusedError:
                refusals += 1
                if refusals > 1:
                    raise
                log.info("URL expired: %s", _what(file))
                self._renew(file.parent)
                is_new = True
                continue
            self._run.fetched += 1
            self._run.bytes += size
            self._failed_in_a_row = 0
            self._client.clock.mark_progress()
            self._end(file, size)
            return

    def _expires_soon(self, document: Document) -> bool:
        now = self._client.now(upper_bound=True, fetch_token=False)
        return document.expires_at is not None and document.expires_at < now + _EXPIRES_SOON

    def _renew(self, parent: str) -> None:
        """List the documents of a parent again, for new URLs."""
        documents = list_documents(self._client, self._spec.stream, parent)
        self._run.renewals += 1
        if documents is None and parent not in self._run.missing:
            self._run.missing.append(parent)
        self._remember(parent, documents or ())

    def _remember(self, parent: str, documents: Iterable[Document]) -> None:
        self._known[parent] = {document.id: document for document in documents}
        self._listed.add(parent)

    def _end(self, file: DocumentFile, size: int) -> None:
        file.size = size
        self._run.pending.remove(file)
        self._run.done.append(file)
        self._log_progress()

    def _failure(self, more: str) -> AlvysDownloadError:
        """Return the error that names the documents that failed."""
        errors = list(self._failed.values())
        reasons = "; ".join(str(error).rstrip(".") for error in errors[:_MAX_ERRORS_IN_MESSAGE])
        others = len(errors) - _MAX_ERRORS_IN_MESSAGE
        reasons += f"; and {others} more" if others > 0 else ""
        waits = [error.retry_after for error in errors if error.retry_after]
        return AlvysDownloadError(
            f"{counted(len(errors), 'documents')} could not be downloaded{more}: {reasons}. "
            f"{len(self._run.done):,} are complete; a retry downloads the rest",
            retry_after=max(waits, default=None),
            endpoint=ENDPOINT,
        )


def _what(file: DocumentFile) -> str:
    return f"document {scrub(file.id)} ({scrub(file.file_name)!r}) of {scrub(file.parent)}"
