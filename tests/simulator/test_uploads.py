from __future__ import annotations

import pytest
import requests

from airflow_provider_alvys.api.catalogue.operations import OPERATIONS, Operation
from airflow_provider_alvys.simulator.process import Simulator
from tests.simulator.calls import Caller, one, read, start

PDF = ("pod.pdf", b"%PDF-1.7 " + bytes(range(256)) * 40 + b"\r\n--x", "application/pdf")


@pytest.fixture
def caller(alvys: Simulator) -> Caller:
    return start(alvys)


UPLOADS = [operation for operation in OPERATIONS.values() if operation.upload and operation.path_params]


@pytest.mark.parametrize("operation", UPLOADS, ids=lambda operation: operation.name)
def test_an_upload_is_listed_and_can_be_downloaded(
    alvys: Simulator, caller: Caller, operation: Operation
) -> None:
    assert operation.upload
    stream = operation.path.partition("/")[0]
    row = one(alvys, stream, **({"IsDeleted": False} if stream in ("loads", "trips") else {}))
    parent = row["LoadNumber"] if stream == "loads" else row["Id"]
    path, data = f"{stream}/{parent}/document", {"DocumentType": operation.upload.document_types[0]}
    answer = caller.send("POST", path, data=data, files={"File": PDF})
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert (made["AttachmentType"], made["AttachmentSize"], made["ParentId"]) == (
        data["DocumentType"],
        len(PDF[1]),
        parent,
    )
    assert made["AttachmentPath"].endswith("/pod.pdf")
    (listed,) = [row for row in caller.get(f"{path}s").json() if row["id"] == made["id"]]
    fetched = requests.get(listed["DownloadUrl"], timeout=10)
    assert (fetched.content, fetched.headers["content-type"]) == (PDF[1], PDF[2])
    assert requests.get(made["DownloadUrl"], timeout=10).content == PDF[1]
    named = caller.send("POST", path, data={**data, "filename": "a.pdf"}, files={"file": PDF}).json()
    assert named["AttachmentPath"].endswith("/a.pdf")
    refusals = {
        400: {"data": {"DocumentType": "Poem"}, "files": {"File": PDF}},
        413: {"data": data, "files": {"File": ("x.pdf", bytes(operation.upload.max_bytes + 1), PDF[2])}},
        415: {"data": data, "files": {"File": ("x.txt", b"x", "text/plain")}},
    }
    for status, how in refusals.items():
        assert caller.send("POST", path, **how).status_code == status
    assert caller.send("POST", path, data=data, files={"Other": PDF}).json()["Errors"] == {
        "File": ["The File field is required."]
    }
    assert caller.send("POST", path, data).status_code == 415
    assert alvys.effects() == {operation.name: 2}


def test_a_carriers_invoice_is_stored_with_its_trip_and_its_load(alvys: Simulator, caller: Caller) -> None:
    trip = one(alvys, "trips", IsDeleted=False)
    data = {"TripId": trip["Id"], "CarrierInvoiceNumber": "CI-1", "PaymentType": "whatever"}
    made = caller.send("POST", "invoices/carrier-invoice", data=data, files={"File": PDF}).json()
    assert made["AttachmentType"] == "Carrier Invoice"
    assert made["id"] in [row["id"] for row in caller.get(f"trips/{trip['Id']}/documents").json()]
    (shown,) = [
        row for row in caller.get(f"loads/{trip['LoadNumber']}/documents").json() if row["id"] == made["id"]
    ]
    assert requests.get(shown["DownloadUrl"], timeout=10).content == PDF[1]
    assert read(caller, "trips", trip["Id"])["Carrier"]["CarrierInvoiceNumber"] == "CI-1"
