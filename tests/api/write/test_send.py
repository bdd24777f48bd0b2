"""How a write is sent, and what becomes of a lost answer: on the wire, against a server that answers as it is told."""

from __future__ import annotations

from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysError,
    AlvysNotFoundError,
    AlvysPreconditionError,
    AlvysRateLimitError,
    AlvysRefusedError,
    AlvysResponseError,
    AlvysServerError,
    AlvysUnknownOutcomeError,
    AlvysValidationError,
    AlvysValueError,
)
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.write.upload import FileSource, file_source
from airflow_provider_alvys.retry_policy import is_hopeless
from tests.conftest import SkippingClock
from tests.recorder import CannedResponse, Recorder
from tests.writes import PDF, body_of, request_of, write

UNSAFE = [name for name, row in OPERATIONS.items() if row.retry_safety == "unsafe"]
REPEATED = [name for name, row in OPERATIONS.items() if row.retry_safety in ("safe", "by_key")]
GUARDED = [name for name, row in OPERATIONS.items() if row.retry_safety == "guarded"]
CUT = CannedResponse(disconnect=True)
# What a server, or what stands before it, says when it has perhaps done what was asked.
LOST = {
    "cut": CUT,
    "truncated": CannedResponse(200, {"Id": "x" * 100}, truncate_at=20),
    "500": CannedResponse(500, {"Title": "oops"}),
    "502": CannedResponse(502, b"<html>", {"Content-Type": "text/html"}),
    "503": CannedResponse(503, {"Title": "busy"}),
    "504": CannedResponse(504, b"<html>", {"Content-Type": "text/html"}),
    "408": CannedResponse(408, b"<html>", {"Content-Type": "text/html"}),
}
SWITCHED_OFF = CannedResponse(
    503,
    {"Type": "https://docs.alvys.com/problems/EndpointDisabled", "Title": "off", "Status": 503},
    {"Retry-After": "3600", "Content-Type": "application/problem+json"},
)


@pytest.fixture
def wire(recorder: Recorder, clock: SkippingClock) -> AlvysClient:
    return recorder.client(clock)


def send(client: AlvysClient, name: str, **changes: Any) -> Any:
    row = OPERATIONS[name]
    etag = '"v1"' if row.if_match == "required" else None
    return write(client, name, **{"if_match": etag, **request_of(name), **changes})


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_write_is_one_request_of_its_own_path(name: str, recorder: Recorder, wire: AlvysClient) -> None:
    row = OPERATIONS[name]
    recorder.default = CannedResponse(200, {"Id": "1", "Amount": {"Amount": 12345678901234.1}})
    answer = send(wire, name)
    (seen,) = recorder.requests
    assert seen.method == row.method
    assert seen.path.partition("/v")[2].partition("/")[2] == row.path.format(
        **request_of(name)["path_params"]
    )
    assert answer == (
        {"Id": "1", "Amount": {"Amount": Decimal("12345678901234.1")}} if row.has_response else None
    )


