"""The state of one simulated company: rows, clock, counters, faults and mutations."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec

from airflow_provider_alvys.api.catalogue.streams import Stream, get_stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.simulator.change_log import ChangeLog
from airflow_provider_alvys.simulator.company.company import Company
from airflow_provider_alvys.simulator.company.rows import FACTS, CompanyRows, company_rows
from airflow_provider_alvys.simulator.controls.faults import FaultQueue, Mutation
from airflow_provider_alvys.simulator.controls.limits import RateLimiter
from airflow_provider_alvys.simulator.controls.tokens import TokenIssuer
from airflow_provider_alvys.simulator.data.embedded_children import child_set_class
from airflow_provider_alvys.simulator.data.row_set import RowSet
from airflow_provider_alvys.simulator.data.row_set_spec import TOMBSTONE, column_of, spec_of
from airflow_provider_alvys.simulator.data.search_request import SearchRequest
from airflow_provider_alvys.simulator.data.times import DAY, SECOND, parse_micros
from airflow_provider_alvys.simulator.options import Options, check_names
from airflow_provider_alvys.simulator.storage import Storage
from airflow_provider_alvys.simulator.unchanged import Unchanged
from airflow_provider_alvys.simulator.webhooks.deliveries import WebhookSender


class AppliedWrite(msgspec.Struct, kw_only=True):
    """A write that changed something: its operation, path, body and time."""

    operation: str
    path: str
    body: dict[str, Any]
    at: float


class Tenant:
    """
    The state of a simulator between two resets.

    :param unchanged: equal rows that are already generated; None generates all.
    """

    def __init__(self, options: Options, unchanged: Unchanged | None = None) -> None:
        self.options = options
        self.clock_offset = options.clock_offset
        # None while the clock runs.
        self._stopped_at: float | None = None
        self.tokens = TokenIssuer(options)
        self.limiter = RateLimiter(options.minute)
        self.faults = FaultQueue()
        self.mutations: list[Mutation] = []
        self.mutation_counts: Counter[str] = Counter()
        self.page_size_cap = options.page_size_cap
        self.request_counts: Counter[str] = Counter()
        self.status_counts: Counter[str] = Counter()
        self.applied_writes: list[AppliedWrite] = []
        # By operation and paid record.
        self.payments: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        # Changes that await approval, by row of the tender.
        self.queued_tender_changes: dict[int, dict[str, Any]] = {}
        self.storage = Storage(options, self.rows, self.now)
        self.webhook_sender = WebhookSender(options, self.rows, self.now, self.storage.with_download_url)
        self.change_log = ChangeLog(self.now_micros)
        self._data_end = int((options.now or self.now()) * 1_000_000)
        self._row_sets: dict[str, RowSet] = {}
        self._unchanged = unchanged or Unchanged()
        loads = options.rows.get("loads", options.loads)
        self.company = Company(options, self.rows, loads, self._data_end)
        check_names(options)

    def now(self) -> float:
        """Return this tenant's time in seconds since 1970."""
        return time.time() + self.clock_offset if self._stopped_at is None else self._stopped_at

    def now_micros(self) -> int:
        """Return this tenant's time in microseconds since 1970."""
        return int(self.now() * 1_000_000)

    def set_clock(self, now: float, *, is_stopped: bool = False) -> None:
        """Set the clock, in seconds since 1970, and let it run or stop there."""
        self.clock_offset = now - time.time()
        self._stopped_at = now if is_stopped else None

    def advance(self, micros: int) -> None:
        """
        Live the company's life for a while, and move the clock.

        :param micros: how long, in microseconds.
        """
        self._unchanged.end()
        begun = self.now_micros()
        end = begun + micros
        row_sets = [rows for rows in map(self.rows, FACTS) if isinstance(rows, CompanyRows)]
        until = row_sets[0].company.now
        while until < end:
            until = min(end, max(begun, until) + DAY)
            self.set_clock(until / SECOND, is_stopped=self._stopped_at is not None)
            changes = [rows.changes_until(until) for rows in row_sets]
            for company in {rows.company for rows in row_sets}:
                company.advance(until)
            for rows, change in zip(row_sets, changes, strict=True):
                rows.advance(change, begun)

    def stats(self) -> dict[str, Any]:
        """Return the counts since the last reset."""
        return {
            "requests": dict(self.request_counts),
            "tokens": len(self.tokens.issued),
            "answers": dict(self.status_counts),
            "rate_limited": self.status_counts["429"],
            "faults": dict(self.faults.applied_counts),
            "mutations": dict(self.mutation_counts),
            "bearer_at_storage": self.storage.bearer_count,
        }

    def rows(self, stream: str) -> RowSet:
        """Return a stream's row set, created on first use. Streams of the same records share one."""
        if stream not in self._row_sets:
            spec = spec_of(get_stream(stream))
            parent = spec.stream.parent if spec.stream.is_child else None
            if parent:
                kind = child_set_class(spec, self.rows(parent.stream).spec)
                rows: RowSet = kind(spec, self.rows, self.options, self._data_end)
            else:
                rows = company_rows(spec, self.rows, self.options, self._data_end, self.company)
            rows.listeners = (self.webhook_sender, self.change_log)
            rows.unchanged = self._unchanged
            self._row_sets |= {member.name: rows for member in spec.streams}
        return self._row_sets[stream]

    def apply_mutations(self, stream: Stream, request: SearchRequest) -> None:
        """Change the data after a page of a search, as the mutations say."""
        for mutation in self.mutations:
            if mutation.stream not in (None, stream.name):
                continue
            if mutation.skip > 0:
                mutation.skip -= 1
                continue
            if mutation.times is not None:
                if mutation.times <= 0:
                    continue
                mutation.times -= 1
            rows = self.rows(stream.name)
            self.mutation_counts[f"{stream.name}:{mutation.label or mutation.kind}"] += 1
            if mutation.kind == "join":
                for _ in range(mutation.rows):
                    self._add_matching_row(rows, stream, request)
                continue
            leaving = rows.sample(rows.find(stream, request), mutation.rows)
            if rows.spec.updated_column:
                rows.update(leaving, self.now_micros(), {})
            else:
                rows.remove(leaving, self.now_micros())

    def _add_matching_row(self, rows: RowSet, stream: Stream, request: SearchRequest) -> None:
        """Add a row that matches a search: within its periods, and with one of its filter values."""
        now = self.now_micros()
        columns: dict[str, Any] = {}
        for filter in stream.filters:
            path = column_of(stream, filter)
            wanted = request.filters.get(filter.name)
            if filter.unhides:
                columns[filter.unhides] = False
            elif path and wanted is not None and rows.spec.array_of(path) is None:
                columns[path] = rows.random_choice(wanted) if isinstance(wanted, list) else wanted
        if rows.spec.updated_column:
            columns[rows.spec.updated_column] = now
        for window in stream.windows:
            if window.name in request.periods:
                start, end = request.periods[window.name]
                columns[window.column] = rows.random_time(max(0, start), min(end - 1, max(now, start)))
        latest = columns.get(rows.spec.updated_column or "", now)
        rows.add(
            rows.random_time(latest - int(self.options.days * DAY), latest),
            columns,
            rows.random_choice(request.parents) if request.parents else None,
        )

    def change(
        self,
        stream: str,
        *,
        rows: int | None,
        keys: list[str] | None,
        where: dict[str, Any] | None,
        at: str | None,
        columns: dict[str, Any],
    ) -> list[str]:
        """
        Update rows now, and return their keys.

        :param rows: this many random rows that are not deleted.
        :param keys: or the rows with these keys, or other lookup values such as load numbers.
        :param where: or the rows with these field values; with ``rows``, only this many of them.
        :param at: time of the change; None means now.
        :param columns: new values, such as ``{"Status": "Delivered"}``; None removes a field.
        """
        row_set = self.rows(stream)
        chosen = self._select(row_set, rows=rows, keys=keys, where=where)
        row_set.update(chosen, parse_micros(at) if at else self.now_micros(), columns)
        return [row_set.key(number) for number in chosen]

    def add(self, stream: str, *, rows: int, columns: dict[str, Any], parent: str | None) -> list[str]:
        """
        Add rows now, and return their keys.

        :param columns: values of each row, such as ``{"CreatedAt": "2026-05-01T00:00:00Z"}``.
        :param parent: their parent, named as in the stream's path; None means the latest parent.
        """
        row_set = self.rows(stream)
        columns = {TOMBSTONE: False, **columns} if row_set.spec.type_of(TOMBSTONE) else columns
        now = self.now_micros()
        if row_set.spec.updated_column:
            columns = {row_set.spec.updated_column: now, **columns}
        try:
            numbers = [row_set.add(now, columns, parent) for _ in range(rows)]
        except LookupError as error:
            raise AlvysValueError(str(error)) from None
        return [row_set.key(number) for number in numbers]

    def remove(
        self, stream: str, *, rows: int | None, keys: list[str] | None, where: dict[str, Any] | None
    ) -> list[str]:
        """Remove rows without a trace, selected as in :meth:`change`, and return their keys."""
        row_set = self.rows(stream)
        chosen = self._select(row_set, rows=rows, keys=keys, where=where)
        removed = [row_set.key(number) for number in chosen]
        row_set.remove(chosen, self.now_micros())
        return removed

    def _select(
        self, rows_of: RowSet, *, rows: int | None, keys: list[str] | None, where: Mapping[str, Any] | None
    ) -> list[int]:
        if keys is not None:
            return rows_of.with_keys(keys)
        if where is not None:
            found = rows_of.matching(where)
            return found if rows is None else rows_of.sample(found, rows)
        numbers = list(rows_of.numbers())
        if rows_of.spec.type_of(TOMBSTONE):
            is_deleted = rows_of.column(TOMBSTONE)
            numbers = [number for number in numbers if not is_deleted[number]]
        return rows_of.sample(numbers, rows or 0)
