"""Documents into files: each once, whole, under a name that stays; and the list of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_alvys.api.documents.downloads import ENDPOINT, UrlRefusedError
from airflow_provider_alvys.api.documents.listing import Document, list_documents, parse_document
from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysDownloadError,
    AlvysError,
    AlvysRateLimitError,
    AlvysServerError,
)
from airflow_provider_alvys.api.http.clock import DeferRequested
from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.read.queries import make_queries
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.landing.dataset.layout import documents_index, documents_run_file, parent_folder
from airflow_provider_alvys.landing.dataset.pace_file import load_pace, save_pace
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.document_checkpoint import (
    DocumentFile,
    DocumentRun,
    DocumentSpec,
    by_parent,
    file_of,
    open_document_run,
)

if TYPE_CHECKING:
    from airflow_provider_alvys.api.documents.downloads import Downloader
    from airflow_provider_alvys.api.http.client import AlvysClient
    from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity

log = logging.getLogger(__name__)

# Seconds before its end from which a URL is not begun with.
_EXPIRES_SOON = 30.0
# After so many such failures in a row it is the storage, and no document, that is in a bad way.
_MOST_FAILURES_IN_A_ROW = 3
_STORAGE_IS_DOWN = (AlvysConnectionError, AlvysServerError, AlvysRateLimitError)
# Lists read between two notes of how far it has come: what a crash costs at most.
_LISTS_TO_A_NOTE = 20
_MOST_NAMED = 10


def fetch_documents(
    client: AlvysClient,
    downloader: Downloader,
    store: Store,
    order: DocumentSpec,
    identity: RunIdentity,
    *,
    is_resumed: bool = False,
) -> dict[str, Any]:
    """
    List the documents of parents, fetch those that are not there yet, and write the index.

    Another try goes on with what is lacking.

    :param is_resumed: whether this is the same try after a :class:`DeferRequested`.
    :return: see AlvysDocumentsToObjectStorageOperator.
    :raises DeferRequested: the client's clock does not sit through a wait. What has been fetched is kept.
    :raises AlvysDownloadError: some could not be fetched. All others have been.
    :raises AlvysError: it could not go on.
    """
    load_pace(store, client)
    name = documents_run_file(order.parent_type, identity.run_hash)
    run, documents = open_document_run(client, store, order, identity, name, is_resumed=is_resumed)
    fetching = _Fetching(client, downloader, store, order, run, documents, name)
    try:
        fetching.run_to_its_end()
    except (DeferRequested, AlvysError):
        fetching.save()
        raise
    finally:
        save_pace(store, client)
    files = sorted(run.done, key=lambda file: (file.parent, file.uploaded_at or "", file.id))
    index = documents_index(order.parent_type, identity.run_hash)
    store.put(index, b"".join(msgspec.json.encode(file) + b"\n" for file in files))
    run.state = "fetched"
    run.search, run.done, run.pending = None, [], []
    store.put_json(name, run)
    missing = fetching.missing
    log.info(
        "%d documents of %d parents: %d fetched with %d bytes, %d were there: %s",
        len(files),
        run.listed,
        run.fetched,
        run.bytes,
        len(files) - run.fetched,
        store.url(index),
    )
    return {
        "path": store.path,
        "index": store.url(index),
        "stream": order.stream.name,
        "tenant": order.tenant,
        "parent_type": order.parent_type,
        "parents": run.listed,
        "missing_parents": missing,
        "documents": len(files),
        "fetched": run.fetched,
        "already_there": len(files) - run.fetched,
        "bytes": run.bytes,
        "gone": run.gone,
        "renewals": run.renewals,
    }


class _Fetching:
    """
    The fetching of a run's documents.

    :param documents: that are known with their URLs.
    :param name: of the run file.
    """

    def __init__(
        self,
        client: AlvysClient,
        downloader: Downloader,
        store: Store,
        order: DocumentSpec,
        run: DocumentRun,
        documents: Sequence[Document],
        name: str,
    ) -> None:
        self._client = client
        self._downloader = downloader
        self._store = store
        self._order = order
        self._run = run
        self._name = name
        self._search = Search(client, order.stream, self._queries(run.parents), state=run.search)
        # What the last list of a parent said, by its id; and whose was read here, rather than by a sync
        # before.
        self._listed: set[str] = set()
        self._known: dict[str, dict[str, Document]] = {}
        for document in documents:
            self._known.setdefault(document.parent, {})[document.id] = document
        self._failed: dict[str, AlvysError] = {}
        self._failed_in_a_row = 0

    def _queries(self, parents: list[str]) -> list[Any]:
        return make_queries(self._order.stream, {}, parents=parents)

    @property
    def missing(self) -> list[str]:
        """Parents that Alvys does not know (any more)."""
        return [*self._run.missing, *self._search.missing_parents]

    def save(self) -> None:
        """Keep how far it has come."""
        self._run.search = self._search.save()
        self._run.pace = self._client.pacer.save()
        self._store.put_json(self._name, self._run)
        save_pace(self._store, self._client)

    def run_to_its_end(self) -> None:
        """
        Fetch everything.

        :raises AlvysDownloadError: some could not be fetched.
        """
        for parent, files in by_parent(self._run.pending):
            self._fetch_all(parent, files)
        for lists, rows in enumerate(self._search, start=1):
            self._client.clock.mark_progress()
            parent = self._search.queries[self._search.state.results[-1].query].parents[0]
            documents = [parse_document(decode_row(row), parent) for row in rows]
            self._take_note(parent, documents)
            files = [file_of(self._order, document) for document in documents if self._order.wants(document)]
            self._run.pending += files
            self._fetch_all(parent, files)
            if lists % _LISTS_TO_A_NOTE == 0:
                self.save()
        if self._failed:
            raise self._failure("")

    def _fetch_all(self, parent: str, files: Sequence[DocumentFile]) -> None:
        """Fetch what is not there yet of one parent's documents."""
        sizes = self._store.sizes(parent_folder(self._order.parent_type, parent)) if files else {}
        for file in files:
            there = sizes.get(file.name)
            if there is not None and file.size in (None, there):
                self._end(file, there)
                continue
            try:
                self._fetch(file)
            except AlvysError as error:
                if error.endpoint != ENDPOINT:
                    raise
                log.error("%s", error)
                self._failed[file.name] = error
                # What the storage refuses, or has in another size, says nothing of the next one.
                self._failed_in_a_row += isinstance(error, _STORAGE_IS_DOWN)
                if self._failed_in_a_row == _MOST_FAILURES_IN_A_ROW:
                    raise self._failure(", one after the other: the rest is not tried") from error
        # Its URLs are of no more use, and there may be many parents.
        self._known.pop(parent, None)
        self._listed.discard(parent)

    def _fetch(self, file: DocumentFile) -> None:
        """Fetch one file, with a new URL where the last one has expired."""
        is_new, refusals = False, 0
        while True:
            document = self._known.get(file.parent, {}).get(file.id)
            if document is None and file.parent in self._listed:
                log.warning("%s is gone: Alvys lists it no more", _what(file))
                self._run.pending.remove(file)
                self._run.gone += 1
                return
            if document is None or document.url is None or (not is_new and self._expires_soon(document)):
                if is_new:
                    raise AlvysDownloadError(
                        f"{_what(file)}: Alvys lists it without a URL.", endpoint=ENDPOINT
                    )
                self._renew(file.parent)
                is_new = True
                continue
            file.size = document.size
            try:
                with self._store.new_file(file.name) as target:
                    size = self._downloader.download(
                        document.url, target, what=_what(file), size=document.size
                    )
            except UrlRefusedError:
                refusals += 1
                if refusals > 1:
                    raise
                log.info("%s: its URL has expired", _what(file))
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
        """Ask for a parent's list again, for the URLs in it."""
        documents = list_documents(self._client, self._order.stream, parent)
        self._run.renewals += 1
        if documents is None and parent not in self._run.missing:
            self._run.missing.append(parent)
        self._take_note(parent, documents or ())

    def _take_note(self, parent: str, documents: Iterable[Document]) -> None:
        self._known[parent] = {document.id: document for document in documents}
        self._listed.add(parent)

    def _end(self, file: DocumentFile, size: int) -> None:
        file.size = size
        self._run.pending.remove(file)
        self._run.done.append(file)

    def _failure(self, more: str) -> AlvysDownloadError:
        """Return the error that names what could not be fetched."""
        errors = list(self._failed.values())
        reasons = "; ".join(str(error).rstrip(".") for error in errors[:_MOST_NAMED])
        others = f"; and {len(errors) - _MOST_NAMED} more" if len(errors) > _MOST_NAMED else ""
        waits = [error.retry_after for error in errors if error.retry_after]
        return AlvysDownloadError(
            f"{len(errors)} documents could not be fetched{more}. {reasons}{others}. {len(self._run.done)} are there: "
            "another try goes on with what is lacking",
            retry_after=max(waits, default=None),
            endpoint=ENDPOINT,
        )


def _what(file: DocumentFile) -> str:
    return f"document {file.id} ({file.file_name!r}) of {file.parent}"
