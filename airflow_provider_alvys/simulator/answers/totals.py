"""The sums of all columns of money."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.schema.fields import Array, FieldType, Record
from airflow_provider_alvys.simulator.answers.records import RowsOf, currency_code

_MONEY = frozenset(("Amount", "Currency"))
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def money_totals(rows_of: RowsOf) -> list[dict[str, str]]:
    """Return the sum of each field of money by stream and currency, over all records, deleted ones too."""
    totals: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for stream in STREAMS.values():
        paths = list(_money_paths(stream.fields))
        rows = rows_of(stream.name)
        if not paths or stream.is_child or rows.spec.name != stream.name:
            continue
        for number in rows.numbers():
            record = _decoder.decode(rows.record_json(number, with_tombstone=False))
            for path in paths:
                for value in _values(record, path):
                    key = (stream.name, ".".join(path), currency_code(value.get("Currency")))
                    totals[key] += Decimal(value["Amount"])
    return [
        {"stream": stream, "field": field, "currency": currency, "total": f"{total:.2f}"}
        for (stream, field, currency), total in sorted(totals.items())
    ]


def _money_paths(kind: FieldType) -> Iterator[tuple[str, ...]]:
    if isinstance(kind, Array):
        yield from _money_paths(kind.of)
    elif isinstance(kind, Record):
        if kind.fields.keys() == _MONEY:
            yield ()
            return
        for name, inner in kind.fields.items():
            for below in _money_paths(inner):
                yield (name, *below)


def _values(value: Any, path: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the amounts at a path, through lists."""
    if isinstance(value, list):
        for item in value:
            yield from _values(item, path)
    elif isinstance(value, dict):
        if path:
            yield from _values(value.get(path[0]), path[1:])
        elif value.get("Amount") is not None:
            yield value
