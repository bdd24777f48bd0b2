"""One simulated company: its rows, its clock, its counters, and what has been ordered to go wrong."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.streams import STREAMS, Stream
from airflow_provider_alvys.simulator.faults import FaultQueue, Mutation
from airflow_provider_alvys.simulator.limits import Limiter
from airflow_provider_alvys.simulator.loads import make_load, make_loads
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.rows import Row, RowSet, parse_micros
from airflow_provider_alvys.simulator.tokens import TokenDesk


class Tenant:
    """The state of a simulator between two resets."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.tokens = TokenDesk(options)
        self.limiter = Limiter(options.minute)
        self.faults = FaultQueue()
        self.mutations: list[Mutation] = []
        self.page_size_cap = options.page_size_cap
        self.requests: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        now = int((options.now or self.now()) * 1_000_000)
        loads = make_loads(options.loads, seed=options.seed, days=options.days, now=now, cut_notes=options.cut_notes)
        self.sets = {"loads": RowSet(STREAMS["loads"], loads, order=options.order, seed=options.seed)}
        for rows in self.sets.values():
            rows.sort()

    def now(self) -> float:
        """Return this tenant's time in seconds since 1970."""
        return time.time() + self.options.clock_offset

    def micros(self) -> int:
        """Return this tenant's time in microseconds since 1970."""
        return int(self.now() * 1_000_000)

    def stats(self) -> dict[str, Any]:
        """Return what has been counted since the last reset."""
        return {
            "requests": dict(self.requests),
            "tokens": len(self.tokens.given),
            "answers": dict(self.answers),
            "rate_limited": self.answers["429"],
        }

    def mutate(self, rows: RowSet, body: Mapping[str, Any]) -> None:
        """Change the data as ordered, after a search with ``body`` has been answered."""
        for mutation in self.mutations:
            if mutation.skip > 0:
                mutation.skip -= 1
                continue
            if mutation.times is not None:
                if mutation.times <= 0:
                    continue
                mutation.times -= 1
            if mutation.kind == "leave":
                rows.touch(rows.pick(rows.find(body), mutation.rows), self.micros())
            else:
                for _ in range(mutation.rows):
                    self._join(rows, body)

    def _join(self, rows: RowSet, body: Mapping[str, Any]) -> None:
        now = self.micros()
        moments = {"CreatedAt": now - rows.moment_before(int(self.options.days * 86_400_000_000)), "UpdatedAt": now}
        for window in rows.stream.windows:
            if body.get(window.param):
                moments[window.column] = rows.moment_in(body[window.param])
        row = make_load(len(rows.rows), moments["CreatedAt"], moments["UpdatedAt"], seed=self.options.seed)
        row.change(IsDeleted=False)
        rows.add(row)

    def change(
        self, stream: str, *, rows: int | None, keys: list[str] | None, at: str | None, columns: dict[str, Any]
    ) -> list[str]:
        """
        Update rows now, and return their keys.

        :param rows: so many of the rows that are not deleted, at random.
        :param keys: or these.
        :param at: or at this time.
        :param columns: set as well, such as ``{"Status": "Delivered"}``.
        """
        row_set = self.sets[stream]
        if keys is not None:
            wanted = set(keys)
            chosen = [row for row in row_set.rows if row.key in wanted or row.columns.get("LoadNumber") in wanted]
        else:
            chosen = row_set.pick([row for row in row_set.rows if not row.columns["IsDeleted"]], rows or 0)
        row_set.touch(chosen, parse_micros(at) if at else self.micros(), **columns)
        return [row.key for row in chosen]

    def truth(
        self, stream: Stream, *, window_by: str | None, since: str | None, until: str | None, filters: dict[str, Any]
    ) -> list[Row]:
        """Return the rows that a search should find now, in the set's order."""
        body = stream.body(filters)
        if since or until:
            period = {"Start": since or "1970-01-01T00:00:00Z"}
            if until:
                period["End"] = until
            body[stream.window(window_by).param] = period
        elif window_by:
            raise AlvysValueError("window_by goes with since or until")
        return self.sets[stream.name].find(body)
