"""The table of a chaos run, its totals, and the reasons why it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.rounds.plan import KINDS, NOTHING, STREAMS, TASK_KILLED, daemon_of, label
from tests.chaos.rounds.round import RoundResult

_HEAD = ("what happened", "alone", "in storms", "rows lost", "rows repeated", "extra requests")
_STORM = "storm"


@dataclass(frozen=True)
class TableRow:
    """
    A row of the table.

    :param extra: extra requests of the syncs that only this happened to; None if there are no such syncs.
    """

    kind: str
    alone: int
    in_storms: int
    lost: int
    repeated: int
    extra: int | None


def make_rows(results: Sequence[RoundResult]) -> list[TableRow]:
    """Return the rows of the table."""
    rows = [_row(results, kind) for kind in KINDS]
    syncs = [(result, stream) for result in results for stream in STREAMS]
    undisturbed = [(result, stream) for result, stream in syncs if result.plan.alone.get(stream) == NOTHING]
    if undisturbed:
        extra = sum(result.extra[stream] for result, stream in undisturbed)
        rows.append(TableRow("undisturbed", len(undisturbed), 0, *_lost_and_repeated(undisturbed), extra))
    storms = [(result, stream) for result, stream in syncs if result.plan.name == _STORM]
    if storms:
        total = sum(row.in_storms for row in rows)
        extra = sum(result.extra[stream] for result, stream in storms)
        rows.append(TableRow("storms: all at once", 0, total, *_lost_and_repeated(storms), extra))
    return rows


def _row(results: Sequence[RoundResult], kind: str) -> TableRow:
    alone = [result for result in results if kind in result.plan.alone.values()]
    storms = [result for result in results if result.plan.name == _STORM]
    hit = [(result, stream) for result in results for stream in STREAMS if _count(result, stream, kind)]
    hit_alone = [(result, stream) for result, stream in hit if result.plan.alone.get(stream) == kind]
    return TableRow(
        kind,
        sum(_count_all(result, kind) for result in alone),
        sum(_count_all(result, kind) for result in storms),
        *_lost_and_repeated(hit),
        sum(result.extra[stream] for result, stream in hit_alone) if hit_alone else None,
    )


def _lost_and_repeated(syncs: Sequence[tuple[RoundResult, str]]) -> tuple[int, int]:
    lost = sum(result.lost[stream] for result, stream in syncs)
    return lost, sum(result.repeated[stream] for result, stream in syncs)


def _count(result: RoundResult, stream: str, kind: str) -> int:
    """Return how often something happened to a stream's syncs; a killed daemon affects all streams."""
    counted = result.faults[label(stream, kind)] + result.mutations[label(stream, kind)]
    kills = [kill for kill in result.kills if kill.kind == kind and kill.processes]
    return counted + sum(kill.task is None or stream in kill.task[0] for kill in kills)


def _count_all(result: RoundResult, kind: str) -> int:
    labels = [label(stream, kind) for stream in STREAMS]
    counted = sum(result.faults[name] + result.mutations[name] for name in labels)
    return counted + sum(kill.kind == kind and kill.processes > 0 for kill in result.kills)


def render(rows: Sequence[TableRow], *, markdown: bool) -> str:
    """Return the table as text."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    if markdown:
        lines = [f"| {' | '.join(row)} |" for row in cells]
        return "\n".join([lines[0], "|---|" + "---:|" * (len(_HEAD) - 1), *lines[1:]]) + "\n"
    width = max(len(row[0]) for row in cells)
    return "\n".join(f"  {row[0]:<{width}}" + "".join(f"  {cell:>14}" for cell in row[1:]) for row in cells)


def _cells(row: TableRow) -> tuple[str, ...]:
    counts = [f"{count:,}" if count else "" for count in (row.alone, row.in_storms)]
    extra = "" if row.extra is None else f"{row.extra:,}"
    return (row.kind, *counts, f"{row.lost:,}", f"{row.repeated:,}", extra)


def summarize(results: Sequence[RoundResult]) -> str:
    """Return a paragraph of totals."""
    kills = [kill for result in results for kill in result.kills]
    return (
        f"{len(results)} rounds, {sum(result.tasks for result in results):,} tasks in "
        f"{sum(result.tries for result in results):,} tries, "
        f"{sum(result.deferrals for result in results):,} deferrals, "
        f"{sum(result.cleared for result in results)} runs cleared; "
        f"{sum(result.manifests for result in results):,} manifests, "
        f"{sum(result.requests.total() for result in results):,} requests "
        f"(minimum {sum(result.min_requests.total() for result in results):,}), "
        f"{sum(result.refused for result in results)} refused by the rate limit; "
        f"{sum(kill.processes for kill in kills)} processes killed in {len(kills)} kills."
    )


def find_failures(results: Sequence[RoundResult], *, every_kind: bool) -> list[str]:
    """
    Return why the run failed. A run in which nothing happened fails, too.

    :param every_kind: whether each kind must have happened.
    """
    failures = [problem for result in results for problem in result.problems]
    for result in results:
        lost, repeated = result.lost.total(), result.repeated.total()
        if lost or repeated:
            failures.append(f"{result.plan.name}: {lost} rows lost, {repeated} repeated")
        if not result.manifests:
            failures.append(f"{result.plan.name}: no manifest was landed")
        for kill in result.kills:
            if kill.kind != TASK_KILLED and not kill.processes:
                failures.append(
                    f"{result.plan.name}: the {daemon_of(kill.kind)[0]} was not alive to be killed"
                )
    planned = sum(kill.kind == TASK_KILLED for result in results for kill in result.kills)
    hit = [kill for result in results for kill in result.kills if kill.task and kill.processes == 2]
    if planned and len(hit) * 2 < planned:
        failures.append(f"Only {len(hit)} of {planned} tasks were running when they were to be killed")
    if planned and not any(kill.was_retried for kill in hit):
        failures.append("No killed task was retried")
    storms = [result for result in results if result.plan.name == _STORM]
    if storms and not (sum(r.faults.total() for r in storms) and sum(r.mutations.total() for r in storms)):
        failures.append("No fault or no mutation happened in the storms")
    if storms and not sum(result.deferrals for result in storms):
        failures.append("No task deferred in the storms")
    for row in make_rows(results) if every_kind else ():
        if not row.alone + row.in_storms:
            failures.append(f"{row.kind}: never happened")
    return failures
