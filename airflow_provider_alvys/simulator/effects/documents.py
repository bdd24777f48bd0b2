"""The effects of uploads."""

from __future__ import annotations

import mimetypes
import secrets

from starlette.responses import Response

from airflow_provider_alvys.simulator.effects.write_call import API_USER, WriteCall, find_record
from airflow_provider_alvys.simulator.protocol.bodies import UploadedFile

_INVOICE = "Carrier Invoice"


def upload_document(write: WriteCall) -> Response:
    """Store a document of the record in the path."""
    stream = write.operation.name.partition(".")[0]
    name = write.body.get("FileName") or ""
    number = _store_document(write, stream, write.target.name, write.body["DocumentType"], name)
    if stream == "trip_documents":
        _store_with_load(write, number, str(write.value("LoadNumber")))
    return write.respond_with(write.tenant.rows(stream), number)


def create_carrier_invoice(write: WriteCall) -> Response:
    """Store a carrier's invoice with its trip, and set its number there."""
    trips = write.tenant.rows("trips")
    trip = find_record(trips, "Id", write.body["TripId"])
    number = _store_document(write, "trip_documents", write.body["TripId"], _INVOICE, "")
    _store_with_load(write, number, str(trips.column("LoadNumber")[trip]))
    if "CarrierInvoiceNumber" in write.body:
        carrier = trips.record(trip).get("Carrier") or {}
        write.update(
            trips, trip, {"Carrier": {**carrier, "CarrierInvoiceNumber": write.body["CarrierInvoiceNumber"]}}
        )
    return write.respond_with(write.tenant.rows("trip_documents"), number)


def _store_document(
    write: WriteCall, stream: str, parent: str, kind: str, name: str, key: str | None = None
) -> int:
    file = _required_file(write)
    rows = write.tenant.rows(stream)
    link = rows.spec.stream.parent
    of = link.stream.removesuffix("s").title() if link else None
    key = key or secrets.token_hex(16)
    name = name or file.name or f"document{mimetypes.guess_extension(file.media_type) or ''}"
    columns = {
        "id": key,
        "AttachmentPath": f"attachments/{key}/{name}",
        "AttachmentType": kind,
        "AttachmentSize": len(file.content),
        "UploadedAt": write.tenant.now_micros(),
        "UploadedBy": API_USER,
        "ParentType": of,
    }
    number = write.add(stream, columns, parent)
    write.tenant.storage.store(stream, number, file.content, file.media_type)
    return number


def _store_with_load(write: WriteCall, number: int, load: str) -> None:
    """Store a trip's document with its load, too."""
    rows = write.tenant.rows("trip_documents")
    record = rows.record(number)
    if write.tenant.rows("loads").number_of("LoadNumber", load) is not None:
        name = record["AttachmentPath"].rpartition("/")[2]
        _store_document(write, "load_documents", load, record["AttachmentType"], name, record["id"])


def _required_file(write: WriteCall) -> UploadedFile:
    if write.file is None:
        raise LookupError(f"{write.operation.name} has no file")
    return write.file
