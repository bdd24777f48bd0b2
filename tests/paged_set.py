"""A set of rows that is paged as Alvys does, and that changes between requests."""

from __future__ import annotations

import random
from collections.abc import Callable

from airflow_provider_alvys.api.errors import AlvysNotFoundError
from airflow_provider_alvys.api.read.page_decoder import Page


class PagedSet:
    """A set of rows in pages; ``change`` is called after each request."""

    def __init__(
        self, rows: int, *, change: Callable[[PagedSet], None] = lambda source: None, seed: int = 0
    ) -> None:
        self.rows = [f"row-{number}" for number in range(rows)]
        self.random = random.Random(seed)
        self.requests: list[int | str] = []
        self.left: list[str] = []
        self.cap: int | None = None
        self.cap_is_silent = False
        self.is_unstable = False
        self.spurious_404s: set[int] = set()
        self._change = change

    def fetch(self, number: int, size: int) -> Page:
        self.requests.append(number)
        kept = min(size, self.cap or size)
        rows = self.random.sample(self.rows, len(self.rows)) if self.is_unstable else self.rows
        total, keys = len(rows), rows[number * kept : (number + 1) * kept]
        is_missing = len(self.requests) in self.spurious_404s
        self._change(self)
        if is_missing or (number > 0 and not keys):
            raise AlvysNotFoundError("404", status_code=404)
        return Page(
            total,
            number,
            size if self.cap_is_silent else kept,
            [key.encode() for key in keys],
            [(key,) for key in keys],
        )

    def leave(self, count: int) -> None:
        for row in self.random.sample(self.rows, min(count, len(self.rows))):
            self.rows.remove(row)
            self.left.append(row)

    def list_changed(self) -> list[tuple[str]]:
        """Return the rows that left, as a search for changed rows does."""
        self.requests.append("changed")
        left = [(row,) for row in self.left]
        self._change(self)
        return left

    def join(self, at: int | None = None) -> None:
        place = self.random.randint(0, len(self.rows)) if at is None else at
        self.rows.insert(place, f"joined-{len(self.requests)}-{self.random.random()}")
