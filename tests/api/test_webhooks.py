from __future__ import annotations

import hashlib
import hmac
import json
from contextlib import suppress
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from airflow_provider_alvys.api.errors import AlvysSignatureError, AlvysValueError, AlvysWebhookError
from airflow_provider_alvys.api.webhooks import (
    AlvysEvent,
    Base,
    Challenge,
    Change,
    answer_challenge,
    check_headers,
    make_event,
    parse_event,
    receive,
    verify_signature,
)

# Other tests may slow the machine down.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

NOW = 1_780_000_000
SECRET = "whsec_of_the_test"
EVENT_ID = "0c7d1d7e-0001-0"

secrets = st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable())
# Visible ASCII without braces.
event_ids = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="{}"), min_size=1, max_size=60
)
bases = st.sampled_from(get_args(Base))


def digest(
    body: bytes, *, t: int | str = NOW, id: str = EVENT_ID, secret: str = SECRET, base: Base = "t.id.body"
) -> str:
    """Sign as Alvys documents, independently of the package."""
    signed = f"{t}.{id}." if base == "t.id.body" else f"{t}."
    return hmac.new(secret.encode(), signed.encode() + body, hashlib.sha256).hexdigest()


def sign(
    body: bytes, *, t: int = NOW, id: str = EVENT_ID, secret: str = SECRET, base: Base = "t.id.body"
) -> dict[str, str]:
    return {
        "X-Alvys-Event": "load.status.changed",
        "X-Alvys-Event-Id": id,
        "X-Alvys-Timestamp": str(t),
        "X-Alvys-Attempt": "1",
        "X-Alvys-Signature": f"t={t},v1={digest(body, t=t, id=id, secret=secret, base=base)}",
    }


def refusal(
    headers: dict[str, str], body: bytes, secrets: Any = SECRET, **options: Any
) -> AlvysSignatureError:
    with pytest.raises(AlvysSignatureError) as caught:
        verify_signature(headers, body, secrets, **{"now": NOW, **options})
    assert caught.value.status_code == 401
    assert SECRET not in str(caught.value)
    if caught.value.reason != "signature":
        # The headers alone show it.
        with pytest.raises(AlvysSignatureError) as early:
            check_headers(headers, **{"now": NOW, **options})
        assert (early.value.reason, early.value.status_code) == (caught.value.reason, 401)
    return caught.value


@given(body=st.binary(max_size=300), secret=secrets, id=event_ids, base=bases, off=st.integers(-300, 300))
def test_a_valid_signature_is_accepted(body: bytes, secret: str, id: str, base: Base, off: int) -> None:
    headers = sign(body, id=id, secret=secret, base=base)
    check_headers(headers, now=NOW + off, base=base)
    verify_signature(headers, body, secret, now=NOW + off, base=base)


@given(data=st.data(), body=st.binary(min_size=1, max_size=300), base=bases)
def test_a_body_with_one_altered_byte_is_refused(data: st.DataObject, body: bytes, base: Base) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    altered = bytearray(body)
    altered[at] ^= data.draw(st.integers(1, 255))
    assert refusal(sign(body, base=base), bytes(altered), base=base).reason == "signature"


@given(
    body=st.binary(max_size=100), at=st.integers(0, 101), more=st.binary(min_size=1, max_size=1), base=bases
)
def test_a_body_with_one_byte_more_or_less_is_refused(body: bytes, at: int, more: bytes, base: Base) -> None:
    assert refusal(sign(body, base=base), body[:at] + more + body[at:], base=base).reason == "signature"
    if at < len(body):
        assert refusal(sign(body, base=base), body[:at] + body[at + 1 :], base=base).reason == "signature"


@given(data=st.data(), id=event_ids)
def test_an_altered_event_id_is_refused(data: st.DataObject, id: str) -> None:
    other = data.draw(event_ids)
    assume(other != id)
    assert refusal({**sign(b"{}", id=id), "X-Alvys-Event-Id": other}, b"{}").reason == "signature"


@given(t=st.integers(NOW - 300, NOW + 300), base=bases)
def test_an_altered_recent_time_is_refused(t: int, base: Base) -> None:
    assume(t != NOW)
    signature = f"t={t},v1={digest(b'{}', base=base)}"
    headers = {**sign(b"{}", base=base), "X-Alvys-Signature": signature, "X-Alvys-Timestamp": str(t)}
    assert refusal(headers, b"{}", base=base).reason == "signature"


