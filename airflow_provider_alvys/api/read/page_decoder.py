"""Rows as Alvys sent them: an answer cut into raw rows, their keys, and rows decoded without loss."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from json.decoder import WHITESPACE, scanstring  # type: ignore[attr-defined]
from typing import Any, Literal

import msgspec

from airflow_provider_alvys.api.errors import AlvysResponseError

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

    :param total: rows in the whole set, by this answer.
    :param size: the page size that the server kept to, or None where it did not say.
    :param rows: each row's JSON text, without line breaks.
    :param keys: the rows' keys, in the same order.
    """

    total: int
    number: int | None
    size: int | None
    rows: list[Row]
    keys: list[Key]

    def problem(self, number: int, size: int) -> str | None:
        """Return what cannot be true of this answer to a request for page ``number`` of ``size`` rows, or None."""
        if self.total < 0:
            return f"a total of {self.total}"
        if self.size is not None and not 0 < self.size <= size:
            return f"a page size of {self.size} where {size} was asked for"
        if len(self.rows) > (self.size or size):
            return f"{len(self.rows)} rows on a page of {self.size or size}"
        if self.number is not None and self.number != number:
            return f"page {self.number} where page {number} was asked for"
        if len(self.rows) > self.total:
            return f"{len(self.rows)} rows and a total of {self.total}"
        if number == 0 and self.total and not self.rows:
            return f"no rows and a total of {self.total}"
        return None


class PageDecoder:
    """
    Read answers of rows that are identified by the given fields; by all that they hold where there are none.

    :param answer: the shape: a ``page`` of several, a bare ``list``, or one ``object``, which is the row.
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

    def read(self, body: bytes) -> Page:
        """
        Return the page in an answer's body. A list and an object are one page, which is all there is.

        :raises AlvysResponseError: it is no page of rows: not JSON, cut off, not UTF-8, or a row without its key; or a list that
            is not whole.
        """
        if self._answer == "page":
            return self._read_page(body)
        # A list whose answer nothing documents may come in an envelope.
        is_page = self._answer == "list" and body.lstrip()[:1] == b"{"
        items = body if self._answer == "list" else b"[%b]" % body
        page = self._read_page(body if is_page else b'{"Total":0,"Items":%b}' % items)
        if is_page and page.total > len(page.rows):
            raise AlvysResponseError(
                f"The answer has {len(page.rows)} rows of {page.total}: it is a page, where a list of all was expected"
            )
        return page if is_page else Page(len(page.rows), None, None, page.rows, page.keys)

    def _read_page(self, body: bytes) -> Page:
        if not body.isascii():
            try:
                body.decode()
            except UnicodeDecodeError as error:
                raise AlvysResponseError(
                    f"The answer is not UTF-8: {error.reason} at byte {error.start}"
                ) from None
        try:
            envelope = self._envelope.decode(body)
            rows: list[Row] = list(envelope.items)
            keys = [self.decode_key(row) for row in rows]
        except (msgspec.DecodeError, RecursionError) as refusal:
            # Half an emoji, cut off in a note, is JSON all the same. msgspec refuses it, the standard library does not.
            envelope, rows, keys = self._decode_leniently(body, refusal)
        if b"\n" in body or b"\r" in body:
            rows = [compact(row) for row in rows]
        return Page(envelope.total, envelope.page, envelope.page_size, rows, keys)

    def decode_key(self, row: Row) -> Key:
        """
        Return what identifies a row.

        :raises AlvysResponseError: it lacks all of that.
        """
        if not self._key:
            return (bytes(row),)
        try:
            return self._checked(self._key_decoder.decode(row))
        except msgspec.DecodeError:
            # Half an emoji: see read.
            return self._checked(msgspec.convert(json.loads(bytes(row)), self._key_type))

    def _checked(self, decoded: msgspec.Struct) -> Key:
        key = msgspec.structs.astuple(decoded)
        if key.count(None) == len(key):
            raise AlvysResponseError(
                f"The answer has a row without {', '.join(self._key)}, which identifies it"
            )
        return key

    def _decode_leniently(self, body: bytes, refusal: Exception) -> tuple[_Envelope, list[Row], list[Key]]:
        unreadable = AlvysResponseError(f"The answer cannot be read: {refusal}")
        try:
            envelope, texts = _cut_items(body.decode())
            keys = [self.decode_key(text.encode()) for text in texts]
            return msgspec.convert(envelope, _Envelope), [text.encode() for text in texts], keys
        except (ValueError, IndexError, RecursionError):
            raise unreadable from None


def _cut_items(text: str) -> tuple[dict[str, Any], list[str]]:
    """Return an envelope's fields with no items, and the text of each item."""
    scan = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
    envelope: dict[str, Any] = {}
    items: list[str] = []
    at = _expect(text, 0, "{")
    while True:
        name, at = scanstring(text, _expect(text, at, '"'), True)
        at = _skip(text, _expect(text, at, ":"))
        if name == "Items":
            at = _expect(text, at, "[")
            while text[_skip(text, at)] != "]":
                start = _skip(text, at)
                _, end = scan(text, start)
                items.append(text[start:end])
                at = _skip(text, end)
                if text[at] != "]":
                    at = _expect(text, at, ",")
            at = _expect(text, at, "]")
            envelope["Items"] = []
        else:
            envelope[name], at = scan(text, at)
        at = _skip(text, at)
        if text[at] == "}":
            if _skip(text, at + 1) != len(text):
                raise ValueError("text after the end")
            return envelope, items
        at = _skip(text, _expect(text, at, ","))


def _skip(text: str, at: int) -> int:
    at = WHITESPACE.match(text, at).end()
    return int(at)


def _expect(text: str, at: int, character: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != character:
        raise ValueError(f"expected {character!r} at {at}")
    return at + 1


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


# A string, or the white space between two tokens. A line break inside a string is always escaped.
_STRING_OR_SPACE = re.compile(rb'"(?:[^"\\]|\\.)*"|[ \t\r\n]+')


def compact(row: Row) -> Row:
    """Return a row in one line: where it has line breaks, the white space between its tokens goes, and nothing else."""
    text = bytes(row)
    if b"\n" not in text and b"\r" not in text:
        return row
    return _STRING_OR_SPACE.sub(lambda match: match[0] if match[0].startswith(b'"') else b"", text)


_exact = msgspec.json.Decoder(float_hook=Decimal)


def decode_row(row: Row) -> Any:
    """Return a row as a dict (or whatever it is): whole numbers as int, numbers with a fraction or an exponent as Decimal."""
    try:
        return _exact.decode(row)
    except msgspec.DecodeError:
        return json.loads(bytes(row), parse_float=Decimal)
