"""Writes."""

from __future__ import annotations

from typing import Any

from airflow_provider_alvys import AlvysWriteOperator
from scripts.troubles.bench import Bench

_PDF = b"%PDF-1.4 a proof of delivery\n"
_PAYMENT = "POST invoices/carrier-payments"


def _payment(**body: Any) -> AlvysWriteOperator:
    money = {"Amount": "100.00", "Currency": 840}
    fields = {"TripId": "T1", "Amount": money, "PaymentDate": "2026-03-02", "ReferenceNumber": "A-1", **body}
    return AlvysWriteOperator(task_id="a", operation="invoices.record_carrier_payment", body=fields)


def unknown_outcome(bench: Bench) -> Any:
    """
    The response to a write was lost: Alvys may or may not have made it.

    Look into Alvys, as the message says. If the write is missing, clear the task, which sends it again. It is
    not retried by itself, since that might write twice.
    """
    bench.fail(kind="lost", endpoint="POST loads/{id}/document")
    return bench.run(bench.upload(_PDF))


def unknown_record(bench: Bench) -> Any:
    """
    The record that a write names does not exist.

    Check the ids, in the path and in the body. Alvys's ids are not its numbers: a trip has both.
    """
    return bench.run(_payment())


def conflict(bench: Bench) -> Any:
    """
    The record exists already, or is closed.

    Do not retry. Look at the record in Alvys; if an amount is settled, post a correction.
    """
    bench.fail(kind="status", status=409, endpoint=_PAYMENT)
    return bench.run(_payment())


def refused(bench: Bench) -> Any:
    """
    A rule of Alvys forbids the write.

    Read the reason in the message, and change the write or the record.
    """
    bench.fail(kind="status", status=422, endpoint=_PAYMENT)
    return bench.run(_payment())


def changed_meanwhile(bench: Bench) -> Any:
    """
    The record has changed since the version that you sent.

    Read it again, decide again, and send its new ETag. `if_match="auto"` takes the version just before the
    write.
    """
    return bench.connect().write(
        "loads.update",
        path_params={"loadNumber": bench.load_number()},
        body={"OrderNumber": "O1"},
        if_match='"an-old-version"',
    )


def no_etag(bench: Bench) -> Any:
    """
    Alvys wants to know which version of the record is changed.

    Send the record's ETag as `If-Match`, or use `AlvysWriteOperator`, which does so by itself.
    """
    bench.fail(kind="status", status=428, endpoint=_PAYMENT)
    return bench.connect().request("POST", "invoices/carrier-payments", json={})


def stale_etag(bench: Bench) -> Any:
    """
    The record has changed since its ETag was read, in a call of your own.

    Read the record again, decide again, and send its new ETag.
    """
    bench.fail(kind="status", status=412, endpoint=_PAYMENT)
    return bench.connect().request("POST", "invoices/carrier-payments", json={})


def missing_write_scope(bench: Bench) -> Any:
    """
    The token lacks the scope of a write.

    Grant it to the API client in Alvys. Older credentials with a tenant id can only read.
    """
    bench.alvys.reset(scopes="load:read invoice:read")
    return bench.run(_payment())


def no_file(bench: Bench) -> Any:
    """
    The file of an upload does not exist.

    Check the path, and that the worker that runs the task reaches it.
    """
    task = bench.upload(_PDF)
    (bench.folder / "pod.pdf").unlink()
    return bench.run(task)


def not_a_pdf(bench: Bench) -> Any:
    """
    The content of a file does not fit its name.

    Give the file the extension of its content.
    """
    return bench.run(bench.upload(b"PK\x03\x04 not a PDF"))
