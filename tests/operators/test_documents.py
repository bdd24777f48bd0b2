from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys import AlvysDocumentsToObjectStorageOperator, AlvysUploadDocumentOperator
from airflow_provider_alvys.api.catalogue.operations import get_operation
from airflow_provider_alvys.api.documents.listing import DOCUMENT_STREAMS
from airflow_provider_alvys.api.errors import AlvysUnknownOutcomeError, AlvysValueError
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import DataSet, QuickHook

PDF = b"%PDF-1.7\n" + b"x" * 1000
GIVEN: dict[str, Any] = {
    "parent_type": "load",
    "parent_id": "1001",
    "path": "/x/pod.pdf",
    "document_type": "Proof of Delivery",
}


def upload(hook: QuickHook, **arguments: Any) -> Any:
    operator = AlvysUploadDocumentOperator(task_id="upload", **{**GIVEN, **arguments})
    operator.hook = hook
    return operator.execute({})


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"parent_type": "customer"}, "parent_type='customer'"),
        ({"document_type": "Proof of Deliveri"}, "Proof of Delivery"),
        ({"document_type": "Load Manifest"}, "DocumentType"),
        ({"parent_type": "trip", "document_type": "Carrier Invoice"}, "DocumentType"),
        ({"parent_id": ""}, "loadNumber="),
        ({"path": "pod.pdf"}, "pod.pdf"),
    ],
)
def test_wrong_arguments_are_refused_while_the_dag_is_parsed(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(AlvysValueError, match=named):
        AlvysUploadDocumentOperator(task_id="upload", **{**GIVEN, **arguments})


@pytest.mark.parametrize("parent_type", DOCUMENT_STREAMS)
def test_every_document_type_of_the_catalogue_and_a_template_are_accepted(parent_type: str) -> None:
    operation = get_operation(f"{parent_type}_documents.upload")
    assert operation.upload
    for document_type in (*operation.upload.document_types, "{{ params.type }}"):
        AlvysUploadDocumentOperator(
            task_id="upload",
            **{**GIVEN, "parent_type": parent_type, "document_type": document_type, "parent_id": "{{ x }}"},
        )


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("pod.pdf", b"", "pod.pdf"),
        (
            "pod.pdf",
            b"%PDF-" + b"x" * (25 * 1024 * 1024),
            "pod.pdf.*26214405.*26214400",
        ),
        ("pod.docx", PDF, "pod.docx.*application/pdf"),
        ("pod", PDF, "^pod .*application/pdf"),
        (
            "pod.pdf",
            b"<html>Sign in</html>",
            "pod.pdf.*application/pdf",
        ),
        ("pod.pdf", b"\x89PNG\r\n\x1a\n", "pod.pdf.*image/png.*application/pdf"),
        ("p\\od.pdf", PDF, "name"),
        ("p\x7fod.pdf", PDF, "name"),
        ("pod.jpg", PDF, "pod.jpg.*image/jpeg"),
        ("pod.png", b"\xff\xd8\xff", "pod.png.*image/png"),
    ],
)
def test_a_file_that_alvys_does_not_accept_is_refused_before_anything_is_sent(
    alvys: Simulator, hook: QuickHook, tmp_path: Path, name: str, content: bytes, named: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AlvysValueError, match=named) as caught:
        upload(hook, path=tmp_path / name)
    # The path may be wrong, and the file a secret.
    pieces = [content[at : at + 4].decode("latin-1") for at in (0, 4)]
    assert not any(piece and piece in str(caught.value) for piece in pieces)
    assert alvys.stats()["requests"] == {}


def test_a_missing_file_is_refused(alvys: Simulator, hook: QuickHook, tmp_path: Path) -> None:
    with pytest.raises(AlvysValueError, match="pod.pdf"):
        upload(hook, path=tmp_path / "pod.pdf")
    assert alvys.stats()["requests"] == {}


def test_the_body_has_the_rendered_values(alvys: Simulator, hook: QuickHook, tmp_path: Path) -> None:
    operator = AlvysUploadDocumentOperator(
        task_id="upload", **{**GIVEN, "document_type": "{{ x }}", "path": "{{ y }}"}
    )
    operator.hook = hook
    operator.document_type, operator.path = "Nonsense", "/x/pod.pdf"
    with pytest.raises(AlvysValueError, match="Nonsense"):
        operator.execute({})


PARENTS = {
    "load": ("LoadNumber", "Proof of Delivery"),
    "trip": ("Id", "Bill of Lading (BOL)"),
    "carrier": ("Id", "Carrier Agreement"),
    "driver": ("Id", "Driver License"),
    "truck": ("Id", "Vehicle Image"),
    "trailer": ("Id", "Certificate of Insurance (COI)"),
}


@pytest.mark.parametrize("parent_type", DOCUMENT_STREAMS)
def test_an_uploaded_file_can_be_downloaded_unchanged(
    alvys: Simulator, hook: QuickHook, data_set: DataSet, parent_type: str
) -> None:
    column, kind = PARENTS[parent_type]
    stream = DOCUMENT_STREAMS[parent_type]
    parent = json.loads(alvys.truth_rows(stream=stream.parent.stream)[0])[column]
    content = PDF + bytes(range(256)) * 4000
    store = Store(data_set.path)
    store.put("scan.bin", content)
    result = upload(
        hook,
        parent_type=parent_type,
        parent_id=parent,
        path=store.url("scan.bin"),
        document_type=kind,
        file_name="signed.pdf",
    )
    assert {"DownloadUrl", "ExpiresAt"}.isdisjoint(result)
    assert (result["AttachmentType"], result["AttachmentSize"]) == (kind, len(content))
    fetch = AlvysDocumentsToObjectStorageOperator(
        task_id="fetch", parent_type=parent_type, parents=[parent], path=data_set.path, document_types=kind
    )
    fetch.hook = hook
    index = data_set.file(fetch.execute({})["index"]).read_bytes().splitlines()
    (row,) = [row for row in map(json.loads, index) if row["id"] == result["id"]]
    assert row["file_name"] == "signed.pdf"
    assert (data_set.files() / row["name"]).read_bytes() == content


def test_an_upload_whose_response_is_lost_is_not_retried(
    alvys: Simulator, hook: QuickHook, tmp_path: Path
) -> None:
    number = json.loads(alvys.truth_rows()[0])["LoadNumber"]
    before = alvys.truth_keys(stream="load_documents", parents=[number])
    (tmp_path / "pod.pdf").write_bytes(PDF)
    alvys.order_faults({"kind": "lost", "endpoint": "POST loads/{id}/document"})
    with pytest.raises(AlvysUnknownOutcomeError) as caught:
        upload(hook, parent_id=number, path=tmp_path / "pod.pdf")
    assert f"load {number}" in caught.value.check
    assert "Proof of Delivery" in caught.value.check
    assert alvys.stats()["requests"]["POST loads/{id}/document"] == 1
    assert len(alvys.truth_keys(stream="load_documents", parents=[number])) == len(before) + 1


def test_an_upload_with_an_empty_response_succeeds(
    hook: QuickHook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pod.pdf").write_bytes(PDF)
    monkeypatch.setattr(hook, "send", lambda write: None)
    assert upload(hook, path=str(tmp_path / "pod.pdf")) is None
