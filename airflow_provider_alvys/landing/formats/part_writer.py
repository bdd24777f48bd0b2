"""Write rows into numbered part files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.errors import AlvysStorageError
from airflow_provider_alvys.api.read.page_decoder import Row, decode_row
from airflow_provider_alvys.api.schema.fields import without_fields
from airflow_provider_alvys.api.schema.values import dump_json
from airflow_provider_alvys.landing.dataset.manifest import Part
from airflow_provider_alvys.landing.formats.registry import Encoder, make_encoder, suffix_of


class PartWriter:
    """
    The part files of a run.

    :param put: writes a file into the run's folder.
    :param parts: parts that exist already.
    :param resume_count: of the run, part of the file names.
    :param part_rows: rows from which a part is complete.
    """

    def __init__(
        self,
        put: Callable[[str, bytes], None],
        parts: Iterable[Part] = (),
        *,
        stream: Stream,
        resume_count: int = 0,
        file_format: str,
        compression: str | None,
        part_rows: int,
    ) -> None:
        self.parts = list(parts)
        self._put = put
        self._format = (stream, file_format, compression)
        self._secrets = stream.secret_fields
        own = f"-{resume_count}" if resume_count else ""
        self._suffix = f"{own}.{suffix_of(file_format, compression)}"
        self._part_rows = part_rows
        self._encoder: Encoder | None = None
        self._rows = 0

    def reopen(self, part: Part, content: bytes) -> None:
        """Start the next part with the rows of a part that was ended early."""
        self._open().reopen(content)
        self._rows += part.rows

    def add(self, rows: list[Row]) -> bool:
        """Add the rows of a page without their secrets, and return whether that completed a part."""
        if not rows:
            return False
        self._open().add([self._without_secrets(row) for row in rows] if self._secrets else rows)
        self._rows += len(rows)
        return self._rows >= self._part_rows and self.finish()

    def finish(self) -> bool:
        """Write the remaining rows, and return whether there were any."""
        if self._encoder is None:
            return False
        content = self._encoder.finish()
        name = f"part-{len(self.parts):05d}{self._suffix}"
        self._put(name, content)
        self.parts.append(
            Part(name=name, rows=self._rows, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        )
        self._encoder, self._rows = None, 0
        return True

    def _without_secrets(self, row: Row) -> Row:
        try:
            # Encode it even if nothing was removed: the decoder drops all but the last of two equal names.
            return dump_json(without_fields(decode_row(row), self._secrets)).encode()
        except (ValueError, RecursionError) as error:
            raise AlvysStorageError(
                f"A row of {self._format[0].name} cannot be read, so that its secrets cannot be removed: "
                f"{type(error).__name__}"
            ) from None

    def _open(self) -> Encoder:
        if self._encoder is None:
            self._encoder = make_encoder(*self._format)
        return self._encoder