@given(at=st.integers(0, 63), digit=st.sampled_from("0123456789abcdef"), base=bases)
def test_a_signature_with_one_altered_digit_is_refused(at: int, digit: str, base: Base) -> None:
    right = digest(b"{}", base=base)
    assume(right[at] != digit)
    wrong = right[:at] + digit + right[at + 1 :]
    assert (
        refusal({**sign(b"{}"), "X-Alvys-Signature": f"t={NOW},v1={wrong}"}, b"{}", base=base).reason
        == "signature"
    )


@given(secret=secrets, other=secrets, body=st.binary(max_size=100))
def test_a_signature_with_another_secret_is_refused(secret: str, other: str, body: bytes) -> None:
    # HMAC fills a short key with NULs.
    assume(secret.rstrip("\0") != other.rstrip("\0"))
    assert refusal(sign(body, secret=other), body, secret).reason == "signature"


@pytest.mark.parametrize(("base", "other"), [("t.id.body", "t.body"), ("t.body", "t.id.body")])
def test_a_signature_over_the_other_base_is_refused(base: Base, other: Base) -> None:
    assert refusal(sign(b"{}", base=base), b"{}", base=other).reason == "signature"


def test_an_unknown_base_is_an_error() -> None:
    with pytest.raises(AlvysValueError, match=r"t\.id\.body or t\.body"):
        verify_signature(sign(b"{}"), b"{}", SECRET, now=NOW, base="body")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (300, None),
        (300.001, "stale"),
        (86400, "stale"),
        (-300, None),
        (-300.001, "future"),
        (-86400, "future"),
    ],
)
@pytest.mark.parametrize("base", get_args(Base))
def test_a_time_is_accepted_up_to_the_tolerance(age: float, reason: str | None, base: Base) -> None:
    headers = sign(b"{}", base=base)
    if reason is None:
        verify_signature(headers, b"{}", SECRET, now=NOW + age, base=base)
    else:
        assert refusal(headers, b"{}", now=NOW + age, base=base).reason == reason


def test_the_tolerance_can_be_set() -> None:
    assert refusal(sign(b"{}"), b"{}", now=NOW + 11, tolerance=10).reason == "stale"
    verify_signature(sign(b"{}"), b"{}", SECRET, now=NOW + 900, tolerance=900)


@pytest.mark.parametrize("options", [{"now": float("nan")}, {"tolerance": float("nan")}])
def test_nan_as_time_or_tolerance_accepts_nothing(options: dict[str, Any]) -> None:
    refusal(sign(b"{}"), b"{}", **options)


def test_a_challenge_of_four_byte_characters_is_small_enough() -> None:
    challenge = "\U0001f69a" * 2048
    assert answer_challenge(*handshake({"type": "webhook.verification", "challenge": challenge})) == {
        "challenge": challenge
    }


def test_a_forged_old_delivery_is_reported_as_forged() -> None:
    assert refusal(sign(b"{}", secret="another"), b"{}", now=NOW + 9000).reason == "signature"


@given(old=secrets, new=secrets)
def test_while_a_secret_rotates_either_signature_may_match_either_secret(old: str, new: str) -> None:
    assume(old.rstrip("\0") != new.rstrip("\0"))
    by_new, by_old = digest(b"{}", secret=new), digest(b"{}", secret=old)
    rotating = {**sign(b"{}"), "X-Alvys-Signature": f"t={NOW},v1={by_new},v0={by_old}"}
    for known in (new, old, [new, old], [old, new]):
        verify_signature(rotating, b"{}", known, now=NOW)
    verify_signature(sign(b"{}", secret=old), b"{}", [new, old], now=NOW)
    assert refusal(rotating, b"{}", old + new).reason == "signature"


def test_header_names_and_hex_digits_may_be_in_any_case() -> None:
    lower = {name.lower(): value for name, value in sign(b"{}").items()}
    verify_signature(lower, b"{}", SECRET, now=NOW)
    upper = {**lower, "x-alvys-signature": f" t={NOW} , v1={digest(b'{}').upper()}, v2=whatever"}
    verify_signature(upper, b"{}", SECRET.encode(), now=NOW)


