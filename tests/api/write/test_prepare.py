"""What is wrong with a write is told before it is sent, all at once."""

from __future__ import annotations

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


def version_of(name: str) -> dict[str, Any]:
    return {"path_params": request_of(name)["path_params"]}


@every_operation
def test_a_valid_write_has_nothing_wrong(name: str) -> None:
    write = prepare(name, body=body_of(name), **version_of(name))
    assert "{" not in write.path + write.check
    assert (write.content == b"") == (not OPERATIONS[name].body)


@every_operation
def test_each_kind_of_invalid_body_is_told(name: str) -> None:
    kinds = set()
    for kind, body, message in invalid_bodies(name):
        with pytest.raises(AlvysValueError) as caught:
            prepare(name, body=body, **version_of(name))
        assert str(caught.value).startswith(f"{name} cannot be sent: "), kind
        assert message in str(caught.value), kind
        kinds.add(kind)
    assert kinds >= ({"unknown field", "type"} if OPERATIONS[name].body else {"unknown field"})


@every_operation
def test_a_missing_wrong_or_unknown_path_parameter_is_told(name: str) -> None:
    params = version_of(name)["path_params"]
    for param in params:
        others = {key: value for key, value in params.items() if key != param}
        with pytest.raises(AlvysValueError, match=f"the path parameter {param} is missing"):
            prepare(name, path_params=others, body=body_of(name))
        for value in ("", " ", "..", None, True, 1.5, ["x"]):
            with pytest.raises(AlvysValueError, match=f"{param}=.* names nothing: give its text or number"):
                prepare(name, path_params={**others, param: value}, body=body_of(name))
    with pytest.raises(AlvysValueError, match="there is no path parameter nonsense: "):
        prepare(name, path_params={**params, "nonsense": "x"}, body=body_of(name))


@every_operation
def test_a_file_is_needed_where_there_is_an_upload_and_only_there(name: str) -> None:
    row, file = OPERATIONS[name], request_of("load_documents.upload")["file"]
    check_file(row, request_of(name)["file"])
    with pytest.raises(AlvysValueError, match=f"{name} {'needs a' if row.upload else 'takes no'} file"):
        check_file(row, None if row.upload else file)


@every_operation
def test_if_match_is_held_against_what_the_row_says(name: str) -> None:
    row, rest = OPERATIONS[name], {"body": body_of(name), **version_of(name)}
    assert prepare(name, **rest).if_match == "auto"
    if row.if_match == "required":
        with pytest.raises(
            AlvysValueError, match="if_match=None, but Alvys requires a version: give 'auto' or an ETag"
        ):
            prepare(name, if_match=None, **rest)
    else:
        assert prepare(name, if_match=None, **rest).if_match is None
    if row.if_match == "none":
        with pytest.raises(AlvysValueError, match="Alvys knows no versions here"):
            prepare(name, if_match='"v1"', **rest)
    else:
        assert prepare(name, if_match='"v1"', **rest).if_match == '"v1"'
    for wrong in ("", 7):
        with pytest.raises(AlvysValueError, match="must be 'auto', an ETag, or None"):
            prepare(name, if_match=wrong, **rest)  # type: ignore[arg-type]


def test_several_problems_are_told_together_with_what_was_meant() -> None:
    with pytest.raises(AlvysValueError) as caught:
        prepare(
            "trips.assign",
            path_params={"tripID": "1", "trip": "2"},
            body={"carrier_id": "C", "Driver2Id": "D"},
        )
    assert str(caught.value) == (
        "trips.assign cannot be sent: there is no path parameter trip: did you mean tripId?; "
        "there is no field carrier_id: did you mean CarrierId?; CarrierId is missing; DispatcherId is missing; "
        "Driver1Id is needed where Driver2Id is given"
    )


def test_path_parameters_are_quoted_and_may_be_spelled_as_python_does() -> None:
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
def test_what_is_no_number_is_refused(amount: Any) -> None:
    with pytest.raises(AlvysValueError, match="Fee=.* must be a number"):
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
    write = prepare(
        "trip_stops.set_arrival", body={"ArrivedAt": time}, **version_of("trip_stops.set_arrival")
    )
    assert write.body == {"ArrivedAt": sent}


@pytest.mark.parametrize(
    "time", ["2026-03-02 08:00:00-06:00", "2026-03-02T08:00:00-0600", " 2026-03-02t14:00:00z "]
)
def test_a_time_as_templates_give_it_is_sent_as_iso_8601(time: str) -> None:
    write = prepare(
        "trip_stops.set_arrival", body={"ArrivedAt": time}, **version_of("trip_stops.set_arrival")
    )
    assert write.body["ArrivedAt"] == "2026-03-02T14:00:00Z"


@pytest.mark.parametrize(
    ("operation", "body", "problem"),
    [
        (
            "trips.assign",
            {"Driver1Id": "", "Driver2Id": "DR2"},
            "Driver1Id is needed where Driver2Id is given",
        ),
        ("deductions.create", {"DriverId": " "}, "DriverId is blank: leave it out"),
        ("deductions.create", {"DriverId": "", "TruckId": "TK1"}, "DriverId is blank: leave it out"),
        ("tenders.create", {"Stops": []}, "Stops is empty"),
        ("tenders.accept", {"StopCompanyLinks": []}, "StopCompanyLinks is empty"),
    ],
)
def test_what_is_blank_is_not_given(operation: str, body: dict[str, Any], problem: str) -> None:
    with pytest.raises(AlvysValueError, match=problem):
        prepare(operation, body=body)


