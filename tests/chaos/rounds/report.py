"""What the rounds came to: a table, and whether it is good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.rounds.plan import KINDS, NOTHING, STREAMS, TASK_KILLED, daemon_of, label
from tests.chaos.rounds.round import Result

_HEAD = ("what happened", "alone", "in storms", "rows lost", "rows repeated", "extra requests")
_STORM = "storm"


@dataclass(frozen=True)
class Line:
    """A line of the table. ``extra`` counts the requests of the syncs that this alone befell; None where there is none."""

    kind: str
    alone: int
    in_storms: int
    lost: int
    repeated: int
    extra: int | None


def make_lines(results: Sequence[Result]) -> list[Line]:
    """Return the table's lines."""
    lines = [_line(results, kind) for kind in KINDS]
    quiet = [
        (result, stream)
        for result in results
        for stream in STREAMS
        if result.plan.alone.get(stream) == NOTHING
    ]
    if quiet:
        extra = sum(result.extra[stream] for result, stream in quiet)
        lines.append(Line("left alone", len(quiet), 0, *_lost_and_repeated(quiet), extra))
    storms = [(result, stream) for result in results for stream in STREAMS if result.plan.name == _STORM]
    if storms:
        everything = sum(line.in_storms for line in lines)
        extra = sum(result.extra[stream] for result, stream in storms)
        lines.append(Line("storms: all at once", 0, everything, *_lost_and_repeated(storms), extra))
    return lines


def _line(results: Sequence[Result], kind: str) -> Line:
    alone = [result for result in results if kind in result.plan.alone.values()]
    storms = [result for result in results if result.plan.name == _STORM]
    hit = [(result, stream) for result in results for stream in STREAMS if _befell(result, stream, kind)]
    cells = [(result, stream) for result, stream in hit if result.plan.alone.get(stream) == kind]
    return Line(
        kind,
        sum(_struck(result, kind) for result in alone),
        sum(_struck(result, kind) for result in storms),
        *_lost_and_repeated(hit),
        sum(result.extra[stream] for result, stream in cells) if cells else None,
    )


def _lost_and_repeated(cells: Sequence[tuple[Result, str]]) -> tuple[int, int]:
    return sum(result.lost[stream] for result, stream in cells), sum(
        result.repeated[stream] for result, stream in cells
    )


def _befell(result: Result, stream: str, kind: str) -> int:
    """Return how often something befell a stream's syncs; the death of a daemon befalls all."""
    counted = result.faults[label(stream, kind)] + result.mutations[label(stream, kind)]
    kills = [kill for kill in result.kills if kill.kind == kind and kill.processes]
    return counted + sum(kill.task is None or stream in kill.task[0] for kill in kills)


def _struck(result: Result, kind: str) -> int:
    counted = sum(
        result.faults[label(stream, kind)] + result.mutations[label(stream, kind)] for stream in STREAMS
    )
    return counted + sum(kill.kind == kind and kill.processes > 0 for kill in result.kills)


def render(lines: Sequence[Line], *, markdown: bool) -> str:
    """Return the table as text."""
    cells = [_HEAD, *(_texts(line) for line in lines)]
    if markdown:
        rows = [f"| {' | '.join(row)} |" for row in cells]
        return "\n".join([rows[0], "|---|" + "---:|" * (len(_HEAD) - 1), *rows[1:]]) + "\n"
    width = max(len(row[0]) for row in cells)
    return "\n".join(f"  {row[0]:<{width}}" + "".join(f"  {cell:>14}" for cell in row[1:]) for row in cells)


def _texts(line: Line) -> tuple[str, ...]:
    counts = (line.alone, line.in_storms)
    extra = "" if line.extra is None else f"{line.extra:,}"
    return (
        line.kind,
        *(f"{count:,}" if count else "" for count in counts),
        f"{line.lost:,}",
        f"{line.repeated:,}",
        extra,
    )


def sum_up(results: Sequence[Result]) -> str:
    """Return a paragraph of totals."""
    requests = sum(result.requests.total() for result in results)
    least = sum(result.least.total() for result in results)
    kills = [kill for result in results for kill in result.kills]
    return (
        f"{len(results)} rounds, {sum(result.tasks for result in results):,} tasks in {sum(r.tries for r in results):,} tries, "
        f"{sum(result.deferrals for result in results):,} deferrals, {sum(result.cleared for result in results)} runs cleared; "
        f"{sum(result.manifests for result in results):,} manifests by {requests:,} requests where {least:,} were the least "
        f"possible; {sum(result.refused for result in results)} of them met the rate limit itself; "
        f"{sum(kill.processes for kill in kills)} processes killed in {len(kills)} kills."
    )


def find_faults(results: Sequence[Result], *, every_kind: bool) -> list[str]:
    """
    Return why this was no good, the run itself included: one in which nothing was hit proves nothing.

    :param every_kind: whether each kind must have struck.
    """
    problems = [problem for result in results for problem in result.problems]
    for result in results:
        if result.lost.total() or result.repeated.total():
            problems.append(
                f"{result.plan.name}: {result.lost.total()} rows lost, {result.repeated.total()} repeated"
            )
        if not result.manifests:
            problems.append(f"{result.plan.name}: nothing was landed")
        for kill in result.kills:
            if kill.kind != TASK_KILLED and not kill.processes:
                problems.append(
                    f"{result.plan.name}: the {daemon_of(kill.kind)[0]} was not there to be killed"
                )
    hit = [kill for result in results for kill in result.kills if kill.task and kill.processes == 2]
    planned = sum(kill.kind == TASK_KILLED for result in results for kill in result.kills)
    if planned and len(hit) * 2 < planned:
        problems.append(f"Of {planned} workers only {len(hit)} were at work when they were to be killed")
    if planned and not any(kill.was_tried_again for kill in hit):
        problems.append("No killed task was tried again")
    storms = [result for result in results if result.plan.name == _STORM]
    if storms and not (sum(r.faults.total() for r in storms) and sum(r.mutations.total() for r in storms)):
        problems.append("Nothing struck")
    if storms and not sum(result.deferrals for result in storms):
        problems.append("No task freed its slot")
    for line in make_lines(results) if every_kind else ():
        if not line.alone + line.in_storms:
            problems.append(f"{line.kind}: never happened")
    return problems