RIGHT = digest(b"{}")


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        ",",
        f"t={NOW}",
        f"v1={RIGHT}",
        f"t={NOW},v0={RIGHT}",
        f"t=,v1={RIGHT}",
        f"t=-{NOW},v1={RIGHT}",
        f"t=+{NOW},v1={RIGHT}",
        f"t={NOW}.0,v1={RIGHT}",
        f"t=١٧٨٠٠٠٠٠٠٠,v1={RIGHT}",
        f"t={'9' * 400},v1={RIGHT}",
        f"t={NOW},v1={RIGHT[:-1]}",
        f"t={NOW},v1={RIGHT}0",
        f"t={NOW},v1=0x{RIGHT[2:]}",
        f"t={NOW},v1={RIGHT},v0=beef",
        f"t={NOW},t={NOW},v1={RIGHT}",
        f"t={NOW},v1={RIGHT},v1={RIGHT}",
        f"t={NOW},v1={'0' * 64},v1={RIGHT}",
        f"t={NOW};v1={RIGHT}",
        f"T={NOW},V1={RIGHT}",
    ],
)
def test_a_malformed_signature_is_refused(signature: str | None) -> None:
    headers = sign(b"{}")
    del headers["X-Alvys-Signature"]
    if signature is not None:
        headers["X-Alvys-Signature"] = signature
    assert refusal(headers, b"{}").reason == "malformed"


def test_a_header_in_two_spellings_is_refused() -> None:
    headers = sign(b"{}")
    assert (
        refusal({**headers, "x-alvys-signature": headers["X-Alvys-Signature"]}, b"{}").reason == "malformed"
    )


@pytest.mark.parametrize("stamp", [str(NOW + 1), "soon", "", f"{NOW}.0"])
def test_a_different_time_in_x_alvys_timestamp_is_refused(stamp: str) -> None:
    assert refusal({**sign(b"{}"), "X-Alvys-Timestamp": stamp}, b"{}").reason == "malformed"


@pytest.mark.parametrize("id", ["", " ", "a b", "é", "\udc80", "a\n", "a" * 256, 'x.{"a":1}'])
def test_a_malformed_event_id_is_refused(id: str) -> None:
    assert refusal({**sign(b"{}"), "X-Alvys-Event-Id": id}, b"{}").reason == "malformed"


def test_a_part_of_the_body_cannot_move_into_the_event_id() -> None:
    body = b'{"type": "a.{}", "id": "1"}'
    moved = {**sign(body), "X-Alvys-Event-Id": f'{EVENT_ID}.{{"type": "a'}
    refusal(moved, b'{}", "id": "1"}')


@pytest.mark.parametrize("none", ["", b"", [], [""], ["good", ""]])
def test_an_empty_secret_is_an_error(none: Any) -> None:
    with pytest.raises(AlvysValueError, match="secret"):
        verify_signature(sign(b"{}", secret="a"), b"{}", none, now=NOW)


texts = st.one_of(st.text(max_size=80), st.from_regex(r"t=[0-9]{10},v1=[0-9a-fA-F]{64}(,v0=.{0,64})?"))
names = st.sampled_from([*sign(b""), "x-alvys-event-id", "X-Alvys-Challenge", "Content-Type"])
events = st.sampled_from(["load.changed", "webhook.verification", "\ud800"])


@given(
    headers=st.dictionaries(names, st.one_of(texts, events), max_size=9),
    body=st.binary(max_size=80),
    base=bases,
)
@example(headers={"X-Alvys-Event": "webhook.verification"}, body=b"[" * 200_000, base="t.body")
@example(
    headers={"X-Alvys-Event": "webhook.verification"},
    body=b'{"challenge": 1e99999999999999999999}',
    base="t.body",
)
@example(headers={"X-Alvys-Event": "webhook.verification"}, body=b'{"challenge": ["a"]}', base="t.body")
def test_arbitrary_headers_and_bodies_raise_only_webhook_errors(
    headers: dict[str, str], body: bytes, base: Base
) -> None:
    with suppress(AlvysWebhookError):
        assert isinstance(receive(headers, body, SECRET, now=NOW, base=base), Challenge)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    "id type timestamp version etag data load document diff changes kind target previousAttributes".split()
)
envelopes = st.recursive(
    json_values,
    lambda inner: st.dictionaries(fields, inner, max_size=6) | st.lists(inner, max_size=3),
    max_leaves=20,
)


@given(envelope=envelopes, type=st.sampled_from(["load.changed", "load.document.deleted", "a", "."]))
def test_signed_json_is_an_event_or_refused(envelope: Any, type: str) -> None:
    body = json.dumps({**envelope, "type": type} if isinstance(envelope, dict) else envelope).encode()
    if not isinstance(envelope, dict):
        with pytest.raises(AlvysWebhookError) as caught:
            receive(sign(body), body, SECRET, now=NOW)
        assert caught.value.status_code == 400
        return
    got = receive(sign(body), body, SECRET, now=NOW)
    assert isinstance(got, AlvysEvent)
    assert got.key == EVENT_ID
    for name in (
        "moment",
        "entity_id",
        "entity_number",
        "record",
        "document",
        "changes",
        "previous_attributes",
    ):
        getattr(got, name)


