"""Read manifests and parts."""

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
    """Return the folder of a run, and its manifest. Raise AlvysStorageError if the run is unfinished."""
    store = Store(path.rpartition("/")[0])
    manifest = store.get_json(MANIFEST, Manifest)
    if manifest is None:
        raise AlvysStorageError(f"{path} does not exist, so its run is unfinished. Land it again")
    return store, manifest


def read_parts(store: Store, folder: str, manifest: Manifest, stream: Stream) -> Iterator[bytes]:
    """Yield the rows of a run as JSON. Raises as :func:`read_part` and :func:`read_rows`."""
    for part in manifest.parts:
        content = read_part(store, folder, part)
        yield from read_rows(content, stream, manifest.file_format, manifest.compression)


def read_part(store: Store, folder: str, part: Part) -> bytes:
    """Return the content of a part. Raise AlvysStorageError if it is missing or damaged."""
    name = f"{folder}/{part.name}" if folder else part.name
    content = store.get(name)
    if content is None or hashlib.sha256(content).hexdigest() != part.sha256:
        state = "missing" if content is None else "damaged"
        raise AlvysStorageError(f"{store.url(name)} is {state}. Land it again")
    return content
