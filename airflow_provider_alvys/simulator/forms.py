"""The parts of a multipart form."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from airflow_provider_alvys.simulator.http import Refusal, Request


@dataclass
class Part:
    """
    A part of a form.

    :param file_name: of a file, or None for a field.
    """

    name: str = ""
    file_name: str | None = None
    media_type: str = ""
    content: bytearray = field(default_factory=bytearray)


class _Reader:
    """Take what the parser finds."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._name = b""
        self._value = b""

    def on_part_begin(self) -> None:
        self.parts.append(Part())

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        part, name = self.parts[-1], self._name.lower()
        if name == b"content-disposition":
            options = parse_options_header(self._value)[1]
            part.name = options.get(b"name", b"").decode()
            part.file_name = options[b"filename"].decode() if b"filename" in options else None
        elif name == b"content-type":
            part.media_type = self._value.decode()
        self._name = self._value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].content += data[start:end]


def read_form(request: Request) -> list[Part]:
    """
    Return the parts of a request's form.

    :raises Refusal: it holds none that can be read.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise Refusal(415, "Send multipart/form-data.")
    reader = _Reader()
    try:
        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": reader.on_part_begin,
                "on_header_field": reader.on_header_field,
                "on_header_value": reader.on_header_value,
                "on_header_end": reader.on_header_end,
                "on_part_data": reader.on_part_data,
            },
        )
        parser.write(request.body)
        parser.finalize()
    except (FormParserError, UnicodeDecodeError):
        raise Refusal(400, "The form cannot be read.") from None
    return reader.parts