@pytest.mark.parametrize("time", [datetime(2026, 3, 2), date(2026, 3, 2), "2026-03-02", "tomorrow", 5])
def test_a_time_without_a_zone_is_refused(time: Any) -> None:
    with pytest.raises(AlvysValueError, match="ArrivedAt="):
        prepare("trip_stops.set_arrival", body={"ArrivedAt": time}, **version_of("trip_stops.set_arrival"))


@pytest.mark.parametrize("day", ["2026-03-02", date(2026, 3, 2), "2026-03-02T00:00:00Z"])
def test_a_day_is_its_midnight_in_utc(day: Any) -> None:
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
def test_what_is_no_day_is_refused(day: Any) -> None:
    with pytest.raises(AlvysValueError, match="Date="):
        prepare("deductions.create", body={**body_of("deductions.create"), "Date": day})


def test_none_is_not_sent_but_where_it_empties_a_field_of_a_merge_patch() -> None:
    body = {**body_of("trips.assign"), "TrailerId": None}
    assert "TrailerId" not in prepare("trips.assign", body=body, path_params={"tripId": "1"}).body
    assert prepare("customers.update", body={"Fax": None}, path_params={"id": "1"}).content == b'{"Fax":null}'
    with pytest.raises(AlvysValueError, match="OrderNumber is missing"):
        prepare("loads.update", body={"OrderNumber": None}, path_params={"loadNumber": "1"})


def test_what_is_no_dict_is_told_with_what_templates_do() -> None:
    with pytest.raises(
        AlvysValueError, match="path_params='x' is no dict. A template gives a text.*body=.'y'. is no dict"
    ):
        prepare("trips.assign", path_params="x", body=["y"])  # type: ignore[arg-type]


@pytest.mark.parametrize("number", ["840", 840])
def test_a_currency_is_a_number_of_iso_4217(number: Any) -> None:
    body = {**body_of("invoices.record_carrier_payment"), "Amount": {"Amount": "1.50", "Currency": number}}
    assert (
        b'"Amount":{"Amount":1.50,"Currency":840}'
        in prepare("invoices.record_carrier_payment", body=body).content
    )
    body["Amount"] = {"Amount": 1, "Currency": "USD"}
    with pytest.raises(
        AlvysValueError, match="Amount.Currency='USD' must be a whole number. It is .* 840 is USD"
    ):
        prepare("invoices.record_carrier_payment", body=body)


def is_open(value: Any) -> bool:
    return isinstance(value, str) and "{{" in value


def test_what_is_open_is_left_and_the_rest_is_checked() -> None:
    options: dict[str, Any] = {"is_open": is_open}
    prepare("trips.assign", path_params="{{ p }}", body="{{ b }}", if_match="{{ e }}", **options)  # type: ignore[arg-type]
    body = {"CarrierId": "{{ c }}", "DispatcherId": "{{ d }}", "CarrierRate": "{{ r }}", "{{ name }}": 1}
    prepare("trips.assign", path_params={"tripId": "{{ t }}"}, body=body, **options)
    with pytest.raises(
        AlvysValueError, match="cannot be sent: there is no field Driver1: did you mean Driver1Id"
    ):
        prepare(
            "trips.assign", path_params={"tripId": "{{ t }}"}, body={**body, "Driver1": "{{ x }}"}, **options
        )
    tender = {**body_of("tenders.create"), "Stops": [{"SequenceNumber": "{{ s }}", "Notes": ["{{ n }}", 5]}]}
    with pytest.raises(
        AlvysValueError, match=r"Stops\[0\].Notes\[1\]=5.* not a number; Stops\[0\].Type is missing"
    ):
        prepare("tenders.create", body=tender, **options)


def test_a_rule_over_an_open_value_waits_for_it() -> None:
    body = body_of("deductions.create")
    prepare("deductions.create", body={**body, "DriverId": "{{ d }}", "TruckId": "{{ t }}"}, is_open=is_open)
    with pytest.raises(AlvysValueError, match="exactly one of"):
        prepare("deductions.create", body={**body, "DriverId": "{{ d }}", "TruckId": "{{ t }}"})


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (FileSource("a.pdf", 0, BytesIO), "a.pdf is empty"),
        (
            FileSource("a.pdf", 25 * 1024 * 1024 + 1, BytesIO),
            "a.pdf is of 26214401 bytes: .* takes 1 to 26214400 bytes",
        ),
        (
            FileSource("a.docx", 5, BytesIO),
            "wordprocessingml.document: load_documents.upload takes application/pdf, image/jpeg",
        ),
        (FileSource("a", 5, BytesIO), "a is of no known type"),
        (FileSource(" ", 5, BytesIO, "application/pdf"), "has no name"),
    ],
    ids=["empty", "large", "word", "untyped", "nameless"],
)
def test_a_file_that_alvys_does_not_take_is_refused(file: FileSource, message: str) -> None:
    with pytest.raises(AlvysValueError, match=message):
        check_file(OPERATIONS["load_documents.upload"], file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Any) -> None:
    with pytest.raises(AlvysValueError, match=r"none.pdf cannot be read: No such file"):
        file_source(tmp_path / "none.pdf")


def test_equal_writes_have_equal_fingerprints_and_others_do_not() -> None:
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
        ({"path_params": {"tenderId": "1", "tender_id": "2"}}, "the path parameter tenderId is given twice"),
        ({"path_params": {"tenderId": "a\ud83d"}}, "names nothing"),
        ({"if_match": "*"}, "names no version"),
        ({"if_match": "\u20ac"}, "must be 'auto', an ETag, or None"),
        ({"if_match": '"1"\r\nX: y'}, "must be 'auto', an ETag, or None"),
    ],
    ids=["twice", "half an emoji", "any version", "no header", "two headers"],
)
def test_what_no_request_can_carry_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AlvysValueError, match=message):
        prepare("tenders.accept_cancel", **{"path_params": {"tenderId": "1"}, **arguments})