def handshake(body: Any, **headers: str) -> tuple[dict[str, str], bytes]:
    known = {"User-Agent": "Alvys-Webhook/1.0", "X-Alvys-Event": "webhook.verification"}
    return {**known, **{f"X-Alvys-{name}": value for name, value in headers.items()}}, json.dumps(
        body
    ).encode()


@given(challenge=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=200))
def test_the_handshake_is_answered_with_its_challenge_only(challenge: str) -> None:
    both = handshake({"type": "webhook.verification", "challenge": challenge}, Challenge=challenge)
    assert answer_challenge(*both) == {"challenge": challenge}
    got = receive(*both, SECRET)
    assert isinstance(got, Challenge)
    assert got.answer == {"challenge": challenge}
    assert answer_challenge(*handshake({"challenge": challenge})) == {"challenge": challenge}
    assert answer_challenge(*handshake({}, Challenge=challenge)) == {"challenge": challenge}


@pytest.mark.parametrize(
    ("body", "header"),
    [
        ({"challenge": "a"}, "b"),
        ({}, ""),
        ({"challenge": ""}, ""),
        ({"challenge": 7}, ""),
        ([], "a"),
        ({"challenge": "a" * 4097}, ""),
        ({"challenge": "a", "more": "a" * 40_000}, ""),
    ],
)
def test_a_handshake_without_one_challenge_is_refused(body: Any, header: str) -> None:
    with pytest.raises(AlvysWebhookError) as caught:
        answer_challenge(*handshake(body, Challenge=header))
    assert caught.value.status_code == 400


def test_a_handshake_is_recognised_by_its_header_only() -> None:
    body = b'{"type": "webhook.verification", "challenge": "a", "id": "1"}'
    headers = sign(body)
    assert answer_challenge(headers, body) is None
    assert isinstance(receive(headers, body, SECRET, now=NOW), AlvysEvent)
    assert answer_challenge({**headers, "X-Alvys-Event": "WEBHOOK.VERIFICATION"}, body) is None


CHANGED = b"""{
  "id": "0c7d1d7e-0001-0", "type": "load.changed", "timestamp": "2026-05-28T20:26:40.1234567Z", "version": 1,
  "new": [null],
  "data": {
    "load": {"id": "L1", "loadNumber": "1001", "status": "Delivered",
             "customerRate": {"amount": 1234.10, "currency": 840}, "mileage": 12345678901234567890.123456789},
    "diff": {
      "changes": [{"kind": "Updated", "target": {"type": "Stop", "id": "S1"}, "more": 1},
                  {"kind": "Created"}, "odd"],
      "previousAttributes": {"status": "In Transit"}
    }
  }
}"""


def test_an_event_has_its_record_and_changes() -> None:
    event = receive(sign(CHANGED), CHANGED, SECRET, now=NOW)
    assert isinstance(event, AlvysEvent)
    assert (event.key, event.id, event.type, event.version, event.etag) == (
        EVENT_ID,
        EVENT_ID,
        "load.changed",
        "1",
        None,
    )
    assert event.timestamp == "2026-05-28T20:26:40.1234567Z"
    assert event.moment == datetime(2026, 5, 28, 20, 26, 40, 123456, tzinfo=timezone.utc)
    assert (event.entity_type, event.entity_id, event.entity_number) == ("load", "L1", "1001")
    assert event.record is not None
    assert event.record["status"] == "Delivered"
    assert event.record["mileage"] == Decimal("12345678901234567890.123456789")
    assert str(event.record["customerRate"]["amount"]) == "1234.10"
    assert event.changes == (Change("Updated", "Stop", "S1"), Change("Created"))
    assert event.previous_attributes == {"status": "In Transit"}
    assert event.document is None
    assert event.envelope["new"] == [None]
    assert event.attempt == 1


def test_a_change_tender_says_what_it_changes_and_whether_it_is_queued() -> None:
    data = {"tenderId": "N1", "queuedForReview": True, "changeTypes": ["LoadRate", 7, "NewTomorrow"]}
    event = make_event({"id": "a", "type": "tender.change.created", "data": data})
    assert (event.is_queued, event.change_types) == (True, ("LoadRate", "NewTomorrow"))
    for odd in ({}, {"queuedForReview": "yes", "changeTypes": "LoadRate"}):
        event = make_event({"id": "a", "type": "tender.change.created", "data": odd})
        assert (event.is_queued, event.change_types) == (False, ())


