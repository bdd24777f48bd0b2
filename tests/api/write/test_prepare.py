"""A write is validated before it is sent, and one error lists all problems."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.write.prepare import check_file, prepare
from airflow_provider_alvys.api.write.upload import FileSource, file_source
from tests.writes import IDS, body_of, invalid_bodies, request_of

every_operation = pytest.mark.parametrize("name", OPERATIONS)
CALL = {"Description": "all well"}


def params_of(name: str) -> dict[str, Any]:
    return {"path_params": request_of(name)["path_params"]}


@every_operation
def test_a_valid_write_is_accepted(name: str) -> None:
    write = prepare(name, body=body_of(name), **params_of(name))
    assert "{" not in write.path + write.check
    assert (write.content == b"") == (not OPERATIONS[name].body)


@every_operation
def test_every_kind_of_invalid_body_is_refused(name: str) -> None:
    kinds = set()
    for kind, body, field in invalid_bodies(name):
        with pytest.raises(AlvysValueError) as caught:
            prepare(name, body=body, **params_of(name))
        assert str(caught.value).startswith(name), kind
        assert field in str(caught.value), kind
        kinds.add(kind)
    assert kinds >= ({"unknown field", "type"} if OPERATIONS[name].body else {"unknown field"})


@every_operation
def test_a_missing_wrong_or_unknown_path_parameter_is_refused(name: str) -> None:
    params = params_of(name)["path_params"]
    for param in params:
        others = {key: value for key, value in params.items() if key != param}
        with pytest.raises(AlvysValueError, match=param):
            prepare(name, path_params=others, body=body_of(name))
        for value in ("", " ", "..", None, True, 1.5, ["x"]):
            with pytest.raises(AlvysValueError, match=f"{param}="):
                prepare(name, path_params={**others, param: value}, body=body_of(name))
    with pytest.raises(AlvysValueError, match="nonsense"):
        prepare(name, path_params={**params, "nonsense": "x"}, body=body_of(name))


@every_operation
def test_only_an_upload_takes_a_file(name: str) -> None:
    row, file = OPERATIONS[name], request_of("load_documents.upload")["file"]
    check_file(row, request_of(name)["file"])
    with pytest.raises(AlvysValueError, match=name):
        check_file(row, None if row.upload else file)


@every_operation
def test_if_match_is_checked_against_the_operation(name: str) -> None:
    row, rest = OPERATIONS[name], {"body": body_of(name), **params_of(name)}
    assert prepare(name, **rest).if_match == "auto"
    if row.if_match == "required":
        with pytest.raises(AlvysValueError, match="if_match=None"):
            prepare(name, if_match=None, **rest)
    else:
        assert prepare(name, if_match=None, **rest).if_match is None
    if row.if_match == "none":
        with pytest.raises(AlvysValueError, match="if_match="):
            prepare(name, if_match='"v1"', **rest)
    else:
        assert prepare(name, if_match='"v1"', **rest).if_match == '"v1"'
    for wrong in ("", 7):
        with pytest.raises(AlvysValueError, match="if_match="):
            prepare(name, if_match=wrong, **rest)  # type: ignore[arg-type]


def test_one_error_lists_all_problems_and_suggests_the_nearest_names() -> None:
    with pytest.raises(AlvysValueError) as caught:
        prepare(
            "trips.assign",
            path_params={"tripID": "1", "trip": "2"},
            body={"carrier_id": "C", "Driver2Id": "D"},
        )
    path_param, field, *missing = str(caught.value).split("; ")
    assert "trip" in path_param
    assert "tripId" in path_param
    assert "carrier_id" in field
    assert "CarrierId" in field
    assert [problem.split()[0] for problem in missing] == ["CarrierId", "DispatcherId", "Driver1Id"]


def test_path_parameters_are_quoted_and_may_be_in_snake_case() -> None:
    assert (
        prepare("trips.dispatch", path_params={"trip_id": "a/b?c d"}).path == "trips/a%2Fb%3Fc%20d/dispatch"
    )
    assert prepare("trips.dispatch", path_params={"tripId": 7}).path == "trips/7/dispatch"


@pytest.mark.parametrize(
    ("amount", "sent"),
    [
        (Decimal("1250.10"), b"1250.10"),
        (Decimal("12345678901234567890.123456789"), b"12345678901234567890.123456789"),
        ("0.10", b"0.10"),
        ("-0.00", b"-0.00"),
        (1250, b"1250"),
        (0.1, b"0.1"),
    ],
)
def test_a_number_is_sent_digit_by_digit(amount: Any, sent: bytes) -> None:
    body = {**body_of("invoices.record_financing"), "Fee": amount}
    assert b'"Fee":' + sent + b"," in prepare("invoices.record_financing", body=body).content


@pytest.mark.parametrize("amount", ["1,250.10", "1e3", "", "ten", float("inf"), Decimal("NaN"), False, [1]])
def test_a_value_that_is_not_a_number_is_refused(amount: Any) -> None:
    with pytest.raises(AlvysValueError, match="Fee="):
        prepare("invoices.record_financing", body={**body_of("invoices.record_financing"), "Fee": amount})


CHICAGO = timezone(timedelta(hours=-6))


@pytest.mark.parametrize(
    ("time", "sent"),
    [
        (datetime(2026, 3, 2, 8, tzinfo=CHICAGO), "2026-03-02T08:00:00-06:00"),
        (datetime(2026, 3, 2, 8, 0, 0, 5, tzinfo=timezone.utc), "2026-03-02T08:00:00.000005+00:00"),
        ("2026-03-02T08:00:00.1234567Z", "2026-03-02T08:00:00.1234567Z"),
    ],
)
def test_a_time_keeps_its_zone_and_its_digits(time: Any, sent: str) -> None:
    write = prepare("trip_stops.set_arrival", body={"ArrivedAt": time}, **params_of("trip_stops.set_arrival"))
    assert write.body == {"ArrivedAt": sent}


@pytest.mark.parametrize(
    "time", ["2026-03-02 08:00:00-06:00", "2026-03-02T08:00:00-0600", " 2026-03-02t14:00:00z "]
)
def test_a_time_rendered_by_a_template_is_sent_as_iso_8601(time: str) -> None:
    write = prepare("trip_stops.set_arrival", body={"ArrivedAt": time}, **params_of("trip_stops.set_arrival"))
    assert write.body["ArrivedAt"] == "2026-03-02T14:00:00Z"


@pytest.mark.parametrize(
    ("operation", "body", "field"),
    [
        ("trips.assign", {"Driver1Id": "", "Driver2Id": "DR2"}, "Driver1Id"),
        ("deductions.create", {"DriverId": " "}, "DriverId"),
        ("deductions.create", {"DriverId": "", "TruckId": "TK1"}, "DriverId"),
        ("tenders.create", {"Stops": []}, "Stops"),
        ("tenders.accept", {"StopCompanyLinks": []}, "StopCompanyLinks"),
    ],
)
def test_a_blank_value_counts_as_missing(operation: str, body: dict[str, Any], field: str) -> None:
    with pytest.raises(AlvysValueError, match=f"{field} is "):
        prepare(operation, body=body)


@pytest.mark.parametrize("time", [datetime(2026, 3, 2), date(2026, 3, 2), "2026-03-02", "tomorrow", 5])
def test_a_time_without_a_zone_is_refused(time: Any) -> None:
    with pytest.raises(AlvysValueError, match="ArrivedAt="):
        prepare("trip_stops.set_arrival", body={"ArrivedAt": time}, **params_of("trip_stops.set_arrival"))


@pytest.mark.parametrize("day", ["2026-03-02", date(2026, 3, 2), "2026-03-02T00:00:00Z"])
def test_a_day_is_sent_as_midnight_in_utc(day: Any) -> None:
    write = prepare("deductions.create", body={**body_of("deductions.create"), "Date": day})
    assert write.body["Date"] == "2026-03-02T00:00:00Z"


@pytest.mark.parametrize(
    "day",
    [
        "2026-02-30",
        "02.03.2026",
        datetime(2026, 3, 2),
        "2026-03-02T14:00:00Z",
        "2026-03-02T00:00:00-06:00",
        datetime(2026, 3, 2, 23, 59, tzinfo=timezone.utc),
    ],
    ids=str,
)
def test_a_value_that_is_not_a_day_is_refused(day: Any) -> None:
    with pytest.raises(AlvysValueError, match="Date="):
        prepare("deductions.create", body={**body_of("deductions.create"), "Date": day})


def test_none_is_sent_only_in_a_merge_patch() -> None:
    body = {**body_of("trips.assign"), "TrailerId": None}
    assert "TrailerId" not in prepare("trips.assign", body=body, path_params={"tripId": "1"}).body
    assert prepare("customers.update", body={"Fax": None}, path_params={"id": "1"}).content == b'{"Fax":null}'
    with pytest.raises(AlvysValueError, match="OrderNumber"):
        prepare("loads.update", body={"OrderNumber": None}, path_params={"loadNumber": "1"})


def test_arguments_that_are_not_dicts_are_refused_with_a_hint_on_templates() -> None:
    with pytest.raises(
        AlvysValueError, match=r"path_params='x'.*render_template_as_native_obj.*body=\['y'\]"
    ):
        prepare("trips.assign", path_params="x", body=["y"])  # type: ignore[arg-type]


@pytest.mark.parametrize("number", ["840", 840])
def test_a_currency_is_an_iso_4217_number(number: Any) -> None:
    body = {**body_of("invoices.record_carrier_payment"), "Amount": {"Amount": "1.50", "Currency": number}}
    assert (
        b'"Amount":{"Amount":1.50,"Currency":840}'
        in prepare("invoices.record_carrier_payment", body=body).content
    )
    body["Amount"] = {"Amount": 1, "Currency": "USD"}
    with pytest.raises(AlvysValueError, match="Amount.Currency='USD'.* 840"):
        prepare("invoices.record_carrier_payment", body=body)


def is_templated(value: Any) -> bool:
    return isinstance(value, str) and "{{" in value


def test_templated_values_are_skipped_and_all_others_are_checked() -> None:
    options: dict[str, Any] = {"is_templated": is_templated}
    prepare("trips.assign", path_params="{{ p }}", body="{{ b }}", if_match="{{ e }}", **options)  # type: ignore[arg-type]
    body = {"CarrierId": "{{ c }}", "DispatcherId": "{{ d }}", "CarrierRate": "{{ r }}", "{{ name }}": 1}
    prepare("trips.assign", path_params={"tripId": "{{ t }}"}, body=body, **options)
    with pytest.raises(AlvysValueError, match="Driver1 .*Driver1Id"):
        prepare(
            "trips.assign", path_params={"tripId": "{{ t }}"}, body={**body, "Driver1": "{{ x }}"}, **options
        )
    tender = {**body_of("tenders.create"), "Stops": [{"SequenceNumber": "{{ s }}", "Notes": ["{{ n }}", 5]}]}
    with pytest.raises(AlvysValueError, match=r"Stops\[0\].Notes\[1\]=5.*; Stops\[0\].Type "):
        prepare("tenders.create", body=tender, **options)


def test_a_rule_on_a_templated_value_is_not_checked() -> None:
    body = body_of("deductions.create")
    prepare(
        "deductions.create",
        body={**body, "DriverId": "{{ d }}", "TruckId": "{{ t }}"},
        is_templated=is_templated,
    )
    with pytest.raises(AlvysValueError, match="DriverId and TruckId"):
        prepare("deductions.create", body={**body, "DriverId": "{{ d }}", "TruckId": "{{ t }}"})


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (FileSource("a.pdf", 0, BytesIO), "a.pdf"),
        (
            FileSource("a.pdf", 25 * 1024 * 1024 + 1, BytesIO),
            "26214401 bytes.* 26214400 bytes",
        ),
        (
            FileSource("a.docx", 5, BytesIO),
            "wordprocessingml.document.*application/pdf, image/jpeg",
        ),
        (FileSource("a", 5, BytesIO), "^a .*application/pdf"),
        (FileSource(" ", 5, BytesIO, "application/pdf"), "name"),
    ],
    ids=["empty", "large", "word", "untyped", "nameless"],
)
def test_a_file_that_alvys_does_not_accept_is_refused(file: FileSource, message: str) -> None:
    with pytest.raises(AlvysValueError, match=message):
        check_file(OPERATIONS["load_documents.upload"], file)


def test_a_missing_file_is_refused(tmp_path: Any) -> None:
    with pytest.raises(AlvysValueError, match=r"none.pdf"):
        file_source(tmp_path / "none.pdf")


def test_only_equal_writes_have_equal_fingerprints() -> None:
    def fingerprint(**changes: Any) -> str:
        arguments = {"path_params": {"tripId": IDS["tripId"]}, "body": CALL, **changes}
        return prepare("trip_check_calls.create", **arguments).fingerprint

    assert fingerprint() == fingerprint(body=dict(CALL))
    others = {
        fingerprint(),
        fingerprint(body={"Description": "not well"}),
        fingerprint(path_params={"tripId": "2"}),
    }
    assert len(others) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path_params": {"tenderId": "1", "tender_id": "2"}}, "tenderId"),
        ({"path_params": {"tenderId": "a\ud83d"}}, "tenderId="),
        ({"if_match": "*"}, "if_match="),
        ({"if_match": "\u20ac"}, "if_match="),
        ({"if_match": '"1"\r\nX: y'}, "if_match="),
    ],
    ids=["twice", "half an emoji", "any version", "not a header", "two headers"],
)
def test_a_value_that_a_request_cannot_carry_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AlvysValueError, match=message):
        prepare("tenders.accept_cancel", **{"path_params": {"tenderId": "1"}, **arguments})


def test_a_write_is_shown_as_it_is_sent_and_its_texts_cannot_leave_their_block() -> None:
    hostile = "```\n# Approve [me](https://example.org)\u202e\u200b\x07 <script>"
    body = {
        "TripId": "T`1`",
        "Amount": {"Amount": Decimal("1250.10"), "Currency": 840},
        "PaymentDate": "2026-11-24",
        "ReferenceNumber": hostile,
    }
    write = prepare("invoices.record_carrier_payment", body=body)
    facts, call, sent = write.markdown(carrier=hostile).split("\n\n")
    assert call == "`POST invoices/carrier-payments`"
    for block in (facts, sent):
        first, *lines, last = block.split("\n")
        assert (first, last) == ("```json", "```")
        assert all(line[0] in "{} " and line.lstrip()[:3] != "```" for line in lines)
        assert all(character.isprintable() for line in lines for character in line)
    assert '"Amount": 1250.10,' in sent
    assert json.loads(facts[len("```json") : -len("```")]) == {"carrier": hostile}
    assert json.loads(sent[len("```json") : -len("```")], parse_float=Decimal) == json.loads(
        write.content, parse_float=Decimal
    )


@pytest.mark.parametrize("hidden", ["\u3164", "\u2800", "\ufe0f", "\U000e0100", "\u00ad", "\u200b", "\x7f"])
def test_what_is_not_visible_is_shown_as_an_escape(hidden: str) -> None:
    shown = prepare("trips.dispatch", path_params={"tripId": "t"}).markdown(carrier=f"a{hidden}b é東")
    assert hidden not in shown
    assert json.loads(shown.split("```")[1][len("json") :]) == {"carrier": f"a{hidden}b é東"}
    assert "é東" in shown


def test_a_path_is_shown_quoted_and_a_call_without_a_body_has_no_block() -> None:
    write = prepare("trips.dispatch", path_params={"tripId": "a`b\n"})
    assert write.markdown() == f"`{write.operation.method} {write.path}`"
    assert write.path.count("`") == 0
