"""How a write is sent, and what follows a lost response, against a server with scripted responses."""

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
REPEATABLE = [name for name, row in OPERATIONS.items() if row.retry_safety in ("safe", "by_key")]
GUARDED = [name for name, row in OPERATIONS.items() if row.retry_safety == "guarded"]
CUT = CannedResponse(disconnect=True)
# Responses of a server or proxy after which the write may have taken place.
LOST = {
    "cut": CUT,
    "truncated": CannedResponse(200, {"Id": "x" * 100}, truncate_at=20),
    "500": CannedResponse(500, {"Title": "oops"}),
    "502": CannedResponse(502, b"<html>", {"Content-Type": "text/html"}),
    "503": CannedResponse(503, {"Title": "busy"}),
    "504": CannedResponse(504, b"<html>", {"Content-Type": "text/html"}),
    "408": CannedResponse(408, b"<html>", {"Content-Type": "text/html"}),
}
HTML = {"Content-Type": "text/html"}
# Responses of a gateway in front of Alvys: of a firewall, of a proxy, of a network that wants a login.
FROM_A_GATEWAY = {
    **{
        f"{status} page": CannedResponse(status, b"<html>", HTML)
        for status in (400, 401, 403, 404, 409, 422, 501)
    },
    **{
        f"{status} message": CannedResponse(status, {"message": "Forbidden"})
        for status in (403, 404, 412, 501)
    },
    "200 page": CannedResponse(200, b"\n<!DOCTYPE html><html>", HTML),
}
DISABLED = CannedResponse(
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
def test_a_write_is_one_request_to_the_path_of_its_operation(
    name: str, recorder: Recorder, wire: AlvysClient
) -> None:
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


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_404_names_the_ids_of_the_write_and_where_they_are(
    name: str, recorder: Recorder, wire: AlvysClient
) -> None:
    row, sent = OPERATIONS[name], request_of(name)
    recorder.default = CannedResponse(404, {"Title": "Not found"})
    with pytest.raises(AlvysNotFoundError) as caught:
        send(wire, name)
    advice = str(caught.value).split("Not found. ")[1]
    ids = [field for field in sent["body"] if field.endswith("Id")]
    assert ("in the path" in advice) == bool(row.path_params)
    assert all(field in advice for field in ids[:1])
    if ids:
        assert "in the body" in advice


@pytest.mark.parametrize("says", ["There is no trip T-404", "TripId does not exist"])
def test_a_404_that_names_an_id_is_advised_about_that_id_alone(
    says: str, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.default = CannedResponse(404, {"Title": says})
    body = {**body_of("invoices.record_carrier_payment"), "TripId": "T-404"}
    with pytest.raises(AlvysNotFoundError, match="Check TripId in the body"):
        send(wire, "invoices.record_carrier_payment", body=body)


def test_a_404_that_names_the_id_of_the_path_is_advised_about_the_path(
    recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.default = CannedResponse(404, {"Title": "There is no trip T-404"})
    with pytest.raises(AlvysNotFoundError, match="Check the id in the path") as caught:
        send(wire, "trips.assign", path_params={"tripId": "T-404"})
    assert "body" not in str(caught.value)


def test_an_empty_response_is_none(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.default = CannedResponse(204)
    assert send(wire, "loads.update") is None


def test_numbers_are_sent_digit_by_digit(recorder: Recorder, wire: AlvysClient) -> None:
    body = {**body_of("deductions.create"), "Amount": Decimal("-12345678901234567890.10")}
    send(wire, "deductions.create", body=body)
    assert b'"Amount":-12345678901234567890.10,' in recorder.requests[0].body
    assert recorder.requests[0].headers["content-type"] == "application/json"


def test_equal_tenders_have_equal_idempotency_keys(recorder: Recorder, wire: AlvysClient) -> None:
    for shipment in ("S-1", "S-1", "S-2"):
        send(wire, "tenders.create", body={**body_of("tenders.create"), "ShipmentId": shipment})
    first, again, other = (seen.headers["idempotency-key"] for seen in recorder.requests)
    assert first == again != other


@pytest.mark.parametrize("lost", (LOST | FROM_A_GATEWAY).values(), ids=LOST | FROM_A_GATEWAY)
@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_write_is_sent_once_and_its_outcome_is_unknown(
    name: str, lost: CannedResponse, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [lost]
    with pytest.raises(AlvysUnknownOutcomeError) as caught:
        send(wire, name)
    assert len(recorder.requests) == 1
    assert caught.value.check in str(caught.value)
    assert OPERATIONS[name].retry_reason in str(caught.value)
    assert is_hopeless(caught.value)
    assert not caught.value.may_repeat


@pytest.mark.parametrize(
    "name",
    [name for name in UNSAFE if OPERATIONS[name].has_response and OPERATIONS[name].response_is_documented],
)
@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"<html>"])
def test_the_outcome_is_unknown_if_a_success_cannot_be_decoded(
    name: str, body: bytes, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CannedResponse(201, body)]
    with pytest.raises(AlvysUnknownOutcomeError) as caught:
        send(wire, name)
    assert caught.value.status_code == 201
    assert len(recorder.requests) == 1


@pytest.mark.parametrize("lost", (LOST | FROM_A_GATEWAY).values(), ids=LOST | FROM_A_GATEWAY)
@pytest.mark.parametrize("name", REPEATABLE)
def test_a_repeatable_write_is_retried(
    name: str, lost: CannedResponse, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [lost, lost, CannedResponse(200, {"Id": "1"})]
    if lost is LOST["truncated"] and not OPERATIONS[name].has_response:
        pytest.skip("The body is not read")
    assert send(wire, name) == ({"Id": "1"} if OPERATIONS[name].has_response else None)
    assert len({(seen.method, seen.path, seen.body) for seen in recorder.requests}) == 1
    assert len(recorder.requests) == 3


@pytest.mark.parametrize("name", REPEATABLE)
def test_airflow_may_retry_a_repeatable_write_that_never_got_a_response(
    name: str, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.default = CannedResponse(503, {"Title": "busy"}, {"Retry-After": "7"})
    with pytest.raises(AlvysUnknownOutcomeError) as caught:
        send(wire, name)
    assert (caught.value.may_repeat, caught.value.status_code, caught.value.retry_after) == (True, 503, 7)
    assert not is_hopeless(caught.value)
    assert len(recorder.requests) == 6


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (DISABLED, AlvysServerError),
        (CannedResponse(501, {}), AlvysServerError),
        (CannedResponse(400, {"Name": ["bad"]}), AlvysValidationError),
        (CannedResponse(404, {}), AlvysNotFoundError),
        (CannedResponse(422, {}), AlvysRefusedError),
        (CannedResponse(307, b"", {"Location": "https://elsewhere.example"}), AlvysResponseError),
    ],
    ids=["disabled", "501", "400", "404", "422", "307"],
)
def test_a_write_that_certainly_failed_has_no_unknown_outcome(
    name: str, answer: CannedResponse, error: type[AlvysError], recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.default = answer
    with pytest.raises(error) as caught:
        send(wire, name)
    assert type(caught.value) is error


@pytest.mark.parametrize("name", UNSAFE)
def test_a_rate_limited_write_is_retried(
    name: str, recorder: Recorder, wire: AlvysClient, clock: SkippingClock
) -> None:
    recorder.responses = [CannedResponse(429, b"<html>", {"Retry-After": "5", "Content-Type": "text/html"})]
    send(wire, name)
    assert len(recorder.requests) == 2
    recorder.default = CannedResponse(429, b"<html>", {"Retry-After": "5", "Content-Type": "text/html"})
    with pytest.raises(AlvysRateLimitError):
        send(wire, name)


def test_a_write_that_never_arrived_has_no_unknown_outcome(recorder: Recorder, clock: SkippingClock) -> None:
    client = recorder.client(clock, host="http://127.0.0.1:1")
    with pytest.raises(AlvysConnectionError) as caught:
        send(client, "trips.dispatch")
    assert not caught.value.arrived
    assert len(clock.sleeps) == 5


KEEPING = ["trip_stops.clear_arrival", "customers.delete"]


@pytest.mark.parametrize("name", KEEPING)
def test_a_404_proves_nothing_if_the_operation_keeps_the_record(
    name: str, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CUT, CannedResponse(404, {})]
    with pytest.raises(AlvysUnknownOutcomeError) as caught:
        send(wire, name)
    assert caught.value.status_code == 404


@pytest.mark.parametrize(
    "name", [name for name, row in OPERATIONS.items() if row.method == "DELETE" and name not in KEEPING]
)
def test_a_404_of_a_gateway_is_no_success_of_a_delete(
    name: str, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CUT]
    recorder.default = CannedResponse(404, b"<html>", HTML)
    with pytest.raises(AlvysUnknownOutcomeError) as caught:
        send(wire, name)
    assert caught.value.may_repeat == (name in REPEATABLE)


@pytest.mark.parametrize(
    "name", [name for name, row in OPERATIONS.items() if row.method == "DELETE" and name not in KEEPING]
)
def test_a_404_means_success_only_for_a_delete_whose_first_response_was_lost(
    name: str, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CUT, CannedResponse(404, {})]
    assert send(wire, name) is None
    recorder.responses = [CannedResponse(404, {})]
    with pytest.raises(AlvysNotFoundError):
        send(wire, name)


@pytest.mark.parametrize("name", REPEATABLE)
def test_the_outcome_is_unknown_if_a_lost_response_is_followed_by_a_refusal(
    name: str, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CUT, CannedResponse(422, {"Title": "no"})]
    with pytest.raises(AlvysUnknownOutcomeError) as caught:
        send(wire, name)
    assert (caught.value.may_repeat, caught.value.status_code) == (False, 422)
    assert is_hopeless(caught.value)


# --- If-Match


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


def test_auto_reads_the_etag_before_the_write(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.responses = [load("OLD", '"7"'), load("NEW", '"8"')]
    assert patch(wire)["OrderNumber"] == "NEW"
    read, written = recorder.requests
    assert (read.method, read.path) == ("GET", "/api/p/v2.0/loads?loadNumber=1")
    assert written.headers["if-match"] == '"7"'


def test_auto_sends_no_if_match_unless_alvys_requires_it(recorder: Recorder, wire: AlvysClient) -> None:
    for name, row in OPERATIONS.items():
        if row.if_match != "required":
            write(wire, name, **request_of(name))
    assert {seen.method for seen in recorder.requests} == {"POST", "PUT", "PATCH", "DELETE"}
    assert not any("if-match" in seen.headers for seen in recorder.requests)


def test_a_record_without_an_etag_is_not_written(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.default = CannedResponse(200, {"OrderNumber": "OLD"})
    with pytest.raises(AlvysResponseError, match="if_match"):
        patch(wire)
    assert [seen.method for seen in recorder.requests] == ["GET"]


def test_a_conflict_reports_both_versions(recorder: Recorder, wire: AlvysClient) -> None:
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
    for value in (
        "loads.update of 1",
        error.sent_etag,
        error.sent_stamp,
        error.current_etag,
        error.current_stamp,
    ):
        assert value in str(error)
    assert is_hopeless(error)
    assert len(recorder.requests) == 3


def test_a_stale_version_is_a_conflict_even_if_the_record_has_the_same_values(
    recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CannedResponse(412, {}), load("NEW", '"9"')]
    with pytest.raises(AlvysPreconditionError) as caught:
        patch(wire, '"5"')
    assert caught.value.current_etag == '"9"'


def test_the_time_of_a_version_given_by_the_user_is_unknown(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.responses = [CannedResponse(412, {}), load("OTHER", '"9"')]
    with pytest.raises(AlvysPreconditionError) as caught:
        patch(wire, '"5"')
    assert (caught.value.sent_etag, caught.value.sent_stamp) == ('"5"', None)
    assert caught.value.status_code == 412


def test_a_conflict_is_reported_even_if_the_current_version_cannot_be_read(
    recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [CannedResponse(412, {}), CannedResponse(403, {})]
    with pytest.raises(AlvysPreconditionError, match="403") as caught:
        patch(wire, '"5"')
    assert caught.value.current_etag is None


def test_a_428_is_a_precondition_error(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.responses = [CannedResponse(428, {})]
    with pytest.raises(AlvysPreconditionError) as caught:
        patch(wire, '"5"')
    assert caught.value.status_code == 428


RECORDS = {
    "loads.update": {"OrderNumber": "PO 4711"},
    "customers.update": {"Name": "Acme Foods Inc.", "Email": ["b@acme.example"]},
    "customers.delete": {"Status": "Inactive"},
}


@pytest.mark.parametrize("lost", [LOST["cut"], LOST["500"]], ids=["cut", "500"])
@pytest.mark.parametrize("name", GUARDED)
def test_a_guarded_write_whose_response_was_lost_is_recognized_in_the_record(
    name: str, lost: CannedResponse, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.responses = [lost, CannedResponse(412, {}), CannedResponse(200, RECORDS[name], {"ETag": '"9"'})]
    assert send(wire, name) == (RECORDS[name] if OPERATIONS[name].has_response else None)
    assert [seen.headers.get("if-match") for seen in recorder.requests] == ['"v1"', '"v1"', None]


@pytest.mark.parametrize("name", GUARDED)
def test_a_guarded_write_that_another_client_has_overwritten_is_a_conflict(
    name: str, recorder: Recorder, wire: AlvysClient
) -> None:
    other = {**RECORDS[name], **dict.fromkeys(RECORDS[name], "other")}
    recorder.responses = [CUT, CannedResponse(412, {}), CannedResponse(200, other, {"ETag": '"9"'})]
    with pytest.raises(AlvysPreconditionError, match="overwritten"):
        send(wire, name)


def test_an_address_is_compared_by_the_names_of_the_record(recorder: Recorder, wire: AlvysClient) -> None:
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
        # No record has the country, so nothing proves that it was written.
        patched({"BillingAddress": {"Country": "US"}}, {"BillingAddress": {"ZipCode": "89501"}})


def test_an_if_match_on_a_safe_write_works_alike(recorder: Recorder, wire: AlvysClient) -> None:
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


def test_a_tender_is_not_retried_even_with_if_match(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.responses = [CUT]
    with pytest.raises(AlvysUnknownOutcomeError):
        send(wire, "tenders.accept", if_match='"v1"')
    recorder.responses = [CannedResponse(412, {}), CannedResponse(200, {"Id": "1", "Etag": '"v2"'})]
    with pytest.raises(AlvysPreconditionError) as caught:
        send(wire, "tenders.accept", if_match='"v1"')
    assert caught.value.current_etag == '"v2"'


# --- uploads


class CountingFile(BytesIO):
    opened = 0
    largest = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size > 0, "the file is read at once"
        CountingFile.largest = max(CountingFile.largest, size)
        return super().read(size)


def upload(client: AlvysClient, file: FileSource) -> Any:
    return send(client, "load_documents.upload", file=file)


def test_each_attempt_opens_the_file_anew_and_streams_it_with_a_content_length(
    recorder: Recorder, wire: AlvysClient
) -> None:
    content = bytes(range(256)) * 4096

    def begin() -> BinaryIO:
        CountingFile.opened += 1
        return CountingFile(content)

    recorder.responses = [CannedResponse(429, {}, {"Retry-After": "1"}), CannedResponse(401, {})]
    upload(wire, FileSource("pod ü.pdf", len(content), begin))
    assert CountingFile.opened == 3
    assert CountingFile.largest < len(content)
    for seen in recorder.requests:
        assert int(seen.headers["content-length"]) == len(seen.body)
        assert "transfer-encoding" not in seen.headers
        assert content in seen.body
        assert 'name="File"; filename="pod ü.pdf"\r\nContent-Type: application/pdf'.encode() in seen.body


def test_a_file_name_is_escaped(recorder: Recorder, wire: AlvysClient) -> None:
    upload(wire, FileSource('a"; X="y.pdf', len(PDF), lambda: BytesIO(PDF)))
    assert b'filename="a%22; X=%22y.pdf"\r\n' in recorder.requests[0].body


def test_a_file_name_with_line_breaks_is_refused(recorder: Recorder, wire: AlvysClient) -> None:
    with pytest.raises(AlvysValueError, match="control character"):
        upload(wire, FileSource('a"\r\nX: y.pdf', len(PDF), lambda: BytesIO(PDF)))
    assert recorder.requests == []


def test_a_file_name_that_cannot_be_encoded_is_refused(recorder: Recorder, wire: AlvysClient) -> None:
    with pytest.raises(AlvysValueError, match="pod"):
        upload(wire, FileSource("pod \ud83d.pdf", len(PDF), lambda: BytesIO(PDF)))
    assert recorder.requests == []


def test_a_local_file_is_sent(recorder: Recorder, wire: AlvysClient, tmp_path: Path) -> None:
    (tmp_path / "scan.jpg").write_bytes(b"\xff\xd8 jpeg")
    upload(wire, file_source(tmp_path / "scan.jpg"))
    assert (
        b'filename="scan.jpg"\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8 jpeg\r\n'
        in recorder.requests[0].body
    )


@pytest.mark.parametrize("size", [len(PDF) - 1, len(PDF) + 1], ids=["has grown", "has shrunk"])
def test_a_file_that_changes_during_the_upload_has_no_unknown_outcome(
    size: int, recorder: Recorder, wire: AlvysClient
) -> None:
    with pytest.raises(AlvysValueError, match="pod.pdf"):
        upload(wire, FileSource("pod.pdf", size, lambda: BytesIO(PDF)))


def test_a_file_that_cannot_be_read_has_no_unknown_outcome(recorder: Recorder, wire: AlvysClient) -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("disk on fire")

    with pytest.raises(AlvysValueError, match="pod.pdf.*disk on fire"):
        upload(wire, FileSource("pod.pdf", 10, Broken))


# --- undocumented responses


@pytest.mark.parametrize(
    ("body", "answer"),
    [(b'{"Secret": "s"}', {"Secret": "s"}), (b'"s"', "s"), (b"OK", "OK"), (b"", None)],
    ids=str,
)
def test_an_undocumented_response_is_returned_as_it_is(
    body: bytes, answer: Any, recorder: Recorder, wire: AlvysClient
) -> None:
    recorder.default = CannedResponse(200, body)
    assert send(wire, "webhooks.rotate_secret") == answer


def test_the_response_is_ignored_if_the_operation_has_none(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.default = CannedResponse(201, b"updated")
    assert send(wire, "tenders.update") is None


def test_a_byte_order_mark_is_skipped(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.default = CannedResponse(200, b'\xef\xbb\xbf{"Id":"1"}')
    assert send(wire, "deductions.create") == {"Id": "1"}


def test_a_403_names_the_scope(recorder: Recorder, wire: AlvysClient) -> None:
    recorder.default = CannedResponse(403, {})
    with pytest.raises(AlvysError, match="deduction:create"):
        send(wire, "deductions.create")
