"""Values keep every digit that their type can hold; others are refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_alvys.api.read.page_decoder import decode_row
from airflow_provider_alvys.api.schema.currencies import CURRENCIES
from airflow_provider_alvys.api.schema.fields import Record, record
from airflow_provider_alvys.api.schema.values import TypeLimits, column_specs, dump_json, make_converter

LOCAL = frozenset({"local", "open"})


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T08:30:00Z", "2026-03-01 08:30:00.0000000"),
        ("2026-03-01T08:30:00.1234567+00:00", "2026-03-01 08:30:00.1234567"),
        ("2026-03-01T08:30:00.5-04:00", "2026-03-01 12:30:00.5000000"),
        ("2026-03-01T00:30:00.123456789+05:30", "2026-02-28 19:00:00.1234567"),
        ("2024-02-29T23:59:59z", "2024-02-29 23:59:59.0000000"),
        ("0001-01-01T00:00:00+00:00", "0001-01-01 00:00:00.0000000"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31 23:59:59.9999999"),
        # No zone; an invalid day, hour or offset.
        ("2026-03-01T08:30:00", None),
        ("2026-02-29T00:00:00Z", None),
        ("2026-03-01T24:00:00Z", None),
        ("2026-03-01", None),
        ("9999-12-31T23:00:00-05:00", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("٢٠٢٦-03-01T08:30:00Z", None),
        ("", None),
        (1772353800, None),
    ],
)
def test_a_time_is_converted_to_utc_with_seven_digits(text: Any, moment: str | None) -> None:
    assert make_converter("time")(text) == (None if moment is None else (moment,))


def test_a_local_time_keeps_its_wall_time_and_offset() -> None:
    convert = make_converter("time", frozenset({"local"}))
    assert [spec.suffix for spec in column_specs("time", frozenset({"local"}))] == ["", "_local", "_offset"]
    wall = "2026-03-01 08:30:00.0000000"
    assert convert("2026-03-01T08:30:00-04:00") == ("2026-03-01 12:30:00.0000000", wall, "-04:00")
    assert convert("2026-03-01T08:30:00Z") == (wall, wall, "+00:00")
    assert convert("2026-03-01T08:30:00") == (None, wall, None)


def test_the_year_9999_is_open_and_1970_unknown() -> None:
    assert [spec.suffix for spec in column_specs("time", LOCAL)] == ["", "_local", "_offset", "_is_open"]
    assert make_converter("time", LOCAL)("9999-12-31T00:00:00+00:00")[3] is True  # type: ignore[index]
    assert make_converter("time", LOCAL)("9998-12-31T00:00:00+00:00")[3] is False  # type: ignore[index]
    # A time past the end of the calendar becomes its last moment.
    convert = make_converter("time", LOCAL)
    assert convert("9999-12-31T23:00:00-05:00")[0] == "9999-12-31 23:59:59.9999999"  # type: ignore[index]
    assert make_converter("time", frozenset({"unknown"}))("1970-01-01T00:00:00Z") == (
        "1970-01-01 00:00:00.0000000",
        True,
    )


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("12.50", True),
        ("-0.0000000001", True),
        ("0.00000000010", True),
        ("0.00000000011", False),
        ("9999999999999999999999999999.9999999999", True),
        ("10000000000000000000000000000", False),
        ("1E+27", True),
        ("1E+28", False),
        ("0E+5", True),
        ("0E-40", True),
    ],
)
def test_a_decimal_keeps_its_digits_or_is_refused(value: str, fits: bool) -> None:
    convert = make_converter("decimal", limits=TypeLimits(whole_digits=28, fraction_digits=10))
    assert convert(Decimal(value)) == ((Decimal(value),) if fits else None)
    kept = make_converter("decimal")(Decimal(value))
    # A zero with an exponent is a zero.
    assert kept == (Decimal(value),)
    assert str(kept[0]) == str(Decimal(value)) or value == "0E+5"


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "x", ("x",)),
        ("string", "a\0b", None),
        ("string", "half \ud83d", None),
        ("string", 5, None),
        ("integer", 2**63 - 1, (2**63 - 1,)),
        ("integer", 2**63, None),
        ("integer", -(2**63), (-(2**63),)),
        ("integer", True, None),
        ("integer", Decimal("5.0"), None),
        ("decimal", 5, (Decimal(5),)),
        ("decimal", True, None),
        ("decimal", "5", None),
        ("boolean", False, (False,)),
        ("boolean", 0, None),
        ("date", "2026-03-01", ("2026-03-01",)),
        ("date", "2026-03-01T00:00:00.000Z", ("2026-03-01",)),
        ("date", "2026-03-01T00:00:01Z", None),
        ("date", "2026-02-30", None),
        ("json", [1, Decimal("1.10")], ("[1,1.10]",)),
    ],
)
def test_a_value_of_another_type_is_refused(kind: Any, value: Any, expected: Any) -> None:
    assert make_converter(kind)(value) == expected


def test_a_currency_number_or_code_becomes_its_code() -> None:
    convert = make_converter("integer", frozenset({"currency"}))
    assert [convert(value) for value in (840, "USD", 124, 978)] == [("USD",), ("USD",), ("CAD",), ("EUR",)]
    assert {convert(value) for value in ("usd", "Usd", " USD ", "840")} == {("USD",)}
    assert [convert(value) for value in (8, "8", "008", "ALL")] == [("ALL",)] * 4
    unknown: list[Any] = [
        1,
        True,
        None,
        Decimal(840),
        840.0,
        "",
        " ",
        "dollar",
        "US$",
        "0840",
        "840.0",
        "-840",
        "+840",
    ]
    assert [convert(value) for value in [*unknown, ["USD"], {"Code": "USD"}]] == [None] * (len(unknown) + 2)
    assert len(set(CURRENCIES.values())) == len(CURRENCIES)
    assert all(len(letters) == 3 and 0 < number < 1000 for number, letters in CURRENCIES.items())


def test_json_text_keeps_digits_and_halves_of_surrogate_pairs() -> None:
    for text in (
        '{"a":[1.50,1E+400,-0.0,123456789012345678901234567890],"b":null}',
        '{"\\ud83d":["\\ud83d",1.10,true,{}]}',
    ):
        assert dump_json(decode_row(text.encode())) == text


def test_an_unknown_flag_is_refused() -> None:
    assert record("A:time@local@open B").flags == {"A": LOCAL}
    assert isinstance(record("A"), Record)
    with pytest.raises(KeyError, match="locl"):
        record("A:time@locl")
