"""Decoding of responses: a page of raw rows with their keys, and single rows without loss of digits."""

from __future__ import annotations

import json
import math
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Context, InvalidOperation, Overflow, Rounded, Subnormal
from json.decoder import WHITESPACE, scanstring  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from airflow_provider_alvys.api.errors import AlvysResponseError
from airflow_provider_alvys.api.scrubbing import scrub

if TYPE_CHECKING:
    from airflow_provider_alvys.api.catalogue.stream_spec import Stream

Key = tuple[Any, ...]
Row = bytes | msgspec.Raw


class _Envelope(msgspec.Struct, rename="pascal"):
    total: int
    items: list[msgspec.Raw]
    page: int | None = None
    page_size: int | None = None


class Page(msgspec.Struct):
    """
    One page of a set.

    :param total: rows in the set, by this response.
    :param number: of the page; None where the response does not say.
    :param size: the page size that the server applied; None where the response does not say.
    :param rows: each row's JSON text, without line breaks.
    :param keys: the rows' keys, in the same order.
    """

    total: int = 0
    number: int | None = None
    size: int | None = None
    rows: list[Row] = msgspec.field(default_factory=list)
    keys: list[Key] = msgspec.field(default_factory=list)

    def find_problem(self, number: int, size: int) -> str | None:
        """Return what is impossible in this response to a request for a page number and size, or None."""
        if self.total < 0:
            return f"a total of {self.total}"
        if self.size is not None and not 0 < self.size <= size:
            return f"a page size of {self.size}, not the {size} requested"
        if len(self.rows) > (self.size or size):
            return f"{len(self.rows)} rows on a page of {self.size or size}"
        if self.number is not None and self.number != number:
            return f"page {self.number}, not the page {number} requested"
        if len(self.rows) > self.total:
            return f"{len(self.rows)} rows and a total of {self.total}"
        if number == 0 and self.total and not self.rows:
            return f"no rows and a total of {self.total}"
        return None


class PageDecoder:
    """
    Decode responses into pages.

    :param key: the fields that identify a row; empty where only all fields together do.
    :param answer: the response's shape: a ``page`` of several, a bare ``list``, or one ``object``, which is
        the row.
    """

    def __init__(self, key: Sequence[str], answer: Literal["page", "list", "object"] = "page") -> None:
        self._key = tuple(key)
        self._answer = answer
        self._envelope = msgspec.json.Decoder(_Envelope)
        fields = [
            (f"f{i}", str | int | None, msgspec.field(default=None, name=name)) for i, name in enumerate(key)
        ]
        self._key_type = msgspec.defstruct("Key", fields)
        self._key_decoder = msgspec.json.Decoder(self._key_type)

    def decode(self, body: bytes) -> Page:
        """
        Return the page in a response body. A list or an object is a single page.

        :raises AlvysResponseError: the body is not JSON in UTF-8, is cut off, has a row without its key, or
            is one page of a list that should be complete.
        """
        body = body.removeprefix(BOM_UTF8)
        if self._answer == "page":
            return self._decode_envelope(body)
        # A list of an undocumented shape may come in an envelope.
        is_page = self._answer == "list" and body.lstrip()[:1] == b"{"
        items = body if self._answer == "list" else b"[%b]" % body
        page = self._decode_envelope(body if is_page else b'{"Total":0,"Items":%b}' % items)
        if is_page and page.total > len(page.rows):
            raise AlvysResponseError(
                f"The response is a page of {len(page.rows)} of {page.total} rows, not the complete list"
            )
        return page if is_page else Page(len(page.rows), None, None, page.rows, page.keys)

    def decode_key(self, row: Row) -> Key:
        """
        Return the key of a row.

        :raises AlvysResponseError: the row has none of the key's fields.
        """
        if not self._key:
            return (bytes(row),)
        try:
            key = msgspec.structs.astuple(self._key_decoder.decode(row))
        except msgspec.DecodeError:
            # Half a surrogate pair: see _decode_envelope.
            key = msgspec.structs.astuple(msgspec.convert(json.loads(bytes(row)), self._key_type))
        if key.count(None) == len(key):
            raise AlvysResponseError(f"The response has a row without its key: {', '.join(self._key)}")
        return key

    def _decode_envelope(self, body: bytes) -> Page:
        if not body.isascii():
            try:
                body.decode()
            except UnicodeDecodeError as error:
                raise AlvysResponseError(
                    f"The response is not UTF-8: {error.reason} at byte {error.start}"
                ) from None
        try:
            envelope = self._envelope.decode(body)
            rows: list[Row] = list(envelope.items)
            keys = [self.decode_key(row) for row in rows]
        except (msgspec.DecodeError, RecursionError) as error:
            # A text cut off inside a surrogate pair ("\\ud83d") is valid JSON. The standard library takes it,
            # msgspec does not.
            envelope, rows, keys = self._decode_leniently(body, error)
        if b"\n" in body or b"\r" in body:
            rows = [compact(row) for row in rows]
        return Page(envelope.total, envelope.page, envelope.page_size, rows, keys)

    def _decode_leniently(self, body: bytes, cause: Exception) -> tuple[_Envelope, list[Row], list[Key]]:
        try:
            fields, items = _split_items(body.decode())
            rows: list[Row] = [item.encode() for item in items]
            keys = [self.decode_key(row) for row in rows]
            return msgspec.convert(fields, _Envelope), rows, keys
        except (ValueError, IndexError, RecursionError):
            raise AlvysResponseError(f"The response cannot be read: {cause}") from None


