"""What was landed, read again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.landing.dataset.layout import MANIFEST
from airflow_provider_alvys.landing.dataset.manifest import Manifest, Part
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.formats.registry import read_rows


def open_manifest(path: str) -> tuple[Store, Manifest]:
    """
    Return the folder of a run, and its manifest.

    :param path: of the manifest, as a sync returns it.
    :raises AlvysStorageError: there is none: the run has not ended well.
    """
    store = Store(path.rpartition("/")[0])
    manifest = store.get_json(MANIFEST, Manifest)
    if manifest is None:
        raise AlvysStorageError(f"There is no manifest {path}: its run has not ended well. Land it again")
    return store, manifest


def read_parts(store: Store, folder: str, manifest: Manifest, stream: Stream) -> Iterator[bytes]:
    """
    Yield the rows of a run as JSON: from JSON lines as they were landed, from Parquet rebuilt.

    :param folder: of the run, relative to the store; empty where the store is that folder.
    :param stream: whose rows they are.
    :raises AlvysStorageError: a part is missing, or is not what was written.
    :raises AlvysValueError: they are Parquet, and pyarrow is not installed.
    """
    for part in manifest.parts:
        yield from read_rows(
            read_part(store, folder, part), stream, manifest.file_format, manifest.compression
        )


def read_part(store: Store, folder: str, part: Part) -> bytes:
    """
    Return the content of a part's file.

    :raises AlvysStorageError: it is missing, or is not what was written.
    """
    name = f"{folder}/{part.name}" if folder else part.name
    content = store.get(name)
    if content is None or hashlib.sha256(content).hexdigest() != part.sha256:
        raise AlvysStorageError(
            f"{store.url(name)} is {'missing' if content is None else 'damaged'}: land it again"
        )
    return content
