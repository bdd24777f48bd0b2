"""
Run the syncs in a real Airflow: faults, moving rows, and SIGKILL for tasks, triggerer and scheduler; then count what is lost.

``make chaos`` plays 20 rounds, ``make chaos-short`` two; a seed orders the same things at the same moments. Exit 1 if a row
was lost or repeated, a manifest was false, or nothing was hit.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.airflow.daemons import Daemons
from tests.chaos.rounds.plan import Plan, Plans
from tests.chaos.rounds.report import find_faults, make_lines, render, sum_up
from tests.chaos.rounds.round import DAG, MINUTE, PAGE, Result, Round

DAGS = Path(__file__).parent / "dags" / "syncs"
_MINUTE = 60
# Requests to ten a minute that go through in a simulated minute, as requests_per_minute has it.
_PACE = 10 * _MINUTE / MINUTE
# Less than a fault's delay: it is a timeout.
_TIMEOUT = 3
# Loads and trips of the short run.
_FEWER = 260
_MARK = "<!-- chaos -->"
# Rounds in which every kind has its turn alone, with a storm between.
_ALL_KINDS = 18


def main() -> None:
    """Play the rounds."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    home = Path(tempfile.mkdtemp(prefix="alvys-chaos-"))
    started = time.monotonic()
    results: list[Result] = []
    failures: list[str] = []
    with Simulator() as alvys, Daemons(home, DAGS, settings(alvys, home / "lake")) as airflow:
        airflow.wait_for_dag(DAG)
        print(
            f"Airflow is up after {time.monotonic() - started:.0f} s: {airflow.api.url}, {home}", flush=True
        )
        for number, plan in enumerate(_plans(arguments), 1):
            try:
                result = Round(airflow, alvys, plan, number, home / "lake").play()
            except RuntimeError as error:
                # The daemons may be in no state for another round.
                failures.append(f"Round {number}: {error}")
                break
            results.append(result)
            tell(number, result)
            if result.problems:
                shutil.move(home / "lake", home / f"lake-{number}")
            else:
                shutil.rmtree(home / "lake")
    failures += find_faults(results, every_kind=arguments.rounds >= _ALL_KINDS)
    print(f"\n{render(make_lines(results), markdown=False)}\n\n{sum_up(results)}")
    print(f"Seed {arguments.seed}, {time.monotonic() - started:.0f} s.")
    if arguments.markdown:
        put_into(
            arguments.markdown,
            f"{render(make_lines(results), markdown=True)}\n{sum_up(results)} Seed {arguments.seed}.",
        )
    if failures:
        print("\n".join(["", "NO GOOD:", *failures, f"The files and logs: {home}"]))
        sys.exit(1)
    shutil.rmtree(home)
    print("Nothing was lost.")


def _plans(arguments: argparse.Namespace) -> list[Plan]:
    plans = Plans(arguments.seed)
    if arguments.short:
        kills = [["triggerer killed", "scheduler killed"], ["scheduler killed with its workers"]]
        return [plans.storm(seconds=35, kills=kinds, loads=_FEWER) for kinds in kills]
    return [plans.single() if number % 2 else plans.storm() for number in range(arguments.rounds)]


def settings(alvys: Simulator, lake: Path, *, timeout: float = _TIMEOUT) -> dict[str, str]:
    """Return the environment of an Airflow that syncs a simulator into a data set."""
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "AIRFLOW_CONN_ALVYS_DEFAULT": alvys.connection_json(
            requests_per_minute=_PACE, page_size=PAGE, timeout=timeout
        ),
        "CHAOS_LAKE": str(lake),
        "CHAOS_START": (today - timedelta(days=100)).isoformat(),
        "CHAOS_END": (today + timedelta(days=20)).isoformat(),
    }


def put_into(page: Path, text: str) -> None:
    """Put a text into a page, between its marks."""
    before, _, after = page.read_text().split(_MARK)
    page.write_text(f"{before}{_MARK}\n\n{text}\n\n{_MARK}{after}")


def tell(number: int, result: Result) -> None:
    """Print a line on a round."""
    kills = ", ".join(_kill_text(kill) for kill in result.kills)
    print(
        f"Round {number}, {result.plan.name}: {result.seconds:.0f} s, {result.storm_seconds:.0f} s until all had ended; "
        f"{result.faults.total()} faults, {result.mutations.total()} mutations, kills: {kills or 'none'}; "
        f"{result.tries} tries of {result.tasks} tasks, {result.deferrals} deferrals; {result.manifests} manifests, "
        f"{result.extra.total()} extra requests, {result.refused} refused; {result.lost.total()} rows lost, "
        f"{result.repeated.total()} repeated"
        f"{f', {result.missed_openly} missed where the proof is open' if result.missed_openly else ''}"
        f"{f', {result.out_of_reach} came too late and dated too far back' if result.out_of_reach else ''}",
        flush=True,
    )
    for problem in result.problems:
        print(f"  {problem}", flush=True)


def _kill_text(kill: Any) -> str:
    if kill.task is None:
        return kill.kind if kill.processes else f"{kill.kind} (nobody was there)"
    return f"{kill.task[0]} in try {kill.try_number}{', tried again' if kill.was_tried_again else ''}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="orders the same things at the same moments (1)")
    parser.add_argument(
        "--rounds", type=int, default=20, help="how many: by turns a storm, and one thing to each stream (20)"
    )
    parser.add_argument("--short", action="store_true", help="two storms with every kind of kill")
    parser.add_argument("--markdown", type=Path, help="put the table into this page, too")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.rounds = 2
    return arguments


if __name__ == "__main__":
    main()