def test_an_empty_answer_is_none(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.default = CannedResponse(204)
    assert send(wire, "loads.update") is None


def test_numbers_are_sent_digit_by_digit(recorder: Recorder, wire: AlvysClient) -> None:
    body = {**body_of("deductions.create"), "Amount": Decimal("-12345678901234567890.10")}
    send(wire, "deductions.create", body=body)
    assert b'"Amount":-12345678901234567890.10,' in recorder.requests[0].body
    assert recorder.requests[0].headers["content-type"] == "application/json"


def test_a_tender_carries_a_key_that_is_equal_for_equal_tenders(
    recorder: Recorder, wire: AlvysClient
) -> None:
    for shipment in ("S-1", "S-1", "S-2"):
        send(wire, "tenders.create", body={**body_of("tenders.create"), "ShipmentId": shipment})
    first, again, other = (seen.headers["idempotency-key"] for seen in recorder.requests)
    assert first == again != other


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
@pytest.mark.parametrize("name", UNSAFE)
def test_what_is_not_safe_to_repeat_is_sent_once_and_told_as_unknown(
    name: str, lost: CannedResponse, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [lost]
    with pytest.raises(AlvysUnknownOutcomeError) as caught:
        send(wire, name)
    assert len(recorder.requests) == 1
    message = (
        f"Whether {name} took place is unknown. To find out, {caught.value.check}. It was not sent again: "
    )
    assert message in str(caught.value)
    assert is_hopeless(caught.value)
    assert not caught.value.may_repeat


@pytest.mark.parametrize(
    "name",
    [name for name in UNSAFE if OPERATIONS[name].has_response and OPERATIONS[name].response_is_documented],
)
@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"<html>"])
def test_a_success_that_cannot_be_read_is_unknown_too(
    name: str, body: bytes, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CannedResponse(201, body)]
    with pytest.raises(AlvysUnknownOutcomeError, match="answered 201, which means that it was done"):
        send(wire, name)
    assert len(recorder.requests) == 1


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
@pytest.mark.parametrize("name", REPEATED)
def test_what_is_safe_to_repeat_is_sent_again(
    name: str, lost: CannedResponse, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [lost, lost, CannedResponse(200, {"Id": "1"})]
    if lost is LOST["truncated"] and not OPERATIONS[name].has_response:
        pytest.skip("A cut body is cut all the same, whether it is read or not")
    assert send(wire, name) == ({"Id": "1"} if OPERATIONS[name].has_response else None)
    assert len({(seen.method, seen.path, seen.body) for seen in recorder.requests}) == 1
    assert len(recorder.requests) == 3


@pytest.mark.parametrize("name", REPEATED)
def test_what_is_safe_and_never_answered_may_be_tried_by_airflow_again(
    name: str, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.default = CannedResponse(503, {"Title": "busy"}, {"Retry-After": "7"})
    with pytest.raises(AlvysUnknownOutcomeError, match="is unknown.* It may be sent again: ") as caught:
        send(wire, name)
    assert (caught.value.may_repeat, caught.value.status_code, caught.value.retry_after) == (True, 503, 7)
    assert not is_hopeless(caught.value)
    assert len(recorder.requests) == 6


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (SWITCHED_OFF, AlvysServerError),
        (CannedResponse(501, {}), AlvysServerError),
        (CannedResponse(400, {"Name": ["bad"]}), AlvysValidationError),
        (CannedResponse(404, {}), AlvysNotFoundError),
        (CannedResponse(422, {}), AlvysRefusedError),
        (CannedResponse(307, b"", {"Location": "https://elsewhere.example"}), AlvysResponseError),
    ],
    ids=["switched off", "501", "400", "404", "422", "307"],
)
def test_what_was_surely_not_done_is_no_unknown_outcome(
    name: str, answer: CannedResponse, error: type[AlvysError], recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.default = answer
    with pytest.raises(error) as caught:
        send(wire, name)
    assert type(caught.value) is error


@pytest.mark.parametrize("name", UNSAFE)
def test_a_write_that_was_turned_away_by_the_rate_limit_is_sent_again(
    name: str, recorder: Recorder, wire: AlvysClient, clock: SkippingClock
) -> None:
    recorder.responses = [CannedResponse(429, b"<html>", {"Retry-After": "5", "Content-Type": "text/html"})]
    send(wire, name)
    assert len(recorder.requests) == 2
    recorder.default = CannedResponse(429, b"<html>", {"Retry-After": "5", "Content-Type": "text/html"})
    with pytest.raises(AlvysRateLimitError):
        send(wire, name)


def test_a_write_that_never_arrived_is_no_unknown_outcome(recorder: Recorder, clock: SkippingClock) -> None:
    client = recorder.client(clock, host="http://127.0.0.1:1")
    with pytest.raises(AlvysConnectionError) as caught:
        send(client, "trips.dispatch")
    assert not caught.value.arrived
    assert len(clock.sleeps) == 5


STAY = ["trip_stops.clear_arrival", "customers.delete"]


@pytest.mark.parametrize("name", STAY)
def test_a_404_proves_nothing_of_a_record_that_stays(
    name: str, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CUT, CannedResponse(404, {})]
    with pytest.raises(AlvysUnknownOutcomeError, match="404"):
        send(wire, name)


@pytest.mark.parametrize(
    "name", [name for name, row in OPERATIONS.items() if row.method == "DELETE" and name not in STAY]
)
def test_a_delete_of_what_is_gone_succeeds_only_after_a_lost_answer(
    name: str, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CUT, CannedResponse(404, {})]
    assert send(wire, name) is None
    recorder.responses = [CannedResponse(404, {})]
    with pytest.raises(AlvysNotFoundError):
        send(wire, name)


@pytest.mark.parametrize("name", REPEATED)
def test_a_refusal_after_a_lost_answer_says_that_the_first_one_may_have_done_it(
    name: str, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CUT, CannedResponse(422, {"Title": "no"})]
    with pytest.raises(
        AlvysUnknownOutcomeError, match="422: no.*An earlier attempt may have arrived. Whether"
    ) as caught:
        send(wire, name)
    assert is_hopeless(caught.value)


# --- versions


def load(number: str, etag: str, stamp: str = "2026-03-02T08:00:00Z") -> CannedResponse:
    return CannedResponse(200, {"LoadNumber": "1", "OrderNumber": number, "UpdatedAt": stamp}, {"ETag": etag})


def patch(client: AlvysClient, if_match: str | None = "auto") -> Any:
    return write(
        client,
        "loads.update",
        path_params={"loadNumber": "1"},
        body={"OrderNumber": "NEW"},
        if_match=if_match,
    )


def test_auto_reads_the_version_right_before(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.responses = [load("OLD", '"7"'), load("NEW", '"8"')]
    assert patch(wire)["OrderNumber"] == "NEW"
    read, written = recorder.requests
    assert (read.method, read.path) == ("GET", "/api/p/v2.0/loads?loadNumber=1")
    assert written.headers["if-match"] == '"7"'


def test_auto_sends_no_version_where_alvys_does_not_require_one(
    recorder: Recorder, wire: AlvysClient
) -> None:
    for name, row in OPERATIONS.items():
        if row.if_match != "required":
            write(wire, name, **request_of(name))
    assert {seen.method for seen in recorder.requests} == {"POST", "PUT", "PATCH", "DELETE"}
    assert not any("if-match" in seen.headers for seen in recorder.requests)


def test_a_record_without_a_version_is_not_written(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.default = CannedResponse(200, {"OrderNumber": "OLD"})
    with pytest.raises(
        AlvysResponseError, match="came without an ETag. Nothing was written. Give if_match yourself"
    ):
        patch(wire)
    assert [seen.method for seen in recorder.requests] == ["GET"]


def test_a_stale_version_is_a_conflict_that_names_both(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.responses = [
        load("OLD", '"7"'),
        CannedResponse(412, {}),
        load("OTHER", '"9"', "2026-03-02T09:00:00Z"),
    ]
    with pytest.raises(AlvysPreconditionError) as caught:
        patch(wire)
    error = caught.value
    assert (error.sent_etag, error.sent_stamp) == ('"7"', "2026-03-02T08:00:00Z")
    assert (error.current_etag, error.current_stamp) == ('"9"', "2026-03-02T09:00:00Z")
    assert str(error) == (
        'loads.update of 1: the record has changed since the version "7" of 2026-03-02T08:00:00Z that was sent as If-Match. '
        'It has "9" of 2026-03-02T09:00:00Z now. Read it again and decide anew.'
    )
    assert is_hopeless(error)
    assert len(recorder.requests) == 3


def test_a_stale_version_is_a_conflict_though_someone_else_wrote_the_same(
    recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CannedResponse(412, {}), load("NEW", '"9"')]
    with pytest.raises(AlvysPreconditionError, match='It has "9" of'):
        patch(wire, '"5"')


def test_the_stamp_of_a_version_that_the_user_gave_is_not_known(
    recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CannedResponse(412, {}), load("OTHER", '"9"')]
    with pytest.raises(AlvysPreconditionError, match='since the version "5" that was sent') as caught:
        patch(wire, '"5"')
    assert caught.value.sent_stamp is None
    assert caught.value.status_code == 412


def test_a_conflict_is_told_even_if_the_current_version_cannot_be_read(
    recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CannedResponse(412, {}), CannedResponse(403, {})]
    with pytest.raises(
        AlvysPreconditionError, match="current version could not be read: GET loads answered 403"
    ) as caught:
        patch(wire, '"5"')
    assert caught.value.current_etag is None


def test_a_missing_version_is_told_as_alvys_does(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.responses = [CannedResponse(428, {})]
    with pytest.raises(AlvysPreconditionError, match="answered 428"):
        patch(wire, '"5"')


RECORDS = {
    "loads.update": {"OrderNumber": "PO 4711"},
    "customers.update": {"Name": "Acme Foods Inc.", "Email": ["b@acme.example"]},
    "customers.delete": {"Status": "Inactive"},
}


@pytest.mark.parametrize("lost", [LOST["cut"], LOST["500"]], ids=["cut", "500"])
@pytest.mark.parametrize("name", GUARDED)
def test_a_guarded_write_whose_answer_was_lost_is_found_in_the_record(
    name: str, lost: CannedResponse, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [lost, CannedResponse(412, {}), CannedResponse(200, RECORDS[name], {"ETag": '"9"'})]
    assert send(wire, name) == (RECORDS[name] if OPERATIONS[name].has_response else None)
    assert [seen.headers.get("if-match") for seen in recorder.requests] == ['"v1"', '"v1"', None]


@pytest.mark.parametrize("name", GUARDED)
def test_a_guarded_write_that_someone_else_overtook_is_a_conflict(
    name: str, recorder: Recorder, wire: AlvysClient
) -> None:
    other = {**RECORDS[name], **dict.fromkeys(RECORDS[name], "other")}
    recorder.responses = [CUT, CannedResponse(412, {}), CannedResponse(200, other, {"ETag": '"9"'})]
    with pytest.raises(
        AlvysPreconditionError, match="whose answer was lost, may have written and been overwritten"
    ):
        send(wire, name)


def test_an_address_is_compared_as_the_record_shows_it(recorder: Recorder, wire: AlvysClient) -> None:
    def patched(body: dict[str, Any], shown: dict[str, Any]) -> Any:
        recorder.responses = [CUT, CannedResponse(412, {}), CannedResponse(200, shown, {"ETag": '"9"'})]
        return write(wire, "customers.update", path_params={"id": "1"}, body=body, if_match='"v1"')

    address = {"Zip": "89501", "Country": "US"}
    assert patched(
        {"BillingAddress": address, "Fax": None}, {"BillingAddress": {"ZipCode": "89501", "City": "Reno"}}
    )
    with pytest.raises(AlvysPreconditionError):
        patched({"BillingAddress": address}, {"BillingAddress": {"ZipCode": "1"}})
    with pytest.raises(AlvysPreconditionError):
        patched(
            {"BillingAddress": address, "Fax": None}, {"BillingAddress": {"ZipCode": "89501"}, "Fax": "5"}
        )
    with pytest.raises(AlvysPreconditionError):
        # No look-up shows the country: nothing proves that it was written.
        patched({"BillingAddress": {"Country": "US"}}, {"BillingAddress": {"ZipCode": "89501"}})


def test_a_version_given_for_a_safe_write_is_resolved_alike(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.responses = [
        CUT,
        CannedResponse(412, {}),
        CannedResponse(200, {"Status": "Active"}, {"ETag": '"9"'}),
    ]
    assert send(wire, "carriers.set_status", if_match='"v1"') is None
    recorder.responses = [
        CUT,
        CannedResponse(412, {}),
        CannedResponse(200, {"Status": "Pending"}, {"ETag": '"9"'}),
    ]
    with pytest.raises(AlvysPreconditionError):
        send(wire, "carriers.set_status", if_match='"v1"')


def test_a_tender_is_not_repeated_though_its_version_was_sent(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.responses = [CUT]
    with pytest.raises(AlvysUnknownOutcomeError):
        send(wire, "tenders.accept", if_match='"v1"')
    recorder.responses = [CannedResponse(412, {}), CannedResponse(200, {"Id": "1", "Etag": '"v2"'})]
    with pytest.raises(AlvysPreconditionError) as caught:
        send(wire, "tenders.accept", if_match='"v1"')
    assert caught.value.current_etag == '"v2"'


# --- uploads


class Counted(BytesIO):
    opened = 0
    largest = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size > 0, "the file is read whole"
        Counted.largest = max(Counted.largest, size)
        return super().read(size)


def upload(client: AlvysClient, file: FileSource) -> Any:
    return send(client, "load_documents.upload", file=file)


def test_a_file_is_streamed_with_a_length_and_opened_anew_for_each_attempt(
    recorder: Recorder, wire: AlvysClient
) -> None:
    content = bytes(range(256)) * 4096

    def begin() -> BinaryIO:
        Counted.opened += 1
        return Counted(content)

    recorder.responses = [CannedResponse(429, {}, {"Retry-After": "1"}), CannedResponse(401, {})]
    upload(wire, FileSource("pod ü.pdf", len(content), begin))
    assert Counted.opened == 3
    assert Counted.largest < len(content)
    for seen in recorder.requests:
        assert int(seen.headers["content-length"]) == len(seen.body)
        assert "transfer-encoding" not in seen.headers
        assert content in seen.body
        assert 'name="File"; filename="pod ü.pdf"\r\nContent-Type: application/pdf'.encode() in seen.body


def test_a_name_cannot_break_out_of_its_part(recorder: Recorder, wire: AlvysClient) -> None:
    upload(wire, FileSource('a"\r\nX: y.pdf', len(PDF), lambda: BytesIO(PDF)))
    assert b'filename="a%22%0D%0AX: y.pdf"\r\n' in recorder.requests[0].body


def test_a_name_that_has_no_bytes_is_refused(recorder: Recorder, wire: AlvysClient) -> None:
    with pytest.raises(AlvysValueError, match="cannot be sent"):
        upload(wire, FileSource("pod \ud83d.pdf", len(PDF), lambda: BytesIO(PDF)))
    assert recorder.requests == []


def test_a_file_of_this_machine_is_sent(recorder: Recorder, wire: AlvysClient, tmp_path: Path) -> None:
    (tmp_path / "scan.jpg").write_bytes(b"\xff\xd8 jpeg")
    upload(wire, file_source(tmp_path / "scan.jpg"))
    assert (
        b'filename="scan.jpg"\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8 jpeg\r\n'
        in recorder.requests[0].body
    )


@pytest.mark.parametrize("size", [len(PDF) - 1, len(PDF) + 1], ids=["has grown", "has shrunk"])
def test_a_file_that_changes_while_it_is_sent_is_no_unknown_outcome(
    size: int, recorder: Recorder, wire: AlvysClient
) -> None:
    with pytest.raises(AlvysValueError, match="pod.pdf is not of .* bytes any more. Nothing was uploaded"):
        upload(wire, FileSource("pod.pdf", size, lambda: BytesIO(PDF)))


def test_a_file_that_cannot_be_read_is_no_unknown_outcome(recorder: Recorder, wire: AlvysClient) -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("disk on fire")

    with pytest.raises(AlvysValueError, match="pod.pdf cannot be read: disk on fire. Nothing was uploaded"):
        upload(wire, FileSource("pod.pdf", 10, Broken))


# --- answers that no document describes


@pytest.mark.parametrize(
    ("body", "answer"),
    [(b'{"Secret": "s"}', {"Secret": "s"}), (b'"s"', "s"), (b"OK", "OK"), (b"", None)],
    ids=str,
)
def test_what_no_document_describes_is_taken_as_it_is(
    body: bytes, answer: Any, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.default = CannedResponse(200, body)
    assert send(wire, "webhooks.rotate_secret") == answer


def test_an_answer_that_means_nothing_is_not_read(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.default = CannedResponse(201, b"<html>")
    assert send(wire, "tenders.update") is None


def test_a_403_names_the_scope(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.default = CannedResponse(403, {})
    with pytest.raises(AlvysError, match="lacks the scope deduction:create"):
        send(wire, "deductions.create")
