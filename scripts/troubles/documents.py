"""Documents."""

from __future__ import annotations

from typing import Any

from airflow_provider_alvys import AlvysDocumentsToObjectStorageOperator
from scripts.troubles.bench import Bench

_PDF = b"%PDF-1.4 a proof of delivery\n"


def _download(bench: Bench, **arguments: Any) -> Any:
    bench.run(bench.upload(_PDF))
    given: dict[str, Any] = {"document_types": ["Proof of Delivery"], **arguments}
    task = AlvysDocumentsToObjectStorageOperator(
        task_id="a", parent_type="load", parents=[bench.load_number()], path=bench.path, **given
    )
    return bench.run(task)


def storage_fails(bench: Bench) -> Any:
    """
    The storage behind Alvys does not deliver documents.

    Let the task retry: it downloads only what is missing. Check whether a firewall allows the host in the
    message.
    """
    bench.fail(kind="status", status=500, endpoint="GET storage")
    return _download(bench)


def url_refused(bench: Bench) -> Any:
    """
    The address of a document was refused, even a new one.

    The file was probably deleted in the storage: open the document in Alvys.
    """
    bench.fail(kind="status", status=403, endpoint="GET storage")
    return _download(bench)


def too_long(bench: Bench) -> Any:
    """
    A document is larger than `max_bytes`.

    Raise `max_bytes`, if you want such files.
    """
    return _download(bench, max_bytes=10)


def misspelled_type(bench: Bench) -> Any:
    """
    No documents are downloaded, since their type is misspelled.

    Correct the type. Types are free text, so a name that Alvys does not list for uploads is no error.
    """
    _download(bench, document_types=["Prof of Delivery"])
    return bench.warned("document_types")
