"""The sync spec: what one sync is asked to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.catalogue.streams import Stream, TimeWindow
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.read.queries import explain_missing_window
from airflow_provider_alvys.api.read.windows import MAX_WINDOW_ROWS, format_time
from airflow_provider_alvys.landing.dataset.layout import cursor_file, fingerprint
from airflow_provider_alvys.landing.formats.registry import JSONL
from airflow_provider_alvys.landing.jobs.parents import check_parents, plain_parents

if TYPE_CHECKING:
    from airflow_provider_alvys.landing.dataset.cursor import Cursor, CursorMove

OVERLAP = timedelta(minutes=5)
SETTLING = timedelta(minutes=1)
TIMES = ("since", "until", "initial_since")


@dataclass(frozen=True)
class SyncSpec:
    """What one sync is asked to do. The fields are those of AlvysToObjectStorageOperator."""

    stream: Stream
    tenant: str
    filters: Mapping[str, Any] = field(default_factory=dict)
    window_by: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    initial_since: datetime | None = None
    full_refresh: bool = False
    overlap: timedelta = OVERLAP
    settling: timedelta = SETTLING
    look_back: timedelta | None = None
    look_ahead: timedelta | None = None
    parents: Any = None
    file_format: str = JSONL
    compression: str | None = None
    part_rows: int | None = None
    page_size: int | None = None
    max_window_rows: int = MAX_WINDOW_ROWS
    fail_on_open: bool = False

    def __post_init__(self) -> None:
        # The output of a mapped task is a sequence that fetches each item at every access.
        if isinstance(self.parents, Sequence) and not isinstance(self.parents, (str, bytes)):
            object.__setattr__(self, "parents", list(self.parents))

    @cached_property
    def by(self) -> TimeWindow | None:
        """The window kind; None to read the stream in full."""
        return self.stream.window(self.window_by)

    @property
    def uses_cursor(self) -> bool:
        """Whether the window starts at the cursor."""
        return self.since is None and self.by is not None

    @property
    def cursor_name(self) -> str:
        """The name of the cursor's file."""
        return cursor_file(self.stream, self.tenant, self.filters, self.by.name if self.by else "")

    def cursor_at(self, until: datetime, manifest: str, move: CursorMove) -> Cursor:
        """Return a cursor at ``until``, moved there by the run of a manifest."""
        from airflow_provider_alvys.landing.dataset.cursor import Cursor

        return Cursor(
            stream=self.stream.name,
            tenant=self.tenant,
            filters=dict(self.filters),
            window_by=self.by.name if self.by else None,
            until=until,
            manifest=manifest,
            moved_by=[move],
        )

    def check(self) -> None:
        """Raise AlvysValueError if an argument is wrong."""
        self.stream.validate_filters(self.filters)
        check_parents(self.stream, self.parents)
        if self.by is None and (self.since is not None or self.until is not None):
            raise AlvysValueError(explain_missing_window(self.stream, self.window_by))
        if self.look_back is None and self.look_ahead is None:
            return
        if self.by is None or self.by.tracks_changes:
            kind = f"have the window {self.by.name}, on changes" if self.by else "are read in full"
            raise AlvysValueError(
                f"look_back and look_ahead are for business dates, and {self.stream.name} {kind}. Raise "
                "overlap, or choose another window with window_by"
            )
        if self.since is not None:
            raise AlvysValueError(
                "look_back and look_ahead widen a window that starts at the cursor. With since, give the "
                "window itself"
            )

    def fingerprint(self, path: str, **templates: str) -> str:
        """Return a hash that a retry must share to resume. ``templates`` replace times, which may differ."""
        times = {name: time and format_time(time) for name in TIMES for time in [getattr(self, name)]}
        filters = self.stream.normalize_filters(self.filters)
        by = self.by.name if self.by else None
        parents = plain_parents(self.parents)
        what = (
            path,
            self.stream.name,
            self.tenant,
            filters,
            by,
            times | templates,
            self.full_refresh,
            parents,
        )
        looks = [str(length) for length in (self.overlap, self.look_back, self.look_ahead)]
        return fingerprint(*what, looks, self.file_format, self.compression, self.page_size)
