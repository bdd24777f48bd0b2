"""
Run syncs in a real Airflow under faults, moving rows and kills; then count the lost rows.

``make chaos`` runs 20 rounds, ``make chaos-short`` two; the same seed gives the same disruptions. Exit 1 if a
row was lost or repeated, a manifest was false, or nothing was disrupted.
"""

from __future__ import annotations

import argparse
import shutil
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons
from tests.chaos.airflow.home import run_in_home
from tests.chaos.rounds.plan import Plan, PlanGenerator
from tests.chaos.rounds.report import find_failures, make_rows, render, summarize
from tests.chaos.rounds.round import DAG, MINUTE, PAGE, Kill, Round, RoundResult

DAGS = Path(__file__).parent / "dags" / "syncs"
# The smallest limit is ten requests a minute; this is requests_per_minute for the simulator's short minute.
_PACE = 10 * 60 / MINUTE
# Seconds; shorter than the delay of a fault.
_TIMEOUT = 3
# Loads and trips of the short run.
_FEW_LOADS = 260
_MARKER = "<!-- chaos -->"
# Rounds in which every kind happens alone, with a storm between two of them.
_ALL_KINDS = 18


def main() -> None:
    """Run the rounds."""
    arguments = _arguments()
    run_in_home("chaos", lambda home: run_rounds(home, arguments))


def run_rounds(home: Path, arguments: argparse.Namespace) -> list[str]:
    """Run the rounds, print the table, and return the failures."""
    started = time.monotonic()
    lake = home / "lake"
    results: list[RoundResult] = []
    failures: list[str] = []
    with Simulator() as alvys, Daemons(home, DAGS, _environment(alvys, lake)) as airflow:
        airflow.wait_for_dag(DAG)
        print(f"Airflow started in {time.monotonic() - started:.0f} s: {airflow.api.url}, {home}", flush=True)
        for number, plan in enumerate(_plans(arguments), 1):
            try:
                result = Round(airflow, alvys, plan, number, lake).run()
            except RuntimeError as error:
                # The daemons may not be able to run another round.
                failures.append(f"Round {number}: {error}")
                break
            results.append(result)
            print_round(number, result)
            if result.problems:
                shutil.move(lake, home / f"lake-{number}")
            else:
                shutil.rmtree(lake)
    failures += find_failures(results, every_kind=arguments.rounds >= _ALL_KINDS)
    print(f"\n{render(make_rows(results), markdown=False)}\n\n{summarize(results)}")
    print(f"Seed {arguments.seed}, {time.monotonic() - started:.0f} s.")
    if arguments.markdown:
        table = render(make_rows(results), markdown=True)
        replace_table(arguments.markdown, f"{table}\n{summarize(results)} Seed {arguments.seed}.")
    return failures


def _plans(arguments: argparse.Namespace) -> list[Plan]:
    plans = PlanGenerator(arguments.seed)
    if arguments.short:
        kills = [["triggerer killed", "scheduler killed"], ["scheduler killed with its workers"]]
        return [plans.storm(seconds=35, kills=kinds, loads=_FEW_LOADS) for kinds in kills]
    return [plans.single() if number % 2 else plans.storm() for number in range(arguments.rounds)]


def _environment(alvys: Simulator, lake: Path) -> dict[str, str]:
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    connection = alvys.connection_json(requests_per_minute=_PACE, page_size=PAGE, timeout=_TIMEOUT)
    return {
        "AIRFLOW_CONN_ALVYS_DEFAULT": connection,
        "CHAOS_LAKE": str(lake),
        "CHAOS_START": (today - timedelta(days=100)).isoformat(),
        "CHAOS_END": (today + timedelta(days=20)).isoformat(),
    }


def replace_table(page: Path, text: str) -> None:
    """Replace the text between the markers of a page."""
    before, _, after = page.read_text().split(_MARKER)
    page.write_text(f"{before}{_MARKER}\n\n{text}\n\n{_MARKER}{after}")


def print_round(number: int, result: RoundResult) -> None:
    """Print a line about a round, and its problems."""
    open_runs, lookback = result.missed_in_open_runs, result.before_lookback
    print(
        f"Round {number}, {result.plan.name}: {result.seconds:.0f} s, "
        f"disrupted runs {result.disrupted_seconds:.0f} s; "
        f"faults={result.faults.total()} mutations={result.mutations.total()} "
        f"kills: {', '.join(map(_describe, result.kills)) or 'none'}; "
        f"tasks={result.tasks} tries={result.tries} deferrals={result.deferrals}; "
        f"manifests={result.manifests} extra requests={result.extra.total()} refused={result.refused}; "
        f"rows lost={result.lost.total()} repeated={result.repeated.total()}"
        f"{f', missed in open runs={open_runs}' if open_runs else ''}"
        f"{f', dated before the lookback={lookback}' if lookback else ''}",
        flush=True,
    )
    for problem in result.problems:
        print(f"  {problem}", flush=True)


def _describe(kill: Kill) -> str:
    if kill.task is None:
        return kill.kind if kill.processes else f"{kill.kind} (not running)"
    return f"{kill.task[0]} in try {kill.try_number}{' (retried)' if kill.was_retried else ''}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="decides all disruptions (1)")
    parser.add_argument("--rounds", type=int, default=20, help="alternately a storm and one kind alone (20)")
    parser.add_argument("--short", action="store_true", help="two storms with every kind of kill")
    parser.add_argument("--markdown", type=Path, help="also write the table into this page")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.rounds = 2
    return arguments


if __name__ == "__main__":
    main()
