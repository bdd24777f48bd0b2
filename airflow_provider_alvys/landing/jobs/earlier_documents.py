"""Find the documents of version 0.2.0 and earlier, which kept those of all tenants in one folder."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import msgspec

from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.landing.dataset.layout import MANIFEST, documents_folder, documents_index
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.document_checkpoint import DocumentFile, DocumentRun, DocumentSpec

log = logging.getLogger(__name__)


class EarlierDocuments:
    """
    Documents that an earlier version downloaded for this tenant.

    Neither files nor indexes name the tenant, but the hash in a run file does: it is of path, tenant, parents
    and types. A file counts if such a run of this tenant lists it, and no other run does.
    """

    def __init__(self, store: Store, spec: DocumentSpec) -> None:
        self._store = store
        self._spec = spec
        self._folder = documents_folder(spec.parent_type)
        self._sizes: dict[str, dict[str, int]] = {}

    def find(self, file: DocumentFile) -> DocumentFile | None:
        """Return the earlier file of a document if it is still complete."""
        found = self._files.get((file.parent, file.id))
        if found is None or file.size not in (None, found.size):
            return None
        folder = found.name.rpartition("/")[0]
        if folder not in self._sizes:
            self._sizes[folder] = self._store.sizes(folder)
        return found if self._sizes[folder].get(found.name) == found.size else None

    @cached_property
    def _files(self) -> dict[tuple[str, str], DocumentFile]:
        """The files of this tenant, by parent and id."""
        own: dict[tuple[str, str], DocumentFile] = {}
        others: set[str] = set()
        for name in sorted(self._store.sizes(f"{self._folder}/_runs")):
            try:
                run = self._store.get_json(name, DocumentRun)
            except AlvysStorageError:
                run = None
            files = run.done if run and run.state == "fetching" else self._indexed(PurePosixPath(name).stem)
            if run is not None and self._is_own(run):
                own |= {(file.parent, file.id): file for file in files}
            else:
                others |= {file.name for file in files}
        found = {key: file for key, file in own.items() if file.name not in others}
        if own or others:
            log.info("Found %s that an earlier version downloaded", counted(len(found), "documents"))
        return found

    def _indexed(self, run_hash: str) -> list[DocumentFile]:
        lines = self._store.get(documents_index(self._folder, run_hash)) or b""
        try:
            return [msgspec.json.decode(line, type=DocumentFile) for line in lines.splitlines()]
        except msgspec.MsgspecError:
            return []

    def _is_own(self, run: DocumentRun) -> bool:
        return (
            run.config_hash in self._hashes
            or run.config_hash in self._hashes_for([run.parents])
            or run.config_hash in self._hashes_of_syncs
        )

    @cached_property
    def _hashes(self) -> set[str]:
        return self._hashes_for([self._spec.parents])

    @cached_property
    def _hashes_of_syncs(self) -> set[str]:
        """The hashes of downloads whose parents were the output of a sync."""
        parent = self._spec.stream.parent
        streams = (parent.stream if parent else "", self._spec.stream.name)
        paths = [self._store.url(name) for stream in streams for name in self._store.find(stream, MANIFEST)]
        return self._hashes_for([*paths, *([path] for path in paths)])

    def _hashes_for(self, parents: Iterable[Any]) -> set[str]:
        return {
            replace(self._spec, parents=each, types=types).fingerprint(self._store.path)
            for each in parents
            for types in (self._spec.types, None)
        }
