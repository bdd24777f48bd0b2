from __future__ import annotations

import json
import tracemalloc
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_alvys.api.errors import AlvysResponseError
from airflow_provider_alvys.api.read.page_decoder import Page, PageDecoder, compact, decode_row

MEGABYTE = 1024 * 1024
DECODER = PageDecoder(["Id"])


def body(*items: str, total: int | None = None, page: str = '"Page":0,"PageSize":200,') -> bytes:
    count = len(items) if total is None else total
    return f'{{{page}"Total":{count},"Items":[{",".join(items)}]}}'.encode()


@pytest.mark.parametrize("shape", ["page", "list", "object"])
def test_a_byte_order_mark_is_skipped(shape: Any) -> None:
    row = b'{"Id":"a"}'
    bodies = {"page": body(row.decode()), "list": b"[%b]" % row, "object": row}
    page = PageDecoder(["Id"], shape).decode(b"\xef\xbb\xbf" + bodies[shape])
    assert (list(map(bytes, page.rows)), page.keys) == ([row], [("a",)])
    assert decode_row(b"\xef\xbb\xbf" + row) == {"Id": "a"}


@pytest.mark.parametrize(
    "row",
    [
        '{"Id":"a","Amount":1250.50,"Big":123456789012345678901234567890,"Tiny":1e-400}',
        '{"Id":"é","Note":"\\u00e9 \\"quoted\\" \\\\ \\/ back"}',
        '{ "Id" : "spaced" , "List" : [ 1 , 2 ] }',
        '{"Id":"a","Note":"cut \\ud83d"}',
    ],
)
def test_a_row_keeps_its_bytes(row: str) -> None:
    page = DECODER.decode(body(row, '{"Id":"z"}'))
    assert [bytes(row) for row in page.rows] == [row.encode(), b'{"Id":"z"}']
    assert page.keys == [(json.loads(row)["Id"],), ("z",)]
    assert (page.total, page.number, page.size) == (2, 0, 200)


def test_half_a_surrogate_pair_anywhere_on_the_page_is_accepted() -> None:
    rows = [
        '{"Id":"a","Note":"x \\ud83d"}',
        '{"Id":"b","Amount":1.10}',
        '{"Id":"c","Deep":{"Items":[{"Id":"no"}]}}',
    ]
    text = (
        '{ "Facets": {"Items": "\\udc00"}, "Page": 0, "PageSize": 200,\n "Total": 3, "Items": ['
        + " , ".join(rows)
        + "]}"
    )
    page = DECODER.decode(text.encode())
    assert [bytes(row).decode() for row in page.rows] == rows
    assert page.keys == [("a",), ("b",), ("c",)]
    assert DECODER.decode(b'{"Items":[],"Total":0,"X":"\\ud83d"}').rows == []


def test_a_row_of_several_lines_becomes_one_line_and_is_otherwise_unchanged() -> None:
    row = '{\n  "Id": "a",\r\n  "Amount": 1.10,\n  "Note": "two  spaces, \\n and \\" {\\\\",\n'
    row += '  "List": [\n 1e5,\t2 ]\n}'
    page = DECODER.decode(body(row, '{"Id": "b"}'))
    assert (
        bytes(page.rows[0])
        == b'{"Id":"a","Amount":1.10,"Note":"two  spaces, \\n and \\" {\\\\","List":[1e5,2]}'
    )
    assert bytes(page.rows[1]) == b'{"Id": "b"}'
    assert json.loads(page.rows[0]) == json.loads(row)
    assert bytes(compact(b'{"Id":\n"x \\ud83d  y"}')) == b'{"Id":"x \\ud83d  y"}'


