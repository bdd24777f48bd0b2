"""The log of a sync at INFO: where it starts, what it reads, where it landed, and what is not proved."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_alvys.api.figures import counted, duration
from airflow_provider_alvys.api.read.windows import format_time
from airflow_provider_alvys.api.scrubbing import scrub

if TYPE_CHECKING:
    from airflow_provider_alvys.api.read.windows import Window
    from airflow_provider_alvys.landing.dataset.coverage import ProvedWindow
    from airflow_provider_alvys.landing.dataset.cursor import Cursor
    from airflow_provider_alvys.landing.dataset.manifest import Manifest
    from airflow_provider_alvys.landing.jobs.checkpoint import Run
    from airflow_provider_alvys.landing.jobs.spec import SyncSpec

log = logging.getLogger(__name__)

_MAX_PARENTS_IN_LOG = 10


def log_cursor(spec: SyncSpec, cursor: Cursor, parents: Sequence[str] | None, *, dag_id: str) -> None:
    """Log the position of a cursor and who moved it last. Another DAG, the first time, is a warning."""
    new = [parent for parent in parents or () if cursor.landed_until(parent) is None]
    some = f", except {counted(len(new), 'new parents')}" if new else ""
    log.info("Continuing from the cursor at %s%s", format_time(cursor.until), some)
    last = cursor.moved_by[-1] if cursor.moved_by else None
    if last is None:
        log.info("Cursor last moved by a version that did not record its DAG")
    elif last.is_first_load or dag_id in {move.dag_id for move in cursor.moved_by}:
        log.info("Cursor last moved by DAG %s, run %s", last.dag_id, last.run_id)
    else:
        log.warning("Cursor last moved by another DAG, %s, run %s", last.dag_id, last.run_id)
        log.warning(
            "This run reads only later changes. For a data set of its own, give this DAG another path"
        )
    if spec.initial_since is not None and not new:
        log.info("initial_since is not used: a cursor exists")
        log.info("To read from it again: full_refresh=True, in default_args for alvys_sync")


def warn_of_lost_cursor(spec: SyncSpec, landed: ProvedWindow) -> None:
    """Warn that there is no cursor, although earlier runs have landed."""
    log.warning("No cursor, although %s have landed until %s", spec.stream.name, format_time(landed.until))
    log.warning(
        "Reading all from initial_since again. If its file was lost: end this task, run cursor recover"
    )


def log_start(spec: SyncSpec, run: Run, window: Window | None) -> None:
    """Log what is read."""
    again = f", attempt {run.attempt}" if run.attempt > 1 else ""
    parent = spec.stream.parent
    parents = sum(len(group.parents or ()) for group in run.groups)
    of = f" for {counted(parents, parent.stream)}" if parent else ""
    if window is None and spec.initial_since is not None:
        log.info("initial_since has no effect: %s are read in full each time", spec.stream.name)
    how = f"{of} by {spec.by.name} {window}" if window and spec.by else of or " in full, without a window"
    log.info("Reading %s of %s%s%s", spec.stream.name, spec.tenant, how, again)


def log_landed(manifest: Manifest, path: str) -> None:
    """Log the figures of a manifest and its path."""
    rows, parts = counted(manifest.rows, manifest.stream), len(manifest.parts)
    took = duration((manifest.read_until - manifest.read_from).total_seconds())
    figures = (rows, took, parts, manifest.requests, manifest.proof)
    log.info("Landed %s in %s: parts=%d requests=%d proof=%s", *figures)
    log.info("Manifest: %s", path)


def warn_of_open(spec: SyncSpec, reason: str) -> None:
    """Warn that rows may be missing, with the next step."""
    log.warning("Some %s may be missing: %s", spec.stream.name, reason)
    if spec.uses_cursor:
        step = "Cursor not advanced: the next run reads this window again"
    elif spec.by is not None:
        step = "Clear this task to read its window again"
    else:
        step = f"The next run reads all {spec.stream.name} again"
    log.warning("%s. To fail the task instead, set fail_on_open=True", step)


def log_advance(
    until: datetime, read: Mapping[str | None, datetime], why_not: Mapping[str | None, str]
) -> None:
    """
    Log the new position of a cursor, or why it stays.

    :param read: the parents that were read; the key is None for a stream without parents.
    :param why_not: the parents whose position stays, with reasons.
    """
    if None in why_not:
        log.warning("Cursor not advanced: %s", why_not[None])
    elif not why_not:
        log.info("Cursor advanced to %s", format_time(until))
    else:
        moved = len(read) - len(why_not)
        log.warning("Cursor advanced for %d of %s", moved, counted(len(read), "parents"))
        for reason in dict.fromkeys(why_not.values()):
            log.warning("Not advanced for %s: %s", _names(why_not, reason), reason)


def _names(why_not: Mapping[str | None, str], reason: str) -> str:
    """Return the parents with a reason, as a text."""
    parents = [scrub(str(parent)) for parent, theirs in why_not.items() if theirs == reason]
    more = f" and {len(parents) - _MAX_PARENTS_IN_LOG:,} more" if len(parents) > _MAX_PARENTS_IN_LOG else ""
    return ", ".join(parents[:_MAX_PARENTS_IN_LOG]) + more