def _split_items(text: str) -> tuple[dict[str, Any], list[str]]:
    """Return an envelope's fields with no items, and the text of each item."""
    scan = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
    envelope: dict[str, Any] = {}
    items: list[str] = []
    at = _expect(text, 0, "{")
    while True:
        name, at = scanstring(text, _expect(text, at, '"'), True)
        at = _skip_space(text, _expect(text, at, ":"))
        if name == "Items":
            at = _expect(text, at, "[")
            while text[_skip_space(text, at)] != "]":
                start = _skip_space(text, at)
                _, end = scan(text, start)
                items.append(text[start:end])
                at = _skip_space(text, end)
                if text[at] != "]":
                    at = _expect(text, at, ",")
            at = _expect(text, at, "]")
            envelope["Items"] = []
        else:
            envelope[name], at = scan(text, at)
        at = _skip_space(text, at)
        if text[at] == "}":
            if _skip_space(text, at + 1) != len(text):
                raise ValueError("text after the end")
            return envelope, items
        at = _skip_space(text, _expect(text, at, ","))


def _skip_space(text: str, at: int) -> int:
    at = WHITESPACE.match(text, at).end()
    return int(at)


def _expect(text: str, at: int, character: str) -> int:
    at = _skip_space(text, at)
    if text[at : at + 1] != character:
        raise ValueError(f"expected {character!r} at {at}")
    return at + 1


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


_SPACE = b" \t\r\n"


def compact(row: Row) -> Row:
    """Return a row on one line: one with line breaks loses the white space between its tokens only."""
    text = bytes(row)
    if b"\n" not in text and b"\r" not in text:
        return row
    view, line, at = memoryview(text), bytearray(), 0
    while (start := text.find(b'"', at)) >= 0:
        line += text[at:start].translate(None, _SPACE)
        at = _end_of_string(text, start)
        line += view[start:at]
    return bytes(line + text[at:].translate(None, _SPACE))


def _end_of_string(text: bytes, start: int) -> int:
    end = start
    while True:
        end = first = text.index(b'"', end + 1)
        while text[first - 1] == ord("\\"):
            first -= 1
        if (end - first) % 2 == 0:
            return end + 1


# No row of Alvys has a longer number. Python refuses an int of 4,300 digits as text, such as in an XCom; one
# of many more would occupy all memory.
_MAX_DIGITS = 4000
_NUMBERS = Context(
    prec=_MAX_DIGITS,
    Emax=_MAX_DIGITS,
    Emin=-_MAX_DIGITS,
    traps=[InvalidOperation, Overflow, Subnormal, Rounded],
)
_exact = msgspec.json.Decoder(float_hook=_NUMBERS.create_decimal)


def decode_row(row: Row) -> Any:
    """
    Return a row's value: whole numbers as int, numbers with a fraction or an exponent as Decimal.

    :raises ValueError: the row is not JSON, is nested too deeply, or has a number of too many digits.
    """
    try:
        try:
            return _exact.decode(row)
        except msgspec.DecodeError:
            return json.loads(
                bytes(row), parse_float=_NUMBERS.create_decimal, parse_constant=_refuse_constant
            )
    except (ArithmeticError, RecursionError) as error:
        problem = "it is nested too deeply" if isinstance(error, RecursionError) else "a number is too long"
        raise ValueError(problem) from error


def decode_record(row: Row, stream: Stream, *, decode: Callable[[Row], Any] = decode_row) -> Any:
    """
    Return the value of a stream's row, as ``decode`` does.

    :raises AlvysResponseError: the row cannot be decoded; the error names it by its key.
    """
    try:
        return decode(row)
    except (ValueError, RecursionError) as error:
        name = "A row"
        with suppress(ValueError, RecursionError, AlvysResponseError):
            key = PageDecoder(stream.key).decode_key(row) if stream.key else ()
            name = f"The row {scrub('/'.join(map(str, key)))}" if key else name
        raise AlvysResponseError(f"{name} of {stream.name} cannot be read: {error}") from error


def decode_plain(row: Row) -> Any:
    """
    Return a row as plain JSON values, with numbers as int or float.

    :raises ValueError: the row is not JSON, or has a number that is not in the range of a float.
    """
    return json.loads(bytes(row), parse_float=_finite, parse_constant=_refuse_constant)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number
