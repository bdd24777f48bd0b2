"""Content: rows chosen at random, read again and compared value by value."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.read.windows import Window
from airflow_provider_alvys.api.schema.values import EXTRA
from airflow_provider_alvys.checks.alvys_side import FlatRow
from airflow_provider_alvys.checks.comparison import MAX_ROWS, Comparison
from airflow_provider_alvys.checks.file_side import as_stored
from airflow_provider_alvys.checks.repairs import RowName, short_window
from airflow_provider_alvys.checks.results import Check, Verdict, make_check
from airflow_provider_alvys.checks.stored_side import StoredRow, time_text
from airflow_provider_alvys.landing.jobs.spec import OVERLAP
from airflow_provider_alvys.tables.schema import StreamSchema, fields_of

CONTENT = "content"
# Rows that are compared at once: as many as a request finds by number.
_BATCH = 50
_GONE = "not in Alvys"
# Days around a row that is gone: of fewer rows, too large a share would be missing for a sweep to mark it.
_SWEPT = 15


class ContentCheck:
    """
    Compares a sample of rows.

    :param window: which rows; None for all.
    :param sample: number of rows; fewer if there are not so many.
    :param seed: the same seed chooses the same rows.
    """

    def __init__(
        self,
        comparison: Comparison,
        *,
        window: Window | None,
        sample: int,
        seed: str,
    ) -> None:
        self._alvys = comparison.alvys
        self._stored = comparison.stored
        self._schema = comparison.schema
        self._repairs = comparison.repairs
        self._window = window
        self._sample = sample
        self._seed = seed
        self._volatile = _volatile_fields(self._schema.stream)

    def run(self) -> Iterator[Check]:
        """Yield a check of the sample, and one for each row that differs."""
        if not self._alvys.can_name_rows and self._alvys.total(None) > MAX_ROWS:
            yield make_check(CONTENT, "Alvys finds no row by its key", None, None, "unknown")
            return
        numbers = self._stored.keys(self._window)
        # After a deferral the same rows are compared, also if others have been loaded.
        keys = self._alvys.once("sample", lambda: self._choose(sorted(numbers)))
        results: list[tuple[RowName, list[Any]]] = []
        for start in range(0, len(keys), _BATCH):
            names = [RowName(key, numbers.get(key)) for key in keys[start : start + _BATCH]]
            found = self._alvys.once(f"content {start}", lambda names=names: self._compare(names))  # type: ignore[misc]
            results += zip(names, found, strict=True)
        same = sum(verdict == "same" for _, (verdict, *_) in results)
        moving = sum(verdict == "moving" for _, (verdict, *_) in results)
        summary: Verdict = "same" if same == len(results) else "moving"
        if same + moving < len(results):
            summary = "differs" if any(verdict == "differs" for _, (verdict, *_) in results) else "unknown"
        yield make_check(CONTENT, f"{len(results)} rows", len(results), same + moving, summary)
        for name, (verdict, what, *amounts, time) in results:
            if verdict in ("differs", "unknown"):
                expected, actual = (None if one is None else Decimal(one) for one in amounts)
                yield make_check(CONTENT, f"{name}, {what}", expected, actual, verdict)
                self._repair(name, what, time)

    def _repair(self, name: RowName, what: str, time: str | None) -> None:
        if what == _GONE:
            window = short_window(time, margin=_SWEPT)
            self._repairs.add_sweep(window)
        else:
            self._repairs.add_rows([RowName(name.key, name.number, short_window(time))])

    def _choose(self, keys: Sequence[str]) -> list[str]:
        return random.Random(self._seed).sample(keys, min(self._sample, len(keys)))

    def _compare(self, names: Sequence[RowName]) -> list[list[Any]]:
        """Return for each row the verdict, what differs, both amounts, and the row's time."""
        stored = self._stored.read([name.key for name in names])
        places = self._stored.find([name.key for name in names])
        if self._alvys.can_name_rows:
            current = dict(self._alvys.rows_by_name(names))
        else:
            current = {name: self._all_rows.get(name.key) for name in names}
        results = []
        for name in names:
            if name.key not in stored:
                # Loaded or removed since the sample was chosen.
                results.append(["moving", "", None, None, None])
                continue
            result = self._compare_row(current[name], stored[name.key])
            results.append([*result, places[name.key].time if name.key in places else None])
        return results

    @cached_property
    def _all_rows(self) -> dict[str, FlatRow]:
        """The rows in Alvys, of a stream of few rows, by key."""
        rows = self._alvys.rows(None, at_most=2 * MAX_ROWS) or []
        return {self._alvys.name_of(row).key: row for row in rows}

    def _compare_row(self, current: FlatRow | None, stored: StoredRow) -> list[Any]:
        if current is None:
            return ["differs", _GONE, None, None]
        found = first_difference(as_stored(current, self._schema), stored, self._schema, self._volatile)
        if found is None:
            return ["same", "", None, None]
        what, expected, actual = found
        return [self._verdict(current), what, expected, actual]

    def _verdict(self, current: FlatRow) -> Verdict:
        """Return the verdict on another content: a row that has changed since the last sync is moving."""
        at, as_of = self._alvys.columns.version, self._stored.as_of
        if at is None:
            return "unknown"
        version = current[0][0][at]
        is_new = version is not None and as_of is not None and version >= time_text(as_of - OVERLAP)
        return "moving" if is_new else "differs"


def first_difference(
    current: StoredRow, stored: StoredRow, schema: StreamSchema, volatile: frozenset[str]
) -> tuple[str, str | None, str | None] | None:
    """
    Return the column of the first difference, an amount if one differs, and both amounts; None for none.

    Other values than amounts may be personal data, and are not returned.
    """
    first: tuple[str, str | None, str | None] | None = None
    for table in schema.tables:
        if table.name not in stored:
            continue
        expected, actual = current[table.name], stored[table.name]
        if len(expected) != len(actual):
            return f"rows of {table.name}", str(len(expected)), str(len(actual))
        for wanted, found in zip(expected, actual, strict=True):
            is_complete = all(column.name in found or column.name not in wanted for column in table.columns)
            for column in table.columns:
                name = column.name
                is_compared = name in found and name in wanted and column.field not in volatile
                if not is_compared or (name == EXTRA and not is_complete) or wanted[name] == found[name]:
                    continue
                where = f"{table.name}.{name}"
                if column.kind == "decimal":
                    return where, _text(wanted[name]), _text(found[name])
                first = first or (where, None, None)
    return first


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _volatile_fields(stream: Stream) -> frozenset[str]:
    """Return the fields that differ with each read, and those inside them."""
    fields = list(fields_of(stream.fields))
    volatile = [path for path, _, flags in fields if "volatile" in flags]
    inside = [path for path, *_ in fields if any(path.startswith(f"{outer}.") for outer in volatile)]
    return frozenset((*volatile, *inside))