@pytest.mark.parametrize(
    "text",
    [b"x" * MEGABYTE, b'\\"' * (MEGABYTE // 2), b"\\\\" * (MEGABYTE // 2), b'x",\n"' * (MEGABYTE // 5)],
    ids=["one string", "escaped quotes", "backslashes", "many strings"],
)
def test_a_row_of_several_lines_needs_little_more_memory_than_its_length(text: bytes) -> None:
    row = b'{\n  "Id": ["%b"]\n}' % text
    tracemalloc.start()
    line = compact(row)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(row)
    assert b"\n" not in bytes(line)
    assert json.loads(line) == json.loads(row)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            body('{"Id":"a","Note":"\\ud83d', total=1)[:-2],
            "cannot be read",
            id="cut off in a surrogate pair",
        ),
        pytest.param(body('{"Id":"a"}')[:-3], "truncated", id="cut off"),
        pytest.param(body('{"Id":"\\ud83d","Note":NaN}'), "cannot be read", id="not a number"),
        pytest.param(body('{"Id":"\\ud83d"}') + b"x", "cannot be read", id="text after the end"),
        pytest.param(b"<html>429</html>", "cannot be read", id="a page of HTML"),
        pytest.param(b"", "cannot be read", id="nothing"),
        pytest.param(b"[]", "cannot be read", id="a list"),
        pytest.param(b'{"Total":1}', "`Items`", id="no items"),
        pytest.param(b'{"Items":[]}', "`Total`", id="no total"),
        pytest.param(b'{"Total":"1","Items":[]}', "Expected `int`", id="a total that is not a number"),
        pytest.param(body('{"Name":"a"}'), "Id", id="a row without its key"),
        pytest.param(body('{"Id":"\xe9"}').replace("é".encode(), b"\xe9"), "UTF-8", id="Latin-1"),
        pytest.param(body("7"), "cannot be read", id="a row that is not an object"),
        pytest.param(body('{"Id":["a"]}'), "cannot be read", id="a key that is neither text nor number"),
    ],
)
def test_an_unreadable_page_raises_an_error(text: bytes, message: str) -> None:
    with pytest.raises(AlvysResponseError, match=message):
        DECODER.decode(text)


def test_a_key_may_lack_some_of_its_fields_but_not_all() -> None:
    decoder = PageDecoder(["A", "B"])
    assert decoder.decode(body('{"A":1}', '{"B":"x"}')).keys == [(1, None), (None, "x")]
    with pytest.raises(AlvysResponseError, match="A, B"):
        decoder.decode(body("{}"))


def test_a_decoded_row_has_decimals_for_fractions_and_ints_for_whole_numbers() -> None:
    row = decode_row(b'{"A":1250.50,"B":1e2,"C":840,"D":123456789012345678901234567890,"E":[{"F":0.1}]}')
    assert row == {
        "A": Decimal("1250.50"),
        "B": Decimal("1e2"),
        "C": 840,
        "D": 123456789012345678901234567890,
        "E": [{"F": Decimal("0.1")}],
    }
    assert str(row["A"]) == "1250.50"
    assert decode_row(b'{"Note":"\\ud83d","A":0.10}') == {"Note": "\ud83d", "A": Decimal("0.10")}


def page(**changes: Any) -> Page:
    keys = [(f"row-{number}",) for number in range(changes.pop("rows", 2))]
    given = {"total": 2, "number": 0, "size": 200, "rows": [b"{}" for _ in keys], "keys": keys}
    return Page(**{**given, **changes})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(page(total=-1), "a total of -1", id="negative total"),
        pytest.param(page(total=500, rows=201), "201 rows on a page of 200", id="more rows than the size"),
        pytest.param(page(total=500, size=500), "a page size of 500", id="a larger size than requested"),
        pytest.param(page(number=1), "page 1, not the page 0 requested", id="another page"),
        pytest.param(page(total=1), "2 rows and a total of 1", id="more rows than the total"),
        pytest.param(page(total=5, rows=0), "no rows and a total of 5", id="no rows"),
    ],
)
def test_an_impossible_page_has_a_problem(answer: Page, message: str) -> None:
    assert message in (answer.find_problem(0, 200) or "")


def test_a_good_page_has_no_problem() -> None:
    assert page().find_problem(0, 200) is None
    assert page(total=500, rows=200).find_problem(0, 200) is None
    assert page(number=2, total=402).find_problem(2, 200) is None
    assert page(total=0, rows=0).find_problem(0, 200) is None


def test_a_list_in_an_envelope_must_be_complete() -> None:
    decoder = PageDecoder(["Id"], "list")
    whole = b'{"Page":0,"PageSize":50,"Total":1,"Items":[{"Id":"1"}]}'
    assert decoder.decode(whole).total == 1
    with pytest.raises(AlvysResponseError, match="1 of 120 rows"):
        decoder.decode(whole.replace(b'"Total":1', b'"Total":120'))
