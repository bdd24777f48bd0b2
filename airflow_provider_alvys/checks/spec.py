"""What one reconciliation compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_alvys.api.catalogue.streams import Stream
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.windows import Window
from airflow_provider_alvys.api.suggestions import suggest

PERIODS = ("day", "week", "month", "year")


@dataclass(frozen=True)
class CheckSpec:
    """What one reconciliation compares. The fields are those of AlvysReconcileOperator."""

    stream: Stream
    tenant: str
    start: datetime | None = None
    end: datetime | None = None
    by: str = "month"
    statuses: Sequence[str] | None = None
    sample: int = 0
    table: str | None = None

    def check(self) -> None:
        """Raise AlvysValueError if an argument is wrong."""
        stream = self.stream
        if stream.parent is not None:
            raise AlvysValueError(
                f"{stream.name} are read per row of {stream.parent.stream}, and Alvys has no total of them: "
                f"reconcile {stream.parent.stream}"
            )
        if self.by not in PERIODS:
            raise AlvysValueError(f"by={self.by!r} is not a period.{suggest(self.by, PERIODS, 'Periods')}")
        if isinstance(self.sample, bool) or not isinstance(self.sample, int) or self.sample < 0:
            raise AlvysValueError(f"sample={self.sample!r} must be a number of rows, 0 or more")
        if (self.start or self.end) and stream.row_window is None:
            raise AlvysValueError(f"{stream.name} have no window to compare: leave out start and end")
        if self.start and self.end:
            Window(self.start, self.end)
        if self.statuses is not None:
            filter = stream.status_filter
            if filter is None:
                raise AlvysValueError(f"Alvys cannot count {stream.name} by status: leave out statuses")
            stream.validate_filters({filter.name: self.statuses})