@pytest.mark.parametrize("name", ["reason", "statusReason"])
def test_the_reason_of_a_stop_event_has_either_name(name: str) -> None:
    data = {"tenderId": "N1", "stopId": "S1", name: "Normal"}
    assert make_event({"id": "a", "type": "tender.stop.arrived", "data": data}).reason == "Normal"
    assert make_event({"id": "a", "type": "tender.stop.arrived", "data": {name: None}}).reason is None


@pytest.mark.parametrize(
    "data", [{"load": {"id": "L1"}}, {"load": {"id": "L1"}, "diff": None}, {"load": {"id": "L1"}, "diff": {}}]
)
def test_an_event_without_a_diff_has_no_changes(data: dict[str, Any]) -> None:
    body = json.dumps({"id": "a", "type": "load.status.changed", "version": "v1", "data": data}).encode()
    event = parse_event({}, body)
    assert (event.key, event.version, event.changes, event.previous_attributes) == ("a", "v1", (), None)
    assert (event.timestamp, event.moment, event.attempt) == (None, None, None)


@pytest.mark.parametrize(
    ("type", "data", "id", "number"),
    [
        ("trip.document.deleted", {"tripId": "T1", "document": {"id": "D1", "parentId": "1001"}}, "T1", None),
        ("truck.document.uploaded", {"document": {"id": "D1", "parentId": "K1"}}, "K1", None),
        ("load.document.uploaded", {"loadNumber": "1001", "document": {"id": "D1"}}, None, "1001"),
        ("tender.stop.arrived", {"tender": {"id": "N1"}, "statusReason": "x"}, "N1", None),
        ("tender.accepted", {"tenderId": 77}, "77", None),
        ("tender.accepted", {"id": "N1"}, "N1", None),
        ("tender.accepted", {}, None, None),
    ],
)
def test_an_event_names_its_record(
    type: str, data: dict[str, Any], id: str | None, number: str | None
) -> None:
    event = parse_event({}, json.dumps({"id": "D1-7", "type": type, "etag": "7", "data": data}).encode())
    assert (event.entity_type, event.entity_id, event.entity_number) == (type.partition(".")[0], id, number)
    assert (event.document is None) == ("document" not in data)
    assert (event.key, event.etag) == ("D1-7", "7")


def test_the_key_is_the_signed_id() -> None:
    body = b'{"id": "in-the-body", "type": "load.changed"}'
    headers = {"X-Alvys-Event-Id": "in-the-header"}
    assert parse_event(headers, body).key == "in-the-header"
    assert parse_event(headers, body, base="t.body").key == "in-the-body"
    nameless = b'{"type": "load.changed"}'
    others = {"X-Alvys-Event-Id": "changed-by-the-sender"}
    assert (
        parse_event(headers, nameless, base="t.body").key == parse_event(others, nameless, base="t.body").key
    )
    assert parse_event({}, nameless, base="t.body").key != parse_event({}, nameless + b" ", base="t.body").key
    assert parse_event(headers, nameless).key == "in-the-header"
    with pytest.raises(AlvysWebhookError, match="X-Alvys-Event-Id"):
        parse_event({}, nameless)


def test_an_event_can_be_made_from_a_stored_payload() -> None:
    envelope = json.loads(CHANGED)
    event = make_event(envelope, key="stored")
    assert (event.key, event.id, event.entity_id, event.changes[1]) == (
        "stored",
        EVENT_ID,
        "L1",
        Change("Created"),
    )
    assert make_event(envelope).key == EVENT_ID


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"id": "a"}',
        b'{"id": "a", "type": 7}',
        b'{"id": "a", "type": ""}',
    ],
)
def test_a_body_that_is_not_an_event_is_refused(body: bytes) -> None:
    with pytest.raises(AlvysWebhookError) as caught:
        receive(sign(body), body, SECRET, now=NOW)
    assert caught.value.status_code == 400
    assert not isinstance(caught.value, AlvysSignatureError)


def test_a_lone_surrogate_in_a_note_is_accepted() -> None:
    body = rb'{"id": "a", "type": "load.changed", "data": {"load": {"note": "\ud83d", "rate": 1.10}}}'
    record = parse_event({}, body).record
    assert record is not None
    assert str(record["rate"]) == "1.10"
